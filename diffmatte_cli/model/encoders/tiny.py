"""The small convolutional encoder of the bundled model."""

from torch import Tensor, nn
from torch.nn import functional as F

from ..config import ModelConfig
from .base import Encoder

__all__ = ["Tiny"]


def _convolution(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False), nn.BatchNorm2d(out_channels))


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut that averages when it is strided."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = _convolution(in_channels, out_channels, stride)
        self.conv2 = _convolution(out_channels, out_channels)
        self.shortcut = (
            nn.Sequential(nn.AvgPool2d(stride), nn.Conv2d(in_channels, out_channels, 1, bias=False))
            if (stride, in_channels) != (1, out_channels)
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return features [B, out_channels, H/stride, W/stride]."""
        return F.relu(self.conv2(F.relu(self.conv1(x))) + self.shortcut(x))


class Tiny(Encoder):
    """B of Eq. 5, small: residual stages down to 1/16, with context from 1/32 added back."""

    shallow_stride, halo, bytes_per_pixel = 8, 32, 150

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        out_channels = config.feature_channels
        eighth, quarter, half = out_channels // 2, out_channels // 4, out_channels // 8
        self.stem = _convolution(config.encoder_channels, half, 2)
        self.stages = nn.Sequential(
            Residual(half, quarter, 2),
            Residual(quarter, eighth, 2),
            Residual(eighth, out_channels, 2),
            Residual(out_channels, out_channels),
        )
        self.context = nn.Sequential(Residual(out_channels, out_channels, 2), Residual(out_channels, out_channels))
        self.fusion = Residual(out_channels, out_channels)

    def shallow(self, x: Tensor) -> Tensor:
        """Return the first stages' features, at 1/8."""
        x = self.stages[:2](F.relu(self.stem(x)))
        return x

    def deep(self, x: Tensor) -> Tensor:
        """Return the feature F for what ``shallow`` gave."""
        x = self.stages[2:](x)
        context = F.interpolate(self.context(x), scale_factor=2, mode="bilinear", align_corners=False)
        x = self.fusion(x + context)
        return x
