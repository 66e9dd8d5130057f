"""Write results: alpha mattes, cutouts and trimaps, each all at once, with the receipt of how it was made."""

import io
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .errors import OutputError
from .files import staged_file
from .formats import WRITERS, Writer, writer_for
from .locations import STREAM, is_inside, spelled
from .receipts import Receipt, embedded
from .remotes import is_remote, putting

__all__ = ["Result", "check_fits", "quantise", "write_images"]


@dataclass(frozen=True)
class Result:
    """Describe one picture to write: alpha float32 [H, W] in [0, 1], or uint8 [H, W] or [H, W, 3 or 4].

    ``format`` is a key of ``WRITERS``; without one the ending of ``path`` says it. The file may not lie outside
    ``within``, nor replace another without ``overwrite``.
    """

    path: Path
    pixels: NDArray[Any]
    bits: int = 8
    icc_profile: bytes | None = None
    dpi: tuple[float, float] | None = None
    exif: bytes | None = None
    receipt: Receipt | None = None
    format: str | None = None
    within: Path | None = None
    overwrite: bool = True

    @property
    def writer(self) -> Writer:
        """The format's record; raises UsageError for an ending without one, or a depth that it lacks."""
        return WRITERS[self.format] if self.format else writer_for(self.path, self.bits)


def quantise(alpha: NDArray[np.float32], bits: int) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Round alpha [H, W] in [0, 1] to the nearest of 2**bits levels (8 or 16).

    Raises:
        OutputError: some value is not a number.
    """
    if not np.isfinite(alpha).all():
        raise OutputError("the computed alpha holds values that are not numbers, so nothing was written")
    kind = np.uint8 if bits == 8 else np.uint16
    scaled: NDArray[Any] = np.rint(np.clip(alpha, 0, 1) * np.float32(2**bits - 1)).astype(kind)
    return scaled


def check_fits(path: Path, writer: Writer, height: int, width: int) -> None:
    """Raise OutputError when a format cannot hold a picture of this size."""
    limit = writer.max_side
    if max(height, width) > limit:
        raise OutputError(
            f"cannot write {spelled(path, 'standard output')}: its format holds at most {limit} pixels a side"
            f" and the picture is {width}x{height}; name the result .png"
        )


def write_images(results: Sequence[Result]) -> None:
    """Write several pictures: each is complete under a temporary name before the first is renamed, or sent to a URL.

    A result for ``STREAM`` goes to standard output. Folders that are missing are made.

    Raises:
        OutputError: a folder or the disk refuses, or a format cannot hold the picture.
        BrokenPipeError: nobody reads standard output.
    """
    with ExitStack() as stack:
        for result in results:
            content = _encode(result)
            if result.path == STREAM:
                _write_to_stdout(content)
            elif is_remote(result.path):
                stack.enter_context(putting(result.path, content, overwrite=result.overwrite))
            else:
                _make_folder(result.path, result.within)
                staged = staged_file(result.path, within=result.within, overwrite=result.overwrite)
                stack.enter_context(staged).write_bytes(content)


def _write_to_stdout(content: bytes) -> None:
    rest = memoryview(content)
    while rest:  # unbuffered, as with PYTHONUNBUFFERED, one call writes what the pipe has room for
        rest = rest[sys.stdout.buffer.write(rest) :]
    sys.stdout.buffer.flush()


def _make_folder(path: Path, within: Path | None) -> None:
    if within is not None and not is_inside(path.parent, within):
        raise OutputError(f"cannot write {path}: a link leads it out of {within}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {path.parent}: {error.strerror}") from error


def _encode(result: Result) -> bytes:
    check_fits(result.path, result.writer, *result.pixels.shape[:2])
    pixels = quantise(result.pixels, result.bits) if result.pixels.dtype == np.float32 else result.pixels
    buffer, picture = io.BytesIO(), Image.fromarray(pixels)
    try:
        picture.save(buffer, result.writer.pillow_name, **_save_settings(result, picture))
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot write {spelled(result.path, 'standard output')}: {error}") from error
    return buffer.getvalue()


def _save_settings(result: Result, picture: Image.Image) -> dict[str, Any]:
    extra = {"icc_profile": result.icc_profile, "dpi": result.dpi}
    kept = {name: value for name, value in extra.items() if value is not None}
    text = result.receipt.for_picture(picture) if result.receipt else None
    return {**result.writer.settings, **kept, **embedded(text, result.exif, result.writer.pillow_name)}
