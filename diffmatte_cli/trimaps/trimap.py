"""Interpret trimaps as people draw them: classes, size, and signs of a mistake."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError
from ..imaging.orientation import orient, swaps_sides

if TYPE_CHECKING:
    from ..imaging.grey import GreyImage
    from ..imaging.read import ColourImage

__all__ = ["BACKGROUND", "FOREGROUND", "UNKNOWN", "Finding"]
__all__ += ["diagnose", "fit_to_image", "has_shape", "main_grey", "parse_trimap", "readings", "trimap_of"]
__all__ += ["unknown_share"]

BACKGROUND, UNKNOWN, FOREGROUND = 0, 128, 255
_BACKGROUND_BELOW, _FOREGROUND_ABOVE = 0.1, 0.9

_NEAR = 5 / 255  # levels this close to black, white or the trimap's own grey are as drawn
# Pixels of any other level are the edges of an honest trimap, brushed softly or stored as JPEG, unless they are
# this share of the image and this share of all that is neither black nor white.
_IN_BETWEEN_OF_ALL, _IN_BETWEEN_OF_GREY = 0.01, 0.4
_INVERTED_BORDER = 0.7  # share of the image's border that is foreground


def parse_trimap(levels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Classify grey levels [H, W] in [0, 1] as background 0, unknown 128 and foreground 255, uint8 [H, W].

    Below 10 % is background, above 90 % foreground, the rest unknown.
    """
    return trimap_of(levels > np.float32(_FOREGROUND_ABOVE), levels < np.float32(_BACKGROUND_BELOW))


def trimap_of(foreground: NDArray[np.bool_], background: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the trimap of known foreground and background, masks [H, W]; the rest is unknown."""
    trimap = np.full(foreground.shape, UNKNOWN, np.uint8)
    trimap[foreground], trimap[background] = FOREGROUND, BACKGROUND
    return trimap


def unknown_share(trimap: NDArray[np.uint8]) -> float:
    """Return the share of unknown pixels, 0 to 1."""
    return float((trimap == UNKNOWN).mean())


def fit_to_image(trimap: "GreyImage", image: "ColourImage") -> NDArray[np.float32]:
    """Return the trimap's levels [H, W] in the upright photograph's size.

    A trimap drawn on the unrotated pixels of a photograph whose EXIF orientation swaps the sides is recognised by its
    size and turned along. One whose own EXIF orientation was only copied from the photograph, so that obeying it would
    spoil the fit, is taken as it is stored. Orientations that keep the size cannot be told apart.

    Raises:
        ImageError: no reading fits; the message names both sizes.
    """
    (rows, columns), (height, width) = trimap.levels.shape, image.pixels.shape[:2]
    for levels in readings(trimap, image):
        if levels.shape == (height, width):
            return levels
    raise ImageError(
        f"the trimap is {columns}x{rows} but the photograph is {width}x{height}: paint the trimap over the photograph"
        " at its full size, or scale the trimap to that size without smoothing"
    )


_INVERSE = {5: 5, 6: 8, 7: 7, 8: 6}


def readings(drawn: "GreyImage", image: "ColourImage") -> Iterator[NDArray[np.float32]]:
    """Yield the levels of a trimap or mask in each way that it may be meant to lie on its photograph, likely first."""
    yield drawn.levels
    if swaps_sides(drawn.orientation):
        yield orient(drawn.levels, _INVERSE[drawn.orientation])
    if swaps_sides(image.orientation):
        yield orient(drawn.levels, image.orientation)


def has_shape(size: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Tell whether [h, w] has the shape of [H, W], but for rounding the smaller one's or the larger one's sides."""
    (rows, columns), (height, width) = size, wanted
    return abs(rows * width - columns * height) <= max(width + height, columns + rows)


@dataclass(frozen=True)
class Finding:
    """Hold something wrong with a trimap: ``code`` for programs, a sentence as ``text``, whether it was ``mended``."""

    code: str
    text: str
    mended: bool = False


def diagnose(levels: NDArray[np.float32], trimap: NDArray[np.uint8]) -> list[Finding]:
    """List what looks wrong with a trimap by its levels [H, W] in [0, 1] and its classes."""
    of_all, of_grey = _in_between_shares(levels)
    is_found = {
        "inverted": _looks_inverted(trimap),
        "no-unknown": not (trimap == UNKNOWN).any(),
        "no-foreground": not (trimap == FOREGROUND).any(),
        "no-background": not (trimap == BACKGROUND).any(),
        "in-between": of_all > _IN_BETWEEN_OF_ALL and of_grey > _IN_BETWEEN_OF_GREY,
    }
    return [Finding(code, text.format(of_all)) for code, text in _SENTENCES.items() if is_found[code]]


_SENTENCES = {
    "inverted": "the trimap looks inverted, white around black: white must be the subject, black the background",
    "no-unknown": "the trimap has no unknown (grey) region: if it is a mask, `diffmatte trimap` makes a trimap of it",
    "no-foreground": "the trimap has no known foreground (white): paint some of the subject's inside white",
    "no-background": "the trimap has no known background (black): paint what surely is not the subject black",
    "in-between": "{:.0%} of the trimap's pixels are neither black, white nor one grey (below 10 % counts as"
    " background, above 90 % as foreground): is it a matte, or blurred, or full of noise?",
}


def _looks_inverted(trimap: NDArray[np.uint8]) -> bool:
    """Suspect inversion where foreground covers the border and more background lies within than along it."""
    border = np.concatenate([trimap[0], trimap[-1], trimap[1:-1, 0], trimap[1:-1, -1]])
    within = float((trimap == BACKGROUND).mean())
    along = float((border == BACKGROUND).mean())
    return float((border == FOREGROUND).mean()) >= _INVERTED_BORDER and within > along


def main_grey(levels: NDArray[np.float32]) -> float:
    """Return the level, 0 to 1, that a trimap [H, W] uses most besides black and white; 0.5 without any."""
    middle = levels[(levels > _NEAR) & (levels < 1 - _NEAR)]
    if not middle.size:
        return 0.5
    return float(np.bincount(np.rint(middle * np.float32(255)).astype(np.intp)).argmax() / 255)


def _in_between_shares(levels: NDArray[np.float32]) -> tuple[float, float]:
    """Return the share of levels far from black, white and the main grey, of all pixels and of the grey ones."""
    middle = levels[(levels > _NEAR) & (levels < 1 - _NEAR)]
    if not middle.size:
        return 0.0, 0.0
    strangers = int((np.abs(middle - np.float32(main_grey(levels))) > _NEAR).sum())
    return strangers / levels.size, strangers / middle.size
