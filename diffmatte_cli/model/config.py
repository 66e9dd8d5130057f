"""Model variants as data: one row each, nothing imported beyond the standard library."""

import re
from dataclasses import dataclass

from ..errors import UsageError

__all__ = ["MOST_STEPS", "SAMPLER_NAMES", "SCHEDULE_NAMES", "VARIANTS", "ModelConfig", "check_device"]

SCHEDULE_NAMES = ("linear", "cosine", "sigmoid", "power")
SAMPLER_NAMES = ("ddim", "ddpm")
# Far beyond any use: the paper stops at 15.
MOST_STEPS = 10_000


@dataclass(frozen=True)
class ModelConfig:
    """What fixes a network's shape, and the noise process it was trained for.

    ``decoder_width`` is the paper's N_d, ``feature_channels`` N_F, ``feature_stride`` the factor
    between picture and encoder feature (16 or 32). With ``priors`` the condition also carries the
    seven colour-prior planes of ``diffmatte_cli.priors`` and the decoder corrects their alpha.
    """

    variant: str
    decoder_width: int
    feature_channels: int
    feature_stride: int
    priors: bool = False
    schedule: str = "linear"
    input_scale: float = 0.2

    @property
    def condition_channels(self) -> int:
        """Planes of the decoder's condition: RGB and one-hot trimap, and the priors if any (N_c - 1)."""
        return 13 if self.priors else 6


VARIANTS = {
    "tiny": ModelConfig("tiny", decoder_width=16, feature_channels=192, feature_stride=16, priors=True),
}


def check_device(device: str) -> None:
    """Raise UsageError for a device that is no device on any machine."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]{1,3})?", device):
        raise UsageError(f"unknown device {device!r}: choose auto, cpu, cuda, cuda:N or mps")
