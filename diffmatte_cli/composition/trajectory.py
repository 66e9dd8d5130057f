"""Record the sampler's steps: one image per step, and a sheet of all."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ..errors import DiffmatteError
from ..imaging.colour import quantise
from ..imaging.encoding import Result, encoded
from ..imaging.receipts import Receipt, read_notes, read_receipt, sha256_of
from ..imaging.write import write_file, write_images
from ..planning.dumps import TRAJECTORY, foreign_in, step_name
from ..planning.jobs import Job
from ..storage.atomic import staged_folder
from ..storage.reading import read_bytes

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
        self._digests: list[str] = []
        self._last: LabelledImage | None = None
        self._tiles: list[LabelledImage] = [("photograph", _thumbnail(photo)), ("trimap", _thumbnail(trimap))]

    def add(self, number: int, alpha: NDArray[np.float32]) -> None:
        """Write step ``number`` (from 1), alpha float32 [H, W] in [0, 1]."""
        pixels = quantise(alpha, 8)
        path = self._folder / step_name(number, self._steps)
        content = encoded(Result(path, pixels))
        write_file(path, content)
        self._digests.append(sha256_of(content))
        tile = f"step {number} of {self._steps}", _thumbnail(pixels)
        self._last = None if number in self._shown else tile
        if number in self._shown:
            self._tiles.append(tile)

    def finish(self, receipt: Receipt | None = None) -> None:
        """Write ``trajectory.png``, with the job's receipt and each step's sha256; the last step is always shown."""
        tiles = self._tiles + ([self._last] if self._last else [])
        notes = {"steps": self._digests}
        write_images([Result(self._folder / TRAJECTORY, contact_sheet(tiles), receipt=receipt, notes=notes)])


@contextmanager
def dumping(job: Job, photo: NDArray[np.uint8], trimap: NDArray[np.uint8], steps: int) -> Iterator[StepDump | None]:
    """Yield a dump whose folder appears when the block succeeds; None where the job wants none."""
    if job.dump_dir is None:
        yield None
        return
    with staged_folder(job.dump_dir, within=job.dump_top, keep=foreign_in, overwrite=job.overwrite) as temporary:
        yield StepDump(temporary, photo, trimap, steps)


def is_dump_of(folder: Path, receipt: Receipt) -> bool:
    """Tell whether a folder holds the steps of the job with this receipt, as they were written, and nothing else."""
    sheet, steps = folder / TRAJECTORY, receipt.sampling.steps
    digests = read_notes(sheet).get("steps")
    if digests is None or read_receipt(sheet) != receipt:
        return False
    try:
        there = {path.name: sha256_of(read_bytes(path)) for path in folder.iterdir() if path != sheet}
    except (OSError, DiffmatteError):
        return False
    return there == {step_name(number, steps): digest for number, digest in enumerate(digests, 1)}


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
