"""Diagnose a photograph and its trimap before anything is computed, and mend what can be mended."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import ImageError
from ..imaging.colour import as_shares
from ..imaging.grey import GreyImage
from ..imaging.orientation import swaps_sides
from ..imaging.read import ColourImage
from .band import Band
from .masks import trimap_from_mask
from .morphology import dilate, erode
from .trimap import (
    BACKGROUND,
    FOREGROUND,
    UNKNOWN,
    Finding,
    diagnose,
    fit_to_image,
    has_shape,
    main_grey,
    parse_trimap,
)

__all__ = ["Diagnosis", "examine"]

MOST_UNKNOWN = 0.6  # share of the image; real trimaps have 5 to 20 %
# Where subject and background are closer than this share of the longer side, soft edges find no room in between.
THINNEST = 0.002
THIN_EDGE = 0.25  # share of the subject's edge that has to be so thin
# JPEG leaves many pixels slightly off what was painted, up to a block's width from any edge. A wide soft brush leaves
# all levels equally often, and a narrow one, or smooth scaling, none far from edges.
OFF, A_LITTLE, JPEG_SHARE, JPEG_EXCESS = 1.5 / 255, 40 / 255, 0.002, 5
NARROW, JPEG_BEYOND = 4, 0.05  # pixels, and the share of slightly wrong ones that is farther from edges

_NOISE = "many of the trimap's pixels are a little off black, grey and white, as JPEG leaves them: save it as PNG"

Levels = NDArray[np.float32]
Trimap = NDArray[np.uint8]


@dataclass(frozen=True)
class Diagnosis:
    """Hold what is wrong with a photograph's trimap, and the mended trimap.

    Attributes:
        findings: what is wrong; what is ``mended`` is right in ``trimap``.
        trimap: uint8 [H, W] in {0, 128, 255}, mended as far as possible; None where it cannot fit the photograph.
    """

    findings: tuple[Finding, ...]
    trimap: Trimap | None = None

    @property
    def shares(self) -> dict[str, float]:
        """Shares of unknown, foreground and background in the trimap, 0 to 1."""
        levels = {"unknown": UNKNOWN, "foreground": FOREGROUND, "background": BACKGROUND}
        return {} if self.trimap is None else {name: float((self.trimap == v).mean()) for name, v in levels.items()}


def examine(image: ColourImage, grey: GreyImage) -> Diagnosis:
    """Examine a photograph and its trimap: size and orientation, levels, classes, and the band's width."""
    levels, findings = _fitted(image, grey)
    findings = [*(Finding("levels", f"the trimap {note}", mended=True) for note in grey.notes), *findings]
    if levels is None:  # a mask need not fit
        found = diagnose(grey.levels, parse_trimap(grey.levels))
        return Diagnosis((*findings, *(finding for finding in found if finding.code == "no-unknown")))
    trimap = parse_trimap(levels)
    found = diagnose(levels, trimap)
    if _has_jpeg_noise(levels):
        trimap = _nearest(levels)
        noise = Finding("noise", _NOISE)
        found = [noise, *(finding for finding in diagnose(levels, trimap) if finding.code != "in-between")]
    for finding in found:
        mended = _MENDS[finding.code](trimap) if finding.code in _MENDS else None
        findings.append(replace(finding, mended=mended is not None))
        trimap = trimap if mended is None else mended
    findings += _wide(trimap)
    thin, trimap = _thin(trimap)
    return Diagnosis((*findings, *thin), trimap)


def _fitted(image: ColourImage, grey: GreyImage) -> tuple[Levels | None, list[Finding]]:
    """Fit the trimap's levels to the photograph; None where that would be a guess."""
    size = image.pixels.shape[:2]
    try:
        levels = fit_to_image(grey, image)
    except ImageError as error:
        return _resized(grey.levels, size, str(error))
    if levels.shape == grey.levels.shape:
        return levels, []
    text = "the trimap was painted on the photograph as the camera stored it, before its EXIF orientation"
    if swaps_sides(grey.orientation):
        text = "the trimap's own EXIF orientation turns it away from the photograph: its pixels fit as they are stored"
    return levels, [Finding("orientation", text, mended=True)]


