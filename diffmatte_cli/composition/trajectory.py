"""Record the sampler's steps: one image per step, and a sheet of all."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ..imaging.colour import quantise
from ..imaging.encoding import Result
from ..imaging.receipts import Receipt, read_receipt
from ..imaging.write import write_images
from ..planning.dumps import TRAJECTORY, foreign_in, step_name
from ..storage.atomic import staged_folder

__all__ = ["StepDump", "contact_sheet", "dumping", "is_dump_of"]

_TILE = 320  # longest side of one tile, pixels
_LABEL = 22  # height of the line of text above it
_LABEL_WIDTH = 110
_GAP = 8
_MOST_STEPS = 46  # in one sheet; of more, an even selection with the last
_PAPER, _INK = (246, 246, 246), (32, 32, 32)

LabelledImage = tuple[str, Image.Image]


class StepDump:
    """Write each step's alpha into a folder, keeping only thumbnails for the sheet."""

    def __init__(self, folder: Path, photo: NDArray[np.uint8], trimap: NDArray[np.uint8], steps: int) -> None:
        """Start with the photograph uint8 [H, W, 3], the trimap uint8 [H, W] and the number of steps."""
        self._folder = folder
        self._steps = steps
        self._shown = _shown_steps(steps)
        self._last: LabelledImage | None = None
        self._tiles: list[LabelledImage] = [("photograph", _thumbnail(photo)), ("trimap", _thumbnail(trimap))]

    def add(self, number: int, alpha: NDArray[np.float32]) -> None:
        """Write step ``number`` (from 1), alpha float32 [H, W] in [0, 1]."""
        pixels = quantise(alpha, 8)
        write_images([Result(self._folder / step_name(number, self._steps), pixels)])
        tile = f"step {number} of {self._steps}", _thumbnail(pixels)
        self._last = None if number in self._shown else tile
        if number in self._shown:
            self._tiles.append(tile)

    def finish(self, receipt: Receipt | None = None) -> None:
        """Write ``trajectory.png``, with the job's receipt; the last step is always shown."""
        tiles = self._tiles + ([self._last] if self._last else [])
        write_images([Result(self._folder / TRAJECTORY, contact_sheet(tiles), receipt=receipt)])


@contextmanager
def dumping(
    folder: Path | None, top: Path | None, photo: NDArray[np.uint8], trimap: NDArray[np.uint8], steps: int
) -> Iterator[StepDump | None]:
    """Yield a dump whose folder, inside ``top``, appears when the block succeeds; None without a folder."""
    if folder is None:
        yield None
        return
    with staged_folder(folder, within=top, keep=foreign_in) as temporary:
        yield StepDump(temporary, photo, trimap, steps)


def is_dump_of(folder: Path, receipt: Receipt) -> bool:
    """Tell whether a folder holds all steps of the job with this receipt, or the first ones if it may stop early."""
    try:
        there = {path.name for path in folder.iterdir()}
    except OSError:
        return False
    steps = receipt.sampling.steps if receipt.sampling.until_stable is None else len(there) - 1
    names = {TRAJECTORY, *(step_name(number, receipt.sampling.steps) for number in range(1, steps + 1))}
    return there == names and read_receipt(folder / TRAJECTORY) == receipt


def contact_sheet(tiles: list[LabelledImage]) -> NDArray[np.uint8]:
    """Lay out labelled images in rows on a light background; return uint8 [H, W, 3]."""
    columns = _columns(len(tiles))
    width = max(_LABEL_WIDTH, *(image.width for _, image in tiles))
    height = max(image.height for _, image in tiles) + _LABEL
    rows = math.ceil(len(tiles) / columns)
    size = (columns * (width + _GAP) + _GAP, rows * (height + _GAP) + _GAP)
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    for index, (label, image) in enumerate(tiles):
        left, top = _GAP + index % columns * (width + _GAP), _GAP + index // columns * (height + _GAP)
        draw.text((left, top), label, _INK, font=ImageFont.load_default(14))
        sheet.paste(image, (left, top + _LABEL))
    return np.asarray(sheet)


def _columns(count: int) -> int:
    """Choose a row length: one row for a few tiles, a landscape block with a full last row for many."""
    if count <= 4:
        return count
    rows = math.ceil(count / math.ceil(math.sqrt(1.5 * count)))
    return math.ceil(count / rows)


def _shown_steps(steps: int) -> set[int]:
    if steps <= _MOST_STEPS:
        return set(range(1, steps + 1))
    return {round(1 + index * (steps - 1) / (_MOST_STEPS - 1)) for index in range(_MOST_STEPS)}


def _thumbnail(pixels: NDArray[Any]) -> Image.Image:
    """Scale to the tile: large images smoothly down, small ones up by whole pixels."""
    image = Image.fromarray(pixels)
    factor = _TILE / max(image.size)
    if factor >= 1:
        return image.resize((image.width * int(factor), image.height * int(factor)), Image.Resampling.NEAREST)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.BOX)
