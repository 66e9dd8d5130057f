"""Measure a predicted matte's error: the four metrics of alphamatting.com, over the unknown region.

All take ``pred`` and ``gt``, alphas float32 [H, W] in [0, 1], and ``trimap`` uint8 [H, W] in {0, 128, 255}; a trimap
that is 128 all over makes the whole image count. An empty unknown region gives 0. Two definitions of ``grad`` and
``conn`` are in use: "matlab", the scripts of Rhemann et al. (CVPR 2009), and "python", their usual port.
"""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..trimaps.trimap import UNKNOWN

__all__ = ["METRICS", "conn", "grad", "mse", "sad"]

Alpha = NDArray[np.float32]
Real = NDArray[np.float32] | NDArray[np.float64]

# Of the Gaussian in ``grad``; its tail ends below 1e-2, four pixels from its middle.
SIGMA, REACH = 1.4, 4
BLOCK = 256
# Of ``conn``: levels apart by a tenth; what lies less than this above its level counts as connected.
LEVELS, CONNECTED = 10, 0.15


def sad(pred: Alpha, gt: Alpha, trimap: NDArray[np.uint8]) -> float:
    """Sum the absolute differences over the unknown region, in thousands."""
    return float(np.abs(_unknown_difference(pred, gt, trimap)).sum() / 1000)


def mse(pred: Alpha, gt: Alpha, trimap: NDArray[np.uint8]) -> float:
    """Average the squared differences over the unknown region, times 1000."""
    difference = _unknown_difference(pred, gt, trimap)
    return float(np.square(difference).mean() * 1000) if difference.size else 0.0


def grad(pred: Alpha, gt: Alpha, trimap: NDArray[np.uint8], definition: str = "matlab") -> float:
    """Sum the squared differences of the gradients' lengths over the unknown region, in thousands.

    Gradients are derivatives of a Gaussian, with the border's pixels repeated outside the image. "matlab" stretches
    each whole alpha to the range from 0 to 1 first, "python" takes it as it is; one of a single value has no gradient.
    Needs SciPy, the extra ``eval``.
    """
    unknown = trimap == UNKNOWN
    spans = [_span(alpha) if definition == "matlab" else 1.0 for alpha in (pred, gt)]
    total = 0.0
    for top, left in _blocks(unknown):
        slopes = [_slope(alpha, top, left) / span for alpha, span in zip((pred, gt), spans, strict=True)]
        inside = unknown[top : top + BLOCK, left : left + BLOCK]
        total += float(np.square(slopes[0] - slopes[1])[inside].sum())
    return total / 1000


def conn(pred: Alpha, gt: Alpha, trimap: NDArray[np.uint8], definition: str = "matlab") -> float:
    """Sum the differences in connectedness over the unknown region, in thousands.

    At each tenth of opacity, pixels where both alphas reach it make areas (4-connected); a pixel is connected up to
    the last level before the first at which it is not in the largest one. Each alpha's excess over that level, from
    0.15 on, is how far it is from connected. Of areas equally large the first is taken, by columns in "matlab", by rows
    in "python". That also takes all that is outside these areas for one of them, and computes in double precision,
    so that 153/255 does not reach 0.6. Needs SciPy, the extra ``eval``.
    """
    unknown = trimap == UNKNOWN
    if not unknown.any():
        return 0.0
    ported = definition == "python"
    alphas: tuple[Real, Real] = (_exact(pred), _exact(gt)) if ported else (pred, gt)
    level = _connected_up_to(np.minimum(*alphas), unknown, ported)
    excess = [_excess(alpha[unknown], level) for alpha in alphas]
    return float(np.abs(excess[0] - excess[1]).sum(dtype=np.float64) / 1000)


# By name, in the order of tables; each takes pred, gt, trimap and definition.
METRICS: dict[str, Callable[[Alpha, Alpha, NDArray[np.uint8], str], float]] = {
    "sad": lambda pred, gt, trimap, _: sad(pred, gt, trimap),
    "mse": lambda pred, gt, trimap, _: mse(pred, gt, trimap),
    "grad": grad,
    "conn": conn,
}


