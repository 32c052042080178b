"""`datasets` is also the name of a Hugging Face package, and the libraries that we use work beside ours."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest
import torch

from ferbench import datasets
from ferbench.benchmark.records.installation import CHECKOUT


def test_datasets_is_our_package() -> None:
    assert datasets.__file__ is not None
    assert Path(datasets.__file__).resolve().parent == CHECKOUT / "datasets"


def in_the_checkout(code: str) -> subprocess.CompletedProcess[str]:
    """What a Python says that was started in the checkout."""
    return subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True)


@pytest.mark.parametrize(("module", "name"), [("models.architecture", "models"), ("datasets", "datasets")])
def test_no_module_of_ours_is_loaded_under_a_second_name(module: str, name: str) -> None:
    said = in_the_checkout(f"import {module}").stderr.splitlines()[-1]
    assert said == f"ImportError: {name} is a folder of ferbench's checkout: import ferbench.{name} instead"


def test_libraries_that_look_for_a_package_do_not_find_our_folder() -> None:
    """As transformers does with `datasets`, which it then imports."""
    found = in_the_checkout("""if True:
        import ferbench
        from importlib.util import find_spec
        print(*(spec.origin for spec in map(find_spec, ("datasets", "models")) if spec))
    """)
    assert found.returncode == 0, found.stderr
    assert not [origin for origin in found.stdout.split() if Path(origin).parents[1] == CHECKOUT]


def test_the_package_of_that_name_is_not_a_dependency() -> None:
    names = [requirement.split()[0].partition(">")[0] for requirement in requires("ferbench") or []]
    assert "torch" in names
    assert "datasets" not in names


def test_timm_builds_and_runs_a_model() -> None:
    import timm

    model = timm.create_model("mobilenetv3_small_050", pretrained=False, num_classes=5).eval()
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 5)


def test_timms_data_modules_can_be_imported() -> None:
    import timm.data
    from timm.data.readers import create_reader

    assert timm.data.IMAGENET_DEFAULT_MEAN == (0.485, 0.456, 0.406)
    assert callable(create_reader)


def test_torchvision_builds_a_video_model() -> None:
    from torchvision.models.video import r2plus1d_18

    with torch.device("meta"):
        assert r2plus1d_18(num_classes=6).fc.out_features == 6


def test_fvcore_counts_a_linear_layer() -> None:
    from fvcore.nn import FlopCountAnalysis

    assert FlopCountAnalysis(torch.nn.Linear(8, 4), torch.zeros(1, 8)).total() == 32
