"""DFER-CLIP: what its scores are, and CLIP's weights in both of their published forms."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ferbench.models.architecture import DEVIATION, MEAN
from ferbench.models.dfer_clip import ARCHITECTURE
from ferbench.models.official import load_official
from ferbench.models.official_files import WeightsError
from ferbench.models.released import load_released

CLIP_MEAN, CLIP_DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@pytest.fixture(autouse=True)
def _one_thread_and_seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def normalised(pixels: Tensor, mean: tuple[float, ...], deviation: tuple[float, ...]) -> Tensor:
    return (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(deviation).view(3, 1, 1)


def test_scores_are_a_hundred_cosines_whatever_the_length_of_a_text() -> None:
    model = ARCHITECTURE.sizes["tiny"].build(5).eval()
    clip = torch.randn(2, 8, 3, 48, 48)
    with torch.no_grad():
        scores = model(clip)
        model.texts *= torch.tensor([[0.1], [1.0], [2.0], [5.0], [40.0]])
        torch.testing.assert_close(model(clip), scores, rtol=1e-4, atol=1e-4)
        model.texts[3] = model.temporal(model.backbone(clip[0]).unsqueeze(0))
        assert model(clip)[0, 3] == pytest.approx(100, abs=1e-3)
    assert scores.abs().max() <= 100


def test_a_checkpoint_brings_its_class_texts(tmp_path: Path) -> None:
    trained = ARCHITECTURE.sizes["tiny"].build(7)
    save_file(trained.state_dict(), tmp_path / "w.safetensors")
    model, classes, _ = load_released(ARCHITECTURE, "tiny", tmp_path / "w.safetensors")
    assert classes == 7
    assert torch.equal(model.texts, trained.texts)


def of_transformers() -> nn.Module:
    transformers = pytest.importorskip("transformers", reason="test-only: make setup installs it")
    text = transformers.CLIPTextConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    config = transformers.CLIPConfig(vision_config=transformers.CLIPVisionConfig(), text_config=text.to_dict())
    model = transformers.CLIPModel(config).eval()
    for parameter in model.parameters():  # biases too
        nn.init.normal_(parameter, std=0.03) if parameter.ndim == 1 else None
    return model


def openai(model: nn.Module) -> dict[str, Tensor]:
    """The same weights as OpenAI's state dict has them."""
    theirs = model.state_dict()
    found = {"logit_scale": theirs["logit_scale"], "positional_embedding": torch.zeros(77, 512)}
    vision, embeddings = "vision_model.", "vision_model.embeddings."
    found["visual.conv1.weight"] = theirs[f"{embeddings}patch_embedding.weight"]
    found["visual.class_embedding"] = theirs[f"{embeddings}class_embedding"]
    found["visual.positional_embedding"] = theirs[f"{embeddings}position_embedding.weight"]
    found["visual.proj"] = theirs["visual_projection.weight"].t().contiguous()
    for kind in ("weight", "bias"):
        found[f"visual.ln_pre.{kind}"] = theirs[f"{vision}pre_layrnorm.{kind}"]
        found[f"visual.ln_post.{kind}"] = theirs[f"{vision}post_layernorm.{kind}"]
        for layer in range(12):
            here, there = f"visual.transformer.resblocks.{layer}.", f"{vision}encoder.layers.{layer}."
            qkv = [theirs[f"{there}self_attn.{part}_proj.{kind}"] for part in "qkv"]
            found[f"{here}attn.in_proj_{kind}"] = torch.cat(qkv)
            found[f"{here}attn.out_proj.{kind}"] = theirs[f"{there}self_attn.out_proj.{kind}"]
            found[f"{here}mlp.c_fc.{kind}"] = theirs[f"{there}mlp.fc1.{kind}"]
            found[f"{here}mlp.c_proj.{kind}"] = theirs[f"{there}mlp.fc2.{kind}"]
            for norm in ("1", "2"):
                found[f"{here}ln_{norm}.{kind}"] = theirs[f"{there}layer_norm{norm}.{kind}"]
    return found


@pytest.mark.parametrize("form", ["openai", "transformers"])
def test_clips_tower_gives_clips_image_features(tmp_path: Path, form: str) -> None:
    theirs = of_transformers()
    tensors = openai(theirs) if form == "openai" else theirs.state_dict()
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, tmp_path / "w.safetensors")
    size = ARCHITECTURE.sizes["full"]
    model = size.build(7).eval()
    entry, report = load_official(model, size.official, "dfer_clip", tmp_path / "w.safetensors")
    assert (entry.source, entry.into) == ("clip/vit_b32", "backbone")
    assert "logit_scale" in report.dropped
    assert len(report.matched) == len(model.backbone.state_dict())
    pixels = torch.rand(2, 3, 224, 224)
    with torch.inference_mode():
        seen = theirs.vision_model(normalised(pixels, CLIP_MEAN, CLIP_DEVIATION)).pooler_output
        wanted = theirs.visual_projection(seen)
        found = model.backbone(normalised(pixels, MEAN, DEVIATION))
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)


def test_a_file_that_lacks_a_layers_keys_is_refused(tmp_path: Path) -> None:
    tensors = {name: tensor.clone() for name, tensor in of_transformers().state_dict().items()}
    del tensors["vision_model.encoder.layers.3.self_attn.k_proj.weight"]
    save_file(tensors, tmp_path / "w.safetensors")
    size = ARCHITECTURE.sizes["full"]
    with pytest.raises(WeightsError, match=r"missing \(transformer\.resblocks\.3\.attn\.in_proj_weight"):
        load_official(size.build(7), size.official, "dfer_clip", tmp_path / "w.safetensors")
