"""Make a trimap out of a mask, a soft segmentation, a rough cutout's alpha, or the true alpha."""

import numpy as np
from numpy.typing import NDArray

from .band import Band
from .morphology import erode
from .trimap import trimap_of

__all__ = ["trimap_from_alpha", "trimap_from_mask"]

# A mask is sure only where it says so: in between it is unknown already.
SURE_BACKGROUND, SURE_FOREGROUND = 0.05, 0.95


def trimap_from_mask(levels: NDArray[np.float32], band: Band) -> NDArray[np.uint8]:
    """Return a trimap [H, W] in {0, 128, 255} from a mask's levels [H, W] in [0, 1], white being the subject.

    Everything between 5 % and 95 % is unknown, and so is what lies within ``band`` of the edge.
    """
    inside, outside = band.pixels(*levels.shape)
    return trimap_of(erode(levels >= SURE_FOREGROUND, inside), erode(levels <= SURE_BACKGROUND, outside))


def trimap_from_alpha(alpha: NDArray[np.float32], inside: int, outside: int) -> NDArray[np.uint8]:
    """Return a trimap [H, W] in {0, 128, 255} of the true alpha [H, W] in [0, 1].

    Everything between 0 and 1 is unknown, and so is what lies within ``inside`` pixels of it in the foreground, and
    within ``outside`` pixels in the background.
    """
    return trimap_of(erode(alpha >= 1, inside), erode(alpha <= 0, outside))
