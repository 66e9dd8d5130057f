"""The plain vision transformer of ViT-S and ViT-B: windows of 14, global attention in every third block.

Module names are those of the published checkpoints' keys below ``backbone.``.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import Mlp, attend, attend_whole, from_windows, split_heads, to_windows

__all__ = ["Encoder"]

PATCH = 16
DEPTH = 12
WINDOW = 14
# Blocks 2, 5, 8 and 11 look at the whole picture and end with a convolutional residual block.
GLOBAL_EVERY = 3
# The position table was made for pictures of 224 pixels, with one more row for a class token that is not used.
POSITIONS = 14
EPS = 1e-6


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
        return self.proj(joined.reshape(batch, height, width, channels))  # type: ignore[no-any-return]


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


class Residual(nn.Module):
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
        return x + self.norm3(self.conv3(hidden))  # type: ignore[no-any-return]


class Block(nn.Module):
    """One pre-norm transformer block, over windows or, with ``is_global``, over the whole picture."""

    def __init__(self, channels: int, heads: int, side: int, is_global: bool) -> None:
        super().__init__()
        self.is_global = is_global
        self.norm1 = nn.LayerNorm(channels, EPS)
        self.attn = Attention(channels, heads, side if is_global else WINDOW)
        self.norm2 = nn.LayerNorm(channels, EPS)
        self.mlp = Mlp(channels)
        if is_global:
            self.residual = Residual(channels)

    def forward(self, x: Tensor, grids: int, whole: bool) -> Tensor:
        """Return features of the shape of ``x``, [B, H, W, C]; ``grids`` and ``whole`` as for the encoder."""
        normed = self.norm1(x)
        if not self.is_global:
            # Padding comes after the norm and is not masked: padded positions take part as keys.
            x = x + from_windows(self.attn(to_windows(normed, WINDOW), whole), *x.shape[1:3])
            return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return]
        x = x + self._interleaved(normed, grids, whole)
        x = x + self.mlp(self.norm2(x))
        return self.residual(x.movedim(-1, 1)).movedim(1, -1)  # type: ignore[no-any-return]

    def _interleaved(self, x: Tensor, grids: int, whole: bool = False) -> Tensor:
        """Attend within each of ``grids`` x ``grids`` interleaved grids; 1 is the whole picture."""
        result = torch.empty_like(x)
        for row in range(min(grids, x.shape[1])):
            for column in range(min(grids, x.shape[2])):
                chosen = slice(None), slice(row, None, grids), slice(column, None, grids)
                result[chosen] = self.attn(x[chosen], whole)
        return result


class Encoder(nn.Module):
    """B of Eq. 5 as ViT-S (384 channels, 6 heads) or ViT-B (768, 12): patches of 16, twelve blocks, no last norm.

    ``image_size`` is the training size in pixels that the global blocks' position tables are for.
    ``grids``, 1 unless set, makes global attention work within interleaved grids, 3 x 3 in the
    authors' variant for very large pictures: the cost of global attention falls by its square.
    ``whole``, off unless set, holds all logits of an attention at a time.
    """

    shallow_stride, halo = PATCH, 0

    def __init__(self, in_channels: int, feature_channels: int, heads: int, image_size: int) -> None:
        super().__init__()
        self.grids, self.whole = 1, False
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(in_channels, feature_channels, PATCH, PATCH)})
        self.pos_embed = nn.Parameter(torch.empty(1, POSITIONS**2 + 1, feature_channels))
        self.blocks = nn.ModuleList(
            Block(feature_channels, heads, image_size // PATCH, is_global=number % GLOBAL_EVERY == GLOBAL_EVERY - 1)
            for number in range(DEPTH)
        )
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the feature F, [B, feature_channels, H/16, W/16], for ``x`` with H and W multiples of 16."""
        return self.deep(self.shallow(x))

    def shallow(self, x: Tensor) -> Tensor:
        """Return the patches' vectors, at 1/16."""
        return self.patch_embed["proj"](x)  # type: ignore[no-any-return]

    def deep(self, x: Tensor) -> Tensor:
        """Return the feature F for what ``shallow`` gave."""
        x = (x + self._positions(x.shape[2], x.shape[3])).movedim(1, -1)  # [B, H/16, W/16, C]
        for block in self.blocks:
            x = block(x, self.grids, self.whole)
        return x.movedim(-1, 1)

    def _positions(self, height: int, width: int) -> Tensor:
        """Return the position table resized to a grid, [1, C, height, width]."""
        table = self.pos_embed[:, 1:].reshape(1, POSITIONS, POSITIONS, -1).movedim(-1, 1)
        return F.interpolate(table, size=(height, width), mode="bicubic", align_corners=False)
