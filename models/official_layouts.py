"""The layouts of published files of weights: how to tell one, what its names are here, how its images were normalised.

Sources: torchvision; timm; facebookresearch/TimeSformer; mit-han-lab/temporal-shift-module;
cydonia999/VGGFace2-pytorch (`*_weight.pkl`); S. Albanie's conversions of VGGFace2 (`*_dag.pth`);
ZhaoJ9014/face.evoLVe (IR-50, which POSTER++ renames); cunjian/pytorch_face_landmark (MobileFaceNet);
Talented-Q/POSTER_V2; sb-ai-lab/EmotiEffLib; zengqunzhao/MA-Net; zengqunzhao/Former-DFER; openai/CLIP;
sunlicai/MAE-DFER; MSA-LMC/S2D; yaoing/DAN; SainingZhang/DDAMFN.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Input:
    """How the images of a layout were normalised, and the first layer, which takes up the difference. Names here."""

    mean: tuple[float, float, float]
    """RGB, in shares of full brightness."""
    deviation: tuple[float, float, float]
    weight: str
    bias: str = ""
    running_mean: str = ""
    """Of the batch norm that follows a first layer without bias."""
    bgr: bool = False


@dataclass(frozen=True)
class Layout:
    """The names and shapes of one published file."""

    source: str
    """What `Official.source` calls it; files of two layouts may hold the same weights."""
    said: str
    """As the board says it."""
    marks: Mapping[str, tuple[int, ...] | None]
    """Names that the file has, with their shape where that matters."""
    lacks: tuple[str, ...] = ()
    """Names that it does not have, and a larger model does."""
    head: tuple[str, ...] = ("fc.",)
    """Beginnings of the names that are dropped."""
    unused: tuple[str, ...] = ()
    """Of those that the authors' code stores and never calls, or that the submodule has no place for."""
    apart: tuple[str, ...] = ()
    """Beginnings of names here that only a training asks for, which no such file has: they stay as they are built."""
    rename: Callable[[str], str] = str
    """Name in the file -> name in the submodule; what gets the same name becomes one tensor, along the first axis."""
    prepared: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] = dict
    """Where other names are not enough: tensors of the file, without its head -> those that are renamed."""
    input: Input | None = None

    def is_of(self, tensors: Mapping[str, Tensor], any_head: bool = False) -> bool:
        """Whether these tensors have the marks; `any_head`: but for those of the head."""
        asked = {n: shape for n, shape in self.marks.items() if not (any_head and n.startswith(self.head))}
        has = all(n in tensors and shape in (None, tuple(tensors[n].shape)) for n, shape in asked.items())
        return has and not any(name in tensors for name in self.lacks)


def _timesformer(name: str) -> str:
    layer = re.fullmatch(r"blocks\.(\d+)\.temporal_(norm1|attn|fc)\.(.+)", name)
    if layer:
        return f"temporal.{layer[1]}.{layer[2]}.{layer[3]}"
    return name if name == "time_embed" else f"backbone.{name}"


def _tsm(name: str) -> str:
    return name.removeprefix("base_model.").replace(".net.", ".")


MBCONV = {
    "conv_pw": "0.0", "bn1": "0.1", "conv_dw": "1.0", "bn2": "1.1", "se.conv_reduce": "2.fc1",
    "se.conv_expand": "2.fc2", "conv_pwl": "3.0", "bn3": "3.1",
}  # fmt: skip
UNEXPANDED = {
    "conv_dw": "0.0", "bn1": "0.1", "se.conv_reduce": "1.fc1", "se.conv_expand": "1.fc2", "conv_pw": "2.0",
    "bn2": "2.1",
}  # fmt: skip
"""timm's words for the layers of EfficientNet's blocks -> torchvision's; the first block does not expand."""
LITE_DEPTHS = (1, 2, 2, 3, 3, 4, 1)
LITE_ENDS = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
LITE_BLOCK = {
    "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2", "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}  # fmt: skip
LITE_UNEXPANDED = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
"""The words of L. Melas-Kyriazi's EfficientNet for the layers of blocks, which it counts in one row -> timm's."""


def _efficientnet_lite(name: str) -> str:
    layer, _, last = name.rpartition(".")
    block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)", layer)
    if not block:
        return f"{LITE_ENDS.get(layer, layer)}.{last}"
    places = [(stage, unit) for stage, depth in enumerate(LITE_DEPTHS) for unit in range(depth)]
    stage, unit = places[int(block[1])]
    words = LITE_BLOCK if stage else LITE_UNEXPANDED
    return f"blocks.{stage}.{unit}.{words.get(block[2], block[2])}.{last}"


