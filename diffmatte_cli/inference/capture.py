"""ViTMatte's decoder for chosen pixels only: the numbers of ``DetailCapture``, in blocks that fit a cache.

As in ``region``: from the wanted pixels back to the input, each level's needed pixels are marked, and only blocks that
hold one are computed; batch norm is folded into the convolution before it.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..model.capture import DETAILS, FUSED, DetailCapture
from ..model.config import ModelConfig
from ..model.decoder import Decoder
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
    span,
)
from .folding import FoldedHead, fold, ready
from .region import Plan, RegionDecoder, depth, head_logits

__all__ = ["CaptureDecoder", "CapturePlan", "CaptureRegion", "folded_decoder", "step_macs"]


def folded_decoder(decoder: Decoder | DetailCapture, dtype: torch.dtype) -> "RegionDecoder | CaptureDecoder":
    """Return a decoder for chosen pixels only."""
    return RegionDecoder(decoder, dtype) if isinstance(decoder, Decoder) else CaptureDecoder(decoder, dtype)


def step_macs(config: ModelConfig, wanted: Tensor, side: int) -> int:
    """Return the multiply-accumulates of a step for the pixels ``wanted`` [H, W], in blocks of ``side``."""
    if config.iterates:
        return Plan.make(wanted, depth(config), side).macs(config)
    return CapturePlan.make(wanted, side).macs(config)


class CaptureDecoder:
    """The folded decoder; ``region`` prepares an image, or a part of one."""

    @torch.no_grad()
    def __init__(self, decoder: DetailCapture, dtype: torch.dtype = torch.float32) -> None:
        def folded(layer: Any) -> tuple[Tensor, Tensor]:
            weight, bias = fold(layer.conv, layer.batch_norm, 0)
            return ready(weight, dtype), bias.to(dtype)

        self.dtype = dtype
        self.details = [folded(layer) for layer in decoder.convstream.convs]
        self.fusions = [folded(fusion.conv) for fusion in decoder.fusion_blocks]
        self.head = FoldedHead(decoder.matting_head, dtype)

    def region(self, planes: Tensor, features: Tensor, wanted: Tensor, side: int) -> "CaptureRegion":
        """Prepare for the pixels ``wanted`` [H, W] (boolean) of an image.

        Arguments: ``planes`` [1, C, H, W], the encoder's input; ``features`` [1, N_F, H/16, W/16]; ``side`` of the
        blocks in pixels of their own level, even.
        """
        return CaptureRegion(self, planes, features, wanted, side)


@dataclass(frozen=True)
class CapturePlan:
    """The blocks of each level: of the details, at 1/2, 1/4 and 1/8, and of the fusions, from full size to 1/8."""

    wanted: Blocks
    details: list[Blocks]
    fusions: list[Blocks]

    @classmethod
    def make(cls, wanted: Tensor, side: int) -> "CapturePlan":
        """Go back from the wanted pixels [H, W]."""
        fused = [dilate(wanted)]
        for _ in DETAILS:
            fused.append(dilate(halve(fused[-1])))
        seen = [dilate(mask) for mask in fused[1:]]
        for level in (1, 0):
            seen[level] |= dilate_back(double(seen[level + 1]))
        small = max(2, side // 2)
        sides = [side] + [small] * len(DETAILS)
        return cls(
            Blocks(wanted, side),
            [Blocks(mask, small) for mask in seen],
            [Blocks(mask, each) for mask, each in zip(fused, sides, strict=True)],
        )

    def macs(self, config: ModelConfig) -> int:
        """Return the multiply-accumulates."""
        details, fused = (config.encoder_channels, *DETAILS), (config.feature_channels, *FUSED)
        total = len(self.wanted) * self.wanted.side**2 * FUSED[-1] // 2 * (9 * FUSED[-1] + 1)
        for blocks, before, after in zip(self.details, details[:-1], details[1:], strict=True):
            total += len(blocks) * blocks.side**2 * 9 * before * after
        for blocks, detail, before, after in zip(self.fusions[::-1], details[::-1], fused[:-1], fused[1:], strict=True):
            total += len(blocks) * blocks.side**2 * 9 * (detail + before) * after
        return total


class CaptureRegion:
    """The wanted pixels of an image, or of a part."""

    def __init__(self, decoder: CaptureDecoder, planes: Tensor, features: Tensor, wanted: Tensor, side: int) -> None:
        self.decoder, self.planes, self.features = decoder, planes, features
        self.plan = plan = CapturePlan.make(wanted, side)
        self.layouts = [StoreLayout(wanted, 1), *(blocks.layout for blocks in plan.details)]
        self.head_rows = plan.fusions[0].layout.around(plan.wanted.origin, 1, -1, side + 2)
        self.chosen = plan.wanted.layout.pixels(wanted)

    @torch.no_grad()
    def step(self, x_in: Tensor, t: float) -> Tensor:
        """Return the logit of every wanted pixel, [K] in the image's order, as float32, whatever the arguments are."""
        details = self._details()
        x, below = as_store(self.features).to(self.decoder.dtype), StoreLayout(self.features[0, 0], 1)
        levels = zip(self.decoder.fusions, self.plan.fusions[::-1], self.layouts[::-1], strict=True)
        for (weight, bias), blocks, layout in levels:
            x = self._fused(weight, bias, blocks, (details.pop(), layout), (x, below))
            below = blocks.layout
        return head_logits(self.decoder.head, x, self.head_rows, self.chosen)

    def _details(self) -> list[Tensor]:
        """Return the stores of the input and of its details, from fine to coarse."""
        stores = [as_store(self.planes).to(self.decoder.dtype)]
        levels = zip(self.decoder.details, self.plan.details, self.layouts, strict=False)
        for (weight, bias), blocks, finer in levels:
            fine, rows = stores[-1], finer.around(blocks.origin, 2, -1, 2 * blocks.side + 1)
            result = fine.new_zeros(blocks.rows, len(weight))
            for part in chunks(rows, fine):
                result[span(part, blocks)] = as_rows(F.conv2d(patches_of(fine, rows[part]), weight, bias, 2).relu_())
            stores.append(result)
        return stores

    @staticmethod
    def _fused(
        weight: Tensor,
        bias: Tensor,
        blocks: Blocks,
        detail: tuple[Tensor, StoreLayout],
        coarse: tuple[Tensor, StoreLayout],
    ) -> Tensor:
        """Return the store of a fusion: ``coarse`` doubled, beside the details, each a store and its layout."""
        seen, side = detail[1].around(blocks.origin, 1, -1, blocks.side + 2), blocks.side
        rows = coarse[1].around(blocks.origin, -2, -1, side // 2 + 2, clamp=True)
        result = detail[0].new_zeros(blocks.rows, len(weight))
        for part in chunks(seen, result):
            doubled = F.interpolate(patches_of(coarse[0], rows[part]), scale_factor=2, mode="bilinear")[..., 1:-1, 1:-1]
            chosen, places = blocks.edges(part)
            if len(places):  # the convolution pads with zeros
                doubled[places] *= blocks.inside[chosen]
            both = torch.cat([patches_of(detail[0], seen[part]), doubled], dim=1)
            result[span(part, blocks)] = as_rows(F.conv2d(both, weight, bias).relu_())
        return result