def _unknown_difference(pred: Alpha, gt: Alpha, trimap: NDArray[np.uint8]) -> NDArray[np.float64]:
    unknown = trimap == UNKNOWN
    difference: NDArray[np.float64] = pred[unknown].astype(np.float64) - gt[unknown]
    return difference


def _exact(levels: Alpha) -> NDArray[np.float64]:
    """Return levels in double precision, as if those of 8 bits had never been rounded to single."""
    of_8_bits = np.rint(levels * np.float64(255)) / 255
    exact: NDArray[np.float64] = np.where(of_8_bits.astype(np.float32) == levels, of_8_bits, levels)
    return exact


def _span(alpha: Alpha) -> float:
    """Return the largest value less the smallest; 1 where that is nothing."""
    return float(_exact(alpha.max()) - _exact(alpha.min())) or 1.0


def _blocks(unknown: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Yield the top and left of each square block that has something unknown."""
    for top in range(0, unknown.shape[0], BLOCK):
        for left in range(0, unknown.shape[1], BLOCK):
            if unknown[top : top + BLOCK, left : left + BLOCK].any():
                yield top, left


def _slope(alpha: Alpha, top: int, left: int) -> NDArray[np.float64]:
    """Return the length of the gradient within one block."""
    above, before = min(top, REACH), min(left, REACH)  # what the filters need outside it
    levels = _exact(alpha[top - above : top + BLOCK + REACH, left - before : left + BLOCK + REACH])
    smooth, derive = _filters()
    down, across = _filtered(levels, derive, smooth), _filtered(levels, smooth, derive)
    length: NDArray[np.float64] = np.sqrt(np.square(down) + np.square(across))
    return length[above : above + BLOCK, before : before + BLOCK]


def _filters() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a Gaussian and its derivative, each with a sum of squares of 1."""
    places = np.arange(-REACH, REACH + 1)
    smooth = np.exp(-np.square(places / SIGMA) / 2)
    derive = places * smooth
    return smooth / math.sqrt(np.square(smooth).sum()), derive / math.sqrt(np.square(derive).sum())


def _filtered(
    levels: NDArray[np.float64], down: NDArray[np.float64], across: NDArray[np.float64]
) -> NDArray[np.float64]:
    from scipy.ndimage import correlate1d

    filtered: NDArray[np.float64] = correlate1d(
        correlate1d(levels, down, axis=0, mode="nearest"), across, axis=1, mode="nearest"
    )
    return filtered


def _connected_up_to(both: Real, unknown: NDArray[np.bool_], with_rest: bool) -> Real:
    """Return the level, 0 to 1, up to which each unknown pixel is connected, of the lower of two alphas [H, W]."""
    levels = (np.arange(LEVELS + 1) * 0.1).astype(both.dtype)
    found = np.ones(int(unknown.sum()), both.dtype)
    # Where the pixels are that were connected so far, and which they are of the unknown ones.
    left = np.flatnonzero(unknown)
    which = np.arange(left.size)
    for lower, level in pairwise(levels):
        mask = both >= level
        # The first of several is the one whose first pixel is, and MATLAB goes down the columns.
        inside = (_largest(mask, with_rest) if with_rest else _largest(mask.T, with_rest).T).ravel()[left]
        found[which[~inside]] = lower
        left, which = left[inside], which[inside]
        if not left.size:
            break
    return found


def _largest(mask: NDArray[np.bool_], with_rest: bool) -> NDArray[np.bool_]:
    """Return the largest 4-connected area of a mask, or, ``with_rest``, the mask's opposite where that is larger."""
    from scipy.ndimage import label

    areas, count = label(mask)
    if not count:
        return ~mask if with_rest else mask
    sizes = np.bincount(areas.ravel())
    if not with_rest:
        sizes[0] = 0
    largest: NDArray[np.bool_] = areas == sizes.argmax()
    return largest


def _excess(alpha: Real, level: Real) -> Real:
    above = alpha - level
    return np.where(above >= CONNECTED, above, 0)
