"""Dilate and erode masks by discs."""

from math import isqrt

import numpy as np
from numpy.typing import NDArray

__all__ = ["Mask", "dilate", "erode"]

Mask = NDArray[np.bool_]


def dilate(mask: Mask, radius: int) -> Mask:
    """Return the pixels at most ``radius`` (Euclidean, at least 0) from one of ``mask`` [H, W].

    Exact, in time that grows with the radius: distances along rows first, then a row's worth of discs at a time.
    """
    # SciPy and OpenCV, whose distances would do, come with extras alone; Pillow's filters are square.
    if radius == 0:
        return mask.copy()
    along = _distance_in_row(mask, radius)
    near = np.zeros_like(mask)
    height = len(mask)
    for shift in range(-min(radius, height - 1), min(radius, height - 1) + 1):
        reach = isqrt(radius**2 - shift**2)
        here, there = slice(max(0, -shift), height - max(0, shift)), slice(max(0, shift), height - max(0, -shift))
        near[here] |= along[there] <= reach
    return near


def erode(mask: Mask, radius: int) -> Mask:
    """Return the pixels of ``mask`` [H, W] that are more than ``radius`` from any other; the border is no edge."""
    return ~dilate(~mask, radius)


def _distance_in_row(mask: Mask, most: int) -> NDArray[np.int32]:
    """Return each pixel's distance to the nearest one of ``mask`` in its row, or more than ``most``, [H, W]."""
    columns = np.arange(mask.shape[1], dtype=np.int32)
    far = np.int32(mask.shape[1] + most)
    before = np.maximum.accumulate(np.where(mask, columns, -far), axis=1)
    after = np.minimum.accumulate(np.where(mask, columns, 2 * far)[:, ::-1], axis=1)[:, ::-1]
    return np.minimum(columns - before, after - columns)
