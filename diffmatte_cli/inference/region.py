"""The decoder D for chosen pixels only: the numbers of ``Decoder``, in blocks that fit a cache.

What it saves, and why the numbers stay the same to rounding:

- A pixel of alpha depends on few pixels of every level. From the wanted ones back to the input, each
  level's needed pixels are marked (``Plan``), and only blocks that hold one are computed. What such a block
  holds beside them may be wrong, and nothing needed reads it.
- Batch norm in evaluation is an affine map a channel, folded into the convolution before it. With the time
  term e >= 0 added after a ReLU, relu(y) + e = max(y + e, e).
- The middle block sees the feature F alone, which no step changes: m = conv2(relu(conv1(F)) + e) + skip(F)
  = conv2(relu(conv1(F))) + skip(F) + conv2(e), and conv2 of a constant is one vector, but for the border,
  where some of its nine taps fall outside. Of the first block, the condition's part is a constant likewise.
- A 3x3 convolution after a bilinear doubling is, for each of the four places that a doubled pixel has, a 3x3
  convolution of the small map: rows 2i and 2i + 1 of the doubled map are (x[i-1] + 3 x[i]) / 4 and
  (3 x[i] + x[i+1]) / 4, so that three taps of them reach x[i-1], x[i] and x[i+1] (``folding.DOUBLING``). At the border
  the doubled map repeats its edge and the convolution pads zeros: those blocks are computed as written.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..model.config import ModelConfig
from ..model.decoder import Decoder, channels, time_embedding
from .blocks import (
    Blocks,
    StoreLayout,
    as_rows,
    as_store,
    chunks,
    dilate,
    dilate_back,
    double,
    halve,
    patches_of,
    rows_below,
    span,
)
from .folding import FoldedBlock, FoldedHead

__all__ = ["Plan", "Region", "RegionDecoder", "depth", "head_logits"]


class RegionDecoder:
    """The folded decoder; ``region`` prepares an image, or a part of one."""

    @torch.no_grad()
    def __init__(self, decoder: Decoder, dtype: torch.dtype = torch.float32) -> None:
        self.dtype = dtype
        self.time_embed = decoder.time_embed
        self.down = [FoldedBlock(block, dtype) for block in decoder.down_blks]
        self.mid = FoldedBlock(decoder.mid_blk, dtype)
        self.up = [FoldedBlock(block, dtype) for block in decoder.up_blks]
        self.head = FoldedHead(decoder.matting_head, dtype)

    @torch.no_grad()
    def region(self, planes: Tensor, features: Tensor, wanted: Tensor, side: int) -> "Region":
        """Prepare for the pixels ``wanted`` [H, W] (boolean) of an image.

        Arguments: ``planes`` [1, N_c - 1, H, W], the condition; ``features`` [1, N_F, H/stride, W/stride];
        ``side`` of the blocks in pixels of their own level, even.
        """
        return Region(self, planes, features, wanted, side)


def depth(config: ModelConfig) -> int:
    """Return how many times the decoder halves an image."""
    down, _ = channels(config.decoder_width, config.condition_channels, config.feature_stride)
    return len(down) - 1


@dataclass(frozen=True)
class Plan:
    """The blocks of each level, 0 being full size: of the skips (from level 1 on), and of the upward path."""

    wanted: Blocks
    down: list[Blocks]
    up: list[Blocks]

    @classmethod
    def make(cls, wanted: Tensor, halvings: int, side: int) -> "Plan":
        """Go back from the wanted pixels [H, W] through ``halvings`` levels."""
        up = [dilate(wanted)]
        for _ in range(halvings):
            up.append(dilate(halve(up[-1])))
        down = up[-1:]
        for level in range(halvings - 1, 0, -1):
            down.insert(0, up[level] | dilate_back(double(dilate(down[0]))))
        small = max(2, side // 2)
        sides = [side] + [small] * halvings
        return cls(
            Blocks(wanted, side),
            [Blocks(mask, small) for mask in down],
            [Blocks(mask, each) for mask, each in zip(up, sides, strict=True)],
        )

    def macs(self, config: ModelConfig) -> int:
        """Return the multiply-accumulates of a step, without the extra work at the border."""
        down, up = channels(config.decoder_width, config.condition_channels, config.feature_stride)
        total = 0
        for level, (blocks, before, after) in enumerate(zip(self.down, down[:-1], down[1:], strict=True)):
            first = 9 * 2 * (before if level else 1) * (blocks.side + 2) ** 2
            total += len(blocks) * after * (first + 9 * after * blocks.side**2)
        for blocks, before, skip, after in zip(self.up[-2::-1], up[:-1], down[:0:-1], up[1:], strict=True):
            first = 4 * (before + skip) * (blocks.side + 2) ** 2
            total += len(blocks) * after * (first + 9 * (before + skip + after) * blocks.side**2)
        head = up[-1] // 2 * (9 * up[-1] + 1)
        return total + len(self.wanted) * self.wanted.side**2 * head


class Region:
    """The wanted pixels of an image, or of a part: what every step shares, and the step itself."""

    def __init__(self, decoder: RegionDecoder, planes: Tensor, features: Tensor, wanted: Tensor, side: int) -> None:
        self.decoder = decoder
        self.plan = plan = Plan.make(wanted, len(decoder.down), side)
        self.chosen = plan.wanted.layout.pixels(wanted)
        first = plan.down[0]
        whole = StoreLayout(wanted, 1)
        self.image_rows = whole.around(first.origin, 2, -3, 2 * first.side + 5)
        self.down_rows = [
            fine.layout.around(coarse.origin, 2, -3, 2 * coarse.side + 5)
            for fine, coarse in zip(plan.down, plan.down[1:], strict=False)
        ]
        self.skip_rows = [
            kept.layout.around(used.origin, 1, 0, used.side).flatten()
            for kept, used in zip(plan.down, plan.up[1:], strict=True)
        ]
        self.up_rows = [
            rows_below(below.layout, above) for below, above in zip(plan.up[:0:-1], plan.up[-2::-1], strict=True)
        ]
        self.head_rows = plan.up[0].layout.around(plan.wanted.origin, 1, -1, side + 2)
        self.constant = self._of_condition(planes)
        self.middle = self._of_features(features)

    @torch.no_grad()
    def step(self, x_in: Tensor, t: float) -> Tensor:
        """Return the logit of every wanted pixel, [K] in the image's order, as float32.

        ``x_in`` [H, W] is the variance-normalised sample, ``t`` its time.
        """
        decoder = self.decoder
        embedding = decoder.time_embed(time_embedding(x_in.new_tensor([t])))
        skips = self._go_down(as_store(x_in[None, None]).to(decoder.dtype), embedding)
        x = self._mid(embedding)
        for level in range(len(decoder.up)):
            x = self._go_up(level, torch.cat([x, skips.pop()], dim=1), embedding)
        return head_logits(decoder.head, x, self.head_rows, self.chosen)

    def _of_condition(self, planes: Tensor) -> Tensor:
        """Return the condition's share of the first block's convolutions with the bias, [n, 2C, side + 2, side + 2]."""
        block, side = self.decoder.down[0], self.plan.down[0].side
        store = as_store(planes).to(self.decoder.dtype)
        weight = block.first[:, :-1].contiguous(memory_format=torch.channels_last)
        shape = len(self.plan.down[0]), len(block.first), side + 2, side + 2
        result = torch.empty(shape, dtype=store.dtype, device=store.device, memory_format=torch.channels_last)
        for part in chunks(self.image_rows, store):
            patches = patches_of(store, self.image_rows[part])
            result[part] = F.conv2d(patches, weight, block.bias_1, stride=2)
        return result

    def _of_features(self, features: Tensor) -> Tensor:
        """Return the middle block's response to F, without the time term, a store."""
        block, blocks = self.decoder.mid, self.plan.up[-1]
        store = as_store(features).to(self.decoder.dtype)
        small = StoreLayout(features[0, 0], 1)
        rows, clamped = rows_below(small, blocks)
        result = store.new_zeros(blocks.rows, block.channels)
        for part in chunks(rows, store):
            patches = patches_of(store, rows[part])
            hidden = F.conv_transpose2d(patches, block.first, block.bias_1, stride=2, padding=2).relu_()
            out = _second(block, hidden, blocks, part)
            _add_doubled(out, block, patches, store, clamped, blocks, part)
            result[span(part, blocks)] = as_rows(out)
        return result

    def _mid(self, embedding: Tensor) -> Tensor:
        """Return the middle block's output, a store."""
        block, blocks = self.decoder.mid, self.plan.up[-1]
        taps = torch.einsum("oiuv,i->ouv", block.second.float(), block.time(embedding)[0])[:, None]
        taps = taps.to(self.middle.dtype)
        x = self.middle + taps.sum((1, 2, 3))
        missing = F.conv2d((~blocks.inside).to(x.dtype), taps)
        x[:-1].view(len(blocks), blocks.side**2, -1)[blocks.edge] -= missing.flatten(2).transpose(1, 2)
        x[-1] = 0
        return x.relu_()

    def _go_down(self, x: Tensor, embedding: Tensor) -> list[Tensor]:
        """Return the skips of every level, from fine to coarse, as stores of the upward path's blocks."""
        skips = []
        levels = zip(self.decoder.down, self.plan.down, [self.image_rows, *self.down_rows], self.skip_rows, strict=True)
        for level, (block, blocks, rows, kept) in enumerate(levels):
            result = x.new_zeros(blocks.rows, block.channels)
            term = block.time(embedding)[0].to(x.dtype)[:, None, None]
            for part in chunks(rows, x):
                both = self._first_down(block, patches_of(x, rows[part]), None if level else self.constant[part])
                hidden = both[:, : block.channels] + term
                out = _second(block, torch.maximum(hidden, term, out=hidden), blocks, part)
                out += both[:, block.channels :, 1:-1, 1:-1]
                result[span(part, blocks)] = as_rows(out.relu_())
            x = result
            skips.append(F.pad(x[kept], (0, 0, 0, 1)))
        return skips

    @staticmethod
    def _first_down(block: FoldedBlock, patches: Tensor, constant: Tensor | None) -> Tensor:
        """Return the strided convolutions of a block, main path and skip, with their constant part."""
        if constant is None:
            return F.conv2d(patches, block.first, block.bias_1, stride=2)
        return F.conv2d(patches, block.first[:, -1:], stride=2).add_(constant)

    def _go_up(self, level: int, x: Tensor, embedding: Tensor) -> Tensor:
        """Return the next finer level's store for ``x``, the store of a level with its skip."""
        block, blocks, (rows, clamped) = self.decoder.up[level], self.plan.up[-2 - level], self.up_rows[level]
        result = x.new_zeros(blocks.rows, block.channels)
        term = block.time(embedding)[0].to(x.dtype)
        for part in chunks(rows, x):
            patches = patches_of(x, rows[part])
            hidden = F.conv_transpose2d(patches, block.first, block.bias_1 + term, stride=2, padding=2)
            out = _second(block, torch.maximum(hidden, term[:, None, None], out=hidden), blocks, part)
            _add_doubled(out, block, patches, x, clamped, blocks, part)
            result[span(part, blocks)] = as_rows(out.relu_())
        return result


