"""Swin-T with MatteFormer's prior tokens: each block also attends to the mean of every trimap region.

Module names are those of the published checkpoints' keys below ``backbone.``.
"""

from collections.abc import Iterator
from itertools import islice, repeat

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config import ModelConfig
from .attention import Mlp, attend, from_windows, split_heads, to_windows
from .base import Encoder

__all__ = ["WINDOW", "Swin"]

PATCH = 4
WINDOW = 7
SHIFT = 3
DEPTHS = (2, 2, 6, 2)
HEADS = (3, 6, 12, 24)
# Of the encoder's one-hot trimap (background, unknown, foreground), in the order of the prior tokens.
REGIONS = (1, 0, 2)
# Stochastic depth in training rises to this over the blocks, each of which has so many updates to leave out.
DROP_RATE = 0.3
UPDATES = 4
# Numbers in [0, 1), one a sample [B], for each update in turn; None leaves out nothing.
Draws = Iterator[Tensor | None]


class WindowAttention(nn.Module):
    """Attention within windows of 7, shifted or not, whose keys include ``tokens`` prior tokens."""

    def __init__(self, channels: int, heads: int, shift: int, tokens: int) -> None:
        super().__init__()
        self.heads, self.shift = heads, shift
        # A row for each offset between two positions of a window, then one for each prior token.
        self.relative_position_bias_table = nn.Parameter(torch.empty((2 * WINDOW - 1) ** 2 + tokens, heads))
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self, x: Tensor, priors: Tensor) -> tuple[Tensor, Tensor]:
        """Return the updates of ``x`` [B, H, W, C] and of ``priors`` [B, tokens, C].

        Prior tokens attend to nothing: their own value is their update.
        """
        batch, height, width, channels = x.shape
        x = F.pad(x, (0, 0, 0, -width % WINDOW, 0, -height % WINDOW)).roll((-self.shift, -self.shift), (1, 2))
        padded_height, padded_width = x.shape[1:3]
        windows = to_windows(x, WINDOW)
        count = len(windows) // batch
        q, k, v = split_heads(self.qkv(windows.flatten(1, 2)), self.heads)  # [B * count, heads, 49, D]
        _, prior_k, prior_v = split_heads(self.qkv(priors), self.heads)
        k = torch.cat([k, prior_k.repeat_interleave(count, 0)], dim=2)
        v = torch.cat([v, prior_v.repeat_interleave(count, 0)], dim=2)
        table = self.relative_position_bias_table
        position = table[_bias_rows(len(table), x.device)].movedim(-1, 0)[None]  # [1, heads, 49, 49 + tokens]
        mask = _shift_mask(padded_height, padded_width, x.device) if self.shift else None

        def bias(items: slice, queries: slice) -> Tensor:
            if mask is None:
                return position[:, :, queries]
            numbers = torch.arange(items.start, items.stop, device=x.device) % count
            return position[:, :, queries] + F.pad(mask[numbers, None, queries], (0, priors.shape[1]))

        joined = self.proj(attend(q, k, v, bias).transpose(1, 2).reshape(-1, WINDOW, WINDOW, channels))
        joined = from_windows(joined, padded_height, padded_width).roll((self.shift, self.shift), (1, 2))
        return joined[:, :height, :width], self.proj(prior_v.transpose(1, 2).flatten(2))


def _bias_rows(rows: int, device: torch.device) -> Tensor:
    """Return which row of the bias table belongs to each (query, key), [49, 49 + prior tokens]."""
    axis = torch.arange(WINDOW, device=device)
    place = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1).flatten(0, 1)
    down, right = (place[:, None] - place + WINDOW - 1).unbind(-1)
    window = down * (2 * WINDOW - 1) + right
    tokens = torch.arange((2 * WINDOW - 1) ** 2, rows, device=device)
    return torch.cat([window, tokens.expand(WINDOW**2, -1)], dim=1)


def _shift_mask(height: int, width: int, device: torch.device) -> Tensor:
    """Return -100 where the shift brought together what was apart, else 0, [windows, 49, 49]."""
    down, right = (_parts(length, device) for length in (height, width))
    parts = to_windows((3 * down[:, None] + right)[None, ..., None], WINDOW).flatten(1)
    return torch.where(parts[:, :, None] == parts[:, None], 0.0, -100.0)


def _parts(length: int, device: torch.device) -> Tensor:
    place = torch.arange(length, device=device)
    return (place >= length - WINDOW).int() + (place >= length - SHIFT).int()


