"""Decide when there is nothing to compute, for the library and for batches."""

import numpy as np
from numpy.typing import NDArray

from ..errors import MaskError
from ..settings import Sampling
from ..trimaps.trimap import UNKNOWN

__all__ = ["check_not_mask", "settled_alpha"]


def settled_alpha(trimap: NDArray[np.uint8], sampling: Sampling) -> NDArray[np.float32] | None:
    """Return the alpha, float32 [H, W], of a ``trimap`` uint8 [H, W] in {0, 128, 255} that leaves nothing to compute.

    None if a pixel is unknown, or the raw prediction is requested.
    """
    if not sampling.keep_known or (trimap == UNKNOWN).any():
        return None
    return (trimap > UNKNOWN).astype(np.float32)


def check_not_mask(
    trimap: NDArray[np.uint8],
    sampling: Sampling,
    instead: str = "give it as the mask instead, of which a trimap is made",
) -> None:
    """Raise MaskError for a ``trimap`` uint8 [H, W] of black and white alone, unless the raw prediction is requested.

    One that is black all over, or white, is no mask: of a sequence, the subject may have left the frame. ``instead``
    says what to do.
    """
    settled = settled_alpha(trimap, sampling)
    if settled is not None and settled.min() < settled.max():
        text = "the trimap is a mask, black and white without grey for what is unknown"
        raise MaskError(f"{text}: {instead}", "mask")
