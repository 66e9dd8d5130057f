"""What a trimap is begun with: another trimap, a mask, or nothing."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..imaging.grey import read_grey, read_matte
from ..imaging.read import ColourImage
from ..inference.known import fit_trimap
from ..trimaps.band import Band
from ..trimaps.masks import fit_mask, trimap_from_mask
from ..trimaps.trimap import BACKGROUND, diagnose, parse_trimap

__all__ = ["KINDS", "Guide", "trimap_of_guide"]

KINDS = ("trimap", "mask")


@dataclass(frozen=True)
class Guide:
    """A file to begin a trimap with: ``kind`` is one of ``KINDS``."""

    kind: str
    path: Path


def trimap_of_guide(guide: Guide | None, image: ColourImage) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Return the trimap, uint8 [H, W] in {0, 128, 255}, to paint a photograph's on, and what to know of it.

    A mask of another size is scaled to the photograph's. Without a guide all is background, so that a loop
    round the subject and one round its inside make a trimap.

    Raises ImageError for a file that cannot be read, or a trimap of another size.
    """
    shape = image.pixels.shape[:2]
    if guide is None:
        return np.full(shape, BACKGROUND, np.uint8), ()
    if guide.kind == "mask":
        mask = read_matte(guide.path)
        levels, scaled = fit_mask(mask, image)
        notes = (*mask.notes, *([scaled] if scaled else []))
        return trimap_from_mask(levels, Band()), tuple(f"the mask {note}" for note in notes)
    grey = read_grey(guide.path)
    levels = fit_trimap(grey, image)
    trimap = parse_trimap(levels)
    found = (finding.text for finding in diagnose(levels, trimap))
    return trimap, (*(f"the trimap {note}" for note in grey.notes), *found)
