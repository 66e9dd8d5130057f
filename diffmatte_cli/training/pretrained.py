"""Public checkpoints, of ImageNet or of matting: how each kind names its tensors, and which have no counterpart.

A pattern is a regular expression that is searched in a tensor's name.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..model.diffmatte import PIXELS
from ..model.encoders.efficientnet import STAGES
from ..model.encoders.swin import WINDOW
from ..model.vitmatte import NAMES

__all__ = ["LAYOUTS", "NETWORKS", "Layout", "Widening", "reason"]

Reasons = tuple[tuple[str, str], ...]
# What each variant's encoder begins with.
NETWORKS = {
    "tiny": "EfficientNet-Lite0",
    "res34": "ResNet-34",
    "swint": "Swin-T",
    "vits": "ViT-S/16",
    "vits-1024": "ViT-S/16",
    "vitb": "ViT-B/16",
}


@dataclass(frozen=True)
class Widening:
    """A tensor of ours that has more entries along ``dim`` than the file's, which are its first ``kept``.

    The rest is zero, so that it changes nothing at first, or with ``zeros`` off stays as it is. ``name`` is the
    rest's, for people.
    """

    pattern: str
    dim: int
    kept: int
    name: str
    zeros: bool = True

    def part(self, ours: Tensor) -> Tensor:
        """Return the view of ``ours`` that the file's tensor is for."""
        return ours.narrow(self.dim, 0, self.kept)

    def filled(self, ours: Tensor, theirs: Tensor) -> Tensor:
        """Return a new tensor of the shape of ``ours`` that begins with ``theirs``."""
        result = ours.new_zeros(ours.shape) if self.zeros else ours.clone()
        self.part(result).copy_(theirs)
        return result


@dataclass(frozen=True)
class Layout:
    """One kind of checkpoint for the encoders of one module of ``diffmatte_cli.model.encoders``.

    ``recognised`` tells it by the file's tensors. ``renamed`` are patterns of theirs and what to put there, one
    after another. ``fresh`` are tensors that only ours has, ``unused`` those that only the file may have, both
    with a name for people; the first pattern that is found counts. ``converted`` turns the file's tensors, by our
    names and once they are known to fit, into what they are for RGB normalised by ImageNet's statistics.
    """

    name: str
    encoder: str
    recognised: Callable[[dict[str, Tensor]], bool]
    widened: tuple[Widening, ...]
    renamed: Reasons = ()
    fresh: Reasons = ()
    unused: Reasons = ()
    converted: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict

    def ours(self, key: str) -> str:
        """Return our name of a tensor of the file."""
        for theirs, ours in self.renamed:
            key = re.sub(theirs, ours, key)
        return key

    def widening(self, key: str) -> Widening | None:
        """Return how a tensor of ours differs in shape from the file's, or None where it does not."""
        return next((row for row in self.widened if re.search(row.pattern, key)), None)


def reason(reasons: Reasons, key: str) -> str | None:
    """Return why a tensor has no counterpart, or None for one that must have one."""
    return next((name for pattern, name in reasons if re.search(pattern, key)), None)


def _has(*keys: str) -> Callable[[dict[str, Tensor]], bool]:
    return lambda tensors: all(key in tensors for key in keys)


def _is_mae(tensors: dict[str, Tensor]) -> bool:
    """Tell MAE from DINO by its positions: sines, zero for the class token, unless tuned with a classifier."""
    positions = tensors.get("pos_embed")
    has_sines = positions is not None and positions.ndim == 3 and not bool(positions[:, 0].any())
    return "blocks.0.attn.qkv.weight" in tensors and (has_sines or "fc_norm.weight" in tensors)


# The planes of the trimap, which come after RGB: with zeros there the encoder sees at first what it was trained on.
_PLANES = Widening(r"^patch_embed\.proj\.weight$", dim=1, kept=3, name="trimap planes")

_VIT_FRESH = ((r"\.rel_pos_[hw]$", "relative positions"), (r"\.residual\.", "residual blocks"))
_VIT_UNUSED = ((r"^cls_token$", "class token"), (r"^norm\.", "last norm"))
_MAE = Layout(
    "MAE",
    "vit",
    _is_mae,
    (_PLANES,),
    fresh=_VIT_FRESH,
    unused=(*_VIT_UNUSED, (r"^(head|fc_norm)\.", "classifier"), (r"^(decoder_|mask_token$)", "decoder")),
)
# A plain head, as supervised training leaves it, is none of DINO's: such networks may expect RGB normalised otherwise.
_DINO = Layout(
    "DINO",
    "vit",
    _has("blocks.0.attn.qkv.weight"),
    (_PLANES,),
    fresh=_VIT_FRESH,
    unused=(*_VIT_UNUSED, (r"^head\.(mlp|last_layer)\.", "projection head")),
)

# Its encoder is ours, trained for matting already.
_VITMATTE = Layout(
    "ViTMatte",
    "vit",
    _has("embeddings.position_embeddings", "encoder.layer.0.attention.qkv.weight"),
    (),
    renamed=tuple((re.escape(theirs), ours) for ours, theirs in NAMES),
    unused=((r"^decoder\.", "decoder"),),
)

