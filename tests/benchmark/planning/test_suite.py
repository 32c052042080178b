"""A suite file names its cells; each way of getting it wrong is told with the file, the key and what is allowed."""

from __future__ import annotations

import inspect
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from third_party import install

from ferbench.benchmark import cli
from ferbench.benchmark.commands.check import REPORTS, WORK
from ferbench.benchmark.commands.leaderboard import BOARD, PUBLISHED
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.gate.baseline import FILE, RECORDS
from ferbench.benchmark.planning.registry import architectures, data_sets, ensembles
from ferbench.benchmark.planning.suite import BASELINES, CLASSICAL, Cell, cells_of, load_suite, suite_names
from ferbench.benchmark.running import claims

DRAWN = tuple(name for name in BASELINES if name not in CLASSICAL)
GOOD = "description: a test\nsize: tiny\n"


def cells(tmp_path: Path, text: str, **only: Any) -> list[Cell]:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    return cells_of(*load_suite(str(file)), **only)


def test_every_shipped_suite_is_right() -> None:
    assert suite_names() == ["ablation", "cross", "default", "field", "full", "gate", "methods_still",
                             "methods_video", "pairs", "rehearsal", "small", "smoke"]  # fmt: skip
    for name in suite_names():
        assert cells_of(*load_suite(name))


@pytest.mark.parametrize("name", [name for name in suite_names() if load_suite(name)[1].size == "tiny"])
def test_a_small_suite_says_how_large_each_twin_is(name: str) -> None:
    """Unsaid, a twin has the size of the release: of aff_wild2 that is 880,000 frames, an hour or two to render."""
    named = load_suite(name)[1].twins
    assert {data_sets.get(cell.dataset).folder_name for cell in cells_of(*load_suite(name))} == set(named)


def test_a_suite_says_how_large_twins_are_that_it_does_not_name(tmp_path: Path) -> None:
    text = GOOD + "architectures: [c3d]\ntwins: {sendv1: {scale: 0.1}}\n"

    def scales(text: str) -> dict[str, float]:
        return {cell.dataset: cell.twin.scale for cell in cells(tmp_path, text)}

    unnamed = {dataset for dataset in scales(text) if data_sets.get(dataset).folder_name != "sendv1"}
    assert {dataset for dataset, scale in scales(text).items() if scale == 1.0} == unnamed  # as large as the release
    assert len(unnamed) > 1
    small = scales(text + "other_twins: {scale: 0.02, seed: 1}\n")
    assert {dataset for dataset, scale in small.items() if scale == 0.02} == unnamed
    assert {small[dataset] for dataset in small.keys() - unnamed} == {0.1}


def test_a_third_partys_data_set_has_a_small_twin_under_smoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs.py").write_text(
        "from dataclasses import replace\n"
        "from ferbench.datasets.oulu_casia import DATASET as SAME\n"
        "DATASET = replace(SAME, name='theirs')\n"
    )
    install(tmp_path, {"theirs": "theirs:DATASET"}, "ferbench.datasets", "theirs")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(data_sets.__dict__, "_modules", raising=False)
    name, suite = load_suite("smoke")
    try:
        scales = {cell.dataset: cell.twin.scale for cell in cells_of(name, suite)}
    finally:
        data_sets.__dict__.pop("_modules")
    assert scales["theirs"] == suite.other_twins.scale < 0.1
    assert scales["oulu_casia"] == suite.twins["oulu_casia"].scale


@pytest.mark.parametrize("name", ["default", "full", "pairs"])
def test_a_suite_of_all_has_every_pair(name: str) -> None:
    suite = load_suite(name)[1]
    named = [a for a in architectures.names() if a not in suite.without]
    fused = [e for e in ensembles.names() if set(ensembles.get(e).members) <= set(named)]
    rows = [*BASELINES, *named, *fused, *suite.also]
    data = [d for d in data_sets.names() if not data_sets.get(d).optional and d not in suite.without]
    assert {data_sets.get(d).folder_name for d in data} == {
        data_sets.get(d).folder_name for d in data_sets.names() if not data_sets.get(d).optional
    }
    pairs = [(cell.architecture, cell.dataset) for cell in cells_of(name, suite) if cell.seed == cell.fold == 0]
    assert sorted(pairs) == sorted((a, d) for a in rows for d in data)


