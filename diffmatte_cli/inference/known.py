"""Decide when there is nothing to compute, for the library and for batches."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError, MaskError
from ..settings import Sampling
from ..trimaps.trimap import UNKNOWN, fit_to_image, parse_trimap

if TYPE_CHECKING:
    from ..imaging.grey import GreyImage
    from ..imaging.read import ColourImage

__all__ = ["check_not_mask", "fit_trimap", "settled_alpha"]

_A_MASK = "the trimap is a mask, black and white without grey for what is unknown"
_INSTEAD = "give it as the mask instead, of which a trimap is made"


def settled_alpha(trimap: NDArray[np.uint8], sampling: Sampling) -> NDArray[np.float32] | None:
    """Return the alpha, float32 [H, W], of a ``trimap`` uint8 [H, W] in {0, 128, 255} that leaves nothing to compute.

    None if a pixel is unknown, or the raw prediction is requested.
    """
    if not sampling.keep_known or (trimap == UNKNOWN).any():
        return None
    return (trimap > UNKNOWN).astype(np.float32)


def check_not_mask(trimap: NDArray[np.uint8], sampling: Sampling, instead: str = _INSTEAD) -> None:
    """Raise MaskError for a ``trimap`` uint8 [H, W] of black and white alone, unless the raw prediction is requested.

    One that is black all over, or white, is no mask: of a sequence, the subject may have left the frame. ``instead``
    says what to do.
    """
    if sampling.keep_known and _is_mask(trimap):
        raise MaskError(f"{_A_MASK}: {instead}", "mask")


def fit_trimap(drawn: "GreyImage", image: "ColourImage", instead: str = _INSTEAD) -> NDArray[np.float32]:
    """Return a trimap's levels [H, W] in the upright photograph's size, as ``fit_to_image`` does.

    Raises ImageError where it does not fit, and MaskError where it is a mask besides.
    """
    try:
        return fit_to_image(drawn, image)
    except ImageError as error:
        if not _is_mask(parse_trimap(drawn.levels)):
            raise
        (rows, columns), (height, width) = drawn.levels.shape, image.pixels.shape[:2]
        sizes = f"{columns}x{rows} where the photograph is {width}x{height}"
        raise MaskError(f"{_A_MASK}, {sizes}: {instead}", "mask") from error


def _is_mask(trimap: NDArray[np.uint8]) -> bool:
    return not (trimap == UNKNOWN).any() and trimap.min() < trimap.max()
