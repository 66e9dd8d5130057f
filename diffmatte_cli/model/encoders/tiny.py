"""The small convolutional encoder of the bundled model."""

from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Encoder"]


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


class Encoder(nn.Module):
    """B of Eq. 5, small: residual stages down to 1/16, with context from 1/32 added back."""

    shallow_stride, halo = 8, 32

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        eighth, quarter, half = out_channels // 2, out_channels // 4, out_channels // 8
        self.stem = _convolution(in_channels, half, 2)
        self.stages = nn.Sequential(
            Residual(half, quarter, 2),
            Residual(quarter, eighth, 2),
            Residual(eighth, out_channels, 2),
            Residual(out_channels, out_channels),
        )
        self.context = nn.Sequential(Residual(out_channels, out_channels, 2), Residual(out_channels, out_channels))
        self.fusion = Residual(out_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the feature F, [B, out_channels, H/16, W/16], for ``x`` with H and W multiples of 32."""
        return self.deep(self.shallow(x))

    def shallow(self, x: Tensor) -> Tensor:
        """Return the first stages' features, at 1/8, which see ``halo`` pixels around them."""
        return self.stages[:2](F.relu(self.stem(x)))  # type: ignore[no-any-return]

    def deep(self, x: Tensor) -> Tensor:
        """Return the feature F for what ``shallow`` gave."""
        x = self.stages[2:](x)
        context = F.interpolate(self.context(x), scale_factor=2, mode="bilinear", align_corners=False)
        return self.fusion(x + context)  # type: ignore[no-any-return]
