"""The plain vision transformer of ViT-S and ViT-B: windows of 14, global attention in every third block.

Module names are those of the published checkpoints' keys below ``backbone.``.
"""

import re

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config import ModelConfig
from .attention import Mlp, attend, attend_whole, from_windows, split_heads, to_windows
from .base import Encoder

__all__ = ["ViT"]

PATCH = 16
WINDOW = 14
# Blocks 2, 5, 8 and 11 look at the whole picture and end with a convolutional residual block.
GLOBAL_EVERY = 3
# The position table was made for pictures of 224 pixels, with one more row for a class token that is not used.
POSITIONS = 14
EPS = 1e-6
# Parameters of the blocks as every pretrained network has them, without the convolutions at their ends; and below them.
IN_BLOCK, BELOW = re.compile(r"blocks\.(\d+)\.(?!residual\.)"), ("patch_embed.", "pos_embed")


class Attention(nn.Module):
    """Multi-head attention over a grid, with the relative position's logits split into row and column.

    ``side`` is the number of positions along a side that the two tables were made for; for a grid
    of another size they are resized.
    """

    def __init__(self, channels: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * side - 1, channels // heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * side - 1, channels // heads))

    def forward(self, x: Tensor, whole: bool = False) -> Tensor:
        """Return [B, H, W, C] for ``x`` of that shape, every position seeing all of the grid; see ``attend``."""
        batch, height, width, channels = x.shape
        q, k, v = split_heads(self.qkv(x.flatten(1, 2)), self.heads)
        grid = q.reshape(batch, self.heads, height, width, -1)  # the unscaled queries count here
        by_row = torch.einsum("bnhwd,hkd->bnhwk", grid, _relative(self.rel_pos_h, height)).flatten(2, 3)
        by_column = torch.einsum("bnhwd,wkd->bnhwk", grid, _relative(self.rel_pos_w, width)).flatten(2, 3)

        def bias(items: slice, queries: slice) -> Tensor:
            rows, columns = by_row[items, :, queries], by_column[items, :, queries]
            return (rows[..., :, None] + columns[..., None, :]).flatten(3)  # [b, heads, q, H * W]

        joined = (attend_whole if whole else attend)(q, k, v, bias).transpose(1, 2)
        x = self.proj(joined.reshape(batch, height, width, channels))
        return x


def _relative(table: Tensor, length: int) -> Tensor:
    """Return the vectors of ``table`` for each pair (query, key) along one side, [length, length, D]."""
    if len(table) != 2 * length - 1:
        table = F.interpolate(table.T[None], size=2 * length - 1, mode="linear", align_corners=False)[0].T
    positions = torch.arange(length, device=table.device)
    return table[positions[:, None] - positions + length - 1]


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of [B, C, H, W]."""

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` normalised, same shape."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class ConvolutionalBlock(nn.Module):
    """Three convolutions through half as many channels, beside an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1, self.norm1 = nn.Conv2d(channels, half, 1, bias=False), ChannelNorm(half, EPS)
        self.conv2, self.norm2 = nn.Conv2d(half, half, 3, 1, 1, bias=False), ChannelNorm(half, EPS)
        self.conv3, self.norm3 = nn.Conv2d(half, channels, 1, bias=False), ChannelNorm(channels, EPS)
        nn.init.zeros_(self.norm3.weight)  # training starts from the transformer alone

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the shape of ``x``, [B, C, H, W]."""
        hidden = F.gelu(self.norm1(self.conv1(x)))
        hidden = F.gelu(self.norm2(self.conv2(hidden)))
        x = x + self.norm3(self.conv3(hidden))
        return x


class ViTBlock(nn.Module):
    """One pre-norm transformer block, over windows or, with ``is_global``, over the whole picture."""

    def __init__(self, channels: int, heads: int, side: int, is_global: bool) -> None:
        super().__init__()
        self.is_global = is_global
        self.norm1 = nn.LayerNorm(channels, EPS)
        self.attn = Attention(channels, heads, side if is_global else WINDOW)
        self.norm2 = nn.LayerNorm(channels, EPS)
        self.mlp = Mlp(channels)
        if is_global:
            self.residual = ConvolutionalBlock(channels)

    def forward(self, x: Tensor, grids: int, whole: bool) -> Tensor:
        """Return features of the shape of ``x``, [B, H, W, C]; ``grids`` and ``whole`` as for the encoder."""
        normed = self.norm1(x)
        if self.is_global:
            x = x + self._interleaved(normed, grids, whole)
        else:  # padding comes after the norm and is not masked: padded positions take part as keys
            x = x + from_windows(self.attn(to_windows(normed, WINDOW), whole), *x.shape[1:3])
        x = x + self.mlp(self.norm2(x))
        if self.is_global:
            x = self.residual(x.movedim(-1, 1)).movedim(1, -1)
        return x

    def _interleaved(self, x: Tensor, grids: int, whole: bool = False) -> Tensor:
        """Attend within each of ``grids`` x ``grids`` interleaved grids; 1 is the whole picture."""
        result = torch.empty_like(x)
        for row in range(min(grids, x.shape[1])):
            for column in range(min(grids, x.shape[2])):
                chosen = slice(None), slice(row, None, grids), slice(column, None, grids)
                result[chosen] = self.attn(x[chosen], whole)
        return result


class ViT(Encoder):
    """B of Eq. 5 as ViT-S (384 channels, 6 heads) or ViT-B (768, 12): patches of 16, twelve blocks, no last norm.

    Options: ``heads``, and ``image_size``, the training size in pixels that the global blocks' position tables are for.
    """

    shallow_stride, bytes_per_pixel, depth = PATCH, 150, 12
    tables = ("pos_embed", "rel_pos_h", "rel_pos_w")

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        channels, heads = config.feature_channels, config.encoder_options["heads"]
        side = config.encoder_options["image_size"] // PATCH
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(config.encoder_channels, channels, PATCH, PATCH)})
        self.pos_embed = nn.Parameter(torch.empty(1, POSITIONS**2 + 1, channels))
        self.blocks = nn.ModuleList(
            ViTBlock(channels, heads, side, is_global=number % GLOBAL_EVERY == GLOBAL_EVERY - 1)
            for number in range(self.depth)
        )
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def shallow(self, x: Tensor) -> Tensor:
        """Return the patches' vectors, at 1/16."""
        x = self.patch_embed["proj"](x)
        return x

    def deep(self, x: Tensor) -> Tensor:
        """Return the feature F for what ``shallow`` gave."""
        x = (x + self._positions(x.shape[2], x.shape[3])).movedim(1, -1)  # [B, H/16, W/16, C]
        for block in self.blocks:
            x = block(x, self.grids, self.whole)
        return x.movedim(-1, 1)

    def blocks_above(self, parameter: str) -> int:
        """Return how many blocks lie above a parameter, itself included; one more below all of them."""
        if parameter.startswith(BELOW):
            return self.depth + 1
        block = IN_BLOCK.match(parameter)
        return self.depth - int(block[1]) if block else 0

    @classmethod
    def attention_bytes(cls, config: ModelConfig, height: int, width: int) -> int:
        """Return the bytes of logits, bias and weights, as float32."""
        return 3 * 4 * config.encoder_options["heads"] * (height * width // PATCH**2) ** 2

    def _positions(self, height: int, width: int) -> Tensor:
        """Return the position table resized to a grid, [1, C, height, width]."""
        table = self.pos_embed[:, 1:].reshape(1, POSITIONS, POSITIONS, -1).movedim(-1, 1)
        return F.interpolate(table, size=(height, width), mode="bicubic", align_corners=False)
