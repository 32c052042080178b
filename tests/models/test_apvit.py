"""APViT: which tokens stay, and the file that its transformer starts from."""

from __future__ import annotations

from pathlib import Path

import torch

from ferbench.models.apvit import ARCHITECTURE, PoolingBlock, PoolingViT, strongest
from tests.models.test_official_weights import (
    assert_equal_but_first,
    folder,  # noqa: F401  (a fixture)
    loaded,
    on_meta,
    random_values,
    written,
)


def test_the_strongest_tokens_stay_whatever_their_place() -> None:
    tokens = torch.arange(12.0).view(2, 3, 2)
    kept = strongest(tokens, torch.tensor([[1.0, 3.0, 2.0], [9.0, 0.0, 4.0]]), count=2)
    assert [sorted(row.tolist()) for row in kept] == [[[2, 3], [4, 5]], [[6, 7], [10, 11]]]


def test_full_size_keeps_the_papers_numbers_of_tokens() -> None:
    seen: list[int] = []
    model = on_meta(lambda: ARCHITECTURE.sizes["full"].build(7))
    for block in model.transformer.blocks:
        block.register_forward_hook(lambda _block, _given, x: seen.append(x.shape[1]))
    model(torch.empty(1, 3, 112, 112, device="meta"))
    assert seen == [1 + kept for kept in (160, 160, 160, 160, 144, 129, 116, 104)]


def test_the_class_tokens_scores_are_those_of_its_heads_in_sum() -> None:
    torch.manual_seed(0)
    attention = PoolingBlock(width=8, heads=4, keep=0.5).attn
    x = torch.randn(2, 5, 8)
    _, scores = attention(x)
    query, key, _ = attention.qkv(x).unflatten(2, (3, 4, 2)).permute(2, 0, 3, 1, 4)  # (B,heads,1+N,C/heads)
    torch.testing.assert_close(scores, (query[:, :, :1] @ key[:, :, 1:].mT).sum(1)[:, 0])


def test_the_transformer_starts_from_timms_first_small_vit(folder: Path) -> None:  # noqa: F811
    own = on_meta(lambda: PoolingViT(196, kept=160, width=768, heads=8, keep=(1.0,) * 8))
    values = random_values(own.state_dict())
    patches = {"patch_embed.proj.weight": torch.ones(768, 3, 16, 16), "patch_embed.proj.bias": torch.ones(768)}
    head = {"head.weight": torch.ones(1000, 768), "head.bias": torch.ones(1000)}
    file = written({**values, **patches, **head}, folder / "vit_small_p16_224-15ec54c9.pth")
    model, entry, report = loaded("apvit", file)
    assert (entry.source, entry.into) == ("timm/vit_small_p16_224", "transformer")
    assert set(report.dropped) == {*patches, *head}
    assert_equal_but_first(model, values, set(), "transformer")