# The scale of a weight is divided away by spectral norm, as in GCA-Matting's encoder, which begins with a plain
# network's weights all the same: batch normalisation, whose running statistics adapt, takes out the scale, too.
_SPECTRAL = (r"(^conv\d|\.conv\d|\.downsample\.1)\.weight$", r"\1.parametrizations.weight.original")
_COUNTERS = (r"\.num_batches_tracked$", "batch counters")
_RESNET_FRESH = (_COUNTERS, (r"\.0\.[uv]$", "spectral norm's vectors"))
_RESNET_UNUSED = (_COUNTERS, (r"^layer3\.[45]\.|^layer4\.2\.", "blocks beyond ours"), (r"^fc\.", "classifier"))
_RESNET_D = Layout(
    "ResNet-34-D",
    "resnet",
    _has("conv1.0.weight", "layer1.0.conv1.weight"),
    (Widening(r"^conv1\.parametrizations\.weight\.original$", dim=1, kept=3, name="trimap planes"),),
    renamed=(
        (r"^bn1\.", "bn3."),
        (r"^conv1\.0\.", "conv1."),
        (r"^conv1\.1\.", "bn1."),
        (r"^conv1\.3\.", "conv2."),
        (r"^conv1\.4\.", "bn2."),
        (r"^conv1\.6\.", "conv3."),
        (r"^layer4\.", "layer_bottleneck."),
        _SPECTRAL,
    ),
    fresh=_RESNET_FRESH,
    unused=_RESNET_UNUSED,
)
# One convolution of 7x7 is no stem for ours. A shortcut's convolution is strided there and follows an average here.
_RESNET = Layout(
    "ResNet-34",
    "resnet",
    _has("layer1.0.conv1.weight"),
    (),
    renamed=(
        (r"\.downsample\.1\.", ".downsample.2."),
        (r"\.downsample\.0\.", ".downsample.1."),
        (r"^layer4\.", "layer_bottleneck."),
        _SPECTRAL,
    ),
    fresh=((r"^(conv|bn)[123]\.", "stem"), *_RESNET_FRESH),
    unused=((r"^(conv|bn)1\.", "stem"), *_RESNET_UNUSED),
)

# The published merging of patches takes the four neighbours in our order, so that its weights fit as they are.
_SWIN = Layout(
    "Swin-T",
    "swin",
    _has("layers.0.blocks.0.attn.qkv.weight"),
    (
        _PLANES,
        Widening(r"\.relative_position_bias_table$", 0, (2 * WINDOW - 1) ** 2, "prior tokens' rows", zeros=False),
    ),
    unused=(
        (r"\.(relative_position_index|attn_mask)$", "tables of windows"),
        (r"^norm\.", "last norm"),
        (r"^head\.", "classifier"),
    ),
)
# timm gives a halving to the stage that it leads to.
_SWIN_TIMM = Layout(
    "Swin-T (timm)",
    "swin",
    _has("layers.0.blocks.0.attn.qkv.weight", "layers.3.downsample.reduction.weight"),
    _SWIN.widened,
    renamed=tuple((rf"^layers\.{stage + 1}\.downsample\.", f"layers.{stage}.downsample.") for stage in range(3)),
    unused=_SWIN.unused,
)


def _renormalised(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Let a stem that was trained on (255 x - 127) / 128 take RGB normalised by ImageNet's statistics."""
    kernel, centre = (tensors[name].float() for name in ("stem.0.weight", "stem.1.running_mean"))
    mean, std = (kernel.new_tensor(value).reshape(1, 3, 1, 1) for value in PIXELS["trained"])
    constant = (kernel * (255 * mean - 127) / 128).sum(dim=(1, 2, 3))
    return tensors | {"stem.0.weight": kernel * 255 * std / 128, "stem.1.running_mean": centre - constant}


# Blocks by number in the file, by stage and number here.
_STAGES = [(stage, block) for stage, (*_, count) in enumerate(STAGES) for block in range(count)]
_EFFICIENTNET = Layout(
    "EfficientNet-Lite0",
    "efficientnet",
    _has("_conv_stem.weight", "_blocks.0._depthwise_conv.weight"),
    (Widening(r"^stem\.0\.weight$", dim=1, kept=3, name="trimap and prior planes"),),
    renamed=(
        (r"^_conv_stem\.", "stem.0."),
        (r"^_bn0\.", "stem.1."),
        *((rf"^_blocks\.{number}\.", f"stages.{stage}.{block}.") for number, (stage, block) in enumerate(_STAGES)),
        (r"\._expand_conv\.", ".expand.0."),
        (r"\._bn0\.", ".expand.1."),
        (r"\._depthwise_conv\.", ".filter.0."),
        (r"\._bn1\.", ".filter.1."),
        (r"\._project_conv\.", ".project.0."),
        (r"\._bn2\.", ".project.1."),
    ),
    fresh=((r"^fusion\.", "fusion"), _COUNTERS),
    unused=(
        _COUNTERS,
        (rf"^_blocks\.{len(_STAGES)}\.", "last block"),
        (r"^(_conv_head|_bn1|_fc)\.", "classifier"),
    ),
    converted=_renormalised,
)
# The more special ones come first.
LAYOUTS = (_EFFICIENTNET, _VITMATTE, _MAE, _DINO, _RESNET_D, _RESNET, _SWIN_TIMM, _SWIN)
