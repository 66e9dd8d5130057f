"""The photograph that is open, and how it, its trimap and its mattes are shown."""

import base64
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..imaging.read import ColourImage
from ..planning.jobs import Job
from ..planning.sequences import beside
from ..review.images import EncodedImage, EntryImages, encode

__all__ = ["SHOWN_SIDE", "STEP_SIDE", "Picture", "cutout", "reduced"]

SHOWN_SIDE = 4096  # pixels of the longer side of what the page shows at most
STEP_SIDE = 1280  # of the steps, which are replaced within a second or two


@dataclass
class Picture:
    """Hold the photograph that is open.

    Attributes:
        number: which one it is, from 1; a trimap or mask opened for it makes it another.
        image: as it is decoded, at 8 bits.
        trimap: uint8 [H, W] in {0, 128, 255}, before any stroke.
        guide: what the trimap was made of.
        job: the results to save; its trimap is a file of the session's own.
        notes: what is to be known of how files were read.
        saved: what has been saved of it.
    """

    number: int
    image: ColourImage
    trimap: NDArray[np.uint8]
    guide: str
    job: Job
    notes: tuple[str, ...] = ()
    saved: set[Path] = field(default_factory=set)

    @property
    def trimap_output(self) -> Path:
        """Where the trimap is saved."""
        return beside(self.job.output, "trimap", None)

    def shown(self, kind: str) -> EncodedImage:
        """Return the photograph or the trimap as the page shows it, not larger than ``SHOWN_SIDE``."""
        images = EntryImages(image=self.image) if kind == "photo" else EntryImages(trimap=self.trimap)
        (image,) = encode(images, SHOWN_SIDE)
        return image


def reduced(image: ColourImage, longest: int) -> ColourImage:
    """Return an image of no more than ``longest`` pixels a side, to make several cutouts of."""
    small = Image.fromarray(image.pixels)
    small.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return replace(image, pixels=np.asarray(small))


def cutout(image: ColourImage, alpha: NDArray[np.float32], longest: int) -> str:
    """Return the subject as the page shows it, an image in base64."""
    *_, shown = encode(EntryImages(image=image, alpha=alpha), longest)
    return base64.b64encode(shown.content).decode()
