"""Find the subject of a cutout that was laid on one plain colour."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["subject_on_plain"]

Mask = NDArray[np.bool_]

_NEAR = 12 / 255  # of white: farther apart than JPEG leaves one colour
_LEAST = 0.5  # share of the image's border that has the colour


def subject_on_plain(colour: NDArray[Any], white: float) -> Mask | None:
    """Return where an image [H, W, 3] is not the plain colour around it; None if there is none.

    What has the colour inside the subject, cut off from the image's border, is subject.
    """
    border = np.concatenate([colour[0], colour[-1], colour[:, 0], colour[:, -1]]).astype(np.float32)
    plain = np.median(border, axis=0)
    near = (np.abs(colour.astype(np.float32) - plain) <= np.float32(_NEAR * white)).all(axis=2)
    along = np.concatenate([near[0], near[-1], near[:, 0], near[:, -1]])
    background = _reached_from_border(near)
    return None if along.mean() < _LEAST or background.all() else ~background


def _reached_from_border(mask: Mask) -> Mask:
    """Return the pixels of ``mask`` [H, W] that are connected with the image's border, by their sides."""
    reached = mask.copy()
    reached[1:-1, 1:-1] = False
    while True:
        before = int(reached.sum())
        reached = _along_rows(mask.T, _along_rows(mask, reached).T).T
        if int(reached.sum()) == before:
            return reached


def _along_rows(mask: Mask, reached: Mask) -> Mask:
    """Spread what is reached over each row's runs of ``mask``."""
    starts = mask.copy()
    starts[:, 1:] &= ~mask[:, :-1]
    runs = np.cumsum(starts, dtype=np.int64).reshape(mask.shape)  # 0 and the number of the last run outside of any
    hit = np.zeros(int(runs[-1, -1]) + 1, np.bool_)
    hit[runs[reached]] = True
    return mask & hit[runs]