def head_logits(head: FoldedHead, x: Tensor, rows: Tensor, chosen: Tensor) -> Tensor:
    """Return the logits [K] of the pixels ``chosen`` of blocks whose patches are ``rows`` of the store ``x``."""
    logits = []
    for part in chunks(rows, x):
        hidden = F.conv2d(patches_of(x, rows[part]), head.weight, head.bias).relu_()
        logits.append(as_rows(hidden).float() @ head.last)
    return torch.cat(logits)[chosen] + head.last_bias


def _second(block: FoldedBlock, hidden: Tensor, blocks: Blocks, part: slice) -> Tensor:
    """Convolve ``hidden`` [n, C, side + 2, side + 2], with zeros outside the image."""
    chosen, places = blocks.edges(part)
    if len(places):
        hidden[places] *= blocks.inside[chosen]
    return F.conv2d(hidden, block.second, block.bias_2)


def _add_doubled(
    out: Tensor, block: FoldedBlock, patches: Tensor, store: Tensor, clamped: Tensor, blocks: Blocks, part: slice
) -> None:
    """Add the skip, doubling and convolution in one, to ``out`` [n, C, side, side]; at the border in two."""
    chosen, places = blocks.edges(part)
    if len(places):
        doubled = F.interpolate(patches_of(store, clamped[chosen]), scale_factor=2, mode="bilinear")[..., 1:-1, 1:-1]
        at_edge = out[places] + F.conv2d(doubled * blocks.inside[chosen], block.skip)
    count, channels, side, _ = out.shape
    parts = F.conv2d(patches, block.places).permute(0, 2, 3, 1).reshape(count, side // 2, side // 2, 2, 2, channels)
    out.permute(0, 2, 3, 1).view(count, side // 2, 2, side // 2, 2, channels).add_(parts.transpose(2, 3))
    if len(places):
        out[places] = at_edge
