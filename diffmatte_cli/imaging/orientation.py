"""The eight EXIF orientations as array operations."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["orient", "swaps_sides"]

# Orientation -> (quarter turns counter-clockwise, then mirrored left to right).
_MOVES = {1: (0, False), 2: (0, True), 3: (2, False), 4: (2, True)}
_MOVES |= {5: (3, True), 6: (3, False), 7: (1, True), 8: (1, False)}

Pixel = TypeVar("Pixel", bound="np.generic[Any]")


def swaps_sides(orientation: int) -> bool:
    """Tell whether an EXIF orientation (1 to 8) swaps width and height."""
    return orientation >= 5


def orient(pixels: NDArray[Pixel], orientation: int) -> NDArray[Pixel]:
    """Turn stored pixels [H, W, ...] upright by their EXIF orientation (1 to 8)."""
    quarters, mirrored = _MOVES[orientation]
    turned = np.rot90(pixels, quarters)
    return np.ascontiguousarray(np.fliplr(turned) if mirrored else turned)