def test_the_gate_runs_every_row_of_the_default_suite_once() -> None:
    found = [c.architecture for c in cells_of(*load_suite("gate")) if c.kind in ("architecture", "ensemble")]
    published = {c.architecture for c in cells_of(*load_suite("default")) if c.kind in ("architecture", "ensemble")}
    assert sorted(found) == sorted(published - set(load_suite("default")[1].also))


def test_rows_of_another_suite_run_when_they_are_asked_for() -> None:
    name, suite = load_suite("default")
    assert "apvit" not in {cell.architecture for cell in cells_of(name, suite)}
    asked = cells_of(name, suite, ["apvit", "cnn"])
    assert {cell.architecture for cell in asked} == {*BASELINES, "apvit", "cnn"}
    both = {cell.architecture for suite in ("methods_still", "methods_video") for cell in cells_of(*load_suite(suite))}
    assert {row for row in suite.without if row in architectures.names()} <= both


def test_what_a_suite_is_without_is_a_data_set_or_an_architecture(tmp_path: Path) -> None:
    assert cells(tmp_path, GOOD + "without: [tsm, ctbc]\n")
    with pytest.raises(RequestError, match=r"suite mine, without: unknown data set 'tsmm'"):
        cells(tmp_path, GOOD + "without: [tsmm]\n")


def test_all_passes_over_what_a_suite_is_without_until_it_is_asked_for(tmp_path: Path) -> None:
    text = GOOD + "architectures: [c3d]\nwithout: [ctbc, sendv1_fine]\ntwins: {sendv1: {scale: 0.1}}\n"
    everything = {cell.dataset for cell in cells(tmp_path, text)}
    assert everything == {d for d in data_sets.names() if not data_sets.get(d).optional} - {"ctbc", "sendv1_fine"}
    asked = cells(tmp_path, text, only_datasets=["sendv1_fine"])
    assert {cell.dataset for cell in asked} == {"sendv1_fine"}
    assert {cell.twin.scale for cell in asked} == {0.1}  # it shares the folder of sendv1
    with pytest.raises(RequestError, match=r"suite mine, without: unknown data set 'ctb': did you mean 'ctbc'\?"):
        cells(tmp_path, GOOD + "without: [ctb]\n")


def test_a_folder_of_ones_own_is_run_where_it_is_there_or_asked_for(tmp_path: Path) -> None:
    def chosen(named: str, asked: list[str] | None = None, data: Path | None = None) -> set[str]:
        text = GOOD + f"architectures: [c3d]\ndatasets: {named}\n"
        return {cell.dataset for cell in cells(tmp_path, text, only_datasets=asked, data=data)}

    assert data_sets.get("folder").optional
    everything = chosen("all")
    assert everything == {name for name in data_sets.names() if not data_sets.get(name).optional}
    assert chosen("all", data=tmp_path) == everything
    for named in ("all", "[oulu_casia]"):
        assert chosen(named, ["folder"]) == {"folder"}
        assert chosen(named, ["oulu_casia", "folder"]) == {"oulu_casia", "folder"}
    (tmp_path / "folder").mkdir()
    assert chosen("all", data=tmp_path) == everything | {"folder"}
    assert chosen("all", ["oulu_casia"], data=tmp_path) == {"oulu_casia"}
    assert chosen("[oulu_casia]", data=tmp_path) == {"oulu_casia"}


