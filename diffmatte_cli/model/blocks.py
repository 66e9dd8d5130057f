"""Square blocks of a level's pixels: which are looked at, and which rows of a store a patch around each is made of.

A store is a matrix [n * side**2 + 1, C]: the pixels of n blocks, row by row, then one row of zeros
that stands for everything outside of the picture and for blocks that nobody looks at.
"""

from bisect import bisect_left

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["Blocks", "dilate", "double", "grow_back", "halve"]


class Blocks:
    """The blocks of ``side`` pixels that have a pixel of ``mask`` [H, W] (boolean).

    ``origin`` [n, 2] is the first row and column of each. ``edge`` [m] numbers those that touch the border, and
    ``inside`` [m, 1, side + 2, side + 2] tells which pixels of them and around them lie in the picture.
    """

    def __init__(self, mask: Tensor, side: int) -> None:
        self.side, self.size = side, (mask.shape[-2], mask.shape[-1])
        grid = F.max_pool2d(mask[None].float(), side, ceil_mode=True)[0] > 0
        self.numbers = torch.full(grid.shape, -1, dtype=torch.int32, device=mask.device)
        self.numbers[grid] = torch.arange(int(grid.sum()), dtype=torch.int32, device=mask.device)
        self.origin = grid.nonzero() * side
        end = self.origin + side
        limit = end.new_tensor(self.size)
        self.edge = ((self.origin == 0) | (end >= limit)).any(1).nonzero()[:, 0]
        self._edge_numbers = self.edge.tolist()
        down, right = (self._places(self.origin[self.edge], 1, -1, side + 2)[axis] for axis in (0, 1))
        within = [(place >= 0) & (place < size) for place, size in zip((down, right), self.size, strict=True)]
        self.inside = (within[0][:, :, None] & within[1][:, None])[:, None]

    def __len__(self) -> int:
        return len(self.origin)

    @property
    def rows(self) -> int:
        """Rows of a store, the row of zeros included."""
        return len(self) * self.side**2 + 1

    @staticmethod
    def _places(origin: Tensor, scale: int, start: int, length: int) -> tuple[Tensor, Tensor]:
        """Return rows and columns of patches, [n, length] each; see ``around``."""
        steps = torch.arange(start, start + length, device=origin.device)
        corner = origin * scale if scale > 0 else origin // -scale
        return corner[:, :1] + steps, corner[:, 1:] + steps

    def around(self, origin: Tensor, scale: int, start: int, length: int, clamp: bool = False) -> Tensor:
        """Return the store's rows for square patches, [n, length**2], int32.

        A patch begins ``start`` rows and columns from ``origin`` [n, 2] of another level, which is multiplied by
        ``scale`` (divided by ``-scale`` if negative). With ``clamp`` the border's pixels go on outside.
        """
        down, right = self._places(origin, scale, start, length)
        limits = zip((down, right), self.size, strict=True)
        if clamp:
            down, right = (place.clamp(0, size - 1) for place, size in limits)
            within = torch.ones((), dtype=torch.bool, device=origin.device)
        else:
            ok_down, ok_right = ((place >= 0) & (place < size) for place, size in limits)
            within = ok_down[:, :, None] & ok_right[:, None]
        within_grid = zip((down, right), self.numbers.shape, strict=True)
        blocks = [(place // self.side).clamp(0, most - 1) for place, most in within_grid]
        number = self.numbers[blocks[0][:, :, None], blocks[1][:, None]]
        row = number * self.side**2 + ((down % self.side * self.side)[:, :, None] + (right % self.side)[:, None])
        return torch.where(within & (number >= 0), row, self.rows - 1).flatten(1).int()

    def edges(self, part: slice) -> tuple[slice, Tensor]:
        """Return which of the edge blocks are in a part of all blocks, and their places in that part."""
        chosen = slice(*(bisect_left(self._edge_numbers, end) for end in (part.start, part.stop)))
        return chosen, self.edge[chosen] - part.start

    def pixels(self, mask: Tensor) -> Tensor:
        """Return the store's row of each pixel of ``mask`` [H, W], in the picture's order."""
        down, right = mask.nonzero().unbind(1)
        number = self.numbers[down // self.side, right // self.side]
        return number * self.side**2 + down % self.side * self.side + right % self.side


def dilate(mask: Tensor) -> Tensor:
    """Return ``mask`` [H, W] grown by one pixel on every side, corners too."""
    return F.max_pool2d(mask[None].float(), 3, 1, 1)[0] > 0


def grow_back(mask: Tensor) -> Tensor:
    """Return ``mask`` [H, W] grown by one pixel up and left, corners too."""
    return F.max_pool2d(F.pad(mask[None].float(), (0, 1, 0, 1)), 2, 1)[0] > 0


def halve(mask: Tensor) -> Tensor:
    """Return the mask [H/2, W/2] of pixels that have a pixel of ``mask``."""
    return F.max_pool2d(mask[None].float(), 2)[0] > 0


def double(mask: Tensor) -> Tensor:
    """Return the mask [2H, 2W] of all parts of the pixels of ``mask``."""
    return mask.repeat_interleave(2, 0).repeat_interleave(2, 1)
