"""Decide when there is nothing to compute, for the library and for batches."""

import numpy as np
from numpy.typing import NDArray

from ..settings import Sampling
from ..trimaps.trimap import UNKNOWN

__all__ = ["settled_alpha"]


def settled_alpha(trimap: NDArray[np.uint8], sampling: Sampling) -> NDArray[np.float32] | None:
    """Return the alpha, float32 [H, W], of a ``trimap`` uint8 [H, W] in {0, 128, 255} that leaves nothing to compute.

    None if a pixel is unknown, or the raw prediction is requested.
    """
    if not sampling.keep_known or (trimap == UNKNOWN).any():
        return None
    return (trimap > UNKNOWN).astype(np.float32)
