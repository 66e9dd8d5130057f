"""Read photographs, trimaps and mattes; write results. Pictures from outside are never trusted."""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from .errors import ImageError, OutputError
from .files import staged_file
from .formats import READABLE, WRITERS, Writer, writer_for
from .orientation import orient, swaps_sides

__all__ = [
    "WRITERS",
    "Grey",
    "Photo",
    "Result",
    "check_fits",
    "quantise",
    "read_grey",
    "read_image",
    "write_images",
]

MAX_PIXELS = 400_000_000  # Larger than any camera's picture; a bomb is refused by its header.
_ORIENTATION_TAG = 0x0112
_MOST_DPI = 1e5  # more is a mistake, and some formats cannot hold it
_USUAL_WHITES = {"I": (255.0, 65535.0, 2.0**31 - 1), "F": (1.0, 255.0, 65535.0)}  # of Pillow's 32-bit grey modes


@dataclass(frozen=True)
class Photo:
    """Hold an upright photograph.

    Attributes:
        pixels: uint8 [H, W, 3], straight colour.
        orientation: EXIF orientation, 1 to 8, that has been applied.
        raw_size: (width, height) before it was.
        icc_profile: the RGB colour profile, where there is one.
        dpi: horizontal and vertical resolution of the upright picture, where known.
    """

    pixels: NDArray[np.uint8]
    orientation: int = 1
    raw_size: tuple[int, int] = (0, 0)
    icc_profile: bytes | None = None
    dpi: tuple[float, float] | None = None


@dataclass(frozen=True)
class Grey:
    """Hold an upright grey picture: ``levels`` float32 [H, W] in [0, 1], and how the file stored it."""

    levels: NDArray[np.float32]
    orientation: int = 1
    raw_size: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Result:
    """Describe one picture to write: alpha float32 [H, W] in [0, 1], or uint8 [H, W] or [H, W, 3 or 4]."""

    path: Path
    pixels: NDArray[Any]
    bits: int = 8
    icc_profile: bytes | None = None
    dpi: tuple[float, float] | None = None


def read_image(path: Path) -> Photo:
    """Read a photograph of any usual kind as upright 8-bit RGB; transparency is ignored, its colour kept.

    Raises:
        ImageError: the file is no picture, damaged, cut short, too large, or cannot be read.
    """
    with _opened(path) as (image, orientation):
        deep = image.mode in _USUAL_WHITES or image.mode.startswith("I;16")
        pixels = _rgb_of_deep_grey(image) if deep else np.asarray(image.convert("RGB"))
        upright = orient(pixels, orientation.left)
        return Photo(upright, orientation.stored, orientation.raw_size, _rgb_profile(image), _dpi(image, orientation))


def read_grey(path: Path) -> Grey:
    """Read a trimap or matte of any usual kind as upright grey levels (colour by luma, without transparency).

    Raises:
        ImageError: as for :func:`read_image`.
    """
    with _opened(path) as (image, orientation):
        return Grey(orient(_levels(image), orientation.left), orientation.stored, orientation.raw_size)


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


def check_fits(path: Path, height: int, width: int) -> None:
    """Raise OutputError when the format that ``path`` asks for cannot hold a picture of this size."""
    limit = writer_for(path).max_side
    if max(height, width) > limit:
        raise OutputError(
            f"cannot write {path}: its format holds at most {limit} pixels a side"
            f" and the picture is {width}x{height}; name the result .png"
        )


def write_images(results: Sequence[Result]) -> None:
    """Write several pictures: each is complete under a temporary name before the first is renamed.

    Raises:
        OutputError: a folder or the disk refuses, or a format cannot hold the picture.
    """
    with ExitStack() as stack:
        for result in results:
            temporary = stack.enter_context(staged_file(result.path))
            temporary.write_bytes(_encode(result))


def _encode(result: Result) -> bytes:
    writer = writer_for(result.path, result.bits)
    check_fits(result.path, *result.pixels.shape[:2])
    pixels = quantise(result.pixels, result.bits) if result.pixels.dtype == np.float32 else result.pixels
    buffer = io.BytesIO()
    try:
        Image.fromarray(pixels).save(buffer, writer.pillow_name, **_save_settings(writer, result))
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot write {result.path}: {error}") from error
    return buffer.getvalue()


