"""Run a model over a test set whose true mattes are known."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import ImageError
from ..imaging.colour import as_shares, quantise
from ..imaging.encoding import Result
from ..imaging.grey import GreyImage, read_grey, read_matte
from ..imaging.opening import tolerant_pillow
from ..imaging.read import ColourImage, read_image
from ..imaging.write import write_images
from ..inference.known import settled_alpha
from ..settings import Sampling
from ..trimaps.trimap import fit_to_image, parse_trimap
from .layouts import Example, made_trimap
from .scores import Trial, check_sizes, noted

if TYPE_CHECKING:
    from ..inference.matter import Matter

__all__ = ["check_headers", "kept_at", "save", "trials"]


def trials(
    example: Example, matter: "Matter", samplings: Sequence[Sampling], consistent: bool
) -> Iterator[tuple[int, Trial]]:
    """Yield each sampling's steps with its matte, rounded to 8 bits as if it had been written; encodes once.

    ``consistent`` makes x_t of each step from the true alpha (Appendix A.2), which no real image has. Without
    ``keep_known`` x_t holds predictions where the trimap knows better, too, as in the paper's own evaluation.

    Raises ImageError for a file that cannot be read, and where sizes differ.
    """
    image = read_image(example.image)
    greys = {example.alpha: read_matte(example.alpha)}
    greys |= {} if example.trimap is None else {example.trimap: read_grey(example.trimap)}
    levels = {path: _laid_on(image, grey) for path, grey in greys.items()}
    check_sizes({example.image: image.pixels.shape[:2]} | {path: found.shape for path, found in levels.items()})
    gt = levels[example.alpha]
    trimap = made_trimap(example.name, gt) if example.trimap is None else parse_trimap(levels[example.trimap])
    encoding = matter.encode(image.pixels, trimap)
    for sampling in samplings:
        alpha = quantise(matter.matte(encoding, sampling=sampling, truth=gt if consistent else None), 8)
        settled = settled_alpha(trimap, sampling) is not None
        yield sampling.steps, Trial(example.name, as_shares(alpha), gt, trimap, image.pixels, noted(greys), settled)


def _laid_on(image: ColourImage, grey: GreyImage) -> NDArray[np.float32]:
    """Return the levels [H, W] of an alpha or trimap, turned along with its photograph where only that makes it fit."""
    with suppress(ImageError):
        return fit_to_image(grey, image)
    return grey.levels  # and those who compare sizes name the files


def save(trial: Trial, folder: Path) -> None:
    """Write a predicted alpha as NAME.png of 8 bits; raises OutputError."""
    write_images([Result(kept_at(folder, trial.name), trial.pred)], folder)


def kept_at(folder: Path, name: str) -> Path:
    """Return the path of an image's matte."""
    return folder / f"{name}.png"


def check_headers(examples: Sequence[Example]) -> None:
    """Raise ImageError for the first example whose files have different sizes, as far as their headers tell."""
    for example in examples:
        sizes = {path: size for path in example.files if (size := _header_size(path)) is not None}
        # Sides may be swapped by an orientation, which is known once the image is read.
        if len({tuple(sorted(size)) for size in sizes.values()}) > 1:
            check_sizes(sizes)


def _header_size(path: Path) -> tuple[int, int] | None:
    """Return height and width as they are stored; None where Pillow cannot tell."""
    try:
        with tolerant_pillow(), Image.open(path) as image:
            return image.height, image.width
    except Exception:  # reading it will say what is wrong
        return None
