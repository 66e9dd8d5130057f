"""ResNet-34-D as GCA-Matting shaped it, every convolution divided by an estimate of its spectral norm.

Module names are those of the published checkpoints' keys below ``backbone.``, spectral norm aside.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from ..config import ModelConfig
from .base import Encoder

__all__ = ["ResNet", "SpectralNorm"]

LAYERS = (3, 4, 4, 2)


class SpectralNorm(nn.Module):
    """Parametrisation of a weight W as W / (u^T W v), where u and v come near its first singular vectors.

    In training each use makes one power iteration, which moves u and v; the gradient goes through
    u^T W v with both held constant. In evaluation the stored vectors are used as they are.
    """

    u: Tensor
    v: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        matrix = weight.detach().flatten(1)
        self.register_buffer("u", torch.ones(matrix.shape[0]))
        self.register_buffer("v", torch.ones(matrix.shape[1]))
        if not matrix.is_meta:
            self.iterate(matrix)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight that the convolution uses, same shape."""
        matrix = weight.flatten(1)
        if self.training:
            self.iterate(matrix.detach())
        u, v = self.u.clone(), self.v.clone()  # a later iteration must not reach this one's gradient
        return weight / (u[:, None] * matrix * v).sum()

    def iterate(self, matrix: Tensor) -> None:
        """Move u and v one power iteration closer to the first singular vectors of ``matrix`` [rows, columns]."""
        # Products and sums instead of matrix products, which automatic mixed precision would round.
        self.v.copy_(F.normalize((matrix * self.u[:, None]).sum(dim=0), dim=0))
        self.u.copy_(F.normalize((matrix * self.v).sum(dim=1), dim=0))


def _convolution(in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1) -> nn.Module:
    convolution = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)
    nn.init.xavier_uniform_(convolution.weight)
    return parametrize.register_parametrization(convolution, "weight", SpectralNorm(convolution.weight), unsafe=True)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut that averages when it is strided."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _convolution(in_channels, out_channels, stride=stride), nn.BatchNorm2d(out_channels)
        self.conv2, self.bn2 = _convolution(out_channels, out_channels), nn.BatchNorm2d(out_channels)
        self.downsample = (
            nn.Sequential(nn.AvgPool2d(2), _convolution(in_channels, out_channels, 1), nn.BatchNorm2d(out_channels))
            if stride > 1
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return features [B, out_channels, H/stride, W/stride]."""
        hidden = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(hidden)) + self.downsample(x))


class ResNet(Encoder):
    """B of Eq. 5 as ResNet-34-D: a stem of three convolutions, no pooling, four layers of basic blocks to 1/32."""

    shallow_stride, halo, bytes_per_pixel = 8, 96, 64

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        last, first = config.feature_channels, config.feature_channels // 8
        self.conv1, self.bn1 = _convolution(config.encoder_channels, first // 2, stride=2), nn.BatchNorm2d(first // 2)
        self.conv2, self.bn2 = _convolution(first // 2, first // 2), nn.BatchNorm2d(first // 2)
        self.conv3, self.bn3 = _convolution(first // 2, first, stride=2), nn.BatchNorm2d(first)
        self.layer1 = _layer(first, first, LAYERS[0], stride=1)
        self.layer2 = _layer(first, 2 * first, LAYERS[1], stride=2)
        self.layer3 = _layer(2 * first, 4 * first, LAYERS[2], stride=2)
        self.layer_bottleneck = _layer(4 * first, last, LAYERS[3], stride=2)

    def shallow(self, x: Tensor) -> Tensor:
        """Return the features at 1/8."""
        for convolution, norm in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)):
            x = F.relu(norm(convolution(x)))
        x = self.layer2(self.layer1(x))
        return x

    def deep(self, x: Tensor) -> Tensor:
        """Return the feature F for what ``shallow`` gave."""
        x = self.layer_bottleneck(self.layer3(x))
        return x


def _layer(in_channels: int, out_channels: int, blocks: int, stride: int) -> nn.Sequential:
    rest = (BasicBlock(out_channels, out_channels, 1) for _ in range(blocks - 1))
    return nn.Sequential(BasicBlock(in_channels, out_channels, stride), *rest)