EFFICIENTNET_ENDS = {"conv_stem": "0.0", "bn1": "0.1", "conv_head": "8.0", "bn2": "8.1"}


def _efficientnet(name: str) -> str:
    layer, _, last = name.rpartition(".")
    block = re.fullmatch(r"blocks\.(\d)\.(\d)\.(.+)", layer)
    if block:
        words = UNEXPANDED if block[1] == "0" else MBCONV
        return f"features.{int(block[1]) + 1}.{block[2]}.block.{words.get(block[3], block[3])}.{last}"
    return f"features.{EFFICIENTNET_ENDS.get(layer, layer)}.{last}"


MA_NET = {"ChannelGate.mlp.1.": "0.mlp.0.", "ChannelGate.mlp.3.": "0.mlp.2.", "SpatialGate.spatial.": "1."}


def _ma_net(name: str) -> str:
    """The four quarters' tensors get one name: they are put after each other."""
    if name.startswith(("conv1.", "bn1.", "layer1.", "layer2.")):
        return f"trunk.{name}"
    name = re.sub(r"^layer3_1_p\d", "local.0", re.sub(r"^layer4_1_p\d", "local.1", name))
    name = name.replace("layer3_2.", "whole.0.").replace("layer4_2.", "whole.1.")
    for theirs, own in MA_NET.items():
        name = name.replace(theirs, own)
    return re.sub(r"(conv|bn)([12])_2_([1-4])\.", _cascade, name)


def _cascade(layer: re.Match[str]) -> str:
    """The second cascade takes the slices from the last to the first."""
    down = layer[2] == "2"
    step = 4 - int(layer[3]) if down else int(layer[3]) - 1
    return f"{'down' if down else 'up'}.steps.{step}.{int(layer[1] == 'bn')}."


DAN_TRUNK = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
"""ResNet's layers by their place among its children."""
DAN = {
    "sa.conv1x1.": "space.narrow.", "sa.conv_3x3.": "space.shapes.0.", "sa.conv_1x3.": "space.shapes.1.",
    "sa.conv_3x1.": "space.shapes.2.", "ca.attention.": "channel.gate.",
}  # fmt: skip
"""Layers of an attention head."""
DAN_ENDS = {"fc.": "classifier.", "bn.": "norm."}


def _dan(name: str) -> str:
    part, _, rest = name.partition(".")
    if part == "features":
        layer, _, rest = rest.partition(".")
        return f"backbone.{DAN_TRUNK.get(layer, layer)}.{rest}"
    words = DAN if part.startswith("cat_head") else DAN_ENDS
    for theirs, own in words.items():
        name = name.replace(theirs, own)
    return name.replace("cat_head", "heads.")


MIXED_FEATURE_NET = (
    "conv1", "conv2_dw", "conv_23", "conv_3", "conv_34", "conv_4", "conv_45", "conv_5", "conv_6_sep"
)  # fmt: skip
"""Layers of MixedFeatureNet, which DDAMFN knows by their place."""
MIXED_FILTERS = (
    "conv_23", "conv_34", "conv_45",
    *(f"{part}.model.{n}" for part, count in (("conv_3", 9), ("conv_4", 16), ("conv_5", 6)) for n in range(count)),
)  # fmt: skip
MIXED_UNUSED = tuple(f"{part}.conv_dw.{layer}." for part in MIXED_FILTERS for layer in ("bn", "prelu"))
DDAMFN_HEAD = {
    "Linear_h.": "along_rows.", "Linear_w.": "along_columns.", "conv1.": "directions.conv1.",
    "bn1.": "directions.bn1.", "conv2.": "directions.rows.", "conv3.": "directions.columns.",
}  # fmt: skip


def _mixed(name: str) -> str:
    name = name.replace("mixed_depthwise_conv.", "sizes.").replace(".CA.", ".attention.")
    return name.replace(".attention.conv2.", ".attention.rows.").replace(".attention.conv3.", ".attention.columns.")


def _placed(name: str) -> str:
    """A name of MixedFeatureNet as DDAMFN's checkpoints have it."""
    part, _, rest = name.partition(".")
    return f"features.{MIXED_FEATURE_NET.index(part)}.{rest}"


