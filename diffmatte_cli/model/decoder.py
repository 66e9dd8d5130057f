"""The diffusion decoder D (paper Sec. 3.2 and Appendix B): the only part that iterates.

Module names are those of the published checkpoints' keys below ``decoder.``, so
that a state dict is a contract and needs no translation.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Decoder", "channels", "time_embedding"]

EMBEDDING_CHANNELS = 32


def time_embedding(t: Tensor, channels: int = EMBEDDING_CHANNELS) -> Tensor:
    """Return the sinusoidal embedding of times [B] in [0, 1] as [B, channels], cosines first."""
    half = channels // 2
    frequencies = torch.exp(torch.arange(half, device=t.device) * (-math.log(10000.0) / half))
    angles = t[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class Resample(nn.Module):
    """Skip path of a block: one 3x3 convolution, strided or after a bilinear doubling."""

    def __init__(self, name: str, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.doubles = name == "conv"
        stride = 1 if self.doubles else 2
        self.add_module(name, nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` [B, C, H, W] at half or double size."""
        if self.doubles:
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        (convolution,) = self.children()
        x = convolution(x)
        return x


class Block(nn.Module):
    """A residual block with the time step added after its first activation.

    ``resample`` names the skip: ``"downsample"`` halves the size, ``"upsample"`` doubles it.
    """

    def __init__(self, in_channels: int, out_channels: int, resample: str) -> None:
        super().__init__()
        self.emb_layers = nn.Sequential(nn.Linear(EMBEDDING_CHANNELS, out_channels), nn.ReLU())
        if resample == "downsample":
            self.conv1: nn.Module = nn.Conv2d(in_channels, out_channels, 3, 2, 1, bias=False)
            self.downsample = Resample("op", in_channels, out_channels)
        else:
            self.conv1 = nn.ConvTranspose2d(in_channels, out_channels, 4, 2, 1, bias=False)
            self.upsample = Resample("conv", in_channels, out_channels)
        self.skip = resample
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Return features at half or double the size of ``x`` [B, C, H, W]."""
        hidden = F.relu(self.bn1(self.conv1(x))) + self.emb_layers(embedding)[:, :, None, None]
        return F.relu(self.bn2(self.conv2(hidden)) + getattr(self, self.skip)(x))


class MattingHead(nn.Module):
    """Two convolutions at full size, from N_d channels to one logit."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        half = in_channels // 2
        self.matting_convs = nn.Sequential(
            nn.Conv2d(in_channels, half, 3, 1, 1), nn.BatchNorm2d(half), nn.ReLU(), nn.Conv2d(half, 1, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the logit of alpha, [B, 1, H, W]."""
        x = self.matting_convs(x)
        return x


def channels(width: int, condition_channels: int, feature_stride: int) -> tuple[list[int], list[int]]:
    """Return the channels before, between and after the down blocks, and those of the up blocks, the middle one first.

    Arguments as for ``Decoder``; the rule of Appendix B.
    """
    deep = {16: 0, 32: 1}[feature_stride]
    down = [condition_channels + 1, width, 2 * width, 4 * width] + [4 * width] * deep
    return down, [8 * width] * (1 + deep) + [4 * width, 2 * width, width]


class Decoder(nn.Module):
    """D of Eq. 5, built by the rule of Appendix B.

    Arguments: ``width`` is N_d; ``condition_channels`` the planes that stand before x_t
    (N_c - 1); ``feature_channels`` N_F; ``feature_stride`` 16, or 32 for one more pair of blocks.
    """

    def __init__(self, width: int, condition_channels: int, feature_channels: int, feature_stride: int) -> None:
        super().__init__()
        down, up = channels(width, condition_channels, feature_stride)
        self.time_embed = nn.Sequential(
            nn.Linear(EMBEDDING_CHANNELS, EMBEDDING_CHANNELS),
            nn.ReLU(),
            nn.Linear(EMBEDDING_CHANNELS, EMBEDDING_CHANNELS),
        )
        self.down_blks = nn.ModuleList(Block(a, b, "downsample") for a, b in pairwise(down))
        self.mid_blk = Block(feature_channels, up[0], "upsample")
        skips = down[:0:-1]
        self.up_blks = nn.ModuleList(
            Block(a + skip, b, "upsample") for (a, b), skip in zip(pairwise(up), skips, strict=True)
        )
        self.matting_head = MattingHead(width)

    def forward(self, x: Tensor, t: Tensor, features: Tensor, prior_logit: Tensor | None = None) -> Tensor:
        """Predict the clean sample.

        Arguments: ``x`` [B, N_c, H, W], condition planes with x_t last; ``t`` [B] in [0, 1];
        ``features`` [B, N_F, H/stride, W/stride]; H and W multiples of 32; ``prior_logit``
        [B, 1, H, W], a first guess that the network's own logit is added to.

        Returns x_0 in [-1, 1], [B, 1, H, W].
        """
        embedding = self.time_embed(time_embedding(t))
        skips = []
        for block in self.down_blks:
            x = block(x, embedding)
            skips.append(x)
        x = self.mid_blk(features, embedding)
        for block in self.up_blks:
            x = block(torch.cat([x, skips.pop()], dim=1), embedding)
        logit = self.matting_head(x).float()
        return 2 * torch.sigmoid(logit if prior_logit is None else logit + prior_logit) - 1
