"""Model variants as data: one row each, nothing imported beyond the standard library."""

import re
from dataclasses import dataclass, field

from ..errors import UsageError

__all__ = [
    "DTYPE_NAMES",
    "MOST_GRIDS",
    "MOST_POSITIONS",
    "MOST_STEPS",
    "SAMPLER_NAMES",
    "SCHEDULE_NAMES",
    "VARIANTS",
    "ModelConfig",
    "check_attention_grids",
    "check_device",
    "check_precision",
    "check_seed",
    "check_stable",
    "check_steps",
    "grids_for",
]

SCHEDULE_NAMES = ("linear", "cosine", "sigmoid", "power")
SAMPLER_NAMES = ("ddim", "ddpm")
DTYPE_NAMES = ("fp32", "fp16", "bf16")
# Far beyond any use: the paper stops at 15.
MOST_STEPS = 10_000
# The authors' interleaved attention uses 3; more than this leaves few positions to a grid in any picture.
MOST_GRIDS = 16
# Global attention over more patches than this (of 16 x 16 pixels) is divided into grids, as many as the authors use.
MOST_POSITIONS = 2**15
GRIDS = 3


@dataclass(frozen=True)
class ModelConfig:
    """What fixes a network's shape, and the noise process it was trained for.

    ``encoder`` names a module of this package whose ``Encoder(in_channels, feature_channels,
    **encoder_options)`` makes the feature; ``feature_channels`` is the paper's N_F,
    ``feature_stride`` the factor between picture and feature (16 or 32), ``decoder_width`` N_d.
    With ``trimap_as_value`` the encoder sees the trimap as one plane of 0, 0.5 and 1, otherwise
    one-hot. With ``priors`` the condition also carries the seven colour-prior planes of
    ``diffmatte_cli.priors.colours`` and the decoder corrects their alpha. ``schedule``, ``input_scale`` and ``noise``
    are those of ``samplers.Diffusion``.
    """

    variant: str
    encoder: str
    feature_channels: int
    feature_stride: int
    encoder_options: dict[str, int] = field(default_factory=dict)
    trimap_as_value: bool = False
    priors: bool = False
    decoder_width: int = 32
    schedule: str = "linear"
    input_scale: float = 0.2
    noise: bool = True

    @property
    def condition_channels(self) -> int:
        """Planes of the decoder's condition: RGB and one-hot trimap, and the priors if any (N_c - 1)."""
        return 13 if self.priors else 6

    @property
    def encoder_channels(self) -> int:
        """Planes of the encoder's input."""
        return 4 if self.trimap_as_value else self.condition_channels


# The published variants' values are those of the released configurations: their checkpoints fit no others.
_ROWS = (
    ModelConfig("tiny", "tiny", 192, 16, priors=True, decoder_width=16),
    ModelConfig("lite", "efficientnet", 192, 16, priors=True, decoder_width=16),
    ModelConfig("res34", "resnet", 512, 32),
    ModelConfig("swint", "swin", 768, 32),
    ModelConfig("vits", "vit", 384, 16, {"heads": 6, "image_size": 512}, trimap_as_value=True),
    ModelConfig("vits-1024", "vit", 384, 16, {"heads": 6, "image_size": 1024}, trimap_as_value=True),
    ModelConfig("vitb", "vit", 768, 16, {"heads": 12, "image_size": 512}, trimap_as_value=True),
)
VARIANTS = {row.variant: row for row in _ROWS}


def check_steps(steps: int) -> None:
    """Raise UsageError for a number of sampling steps that is out of range."""
    if not 1 <= steps <= MOST_STEPS or steps != int(steps):
        raise UsageError(f"steps must be a whole number of at least 1 and at most {MOST_STEPS}, not {steps}")


def check_seed(seed: int) -> None:
    """Raise UsageError for a seed that the generator cannot take."""
    if not 0 <= seed < 2**63:
        raise UsageError(f"the seed must be between 0 and 2**63 - 1, not {seed}")


def check_device(device: str) -> None:
    """Raise UsageError for a device that is no device on any machine."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]{1,3})?", device):
        raise UsageError(f"unknown device {device!r}: choose auto, cpu, cuda, cuda:N or mps")


def check_precision(precision: str, plain: bool) -> None:
    """Raise UsageError for a precision that is unknown, or that the plain path does not have."""
    if precision not in DTYPE_NAMES:
        raise UsageError(f"there is no precision {precision!r}: use one of {', '.join(DTYPE_NAMES)}")
    if plain and precision != "fp32":
        raise UsageError(f"the plain path computes in fp32: leave out --plain, or --precision {precision}")


def check_stable(levels: float | None) -> None:
    """Raise UsageError for a movement to stop at that is no number of 255 levels."""
    if levels is not None and not 0 <= levels <= 255:
        raise UsageError(f"--until-stable must be from 0 to 255, not {levels:g}")


def grids_for(height: int, width: int) -> int:
    """Return the grids a side that a ViT's global attention uses for a padded picture unless told otherwise."""
    return GRIDS if height * width > MOST_POSITIONS * 16**2 else 1


def check_attention_grids(count: int, variant: str | None = None) -> None:
    """Raise UsageError for a number of grids a side that is out of range, or that ``variant`` cannot use."""
    if not 1 <= count <= MOST_GRIDS:
        raise UsageError(f"attention grids must be at least 1 and at most {MOST_GRIDS}, not {count}")
    if count > 1 and variant is not None and VARIANTS[variant].encoder != "vit":
        raise UsageError(f"{variant} has no global attention: leave attention grids at 1")
