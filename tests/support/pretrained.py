"""Checkpoints as others publish them, in names and shapes, with random numbers."""

from argparse import Namespace
from typing import Any

import torch
from torch import Tensor

State = dict[str, Tensor]
Shapes = dict[str, tuple[int, ...]]

# EfficientNet-Lite0's blocks as published: expansion, kernel, stride, channels; the first has no expansion.
LITE0_BLOCKS = (
    (1, 3, 1, 16),
    *((6, 3, stride, 24) for stride in (2, 1)),
    *((6, 5, stride, 40) for stride in (2, 1)),
    *((6, 3, stride, 80) for stride in (2, 1, 1)),
    *((6, 5, 1, 112) for _ in range(3)),
    *((6, 5, stride, 192) for stride in (2, 1, 1, 1)),
    (6, 3, 1, 320),
)


def linear(name: str, inputs: int, outputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def norm(name: str, channels: int) -> Shapes:
    return {f"{name}.weight": (channels,), f"{name}.bias": (channels,)}


def batch_norm(name: str, channels: int) -> Shapes:
    running = {f"{name}.{kind}": (channels,) for kind in ("running_mean", "running_var")}
    return norm(name, channels) | running | {f"{name}.num_batches_tracked": ()}


def transformer_block(name: str, channels: int, attention: str = "attn") -> Shapes:
    return (
        norm(f"{name}.norm1", channels)
        | linear(f"{name}.{attention}.qkv", channels, 3 * channels)
        | linear(f"{name}.{attention}.proj", channels, channels)
        | norm(f"{name}.norm2", channels)
        | linear(f"{name}.mlp.fc1", channels, 4 * channels)
        | linear(f"{name}.mlp.fc2", 4 * channels, channels)
    )


def vit(channels: int, depth: int = 12) -> Shapes:
    """timm's names, as DINO and MAE have them."""
    shapes: Shapes = {
        "cls_token": (1, 1, channels),
        "pos_embed": (1, 197, channels),
        "patch_embed.proj.weight": (channels, 3, 16, 16),
        "patch_embed.proj.bias": (channels,),
    }
    for number in range(depth):
        shapes |= transformer_block(f"blocks.{number}", channels)
    return shapes | norm("norm", channels)


def vitmatte(channels: int, depth: int = 12) -> Shapes:
    """The Hub's names, with a part of the decoder."""
    backbone: Shapes = {
        "embeddings.position_embeddings": (1, 197, channels),
        "embeddings.projection.weight": (channels, 4, 16, 16),
        "embeddings.projection.bias": (channels,),
    }
    for number in range(depth):
        name, side, half = f"encoder.layer.{number}", 32 if number % 3 == 2 else 14, channels // 2
        backbone |= transformer_block(name, channels, "attention")
        backbone |= {f"{name}.attention.rel_pos_{axis}": (2 * side - 1, 64) for axis in "hw"}
        if side == 32:
            for place, shape in enumerate(((half, channels, 1, 1), (half, half, 3, 3), (channels, half, 1, 1)), 1):
                backbone |= {f"{name}.residual.conv{place}.weight": shape}
                backbone |= norm(f"{name}.residual.norm{place}", shape[0])
    decoder = {"fusion_blocks.3.conv.conv.weight": (32, 68, 3, 3)} | linear("matting_head.matting_convs.3", 16, 1)
    decoder |= {"convstream.convs.0.conv.weight": (48, 4, 3, 3)}
    return {f"backbone.{name}": shape for name, shape in backbone.items()} | {
        f"decoder.{name}": shape for name, shape in decoder.items()
    }


def vitmatte_name(key: str) -> str:
    """What the Hub's files call a tensor of our network."""
    for ours, theirs in (
        ("encoder.pos_embed", "backbone.embeddings.position_embeddings"),
        ("encoder.patch_embed.proj.", "backbone.embeddings.projection."),
        ("encoder.blocks.", "backbone.encoder.layer."),
        (".attn.", ".attention."),
    ):
        key = key.replace(ours, theirs)
    return key


def mae_decoder(channels: int) -> Shapes:
    return (
        {"mask_token": (1, 1, 16), "decoder_pos_embed": (1, 197, 16)}
        | linear("decoder_embed", channels, 16)
        | transformer_block("decoder_blocks.0", 16)
        | norm("decoder_norm", 16)
        | linear("decoder_pred", 16, 768)
    )


def resnet34(deep: bool, layers: tuple[int, ...] = (3, 4, 6, 3)) -> Shapes:
    """torchvision's names, or with ``deep`` those of timm's resnet34d."""
    if deep:
        shapes = {"conv1.0.weight": (32, 3, 3, 3), "conv1.3.weight": (32, 32, 3, 3), "conv1.6.weight": (64, 32, 3, 3)}
        shapes |= batch_norm("conv1.1", 32) | batch_norm("conv1.4", 32)
    else:
        shapes = {"conv1.weight": (64, 3, 7, 7)}
    shapes |= batch_norm("bn1", 64)
    before = 64
    for layer, (blocks, channels) in enumerate(zip(layers, (64, 128, 256, 512), strict=True), 1):
        for block in range(blocks):
            name = f"layer{layer}.{block}"
            shapes |= {f"{name}.conv1.weight": (channels, before, 3, 3)} | batch_norm(f"{name}.bn1", channels)
            shapes |= {f"{name}.conv2.weight": (channels, channels, 3, 3)} | batch_norm(f"{name}.bn2", channels)
            if block == 0 and layer > 1:
                first = 1 if deep else 0  # behind an average
                shapes[f"{name}.downsample.{first}.weight"] = (channels, before, 1, 1)
                shapes |= batch_norm(f"{name}.downsample.{first + 1}", channels)
            before = channels
    return shapes | linear("fc", 512, 1000)


def swin(depths: tuple[int, ...] = (2, 2, 6, 2), timm: bool = False) -> Shapes:
    """The authors' names, or newer timm's, where a halving belongs to the stage after it and tables are not kept."""
    shapes: Shapes = {"patch_embed.proj.weight": (96, 3, 4, 4), "patch_embed.proj.bias": (96,)}
    shapes |= norm("patch_embed.norm", 96)
    for stage, depth in enumerate(depths):
        channels, heads = 96 * 2**stage, 3 * 2**stage
        for number in range(depth):
            name = f"layers.{stage}.blocks.{number}"
            shapes |= transformer_block(name, channels)
            shapes[f"{name}.attn.relative_position_bias_table"] = (169, heads)
            if not timm:
                shapes[f"{name}.attn.relative_position_index"] = (49, 49)
            if not timm and number % 2 and stage < 3:
                shapes[f"{name}.attn_mask"] = (64 // 4**stage, 49, 49)
        if stage < 3:
            name = f"layers.{stage + timm}.downsample"
            shapes |= norm(f"{name}.norm", 4 * channels) | {f"{name}.reduction.weight": (2 * channels, 4 * channels)}
    return shapes | norm("norm", 768) | linear("head.fc" if timm else "head", 768, 1000)


def lite0() -> Shapes:
    """EfficientNet-Lite0 by the names of EfficientNet-PyTorch."""
    shapes: Shapes = {"_conv_stem.weight": (32, 3, 3, 3)} | batch_norm("_bn0", 32)
    before = 32
    for number, (expansion, kernel, _, channels) in enumerate(LITE0_BLOCKS):
        name, hidden = f"_blocks.{number}", expansion * before
        if expansion > 1:
            shapes |= {f"{name}._expand_conv.weight": (hidden, before, 1, 1)} | batch_norm(f"{name}._bn0", hidden)
        shapes |= {f"{name}._depthwise_conv.weight": (hidden, 1, kernel, kernel)} | batch_norm(f"{name}._bn1", hidden)
        shapes |= {f"{name}._project_conv.weight": (channels, hidden, 1, 1)} | batch_norm(f"{name}._bn2", channels)
        before = channels
    shapes |= {"_conv_head.weight": (1280, 320, 1, 1)} | batch_norm("_bn1", 1280)
    return shapes | linear("_fc", 1280, 1000)


def filled(shapes: Shapes) -> State:
    """Small random numbers; integers where the names are those of counters and tables."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, shape in shapes.items():
        if name.endswith(("num_batches_tracked", "relative_position_index")):
            state[name] = torch.full(shape, 7, dtype=torch.int64)
        else:
            state[name] = 0.05 * torch.randn(shape, generator=generator)
        if name.endswith("running_var"):
            state[name] = 1 + state[name]
    return state


def empty(shapes: Shapes) -> State:
    """One number each, repeated: files of full shapes that are small."""
    return {name: torch.tensor(0.01).expand(shape) for name, shape in shapes.items()}


def with_sines(state: State) -> State:
    """MAE's positions, of which the class token's are zero."""
    return state | {"pos_embed": torch.cat([torch.zeros_like(state["pos_embed"][:, :1]), state["pos_embed"][:, 1:]], 1)}


def dino_run(state: State) -> dict[str, Any]:
    """A full checkpoint of DINO: two networks, whose names are wrapped, a trainer's state and its options."""
    head = filled(
        linear("head.mlp.0", 32, 64) | {"head.last_layer.weight_g": (64, 1), "head.last_layer.weight_v": (64, 8)}
    )
    teacher = {f"backbone.{name}": value for name, value in state.items()}
    return {
        "student": {f"module.{name}": -value for name, value in (teacher | head).items()},
        "teacher": teacher | head,
        "optimizer": {"state": {}, "param_groups": [{"lr": 1e-4}]},
        "epoch": 100,
        "args": Namespace(arch="vit_small", lr=5e-4, local_crops_scale=(0.05, 0.4)),
        "dino_loss": {"center": torch.zeros(1, 64)},
    }
