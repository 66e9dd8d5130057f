"""EfficientNet-Lite0 as encoder: inverted residual blocks (Tan and Le, "EfficientNet", without squeeze-and-excite)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config import ModelConfig
from .base import Encoder

__all__ = ["STAGES", "EfficientNet"]

# The network was trained with these; torch's own momentum.
EPSILON = 1e-3
STEM_CHANNELS = 32
# Expansion, kernel, stride, channels and number of blocks of each stage, as published, to 1/32.
STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
)
# Stages that lie at 1/8 and above, and at 1/16 and above.
SHALLOW, SIXTEENTH = 3, 5


class Depthwise(nn.Conv2d):
    """A convolution of each channel by itself.

    In bfloat16 the CPU has no fast backward pass for one that is strided or wider than 3, so that it trains in
    float32 there.
    """

    def __init__(self, channels: int, kernel: int, stride: int) -> None:
        super().__init__(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False)
        self.slow = stride > 1 or kernel > 3

    def forward(self, x: Tensor) -> Tensor:
        """Return features [B, C, H/stride, W/stride]."""
        if not (self.slow and torch.is_grad_enabled() and x.device.type == "cpu"):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float())


class InvertedResidual(nn.Module):
    """Channels widened, filtered one by one, and narrowed; the input is added where it fits."""

    def __init__(self, in_channels: int, out_channels: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.expand = _pointwise(in_channels, hidden) if expansion > 1 else nn.Identity()
        self.filter = nn.Sequential(Depthwise(hidden, kernel, stride), nn.BatchNorm2d(hidden, EPSILON))
        self.project = _pointwise(hidden, out_channels)
        self.adds = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Return features [B, out_channels, H/stride, W/stride]."""
        hidden = x if isinstance(self.expand, nn.Identity) else F.relu6(self.expand(x), inplace=True)
        narrowed: Tensor = self.project(F.relu6(self.filter(hidden), inplace=True))
        return x + narrowed if self.adds else narrowed


class Fusion(nn.Module):
    """Join features at 1/16 with those at 1/32, and mix them by a residual block."""

    def __init__(self, fine_channels: int, coarse_channels: int, out_channels: int) -> None:
        super().__init__()
        self.fine = _pointwise(fine_channels, out_channels)
        self.coarse = _pointwise(coarse_channels, out_channels)
        self.mix = nn.Sequential(
            nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Return features [B, out_channels, H/16, W/16]."""
        doubled = F.interpolate(self.coarse(coarse), scale_factor=2, mode="bilinear", align_corners=False)
        joined = F.relu(self.fine(fine) + doubled)
        return F.relu(joined + self.mix(joined))


class EfficientNet(Encoder):
    """B of Eq. 5 as EfficientNet-Lite0 to 1/32, whose last features are added back to those at 1/16."""

    shallow_stride, halo, bytes_per_pixel = 8, 40, 150

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.stem = nn.Sequential(
            nn.Conv2d(config.encoder_channels, STEM_CHANNELS, 3, 2, 1, bias=False),
            nn.BatchNorm2d(STEM_CHANNELS, EPSILON),
        )
        widths = [STEM_CHANNELS, *(channels for _, _, _, channels, _ in STAGES)]
        self.stages = nn.Sequential(*(_stage(before, *row) for before, row in zip(widths, STAGES, strict=False)))
        self.fusion = Fusion(widths[SIXTEENTH], widths[-1], config.feature_channels)

    def shallow(self, x: Tensor) -> Tensor:
        """Return the first stages' features, at 1/8."""
        x = self.stages[:SHALLOW](F.relu6(self.stem(x), inplace=True))
        return x

    def deep(self, x: Tensor) -> Tensor:
        """Return the feature F for what ``shallow`` gave."""
        fine = self.stages[SHALLOW:SIXTEENTH](x)
        x = self.fusion(fine, self.stages[SIXTEENTH:](fine))
        return x


def _pointwise(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels, EPSILON))


def _stage(before: int, expansion: int, kernel: int, stride: int, channels: int, count: int) -> nn.Sequential:
    rest = (InvertedResidual(channels, channels, expansion, kernel, 1) for _ in range(count - 1))
    return nn.Sequential(InvertedResidual(before, channels, expansion, kernel, stride), *rest)
