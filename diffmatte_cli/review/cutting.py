"""Cut a subject out as ``background.cutout`` does, in the time and memory that its edge takes."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..composition.background import cutout
from ..composition.foreground import estimate_foreground
from ..process.threads import local_threads

__all__ = ["cut_out"]

_TILE = 2048
_MARGIN = 96  # the reach of the colours' estimate, in its wide and its narrow pass together


def cut_out(image: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return straight RGBA, uint8 [H, W, 4], of an image [H, W, 3] and an alpha [H, W].

    Colours are estimated in tiles with half transparent pixels; elsewhere the image's own are right, or invisible.
    """
    rgba = np.dstack([image, alpha])
    with local_threads(1):  # more cost more than they save on images as small as the page's
        for tile in _tiles(alpha.shape):
            part = alpha[tile]
            if ((part > 0) & (part < 255)).any():
                around = tuple(slice(max(0, side.start - _MARGIN), side.stop + _MARGIN) for side in tile)
                levels = alpha[around].astype(np.float32) / np.float32(255)
                inner = tuple(slice(s.start - a.start, s.stop - a.start) for s, a in zip(tile, around, strict=True))
                foreground = estimate_foreground(image[around], levels)
                rgba[tile] = cutout(foreground, levels, 8, premultiplied=False)[inner]
    return rgba


def _tiles(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    height, width = shape
    for top in range(0, height, _TILE):
        for left in range(0, width, _TILE):
            yield slice(top, min(top + _TILE, height)), slice(left, min(left + _TILE, width))