def _save_settings(writer: Writer, result: Result) -> dict[str, Any]:
    extra = {"icc_profile": result.icc_profile, "dpi": result.dpi}
    return dict(writer.settings) | {name: value for name, value in extra.items() if value is not None}


@dataclass(frozen=True)
class _Orientation:
    """Say what the file asks for (``stored``), what is ``left`` to do after decoding, and the size before."""

    stored: int
    left: int
    raw_size: tuple[int, int]


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Image.Image, _Orientation]]:
    """Yield the decoded first picture of a file and its orientation, every trouble told as an ImageError."""
    try:
        if path.is_file() and path.stat().st_size == 0:
            raise ImageError(f"cannot read {path}: the file is empty")
        # Opened by name, Pillow maps uncompressed TIFFs into memory in their turned size, and scrambles them.
        with _no_warnings(), path.open("rb") as file, Image.open(file, formats=_readable()) as image:
            _check_size(path, image.size)
            stored = _stored_orientation(image)
            image.load()
            yield image, _orientation_after_loading(image, stored)
    except (ImageError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        known = ", ".join(READABLE)
        raise ImageError(f"cannot read {path}: it is not a picture, or is damaged, or none of {known}") from error
    except Image.DecompressionBombError as error:
        raise _too_large(path) from error
    except Exception as error:  # Pillow's decoders raise nearly every kind on damaged data.
        raise ImageError(f"cannot read {path}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"the picture is damaged or cut short ({str(error) or type(error).__name__})"


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Silence Pillow's warnings and lift its size limit, which counts half of what we allow."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MAX_PIXELS
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _readable() -> list[str]:
    Image.init()
    return [name for name in READABLE if name in Image.OPEN]


def _check_size(path: Path, size: tuple[int, int]) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        raise _too_large(path)


def _too_large(path: Path) -> ImageError:
    return ImageError(f"cannot read {path}: it claims more than {MAX_PIXELS // 10**6} million pixels")


def _stored_orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # Damaged EXIF is no reason to refuse the pixels.
        return 1
    return value if value in range(1, 9) else 1


def _orientation_after_loading(image: Image.Image, stored: int) -> _Orientation:
    # Pillow turns TIFF by itself while loading, and then takes the tag away.
    left = stored if _stored_orientation(image) == stored else 1
    width, height = image.size
    turned_already = left != stored and swaps_sides(stored)
    return _Orientation(stored, left, (height, width) if turned_already else (width, height))


def _levels(image: Image.Image) -> NDArray[np.float32]:
    """Scale one decoded picture to grey levels, float32 [H, W] in [0, 1]."""
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.float32) / np.float32(65535)
    if image.mode in _USUAL_WHITES:
        return _wide_levels(np.asarray(image).astype(np.float64), _USUAL_WHITES[image.mode])
    grey = image if image.mode == "L" else image.convert("RGB").convert("L")
    return np.asarray(grey).astype(np.float32) / np.float32(255)


def _wide_levels(values: NDArray[np.float64], whites: tuple[float, ...]) -> NDArray[np.float32]:
    """Scale values whose white is written nowhere by the smallest usual white that holds them all."""
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    peak = float(values.max(initial=0.0))
    white = next((usual for usual in whites if peak <= usual), peak)
    return np.clip(values / white, 0, 1).astype(np.float32)


def _rgb_of_deep_grey(image: Image.Image) -> NDArray[np.uint8]:
    grey = quantise(_levels(image), 8)
    return np.repeat(grey[..., None], 3, axis=2).astype(np.uint8, copy=False)


def _rgb_profile(image: Image.Image) -> bytes | None:
    """Return the embedded profile if it describes RGB: one of CMYK or grey would be wrong for the result."""
    profile = image.info.get("icc_profile")
    return profile if isinstance(profile, bytes) and profile[16:20] == b"RGB " else None


def _dpi(image: Image.Image, orientation: _Orientation) -> tuple[float, float] | None:
    try:
        across, down = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    if not all(0 < value < _MOST_DPI for value in (across, down)):
        return None
    return (down, across) if swaps_sides(orientation.stored) else (across, down)