def _ddamfn(name: str) -> str:
    part, _, rest = name.partition(".")
    if part == "features":
        place, _, rest = rest.partition(".")
        return f"backbone.{_mixed(f'{MIXED_FEATURE_NET[int(place)]}.{rest}')}"
    if part.startswith("cat_head"):
        layer, _, rest = rest.removeprefix("CoordAtt.").partition(".")
        return f"heads.{part.removeprefix('cat_head')}.{DDAMFN_HEAD.get(f'{layer}.', f'{layer}.')}{rest}"
    return name.replace("Linear.", "whole.", 1).replace("fc.", "classifier.", 1)


FORMER_DFER = {
    "s_former.pos_embedding": "spatial.position", "s_former.spatial_transformer.": "spatial.",
    "t_former.pos_embedding": "temporal.position", "t_former.cls_token": "temporal.token",
    "t_former.spatial_transformer.": "temporal.", "s_former.": "backbone.", ".0.fn.norm.": ".norm1.",
    ".0.fn.fn.to_qkv.": ".attn.qkv.", ".0.fn.fn.to_out.0.": ".attn.proj.", ".1.fn.norm.": ".norm2.",
    ".1.fn.fn.net.0.": ".mlp.fc1.", ".1.fn.fn.net.3.": ".mlp.fc2.",
}  # fmt: skip
"""Parts of the authors' names -> those here, in the order in which they are replaced."""


def _former_dfer(name: str) -> str:
    for theirs, own in FORMER_DFER.items():
        name = name.replace(theirs, own)
    return name


def _senet(name: str) -> str:
    name = name.replace(".conv4.", ".se_module.fc1.").replace(".conv5.", ".se_module.fc2.")
    return f"layer0.{name}" if name.startswith(("conv1.", "bn1.")) else name


DAG = {
    "1x1_reduce": "conv1", "1x1_reduce_bn": "bn1", "3x3": "conv2", "3x3_bn": "bn2", "1x1_increase": "conv3",
    "1x1_increase_bn": "bn3", "1x1_proj": "downsample.0", "1x1_proj_bn": "downsample.1", "1x1_down": "conv4",
    "1x1_up": "conv5",
}  # fmt: skip
"""Caffe's words for the layers of a block -> those of the pickles."""


def _dag(name: str) -> str:
    name = name.replace("conv1_7x7_s2_bn.", "bn1.").replace("conv1_7x7_s2.", "conv1.")
    layer = re.fullmatch(r"conv(\d)_(\d)_(\w+)\.(\w+)", name)
    if layer is None or layer[3] not in DAG:
        return name
    return f"layer{int(layer[1]) - 1}.{int(layer[2]) - 1}.{DAG[layer[3]]}.{layer[4]}"


MAE_DFER_PRETEXT = ("encoder.norm.", "decoder.", "encoder_to_decoder.", "mask_token")
"""What a masked autoencoder has behind its encoder; the classifier has a norm of its own."""


def _mae_dfer(name: str) -> str:
    name = name.removeprefix("encoder.").replace("lg_region_tokens", "messengers")
    return name.replace("patch_embed.proj.", "patch_embed.").replace("q_bias", "q.bias")


S2D = {
    "conv0_0": "prompts.{}.image", "conv0_1": "prompts.{}.landmarks", "conv1x1": "prompts.{}.out",
    "fovea.smooth": "prompts.{}.sharpness", "TMA.T_Adapter.D_fc1": "adapters.{}.down",
    "TMA.T_Adapter.attn": "adapters.{}.attn", "TMA.T_Adapter.D_fc2": "adapters.{}.up", "TMA.norm": "adapters.{}.norm",
    "TMA.S_Adapter.D_fc1": "adapters.{}.mlp.0", "TMA.S_Adapter.D_fc2": "adapters.{}.mlp.2",
}  # fmt: skip
"""What S2D has in `prompt_blocks.{}`."""


def _s2d(name: str) -> str:
    layer = re.fullmatch(r"prompt_blocks\.(\d+)\.([\w.]+?)((?:\.qkv|\.proj)?\.(?:weight|bias)|)", name)
    if layer:
        return S2D[layer[2]].format(layer[1]) + layer[3]
    if name.startswith(("ln_post.", "cls_token", "pos_embed", "patch_embed.", "blocks.")):
        return f"backbone.{name.replace('ln_post.', 'norm.')}"
    name = name.replace("patch_embed_prompt.proj.", "landmark_embed.").replace("temporal_embedding", "time_embed")
    return name.replace("prompt_norms.", "norms.")