class SwinBlock(nn.Module):
    """One pre-norm Swin block, the ``number``-th of its stage, counted from 0.

    It holds one set of prior tokens more than the block before it.
    """

    def __init__(self, channels: int, heads: int, number: int, drop_rate: float) -> None:
        super().__init__()
        self.drop_rate = drop_rate
        shift = SHIFT if number % 2 else 0
        self.norm1 = nn.LayerNorm(channels)
        self.attn = WindowAttention(channels, heads, shift, tokens=len(REGIONS) * (number + 1))
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = Mlp(channels)

    def forward(self, x: Tensor, priors: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Return ``x`` [B, H, W, C] and ``priors`` [B, tokens, C] after the block."""
        update, prior_update = self.attn(self.norm1(x), self.norm1(priors))
        x, priors = x + self.dropped(update, next(draws)), priors + self.dropped(prior_update, next(draws))
        update, prior_update = self.mlp(self.norm2(x)), self.mlp(self.norm2(priors))
        return x + self.dropped(update, next(draws)), priors + self.dropped(prior_update, next(draws))

    def dropped(self, update: Tensor, draws: Tensor | None) -> Tensor:
        """Leave out the whole update of those samples whose ``draws`` [B] are below the rate (stochastic depth)."""
        if draws is None or self.drop_rate == 0:
            return update
        kept = (draws.to(update.device) >= self.drop_rate).view(-1, *[1] * (update.ndim - 1))
        return update * kept / (1 - self.drop_rate)


class PatchMerging(nn.Module):
    """Halve the grid: four neighbours become one position of twice the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, H/2, W/2, 2C] for ``x`` [B, H, W, C]."""
        neighbours = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        x = self.reduction(self.norm(torch.cat(neighbours, dim=-1)))
        return x


class SwinStage(nn.Module):
    """Blocks at one size, then a halving unless it is the last stage. Prior tokens begin anew in each."""

    def __init__(self, channels: int, heads: int, drop_rates: list[float], halves: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(SwinBlock(channels, heads, number, rate) for number, rate in enumerate(drop_rates))
        self.downsample = PatchMerging(channels) if halves else nn.Identity()

    def forward(self, x: Tensor, regions: Tensor, draws: Draws) -> Tensor:
        """Return the next stage's features for ``x`` [B, H, W, C]; ``regions`` are masks [B, 3, H', W']."""
        masks = F.interpolate(regions, size=x.shape[1:3], mode="nearest").flatten(2)  # [B, 3, H * W]
        priors = x.new_zeros(len(x), 0, x.shape[-1])
        for block in self.blocks:
            # An absent region's token is 0.
            with torch.autocast("cpu" if x.is_meta else x.device.type, enabled=False):  # sums outgrow half precision
                means = masks.float() @ x.flatten(1, 2).float() / (masks.float().sum(dim=2, keepdim=True) + 1e-9)
            x, priors = block(x, torch.cat([priors, means], dim=1), draws)
        x = self.downsample(x)
        return x


class PatchEmbedding(nn.Module):
    """Patches of 4x4 pixels as normalised vectors."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, channels, PATCH, PATCH)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, H/4, W/4, channels] for ``x`` [B, in_channels, H, W]."""
        x = self.norm(self.proj(x).movedim(1, -1))
        return x


class Swin(Encoder):
    """B of Eq. 5 as MatteFormer's Swin-T: four stages, the last one's features at 1/32, without a last norm."""

    shallow_stride, bytes_per_pixel = PATCH, 220
    tables = ("relative_position_bias_table",)
    drops = UPDATES * sum(DEPTHS)

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        stages = len(DEPTHS)
        first = config.feature_channels // 2 ** (stages - 1)
        rates = (DROP_RATE * block / (sum(DEPTHS) - 1) for block in range(sum(DEPTHS)))
        self.patch_embed = PatchEmbedding(config.encoder_channels, first)
        self.layers = nn.ModuleList(
            SwinStage(first * 2**number, HEADS[number], list(islice(rates, depth)), halves=number < stages - 1)
            for number, depth in enumerate(DEPTHS)
        )
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def shallow(self, x: Tensor) -> Tensor:
        """Return the patches' vectors, at 1/4, and below them the classes of each patch's first pixel."""
        regions = x[:, -len(REGIONS) :, ::PATCH, ::PATCH][:, REGIONS]
        return torch.cat([self.patch_embed(x).movedim(-1, 1), regions], dim=1)

    def deep(self, x: Tensor) -> Tensor:
        """Return the feature F for what ``shallow`` gave."""
        x, regions = x[:, : -len(REGIONS)].movedim(1, -1), x[:, -len(REGIONS) :]
        draws = self._draws(len(x))
        for stage in self.layers:
            x = stage(x, regions, draws)
        return x.movedim(-1, 1)

    def _draws(self, samples: int) -> Draws:
        """Return what decides on one update after another; nothing but in training."""
        if not self.training:
            return repeat(None)
        draws = torch.rand(samples, self.drops) if self.draws is None else self.draws
        return iter(draws.unbind(1))