def test_the_ablation_suite_has_each_variant_beside_its_base() -> None:
    chosen = [cell.architecture for cell in cells_of(*load_suite("ablation"), None, ["oulu_casia"])]
    named = load_suite("ablation")[1].architectures
    assert set(chosen) == {*BASELINES, *named}
    assert {name.partition("@")[0] for name in named} <= set(named)
    for base in named:  # every ablation that a file defines is there
        if "@" not in base:
            assert {f"{base}@{variant}" for variant in architectures.get(base).variants} <= set(named)


def test_a_suite_and_the_command_line_may_name_a_variant(tmp_path: Path) -> None:
    text = GOOD + "architectures: [tsm@shuffled, c3d, tsm]\n"
    found = [cell.architecture for cell in cells(tmp_path, text, only_datasets=["oulu_casia"])]
    assert found == [*BASELINES, "c3d", "tsm", "tsm@shuffled"]
    named = cells(tmp_path, text, only_architectures=["tsm@shuffled"], only_datasets=["oulu_casia"])
    assert [cell.architecture for cell in named if cell.kind == "architecture"] == ["tsm@shuffled"]
    unnamed = cells(tmp_path, GOOD, only_architectures=["tsm@frames=4"], only_datasets=["oulu_casia"])
    assert [(c.architecture, c.image_size) for c in unnamed if c.kind == "architecture"] == [("tsm@frames=4", 48)]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tms@shuffled", r"unknown architecture 'tms': did you mean 'tsm'\?"),
        (
            "tsm@shufled",
            r"architecture 'tsm' has no variant 'shufled': use one of frames=N, shuffled, or change its recipe",
        ),
        ("vit_se@shuffled", r"architecture 'vit_se' has no variant 'shuffled': name it without one"),
        ("difference_of_embeddings@x", r"has no variant 'x': use one of difference_only, target_only"),
        ("tsm@frames=0", r"architecture 'tsm@frames=0': frames=0: it takes a whole number from 1 up to 999"),
        ("tsm@lr=fast", r"architecture 'tsm@lr=fast': lr=fast: it takes a number above 0 up to 1000"),
        ("tsm@optimizer=lion", r"optimizer=lion: it takes adam or adamw or sgd"),
        ("tsm@max_samples=0", r"max_samples=0: it takes a whole number from 1 or none"),
        ("tsm@rate=1", r"unknown field 'rate': use one of epochs, "),
        ("tsm@tail.lr=1.0", r"tail.lr: it has no stage 'tail', but "),
        ("tsm@lr=1+lr=2", r"'lr=2': write each change once"),
        ("tsm@lr=1+epochs=2", r"write it 'epochs=2\+lr=1.0'"),
        ("cnn@frames=4", r"frames: its view is image, which has no number of them"),
        (
            "vivit@frames=4",
            r"'vivit@frames=4': frames=4: this ViViT needs clips of shape .*, not \(4, ",
        ),
    ],
)
def test_a_variant_that_is_not_there_is_told(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        cells(tmp_path, GOOD + f"architectures: [{name}]\n")


def test_the_full_suite_has_all_folds_and_three_seeds() -> None:
    chosen = cells_of(*load_suite("full"), ["c3d"], ["oulu_casia"])
    count = Counter(cell.architecture for cell in chosen)
    assert count == {**dict.fromkeys(BASELINES, 10), "c3d": 30}
    assert {cell.size for cell in chosen} == {"full"}


def test_a_file_says_what_each_cell_is(tmp_path: Path) -> None:
    text = (
        GOOD
        + """
architectures: [c3d]
datasets: [oulu_casia]
seeds: [3, 4]
folds: [0, 1]
epochs: 0.5
time_limit: 9
twins: {oulu_casia: {scale: 0.5, seed: 2}}
protocols: {oulu_casia: {folds: 4, light: Dark}}
"""
    )
    found = cells(tmp_path, text)
    assert [(c.architecture, c.seed, c.fold) for c in found if c.kind != "architecture"] == [
        (name, 3, fold) for name in BASELINES for fold in (0, 1)
    ]
    assert [(c.seed, c.fold) for c in found if c.architecture == "c3d"] == [(3, 0), (3, 1), (4, 0), (4, 1)]
    cell = found[-1]
    assert (cell.suite, cell.dataset, cell.size, cell.epochs, cell.time_limit) == ("mine", "oulu_casia", "tiny", 0.5, 9)
    assert (cell.twin.scale, cell.twin.seed) == (0.5, 2)
    assert cell.protocol.folds == 4
    assert cell.protocol.options == {**data_sets.get("oulu_casia").protocol.options, "light": "Dark"}
    assert cell.folder(Path("r"), "oulu_casia-twin") == Path("r/mine/oulu_casia-twin/c3d/seed4-fold1")


def test_the_command_line_cuts_a_suite_down(tmp_path: Path) -> None:
    found = cells(tmp_path, GOOD, only_architectures=["vit_se", "c3d"], only_datasets=["oulu_casia"])
    assert [cell.architecture for cell in found] == [*BASELINES, "c3d", "vit_se"]


def test_folds_by_data_set(tmp_path: Path) -> None:
    some = "architectures: [c3d]\ndatasets: [affectnet_small, oulu_casia, ctbc]\nprotocols: {ctbc: {folds: 2}}\n"
    found = cells(tmp_path, GOOD + some + "folds: {oulu_casia: [1, 9], ctbc: all}")
    assert [(c.dataset, c.fold) for c in found if c.kind == "architecture"] == [
        ("affectnet_small", 0), ("ctbc", 0), ("ctbc", 1), ("oulu_casia", 1), ("oulu_casia", 9)
    ]  # fmt: skip


def test_epochs_by_data_set(tmp_path: Path) -> None:
    some = "architectures: [c3d]\ndatasets: [sendv1, oulu_casia]\nepochs: {oulu_casia: 0.6}"
    assert {(c.dataset, c.epochs) for c in cells(tmp_path, GOOD + some)} == {("oulu_casia", 0.6), ("sendv1", 1.0)}


def test_a_test_part_with_a_scale_of_its_own(tmp_path: Path) -> None:
    some = "architectures: [c3d]\ndatasets: [sendv1]\ntwins: {sendv1: {scale: 0.05, test_scale: 0.1}}"
    assert {(c.twin.scale, c.twin.test_scale) for c in cells(tmp_path, GOOD + some)} == {(0.05, 0.1)}


def test_a_data_set_with_fewer_folds_has_those_that_it_has(tmp_path: Path) -> None:
    found = cells(tmp_path, GOOD + "architectures: []\ndatasets: [affectnet_small, oulu_casia]\nfolds: [0, 2]")
    assert Counter(cell.dataset for cell in found) == {
        "affectnet_small": len(BASELINES),
        "oulu_casia": 2 * len(BASELINES),
    }


def test_a_seed_or_fold_that_is_named_twice_is_one_cell(tmp_path: Path) -> None:
    found = cells(tmp_path, GOOD + "architectures: [c3d]\ndatasets: [oulu_casia]\nseeds: [1, 1]\nfolds: [0, 0]")
    assert [(cell.architecture, cell.seed, cell.fold) for cell in found] == [
        (name, 1, 0) for name in (*BASELINES, "c3d")
    ]


def test_a_cell_knows_what_kind_of_row_it_is(tmp_path: Path) -> None:
    kinds = {cell.architecture: cell.kind for cell in cells(tmp_path, GOOD)}
    assert (kinds["majority"], kinds["random"], kinds["oracle"], kinds["c3d"]) == (
        "floor", "floor", "oracle", "architecture",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not a YAML file: while parsing"),
        ("- a\n- b", "a suite is a mapping of keys such as description, architectures, datasets, pairs, size, seeds"),
        ("", "a suite is a mapping of keys"),
        ("size: tiny", "the key 'description' is missing"),
        ("description: a test", "the key 'size' is missing"),
        (GOOD + "arch: all", "unknown key 'arch': use one of description, architectures, datasets, pairs, size, seeds"),
        (GOOD.replace("tiny", "huge"), "size: 'huge' is not allowed: it should be 'tiny', 'small' or 'full'"),
        (GOOD + "seeds: 3", "seeds: 3 is not allowed: it should be a valid list"),
        (GOOD + "seeds: []", "seeds: .* is not allowed: .*at least 1 item"),
        (GOOD + "seeds: [-1]", "seeds.0: -1 is not allowed: it should be greater than or equal to 0"),
        (GOOD + "seeds: ['1']", "seeds.0: '1' is not allowed: it should be a valid integer"),
        (GOOD + "folds: some", "folds: 'some' is not allowed: it should be 'all'; a valid list"),
        (GOOD + "epochs: none", "epochs: 'none' is not allowed: it should be a valid number"),
        (GOOD + "time_limit: 1.5", "time_limit: 1.5 is not allowed: it should be a valid integer"),
        (GOOD + "architectures: c3d", "architectures: 'c3d' is not allowed: it should be 'all'; a valid list"),
        (
            GOOD + "twins: {oulu_casia: {size: 2}}",
            "unknown key 'twins.oulu_casia.size': use one of scale, test_scale, seed",
        ),
        (GOOD + "other_twins: {size: 2}", "unknown key 'other_twins.size': use one of scale, test_scale, seed"),
        (GOOD + "other_twins: {scale: 0}", "other_twins.scale: 0.* is not allowed: it should be greater than 0"),
        (GOOD + "other_twins: 0.5", "other_twins: 0.5 is not allowed: it should be a valid dictionary"),
        (
            GOOD + "twins: {oulu_casia: {scale: 2}}",
            "twins.oulu_casia.scale: 2.* is not allowed: it should be less than or equal to 1",
        ),
        (
            GOOD + "protocols: {oulu_casia: {light: [Dark]}}",
            r"protocols.oulu_casia.light: \['Dark'\] is not allowed: it should be a valid boolean; .*a valid string",
        ),
    ],
)
def test_a_wrong_file_is_told_with_its_name_the_key_and_what_is_allowed(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(RequestError, match=f"^{tmp_path / 'mine.yaml'}: {message}") as error:
        cells(tmp_path, text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("architectures: [c3]", "unknown architecture 'c3': did you mean 'c3d'?"),
        ("datasets: [oulu]", "unknown data set 'oulu': did you mean 'oulu_casia'?"),
        ("datasets: []", "suite mine: it names no data set, or is without all that it names: add one to datasets"),
        ("twins: {oulu: {scale: 1}}", "suite mine, twins: unknown data set 'oulu'"),
        ("protocols: {oulu: {folds: 2}}", "suite mine, protocols: unknown data set 'oulu'"),
        (
            "protocols: {oulu_casia: {fold: 2}}",
            "suite mine, oulu_casia: unknown protocol key 'fold': use one of classes, context, copies, faces, folds",
        ),
        ("protocols: {oulu_casia: {light: Bright}}", "suite mine, oulu_casia: light must be one of Strong, Weak, Dark"),
        (
            "protocols: {oulu_casia: {folds: true}}",
            "suite mine, oulu_casia: .* 'folds' takes a int, not True",
        ),
        ("folds: [10]", "suite mine: no data set has a fold 10: the most is 10, counted from 0"),
        ("epochs: {oulu: 0.5}", "suite mine, epochs: unknown data set 'oulu'"),
        ("folds: {oulu: all}", "suite mine, folds: unknown data set 'oulu'"),
        ("folds: {affectnet_small: [0, 1]}", r"suite mine: affectnet_small has 1 folds, counted from 0, not \[0, 1\]"),
        (
            "twins: {ctbc: {test_scale: 0.5}}",
            "suite mine, twins: ctbc has no test part of its own to have a test_scale",
        ),
        ("folds: [0, 12]", "suite mine: no data set has a fold 12: the most is 10, counted from 0"),
        ("folds: [1]\ndatasets: [affectnet_small]", "suite mine: no data set has a fold 1"),
        (
            "protocols: {oulu_casia: {folds: 10000}}\nfolds: all\nseeds: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]",
            r"suite mine: up to \d+ cells are too many, more than 100000: name fewer rows, folds or seeds",
        ),
    ],
)
def test_a_name_or_protocol_that_is_not_there_is_told(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        cells(tmp_path, GOOD + text)


def names_that_are_written_beside_suites() -> list[str]:
    site = next(p.default for p in inspect.signature(cli.site).parameters.values() if p.name == "out")
    threads = "records-2-threads"
    return [BOARD.name, PUBLISHED.name, WORK.name, site.name, FILE, claims.FILE, *REPORTS, RECORDS, threads]


@pytest.mark.parametrize("name", [*names_that_are_written_beside_suites(), "Site", "CHECK", ".default", ".."])
def test_a_suite_cannot_be_named_as_what_the_program_writes_beside_it(tmp_path: Path, name: str) -> None:
    file = tmp_path / f"{name}.yaml"
    file.write_text("description: A test.\nsize: tiny\n")
    with pytest.raises(RequestError, match=r"a suite cannot be named '.*', as .* in a folder of results: rename it"):
        load_suite(str(file))


def test_a_suite_may_be_named_as_its_author_likes(tmp_path: Path) -> None:
    for name in ("my site", "site2", "records-of-mine", "published-before", "v1.2"):
        (tmp_path / f"{name}.yaml").write_text("description: A test.\nsize: tiny\n")
        assert load_suite(str(tmp_path / f"{name}.yaml"))[0] == name


def test_a_suite_that_is_not_there_is_told() -> None:
    with pytest.raises(RequestError, match=r"unknown suite 'defualt': did you mean 'default'\?"):
        load_suite("defualt")
    with pytest.raises(
        RequestError, match=r"away/mine.yaml: no such suite file: .* one of ablation, cross, default, field"
    ):
        load_suite("away/mine.yaml")


def test_floors_and_oracle_open_the_smallest_store_that_an_architecture_beside_them_needs(tmp_path: Path) -> None:
    for size in ("tiny", "full"):
        found = cells(tmp_path, GOOD.replace("tiny", size))
        needed = {cell.image_size for cell in found if cell.kind == "architecture"}
        assert {cell.image_size for cell in found if cell.architecture in DRAWN} == {min(needed)}
        assert {cell.image_size for cell in found if cell.architecture in CLASSICAL} == {48}
    alone = cells(tmp_path, GOOD.replace("tiny", "full") + "architectures: [vit_se]")
    assert {cell.image_size for cell in alone if cell.architecture not in CLASSICAL} == {224}


def test_a_recipe_is_changed_for_all_rows_or_for_one(tmp_path: Path) -> None:
    found = cells(tmp_path, GOOD + """
architectures: [cnn, tsm, emotieffnet]
recipes:
  "*": {label_smoothing: 0.1, frames: 4, stages: {nowhere: {lr: 1.0}}}
  emotieffnet: {label_smoothing: 0.2, stages: {head: {epochs: 3}}}
""")  # fmt: skip
    rows = {cell.architecture for cell in found if cell.kind == "architecture"}
    assert rows == {
        "cnn@label_smoothing=0.1",
        "tsm@frames=4+label_smoothing=0.1",
        "emotieffnet@head.epochs=3+label_smoothing=0.2",
    }
    assert all(set(cell.beside) == rows for cell in found if cell.kind == "floor")
    tsm = architectures.get("tsm@frames=4+label_smoothing=0.1")
    assert tsm.title == "TSM (4 frames, label smoothing 0.1)"
    assert (tsm.sizes["tiny"].frames, {s.label_smoothing for s in tsm.sizes["tiny"].stages}) == (4, {0.1})
    stages = architectures.get("emotieffnet@head.epochs=3+label_smoothing=0.2").sizes["tiny"].stages
    assert {stage.name: stage.epochs == 3 for stage in stages} == {stage.name: stage.name == "head" for stage in stages}


def test_a_row_that_makes_its_loss_itself_is_passed_over_by_what_mixes_inputs(tmp_path: Path) -> None:
    of_all = cells(tmp_path, GOOD + 'architectures: [cnn, eac]\nrecipes: {"*": {mixup: 0.2}}\n')
    assert {c.architecture for c in of_all if c.kind == "architecture"} == {"cnn@mixup=0.2", "eac"}
    assert {s.mixup for s in architectures.get("cnn@mixup=0.2").sizes["tiny"].stages} == {0.2}
    with pytest.raises(RequestError, match=r"'eac@mixup=0.2': stage 'train': inputs cannot be mixed where the model"):
        cells(tmp_path, GOOD + "architectures: [eac]\nrecipes: {eac: {mixup: 0.2}}\n")


@pytest.mark.parametrize(
    ("recipes", "message"),
    [
        ("{tms: {lr: 0.1}}", r"recipes: 'tms' is none of the rows that run: name one, or '\*' for all"),
        ("{tsm: {rate: 0.1}}", r"recipes, tsm: unknown field 'rate': use one of epochs, "),
        ("{tsm: {lr: true}}", r"recipes, tsm: lr=true: it takes a number above 0 up to 1000"),
        ("{tsm: {stages: {train: {frames: 3}}}}", r"unknown field 'train.frames'"),
        ("{tsm: {stages: {tail: {lr: 0.1}}}}", r"'tsm@tail.lr=0.1': tail.lr: it has no stage 'tail'"),
        ("{tsm: {stages: [train]}}", r"recipes, tsm: stages: .* is not allowed: write {stage: {field: value}}"),
        ("{tsm: {image_size: 4}}", r"image_size=4: it takes a whole number from 8 up to 2048"),
        ("{tsm: 3}", r"recipes.tsm: 3 is not allowed"),
    ],
)
def test_a_recipe_that_cannot_be_changed_so_is_told(tmp_path: Path, recipes: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        cells(tmp_path, GOOD + f"architectures: [tsm]\nrecipes: {recipes}\n")


def test_an_ensemble_of_changed_members_is_left_out(tmp_path: Path) -> None:
    name = ensembles.names()[0]
    member = ensembles.get(name).members[0]
    rows = {cell.architecture for cell in cells(tmp_path, GOOD + f"architectures: [{name}]\n")}
    changed = cells(tmp_path, GOOD + f"architectures: [{name}]\nrecipes: {{{member}: {{lr: 0.001}}}}\n")
    assert name in rows
    assert name not in {cell.architecture for cell in changed}
    assert f"{member}@lr=0.001" in {cell.architecture for cell in changed}


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("1.5h", 5400), ("45", None), ("0s", None)])
def test_a_budget_is_a_time(tmp_path: Path, text: str, seconds: float | None) -> None:
    if seconds is None:
        with pytest.raises(RequestError, match="budget: '"):
            cells(tmp_path, GOOD + f"budget: '{text}'\n")
        return
    cell = cells(tmp_path, GOOD + f"budget: {text}\n")[-1]
    assert cell.budget == seconds
    assert cell.time_limit >= 2 * seconds


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("budget: 10m\nepochs: 2.0", "epochs and budget: the epochs follow from the budget: name one of them"),
        ("budget: 10m\ntime_limit: 500", "time_limit: 500 s are over before the budget of 600 s is"),
        ("budget: soon", "budget: 'soon' is not allowed: it should be a time such as 90s, 10m or 1h"),
    ],
)
def test_a_budget_that_cannot_be_is_told(tmp_path: Path, keys: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        cells(tmp_path, GOOD + keys + "\n")
