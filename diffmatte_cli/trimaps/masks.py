"""Make a trimap from a mask, a soft segmentation, a rough cutout's alpha, or the true alpha."""

import numpy as np
from numpy.typing import NDArray

from .band import Band
from .morphology import erode
from .trimap import trimap_of

__all__ = ["trimap_from_alpha", "trimap_from_mask"]

# Levels in between are unknown.
SURE_BACKGROUND, SURE_FOREGROUND = 0.05, 0.95


def trimap_from_mask(levels: NDArray[np.float32], band: Band) -> NDArray[np.uint8]:
    """Return a trimap [H, W] in {0, 128, 255} of a mask's levels [H, W] in [0, 1], where the subject is white.

    Levels between 5 % and 95 % are unknown, and so is everything within ``band`` of the edge.
    """
    inside, outside = band.pixels(*levels.shape)
    return trimap_of(erode(levels >= SURE_FOREGROUND, inside), erode(levels <= SURE_BACKGROUND, outside))


def trimap_from_alpha(alpha: NDArray[np.float32], inside: int, outside: int) -> NDArray[np.uint8]:
    """Return a trimap [H, W] in {0, 128, 255} of the true alpha [H, W] in [0, 1].

    Alphas between 0 and 1 are unknown, and so is the foreground within ``inside`` pixels of them, and the background
    within ``outside`` pixels.
    """
    return trimap_of(erode(alpha >= 1, inside), erode(alpha <= 0, outside))
