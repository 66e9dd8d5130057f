"""Square blocks of a level's pixels: which are computed, and which rows of a store make the patch around each.

A store is a matrix [n * side**2 + 1, C]: the pixels of n blocks, row by row, then one row of zeros
for everything outside the image and for blocks that are not computed.
"""

from bisect import bisect_left

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["Blocks", "StoreLayout", "dilate", "dilate_back", "double", "halve"]
__all__ += ["as_rows", "as_store", "chunks", "patches_of", "rows_below", "span"]

# Numbers per chunk of patches: intermediate results stay in a core's cache, or fill a GPU.
CHUNK = {"cpu": 2**19, "cuda": 2**25, "mps": 2**22}


class Blocks:
    """The blocks of ``side`` pixels that have a pixel of ``mask`` [H, W] (boolean).

    ``origin`` [n, 2] is the first row and column of each. ``edge`` [m] numbers those that touch the border, and
    ``inside`` [m, 1, side + 2, side + 2] tells which pixels of them and around them are in the image.
    """

    def __init__(self, mask: Tensor, side: int) -> None:
        self.layout = StoreLayout(mask, side)
        self.side, self.rows = side, self.layout.rows
        self.origin = (self.layout.numbers >= 0).nonzero() * side
        limit = self.origin.new_tensor(mask.shape)
        self.edge = ((self.origin == 0) | (self.origin + side >= limit)).any(1).nonzero()[:, 0]
        self._edge_numbers = self.edge.tolist()
        places = _places(self.origin[self.edge], 1, -1, side + 2)
        down, right = ((place >= 0) & (place < size) for place, size in zip(places, mask.shape, strict=True))
        self.inside = (down[:, :, None] & right[:, None])[:, None]

    def __len__(self) -> int:
        return len(self.origin)

    def edges(self, part: slice) -> tuple[slice, Tensor]:
        """Return which edge blocks are in a part of all blocks, and their places in that part."""
        chosen = slice(*(bisect_left(self._edge_numbers, end) for end in (part.start, part.stop)))
        return chosen, self.edge[chosen] - part.start


