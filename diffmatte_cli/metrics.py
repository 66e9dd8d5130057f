"""How far a predicted matte is from the true one, over the trimap's unknown region."""

import numpy as np
from numpy.typing import NDArray

from .trimap import UNKNOWN

__all__ = ["mse", "sad"]


def sad(pred: NDArray[np.float32], gt: NDArray[np.float32], trimap: NDArray[np.uint8]) -> float:
    """Sum the absolute differences over the unknown region, in thousands.

    ``pred`` and ``gt`` are alphas [H, W] in [0, 1], ``trimap`` uint8 [H, W] in {0, 128, 255}. An empty
    unknown region gives 0.
    """
    return float(np.abs(_unknown_difference(pred, gt, trimap)).sum() / 1000)


def mse(pred: NDArray[np.float32], gt: NDArray[np.float32], trimap: NDArray[np.uint8]) -> float:
    """Average the squared differences over the unknown region, times 1000; arguments as for :func:`sad`."""
    difference = _unknown_difference(pred, gt, trimap)
    return float(np.square(difference).mean() * 1000) if difference.size else 0.0


def _unknown_difference(
    pred: NDArray[np.float32], gt: NDArray[np.float32], trimap: NDArray[np.uint8]
) -> NDArray[np.float64]:
    unknown = trimap == UNKNOWN
    difference: NDArray[np.float64] = pred[unknown].astype(np.float64) - gt[unknown]
    return difference