def _vggface2(layout: str, said: str, file: str, marks: Mapping[str, tuple[int, ...] | None], se: bool) -> Layout:
    """A VGGFace2 model in one of its two files; both saw 0..255 less the mean colour, the pickles BGR."""
    dag, stem = file == "dag", "layer0." if se else ""
    names = {"conv1_7x7_s2.weight" if dag else "conv1.weight": (64, 3, 7, 7), **marks}
    head: dict[str, tuple[int, ...] | None] = (
        {"classifier.weight": (8631, 2048, 1, 1)} if dag else {"fc.weight": (8631, 2048)}
    )
    gate = "conv2_1_1x1_down.weight" if dag else "layer1.0.conv4.weight"
    return Layout(
        source=layout,
        said=said,
        marks={**names, **head, **({gate: (16, 256, 1, 1)} if se else {})},
        lacks=() if se else (gate,),
        head=("classifier.",) if dag else ("fc.",),
        rename=(lambda name: _senet(_dag(name))) if dag and se else _dag if dag else _senet if se else str,
        input=Input(
            mean=(131.0912 / 255, 103.8827 / 255, 91.4953 / 255),
            deviation=(1 / 255, 1 / 255, 1 / 255),
            weight=f"{stem}conv1.weight",
            running_mean=f"{stem}bn1.running_mean",
            bgr=not dag,
        ),
    )


IR50_UNITS = {"1": 0, "2": 3, "3": 7}
"""POSTER++ counts the units of IR-50 anew in each of three stages: how many come before them."""
POSTER_V2 = {
    "attn_qkv": "kv", "attn_proj": "proj", "attn_relative_position_bias_table": "bias.relative_position_bias_table",
    "window_norm": "norm", "ffn_gamma1": "scale1.gamma", "ffn_gamma2": "scale2.gamma", "ffn_norm": "norm2",
    "ffn_mlp": "mlp",
}  # fmt: skip
POSTER_V2_PARTS = {
    "face_landback.": "landmarks.", "last_face_conv.": "last.", "embed_q.": "embeddings.0.",
    "embed_k.": "embeddings.1.", "embed_v.proj.": "embeddings.2.", "VIT.se_block.linear1.": "excitation.gate.0.",
    "VIT.se_block.linear2.": "excitation.gate.2.", "VIT.": "transformer.",
}  # fmt: skip
POSTER_V2_UNUSED = (
    "ir_back.output_layer.", "face_landback.output_layer.", "VIT.patch_embed.", "VIT.eca_block.", "VIT.CON1.",
    "VIT.IRLinear1.", "VIT.IRLinear2.", "VIT.blocks.0.conv.", "VIT.blocks.1.conv.",
    *(f"attn{scale}.relative_position_index" for scale in (1, 2, 3)),
)  # fmt: skip


def _ir50(name: str) -> str:
    unit = re.fullmatch(r"body([123])\.(\d+)\.(.+)", name)
    return f"body.{IR50_UNITS[unit[1]] + int(unit[2])}.{unit[3]}" if unit else name


def _poster_v2(name: str) -> str:
    if name.startswith("ir_back."):
        return f"faces.{_ir50(name.removeprefix('ir_back.'))}"
    layer = re.fullmatch(r"(attn|window|ffn)([123])\.(\w+)(.*)", name)
    if layer and (ours := POSTER_V2.get(f"{layer[1]}_{layer[3]}")):
        return f"fusions.{int(layer[2]) - 1}.{ours}{layer[4]}"
    narrow = re.fullmatch(r"conv([123])\.(\w+)", name)
    if narrow:
        return f"narrow.{int(narrow[1]) - 1}.{narrow[2]}"
    part = next((begin for begin in POSTER_V2_PARTS if name.startswith(begin)), "")
    return POSTER_V2_PARTS.get(part, "") + name.removeprefix(part)


def _ir50_ms1m(mark: str, head: tuple[str, ...]) -> Layout:
    """IR-50 as face.evoLVe trained it, in its own names or in those of POSTER++; RGB in -1..1."""
    return Layout(
        source="ir50/ms1m",
        said="IR-50 MS-Celeb-1M",
        marks={"input_layer.0.weight": (64, 3, 3, 3), mark: (256, 256, 3, 3)},
        lacks=("body.0.res_layer.5.fc1.weight", "body1.0.res_layer.5.fc1.weight"),  # with gates: IR-SE-50
        head=head,
        rename=_ir50,
        input=Input((0.5,) * 3, (0.5,) * 3, "input_layer.0.weight", running_mean="input_layer.1.running_mean"),
    )


