"""ViTMatte's decoder, "detail capture": alpha at once, without a time or a noisy sample.

Module names are those of the published checkpoints' keys below ``decoder.``.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .decoder import MattingHead

__all__ = ["DETAILS", "FUSED", "DetailCapture"]

# Channels of the details at 1/2, 1/4 and 1/8, and of what they are fused to at 1/8, 1/4, 1/2 and full size.
DETAILS = (48, 96, 192)
FUSED = (256, 128, 64, 32)


class Convolution(nn.Module):
    """A 3x3 convolution, batch norm and ReLU."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.batch_norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return features [B, C, H / stride, W / stride] of ``x``."""
        return F.relu(self.batch_norm(self.conv(x)))


class ConvStream(nn.Module):
    """Three strided convolutions for the details of the input."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(Convolution(*ends, stride=2) for ends in pairwise((in_channels, *DETAILS)))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return ``x`` [B, C, H, W] and its details at 1/2, 1/4 and 1/8."""
        details = [x]
        for convolution in self.convs:
            details.append(convolution(details[-1]))
        return details


class Fusion(nn.Module):
    """A coarser map at double size, joined with the details there."""

    def __init__(self, detail_channels: int, coarse_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = Convolution(detail_channels + coarse_channels, out_channels, 1)

    def forward(self, detail: Tensor, coarse: Tensor) -> Tensor:
        """Return features [B, C, H, W] for ``detail`` of that size and ``coarse`` of half of it."""
        doubled = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
        x: Tensor = self.conv(torch.cat([detail, doubled], dim=1))
        return x


class DetailCapture(nn.Module):
    """The details of the input, and four fusions of them with the feature F.

    ``in_channels`` are the encoder's input planes, ``feature_channels`` N_F, at 1/16.
    """

    def __init__(self, in_channels: int, feature_channels: int) -> None:
        super().__init__()
        self.convstream = ConvStream(in_channels)
        details = (*DETAILS[::-1], in_channels)
        channels = zip(details, pairwise((feature_channels, *FUSED)), strict=True)
        self.fusion_blocks = nn.ModuleList(Fusion(detail, *ends) for detail, ends in channels)
        self.matting_head = MattingHead(FUSED[-1])

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        """Return the logit of alpha, [B, 1, H, W], for the encoder's input ``x`` [B, C, H, W] and its feature F."""
        details = self.convstream(x)
        for fusion in self.fusion_blocks:
            features = fusion(details.pop(), features)
        logit: Tensor = self.matting_head(features)
        return logit
