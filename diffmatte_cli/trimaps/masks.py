"""Make a trimap from a mask, a soft segmentation, a rough cutout's alpha, or the true alpha."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import ImageError
from .band import Band
from .morphology import Mask, dilate, erode
from .trimap import has_shape, readings, trimap_of

if TYPE_CHECKING:
    from ..imaging.grey import GreyImage
    from ..imaging.read import ColourImage

__all__ = ["SURE_BACKGROUND", "fit_mask", "trimap_from_alpha", "trimap_from_mask"]

Levels = NDArray[np.float32]

# Levels in between are unknown.
SURE_BACKGROUND, SURE_FOREGROUND = 0.05, 0.95
_CORE = 0.005  # of the longer side: in gaps too narrow for the usual band, what is farther from the edge is known
_GAP = 0.005  # of the longer side: a subject that ends so close to the image's border is cut by it


def fit_mask(mask: "GreyImage", image: "ColourImage") -> tuple[Levels, str]:
    """Return a mask's levels [H, W] scaled to the upright photograph's size, and what is to be said of that.

    How a mask lies on a photograph with an EXIF orientation is told by its shape, as for trimaps.

    Raises:
        ImageError: it lies on its side.
    """
    size = image.pixels.shape[:2]
    levels = next((levels for levels in readings(mask, image) if has_shape(levels.shape, size)), mask.levels)
    (rows, columns), (height, width) = levels.shape, size
    told = ""
    if not has_shape(levels.shape, size):
        sizes = f"{columns}x{rows} and the photograph {width}x{height}"
        if rows != columns and has_shape((columns, rows), size):
            raise ImageError(f"the mask is {sizes}, and which way to turn it cannot be told: turn it")
        told = f"is {sizes}: it is stretched to that shape"
    if levels.shape != size:
        levels = np.asarray(Image.fromarray(levels).resize((width, height), Image.Resampling.BILINEAR)).clip(0, 1)
    return levels, told


def trimap_from_mask(levels: Levels, band: Band) -> NDArray[np.uint8]:
    """Return a trimap [H, W] in {0, 128, 255} of a mask's levels [H, W] in [0, 1], where the subject is white.

    Levels between 5 % and 95 % are unknown, and so is everything within ``band`` of the edge. Where no width is given,
    gaps too narrow for the usual band, as between legs, keep a core of known background. Where the image's border cuts
    the subject there is no edge, even if the mask ends a little short of it.
    """
    inside, outside = band.pixels(*levels.shape)
    levels = _to_the_border(levels)
    background = levels <= SURE_BACKGROUND
    known = erode(background, outside)
    if band.is_usual:
        cores = _cores(background, max(1, round(_CORE * max(levels.shape))))
        known |= cores & ~dilate(known, 3 * outside // 2)
    return trimap_of(erode(levels >= SURE_FOREGROUND, inside), known)


def _cores(mask: Mask, depth: int) -> Mask:
    """Return what of a mask is more than ``depth`` pixels from its edge, but not in strips along the image's border.

    There the subject may go on, and its mask end short of the border.
    """
    inner = erode(np.pad(mask, 1), depth)[1:-1, 1:-1]  # more than ``depth`` from the border, too
    return erode(mask, depth) & dilate(inner, depth + 1)


def _to_the_border(levels: Levels) -> Levels:
    """Continue what is white near the image's border to the border: networks and resizing leave a few rows black."""
    gap = round(_GAP * max(levels.shape))
    if not 0 < gap < min(levels.shape) // 2:
        return levels
    inner = levels[gap:-gap, gap:-gap]
    return np.maximum(levels, np.pad(inner, gap, mode="edge"))


def trimap_from_alpha(alpha: Levels, inside: int, outside: int) -> NDArray[np.uint8]:
    """Return a trimap [H, W] in {0, 128, 255} of the true alpha [H, W] in [0, 1].

    Alphas between 0 and 1 are unknown, and so is the foreground within ``inside`` pixels of them, and the background
    within ``outside`` pixels.
    """
    return trimap_of(erode(alpha >= 1, inside), erode(alpha <= 0, outside))