EFFICIENTNET_B0 = {"conv_stem.weight": (32, 3, 3, 3), "blocks.6.0.conv_pwl.weight": (320, 1152, 1, 1)}


def _clip(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """With the bias of zeros that takes up how pictures were normalised."""
    convolution = tensors["visual.conv1.weight"]
    return {**tensors, "visual.conv1.bias": convolution.new_zeros(len(convolution))}


CLIP_LAYERS = {
    "embeddings.class_embedding": "class_embedding", "embeddings.position_embedding.weight": "positional_embedding",
    "embeddings.patch_embedding": "conv1", "pre_layrnorm": "ln_pre", "post_layernorm": "ln_post",
    "encoder.layers": "transformer.resblocks", "layer_norm": "ln_", "self_attn": "attn", "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}  # fmt: skip
"""Transformers' words for the parts of CLIP's image tower -> OpenAI's."""


def _clip_of_transformers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Under OpenAI's names: queries, keys and values in one, the projection turned."""
    found = {}
    for name, tensor in tensors.items():
        own = name.removeprefix("vision_model.")
        for theirs, ours in CLIP_LAYERS.items():
            own = own.replace(theirs, ours)
        found[f"visual.{own}"] = tensor
    found["visual.proj"] = found.pop("visual.visual_projection.weight").t()
    for name in [name for name in found if ".q_proj." in name]:
        parts = [name.replace("q_proj", part) for part in ("q_proj", "k_proj", "v_proj")]
        if all(part in found for part in parts):
            found[name.replace("q_proj.", "in_proj_")] = torch.cat([found.pop(part) for part in parts])
    return _clip(found)


CLIP_INPUT = Input(
    (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711), "conv1.weight", bias="conv1.bias"
)


LAYOUTS = (
    Layout(
        "torchvision/r2plus1d_18",
        "torchvision r2plus1d_18",
        {"stem.3.weight": (64, 45, 3, 1, 1), "fc.weight": (400, 512)},
        input=Input(
            mean=(0.43216, 0.394666, 0.37645),
            deviation=(0.22803, 0.22145, 0.216989),
            weight="stem.0.weight",
            running_mean="stem.1.running_mean",
        ),
    ),
    Layout(  # of 1000 classes either, so nothing in a file tells MS-Celeb-1M's weights (DAN, SCN, RUL) from ImageNet's
        "torchvision/resnet18",
        "ResNet-18 in torchvision's names",
        {"conv1.weight": (64, 3, 7, 7), "layer4.1.conv2.weight": (512, 512, 3, 3), "fc.weight": (1000, 512)},
        lacks=("layer4.2.conv2.weight",),
    ),
    Layout(
        "torchvision/resnet50",
        "torchvision resnet50",
        {"conv1.weight": None, "layer3.5.conv3.weight": None, "fc.weight": (1000, 2048)},
        lacks=("layer3.6.conv3.weight",),
    ),
    Layout(
        "torchvision/resnet152",
        "torchvision resnet152",
        {"conv1.weight": None, "layer3.35.conv3.weight": None, "fc.weight": (1000, 2048)},
    ),
    Layout(
        "torchvision/mobilenet_v3_large",
        "torchvision mobilenet_v3_large",
        {"features.16.0.weight": None, "classifier.3.weight": (1000, 1280)},
        head=("classifier.",),
    ),
    Layout(
        "torchvision/efficientnet_b3",
        "torchvision efficientnet_b3",
        {"features.8.0.weight": None, "classifier.1.weight": (1000, 1536)},
        head=("classifier.",),
    ),
    Layout(
        "timm/vit_base_patch16_224",
        "timm vit_base_patch16_224",
        {"patch_embed.proj.weight": (768, 3, 16, 16), "pos_embed": None, "blocks.11.norm1.weight": None},
        lacks=("time_embed", "blocks.12.norm1.weight"),
        head=("head.",),
        input=Input((0.5,) * 3, (0.5,) * 3, "patch_embed.proj.weight", bias="patch_embed.proj.bias"),
    ),
    Layout(
        "timesformer/k400",
        "TimeSformer Kinetics-400",
        {"time_embed": None, "blocks.0.temporal_attn.qkv.weight": None, "head.weight": (400, 768)},
        head=("head.",),
        rename=_timesformer,
        input=Input(
            (0.45,) * 3, (0.225,) * 3, "backbone.patch_embed.proj.weight", bias="backbone.patch_embed.proj.bias"
        ),
    ),
    Layout(
        "tsm/resnet50",
        "TSM ResNet-50 Kinetics-400",
        {"base_model.layer1.0.conv1.net.weight": None, "new_fc.weight": (400, 2048)},
        head=("new_fc.",),
        rename=_tsm,
    ),
    _vggface2("vggface2/resnet50", "VGGFace2 ResNet-50", "pickle", {"layer3.5.conv3.weight": None}, se=False),
    _vggface2("vggface2/resnet50", "VGGFace2 ResNet-50", "dag", {"conv4_6_3x3.weight": None}, se=False),
    _vggface2("vggface2/senet50", "VGGFace2 SENet-50", "pickle", {"layer3.5.conv3.weight": None}, se=True),
    _vggface2("vggface2/senet50", "VGGFace2 SENet-50", "dag", {"conv4_6_3x3.weight": None}, se=True),
    _ir50_ms1m("body.20.res_layer.3.weight", ("output_layer.", "body.21.", "body.22.", "body.23.")),
    _ir50_ms1m("body3.13.res_layer.3.weight", ("output_layer.", "body4.")),
    Layout(
        "mobilefacenet/landmarks",
        "MobileFaceNet landmarks",
        {"conv_6_sep.conv.weight": (512, 128, 1, 1), "output_layer.linear.weight": (136, 512)},
        head=("output_layer.",),
        input=Input((0.0,) * 3, (1.0,) * 3, "conv1.conv.weight", running_mean="conv1.bn.running_mean", bgr=True),
    ),
    Layout(
        "poster_v2",
        "POSTER++",
        {"ir_back.body3.13.res_layer.3.weight": None, "VIT.pos_embed": (1, 148, 768), "VIT.head.linear.weight": None},
        head=("VIT.head.",),
        unused=POSTER_V2_UNUSED,
        rename=_poster_v2,
    ),
    Layout(  # timm before 0.5: not today's vit_small_patch16_224
        "timm/vit_small_p16_224",
        "timm vit_small_p16_224",
        {"pos_embed": (1, 197, 768), "blocks.7.norm1.weight": None, "blocks.0.mlp.fc1.weight": (2304, 768)},
        lacks=("blocks.8.norm1.weight",),
        head=("head.",),
        unused=("patch_embed.",),
    ),
    Layout(
        "efficientnet_lite/lite0",
        "EfficientNet-Lite0 ImageNet",
        {"_conv_stem.weight": (32, 3, 3, 3), "_blocks.15._project_conv.weight": (320, 1152, 1, 1)},
        lacks=("_blocks.0._se_reduce.weight", "_blocks.16._project_conv.weight"),
        head=("_fc.",),
        rename=_efficientnet_lite,
        input=Input((0.5,) * 3, (0.5,) * 3, "conv_stem.weight", running_mean="bn1.running_mean"),
    ),
    Layout(
        "emotieffnet/affectnet",
        "EmotiEffNet-B0 AffectNet",
        {**EFFICIENTNET_B0, "classifier.0.weight": None},
        head=("classifier.",),
        rename=_efficientnet,
    ),
    Layout(
        "emotieffnet/vggface2",
        "EmotiEffNet-B0 VGGFace2",
        EFFICIENTNET_B0,
        lacks=("classifier.weight",),
        head=("classifier.",),
        rename=_efficientnet,
    ),
    Layout(
        "timm/tf_efficientnet_b0",
        "timm tf_efficientnet_b0",
        {**EFFICIENTNET_B0, "classifier.weight": (1000, 1280)},
        head=("classifier.",),
        rename=_efficientnet,
    ),
    Layout(
        "ma_net/msceleb",
        "MA-Net MS-Celeb-1M",
        {"layer4_1_p4.1.cbam.SpatialGate.spatial.conv.weight": (1, 2, 7, 7), "layer4_2.1.conv2_2_4.weight": None},
        head=("fc_1.", "fc_2."),
        rename=_ma_net,
        input=Input((0.0,) * 3, (1.0,) * 3, "trunk.conv1.weight", running_mean="trunk.bn1.running_mean"),
    ),
    Layout(
        "dan",
        "DAN",
        {"features.7.1.conv2.weight": (512, 512, 3, 3), "cat_head3.ca.attention.3.weight": (512, 32)},
        head=("fc.", "bn."),
        apart=("affinity.",),
        rename=_dan,
    ),
    Layout(
        "mixedfeaturenet/msceleb",
        "MixedFeatureNet MS-Celeb-1M",
        {"conv_5.model.5.conv_dw.mixed_depthwise_conv.2.weight": (170, 1, 7, 7), "linear.weight": None},
        head=("conv_6_dw.", "linear.", "bn."),
        unused=MIXED_UNUSED,
        rename=_mixed,
    ),
    Layout(
        "ddamfn",
        "DDAMFN",
        {"features.7.model.5.project.conv.weight": (256, 512, 1, 1), "cat_head1.CoordAtt.conv3.weight": None},
        unused=(
            "bn.", "cat_head0.CoordAtt.Linear.", "cat_head1.CoordAtt.Linear.", *(_placed(n) for n in MIXED_UNUSED),
        ),
        rename=_ddamfn,
    ),
    Layout(
        "former_dfer/dfew",
        "Former-DFER DFEW",
        {"s_former.pos_embedding": (1, 49, 256), "t_former.cls_token": (1, 1, 512), "fc.weight": (7, 512)},
        rename=_former_dfer,
        input=Input((0.0,) * 3, (1.0,) * 3, "backbone.conv1.weight", running_mean="backbone.bn1.running_mean"),
    ),
    Layout(
        "torchvision/r3d_18",
        "torchvision r3d_18",
        {"stem.0.weight": (64, 3, 3, 7, 7), "layer4.1.conv2.0.weight": (512, 512, 3, 3, 3), "fc.weight": (400, 512)},
        input=Input(
            mean=(0.43216, 0.394666, 0.37645),
            deviation=(0.22803, 0.22145, 0.216989),
            weight="stem.0.weight",
            running_mean="stem.1.running_mean",
        ),
    ),
    Layout(
        "clip/vit_b32",
        "CLIP ViT-B/32",
        {"visual.conv1.weight": (768, 3, 32, 32), "visual.proj": (768, 512)},
        head=(
            "transformer.", "token_embedding.", "positional_embedding", "ln_final.", "text_projection", "logit_scale",
            "input_resolution", "context_length", "vocab_size",
        ),
        rename=lambda name: name.removeprefix("visual."),
        prepared=_clip,
        input=CLIP_INPUT,
    ),
    Layout(
        "clip/vit_b32",
        "CLIP ViT-B/32",
        {
            "vision_model.embeddings.patch_embedding.weight": (768, 3, 32, 32),
            "visual_projection.weight": (512, 768),
        },
        head=("text_model.", "text_projection.", "logit_scale", "vision_model.embeddings.position_ids"),
        rename=lambda name: name.removeprefix("visual."),
        prepared=_clip_of_transformers,
        input=CLIP_INPUT,
    ),
    Layout(
        "mae_dfer/voxceleb2",
        "MAE-DFER VoxCeleb2",
        {"encoder.lg_region_tokens": (8, 512), "encoder.blocks.15.third_attn.q.weight": (512, 512)},
        head=(*MAE_DFER_PRETEXT, "encoder.blocks.15.third_attn"),
        rename=_mae_dfer,
    ),
    Layout(
        "mae_dfer/finetuned",
        "MAE-DFER fine-tuned",
        {"lg_region_tokens": (8, 512), "fc_norm.weight": (512,), "blocks.15.third_attn.q.weight": (512, 512)},
        head=("head.", "blocks.15.third_attn"),
        rename=_mae_dfer,
    ),
    Layout(
        "s2d/finetuned",
        "S2D fine-tuned",
        {"temporal_embedding": (1, 16, 768), "prompt_blocks.11.TMA.norm.weight": (768,), "ln_post.weight": (768,)},
        head=("head.", "prompt_norms.11."),
        rename=_s2d,
    ),
    Layout(
        "s2d/landmarks",
        "MobileFaceNet landmarks",
        {"conv_4.model.5.project.conv.weight": (128, 256, 1, 1), "output_layer.linear.weight": (136, 512)},
        head=("conv_45.", "conv_5.", "conv_6_sep.", "output_layer."),
    ),
)  # fmt: skip
