"""Make a trimap out of a mask, a soft segmentation, or a rough cutout's alpha."""

import numpy as np
from numpy.typing import NDArray

from .morphology import shrunk
from .settings import Band
from .trimap import BACKGROUND, FOREGROUND, UNKNOWN

__all__ = ["trimap_from_mask"]

# A mask is sure only where it says so: in between it is unknown already.
SURE_BACKGROUND, SURE_FOREGROUND = 0.05, 0.95


def trimap_from_mask(levels: NDArray[np.float32], band: Band) -> NDArray[np.uint8]:
    """Return a trimap [H, W] in {0, 128, 255} from a mask's levels [H, W] in [0, 1], white being the subject.

    Everything between 5 % and 95 % is unknown, and so is what lies within ``band`` of the edge.
    """
    inside, outside = band.pixels(*levels.shape)
    trimap = np.full(levels.shape, UNKNOWN, np.uint8)
    trimap[shrunk(levels >= SURE_FOREGROUND, inside)] = FOREGROUND
    trimap[shrunk(levels <= SURE_BACKGROUND, outside)] = BACKGROUND
    return trimap