def _resized(levels: Levels, size: tuple[int, ...], sentence: str) -> tuple[Levels | None, list[Finding]]:
    height, width = size
    if has_shape(levels.shape, size):
        resized = Image.fromarray(levels).resize((width, height), Image.Resampling.NEAREST)
        return np.asarray(resized), [Finding("size", sentence, mended=True)]
    if levels.shape == size[::-1]:
        text = "the trimap lies on its side against the photograph, and which way to turn it cannot be told: turn it"
        return None, [Finding("orientation", text)]
    return None, [Finding("size", sentence)]


def _has_jpeg_noise(levels: Levels) -> bool:
    off = np.minimum(np.minimum(levels, 1 - levels), np.abs(levels - np.float32(_painted_grey(levels))))
    near, far = (off > OFF) & (off <= A_LITTLE), off > A_LITTLE
    if near.mean() <= JPEG_SHARE or near.sum() <= JPEG_EXCESS * far.sum():
        return False
    classes = _nearest(levels)
    beyond = sum((near & erode(classes == value, NARROW)).sum() for value in (BACKGROUND, UNKNOWN, FOREGROUND))
    return bool(beyond > JPEG_BEYOND * near.sum())


def _painted_grey(levels: Levels) -> float:
    """Return the grey used most in the unknown region, which noise around black and white is not."""
    return main_grey(levels[parse_trimap(levels) == UNKNOWN])


def _nearest(levels: Levels) -> Trimap:
    """Assign each level to the nearest of black, the main grey and white."""
    grey = _painted_grey(levels)
    trimap = np.full(levels.shape, UNKNOWN, np.uint8)
    trimap[levels < grey / 2] = BACKGROUND
    trimap[levels > (1 + grey) / 2] = FOREGROUND
    return trimap


def _if_complete(trimap: Trimap) -> Trimap | None:
    """Return a trimap if it has all three classes: no band may swallow a whole class."""
    return trimap if len(np.unique(trimap)) == 3 else None


# Mends a finding, or returns None; what lies between classes has been assigned to them already.
_MENDS: dict[str, Callable[[Trimap], Trimap | None]] = {
    "noise": np.copy,
    "inverted": lambda trimap: np.where(trimap == UNKNOWN, trimap, FOREGROUND - trimap),
    "no-unknown": lambda trimap: _if_complete(trimap_from_mask(as_shares(trimap), Band())),
    "in-between": np.copy,
}


def _wide(trimap: Trimap) -> list[Finding]:
    share = float((trimap == UNKNOWN).mean())
    text = f"{share:.0%} of the trimap is unknown: paint what is sure white or black, closer to the edge"
    return [Finding("wide", text)] if share > MOST_UNKNOWN else []


def _thin(trimap: Trimap) -> tuple[list[Finding], Trimap]:
    """Look for edges with a band too thin for softness, and lay the usual band along them."""
    height, width = trimap.shape
    pixels = max(2, round(THINNEST * max(height, width)))
    subject, background = trimap == FOREGROUND, trimap == BACKGROUND
    edge = subject & dilate(~subject, 1)
    if not edge.any() or not background.any():
        return [], trimap
    thin = edge & dilate(background, pixels)
    share = float(thin.sum() / edge.sum())
    if share < THIN_EDGE:
        return [], trimap
    text = (
        f"along {share:.0%} of the subject's edge the grey band is under {pixels} pixels wide, too thin for soft edges"
        f" at {width}x{height}: paint it wider"
    )
    close = dilate(thin, max(pixels, *Band().pixels(height, width)))
    mended = _if_complete(np.where(close, np.uint8(UNKNOWN), trimap))
    return [Finding("thin", text, mended is not None)], trimap if mended is None else mended