class StoreLayout:
    """How the pixels of blocks lie in a store; with ``side`` 1 and no ``mask`` all pixels of an image, in order."""

    def __init__(self, mask: Tensor, side: int) -> None:
        self.side, self.size = side, (mask.shape[-2], mask.shape[-1])
        if side == 1:
            count = mask.numel()
            self.numbers = torch.arange(count, dtype=torch.int32, device=mask.device).view(mask.shape)
        else:
            grid = _any_of(mask, side)
            self.numbers = (grid.flatten().cumsum(0, dtype=torch.int32) - 1).view(grid.shape)
            count = int(self.numbers[-1, -1]) + 1
            self.numbers[~grid] = -1
        self.rows = count * side**2 + 1

    def around(self, origin: Tensor, scale: int, start: int, length: int, clamp: bool = False) -> Tensor:
        """Return the store's rows for square patches, [n, length**2], int32.

        A patch begins ``start`` rows and columns from ``origin`` [n, 2] of another level, which is multiplied by
        ``scale`` (divided by ``-scale`` if negative). With ``clamp`` the border's pixels are repeated outside.
        """
        numbers, offsets, insides = [], [], []
        for place, size in zip(_places(origin, scale, start, length), self.size, strict=True):
            insides.append(torch.ones_like(place, dtype=torch.bool) if clamp else (place >= 0) & (place < size))
            kept = place.clamp(0, size - 1)
            numbers.append(kept // self.side)
            offsets.append((kept % self.side).int())
        number = self.numbers[numbers[0][:, :, None], numbers[1][:, None]]
        row = number * self.side**2 + ((offsets[0] * self.side)[:, :, None] + offsets[1][:, None])
        known = insides[0][:, :, None] & insides[1][:, None] & (number >= 0)
        return row.masked_fill_(~known, self.rows - 1).flatten(1)

    def pixels(self, mask: Tensor) -> Tensor:
        """Return the store's row of each pixel of ``mask`` [H, W], in the image's order."""
        down, right = mask.nonzero().unbind(1)
        number = self.numbers[down // self.side, right // self.side]
        return number * self.side**2 + down % self.side * self.side + right % self.side


def dilate(mask: Tensor) -> Tensor:
    """Return ``mask`` [H, W] dilated by one pixel, corners included."""
    wide = mask.clone()
    wide[1:] |= mask[:-1]
    wide[:-1] |= mask[1:]
    result = wide.clone()
    result[:, 1:] |= wide[:, :-1]
    result[:, :-1] |= wide[:, 1:]
    return result


def dilate_back(mask: Tensor) -> Tensor:
    """Return ``mask`` [H, W] dilated by one pixel up and left, corners included."""
    tall = mask.clone()
    tall[:-1] |= mask[1:]
    result = tall.clone()
    result[:, :-1] |= tall[:, 1:]
    return result


def halve(mask: Tensor) -> Tensor:
    """Return the mask [H/2, W/2] of pixels that have a pixel of ``mask``, whose sides are even."""
    rows = mask[::2] | mask[1::2]
    return rows[:, ::2] | rows[:, 1::2]


def double(mask: Tensor) -> Tensor:
    """Return the mask [2H, 2W] of all four parts of each pixel of ``mask``."""
    return mask.repeat_interleave(2, 0).repeat_interleave(2, 1)


def rows_below(below: StoreLayout, above: Blocks) -> tuple[Tensor, Tensor]:
    """Return the rows of a level that the next finer one's blocks are computed from; for edge blocks also clamped."""
    length = above.side // 2 + 2
    return (
        below.around(above.origin, -2, -1, length),
        below.around(above.origin[above.edge], -2, -1, length, clamp=True),
    )


def as_store(x: Tensor) -> Tensor:
    """Return [1, C, H, W] as rows with one of zeros, [H * W + 1, C]."""
    rows = x.new_zeros(x.shape[-2] * x.shape[-1] + 1, x.shape[1])
    rows[:-1] = x[0].flatten(1).T
    return rows


def as_rows(x: Tensor) -> Tensor:
    """Return the pixels of patches [n, C, L, L] as rows of a store, [n * L * L, C]."""
    return x.permute(0, 2, 3, 1).flatten(0, 2)


def patches_of(store: Tensor, rows: Tensor) -> Tensor:
    """Return the patches of ``rows`` [n, L * L] as [n, C, L, L], channels last."""
    side = round(rows.shape[1] ** 0.5)
    return store.index_select(0, rows.flatten()).view(len(rows), side, side, -1).permute(0, 3, 1, 2)


def span(part: slice, blocks: Blocks) -> slice:
    """Return the store's rows of a part of all blocks."""
    return slice(part.start * blocks.side**2, part.stop * blocks.side**2)


def chunks(rows: Tensor, store: Tensor) -> list[slice]:
    """Divide the patches of ``rows`` [n, L * L] into chunks of about ``CHUNK`` numbers."""
    step = max(1, CHUNK[store.device.type] // (rows.shape[1] * store.shape[1]))
    return [slice(start, min(start + step, len(rows))) for start in range(0, len(rows), step)]


def _any_of(mask: Tensor, side: int) -> Tensor:
    """Return which blocks have a pixel of ``mask``, [H / side, W / side] rounded up."""
    height, width = mask.shape
    padded = F.pad(mask, (0, -width % side, 0, -height % side))
    return padded.view(-1, side, padded.shape[1]).any(1).view(-1, padded.shape[1] // side, side).any(2)


def _places(origin: Tensor, scale: int, start: int, length: int) -> tuple[Tensor, Tensor]:
    """Return rows and columns of patches, [n, length] each; see ``StoreLayout.around``."""
    steps = torch.arange(start, start + length, device=origin.device)
    corner = origin * scale if scale > 0 else origin // -scale
    return corner[:, :1] + steps, corner[:, 1:] + steps
