"""Read photographs, trimaps and mattes. Pictures from outside are never trusted."""

import io
import select
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from . import remotes, vfx
from .colour import as_shares, quantise, to_srgb
from .errors import ImageError
from .exif import described, stored_orientation
from .extras import install, is_installed
from .formats import READABLE
from .locations import STREAM, spelled
from .orientation import orient, swaps_sides

__all__ = [
    "Grey",
    "Photo",
    "decode_grey",
    "decode_image",
    "decode_opacity",
    "read_bytes",
    "read_grey",
    "read_image",
    "tolerant_pillow",
]

MAX_PIXELS = 400_000_000  # Larger than any camera's picture; a bomb is refused by its header.
CHUNK = 2**20
PATIENCE = 0.2  # seconds
MAX_BYTES = 4 * 2**30  # More than such a picture takes in any depth; what a pipe brings has no other end.
_MOST_DPI = 1e5  # more is a mistake, and some formats cannot hold it
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_LOST = f"its 16 bits a channel are read as 8: all of them are read with {install('vfx')}"
_LUMA = (0.299, 0.587, 0.114)  # as Pillow weighs colours
_USUAL_WHITES = {"I": (255.0, 65535.0, 2.0**31 - 1), "F": (1.0, 255.0, 65535.0)}  # of Pillow's 32-bit grey modes


@dataclass(frozen=True)
class Photo:
    """Hold an upright photograph.

    Attributes:
        pixels: uint8 [H, W, 3], straight colour as a screen shows it: what the model sees.
        orientation: EXIF orientation, 1 to 8, that has been applied.
        raw_size: (width, height) before it was.
        icc_profile: the RGB colour profile, where there is one.
        dpi: horizontal and vertical resolution of the upright picture, where known.
        exif: what EXIF says of the picture and its taking, its orientation reset, where there is any.
        deep: uint16 or float32 [H, W, 3], the same with all that the file holds, where that is more.
        linear: whether ``deep`` is linear light; sRGB, or what the profile says, otherwise.
        header: what a result in EXR keeps of an EXR's header.
        notes: what the user should know of how it was read.
    """

    pixels: NDArray[np.uint8]
    orientation: int = 1
    raw_size: tuple[int, int] = (0, 0)
    icc_profile: bytes | None = None
    dpi: tuple[float, float] | None = None
    exif: bytes | None = None
    deep: NDArray[Any] | None = None
    linear: bool = False
    header: vfx.Attributes = ()
    notes: tuple[str, ...] = ()

    @property
    def colour(self) -> NDArray[Any]:
        """The pixels with all that the file holds."""
        return self.pixels if self.deep is None else self.deep


@dataclass(frozen=True)
class Grey:
    """Hold an upright grey picture: ``levels`` float32 [H, W] in [0, 1], and how the file stored it."""

    levels: NDArray[np.float32]
    orientation: int = 1
    raw_size: tuple[int, int] = (0, 0)


def read_bytes(path: Path, check: Callable[[], None] = lambda: None) -> bytes:
    """Read a whole picture file, or standard input for ``STREAM``.

    While nothing comes from standard input, ``check`` is called now and then: it may raise to end the waiting.

    Raises:
        ImageError: it is empty, beyond 4 GiB, or cannot be read.
    """
    name = spelled(path, "standard input")
    try:
        if path == STREAM:
            content = _from_stdin(check)
        elif remotes.is_remote(path):
            content = remotes.read(path, MAX_BYTES)
        elif path.exists() and not path.is_file():
            raise ImageError(f"cannot read {name}: it is not a file")
        else:
            with path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ImageError(f"cannot read {name}: {error.strerror or error}") from error
    if not content:
        raise ImageError(f"cannot read {name}: {'nothing came' if path == STREAM else 'the file is empty'}")
    if len(content) > MAX_BYTES:
        raise ImageError(f"cannot read {name}: it is larger than {MAX_BYTES // 2**30} GiB")
    return content


def _from_stdin(check: Callable[[], None]) -> bytes:
    parts, size = [], 0
    while size <= MAX_BYTES:
        while not _has_come(sys.stdin.buffer):
            check()
        part = sys.stdin.buffer.read1(CHUNK)  # type: ignore[union-attr]
        if not part:
            break
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _has_come(stream: BinaryIO) -> bool:
    """Wait a little for something to read; what cannot be waited for is read at once."""
    try:
        return bool(select.select([stream], [], [], PATIENCE)[0])
    except (OSError, ValueError):  # no pipe, or a system that waits for sockets only
        return True


def read_image(path: Path) -> Photo:
    """Read a photograph's file; see :func:`decode_image`."""
    return decode_image(read_bytes(path), path)


def read_grey(path: Path) -> Grey:
    """Read a trimap's or matte's file; see :func:`decode_grey`."""
    return decode_grey(read_bytes(path), path)


def decode_image(content: bytes, path: Path, space: str = "auto") -> Photo:
    """Decode a photograph of any usual kind as upright RGB; transparency is ignored, its colour kept.

    ``path`` is its name in messages. ``space`` is one of ``INPUT_SPACES``: "auto" takes EXR as linear light unless it
    says otherwise, and all others as sRGB.

    Raises:
        ImageError: the content is no picture, damaged, cut short, or too large.
    """
    if _is_beyond_pillow(content):
        deep = _deep(content, path)
        linear = content.startswith(vfx.EXR) if deep.linear is None else deep.linear
        return replace(_photo(_rgb(deep, path), linear, space), header=deep.kept)
    with _opened(content, path) as (image, orientation):
        has_more = orientation.is_deep or image.mode.startswith("I;16")
        readable = has_more and is_installed("vfx")
        pixels = _deep_pixels(content, path, orientation) if readable else _rgb_pixels(image, orientation)
        return replace(
            _photo(pixels, False, space),
            orientation=orientation.stored,
            raw_size=orientation.raw_size,
            icc_profile=_rgb_profile(image),
            dpi=_dpi(image, orientation),
            exif=orientation.description,
            notes=(_LOST,) if has_more and not readable else (),
        )


def _rgb_pixels(image: Image.Image, orientation: "_Orientation") -> NDArray[np.uint8]:
    """Return a decoded picture upright, uint8 [H, W, 3]."""
    deep_grey = image.mode in _USUAL_WHITES or image.mode.startswith("I;16")
    pixels = _rgb_of_deep_grey(image) if deep_grey else np.asarray(image.convert("RGB"))
    return orient(pixels, orientation.left)


def _deep_pixels(content: bytes, path: Path, orientation: "_Orientation") -> NDArray[Any]:
    """Return a picture upright with all its bits, uint16 or float32 [H, W, 3]."""
    return orient(_rgb(_deep(content, path), path), orientation.stored)


def _photo(pixels: NDArray[Any], linear: bool, space: str) -> Photo:
    """Make a photograph of upright [H, W, 3], and what the model sees of it."""
    size = pixels.shape[1], pixels.shape[0]
    if linear if space == "auto" else space == "linear":
        light = as_shares(pixels)
        return Photo(quantise(to_srgb(light), 8), raw_size=size, deep=light, linear=True)  # type: ignore[arg-type]
    if pixels.dtype == np.uint8:
        return Photo(pixels, raw_size=size)
    if pixels.dtype == np.uint16:  # cut off, as Pillow does: the same matte with and without the extra
        return Photo((pixels >> 8).astype(np.uint8), raw_size=size, deep=pixels)
    return Photo(quantise(as_shares(pixels), 8), raw_size=size, deep=pixels)  # type: ignore[arg-type]


def _is_beyond_pillow(content: bytes) -> bool:
    """Tell EXR, and the kinds of TIFF that Pillow does not know, like floating-point colour."""
    if content.startswith(TIFF):
        try:
            with tolerant_pillow(), Image.open(io.BytesIO(content), formats=["TIFF"]):
                return False
        except UnidentifiedImageError:
            return is_installed("vfx")
        except Exception:
            return False
    return content.startswith(vfx.EXR)


def _deep(content: bytes, path: Path) -> vfx.Deep:
    name = spelled(path, "standard input")
    if not is_installed("vfx"):
        raise ImageError(f"cannot read {name}: OpenEXR needs an extra: {install('vfx')}")
    try:
        return vfx.read(content, MAX_PIXELS)
    except vfx.DamagedError as error:
        raise ImageError(f"cannot read {name}: {error}") from error


def _rgb(deep: vfx.Deep, path: Path) -> NDArray[Any]:
    """Return the colour [H, W, 3] of a picture with named channels; grey three times."""
    planes = deep.colour()
    if not planes:
        raise ImageError(f"cannot read {spelled(path, 'standard input')}: it has no channels R, G and B, nor Y")
    return np.stack(planes, axis=-1)


def decode_grey(content: bytes, path: Path) -> Grey:
    """Decode a trimap or matte of any usual kind as upright grey levels (colour by luma, without transparency).

    Raises:
        ImageError: as for :func:`decode_image`.
    """
    if _is_beyond_pillow(content):
        return _grey(_rgb(_deep(content, path), path) @ np.array(_LUMA, np.float32))
    with _opened(content, path) as (image, orientation):
        return Grey(orient(_levels(image), orientation.left), orientation.stored, orientation.raw_size)


def decode_opacity(content: bytes, path: Path) -> Grey | None:
    """Decode a picture's alpha channel as upright grey levels; None where it has no transparency.

    Raises:
        ImageError: as for :func:`decode_image`.
    """
    if _is_beyond_pillow(content):
        alpha = _deep(content, path).channels.get("A")
        return None if alpha is None else _grey(alpha)
    with _opened(content, path) as (image, orientation):
        if not image.has_transparency_data:
            return None
        opacity = image.convert("RGBA").getchannel("A")
        return Grey(orient(_levels(opacity), orientation.left), orientation.stored, orientation.raw_size)


def _grey(plane: NDArray[Any]) -> Grey:
    return Grey(as_shares(plane).clip(0, 1), raw_size=(plane.shape[1], plane.shape[0]))


@dataclass(frozen=True)
class _Orientation:
    """Say what the file asks for (``stored``), what is ``left`` to do after decoding, and the size before.

    ``description`` is the rest of its EXIF; ``is_deep`` says that it has colour of 16 bits a channel.
    """

    stored: int
    left: int
    raw_size: tuple[int, int]
    description: bytes | None
    is_deep: bool


@contextmanager
def _opened(content: bytes, path: Path) -> Iterator[tuple[Image.Image, _Orientation]]:
    """Yield the decoded first picture of a file and its orientation, every trouble told as an ImageError."""
    name = spelled(path, "standard input")
    try:
        with tolerant_pillow(), _identified(io.BytesIO(content)) as image:
            _check_size(name, image.size)
            # Before loading: what TIFF keeps in folders of its own is out of reach afterwards.
            stored, description = stored_orientation(image.getexif), described(image.getexif)
            is_deep = is_deep_colour(image)
            image.load()
            yield image, _orientation_after_loading(image, stored, description, is_deep)
    except (ImageError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        known = ", ".join(READABLE)
        raise ImageError(f"cannot read {name}: it is not a picture, or is damaged, or none of {known}") from error
    except Image.DecompressionBombError as error:
        raise _too_large(name) from error
    except Exception as error:  # Pillow's decoders raise nearly every kind on damaged data.
        raise ImageError(f"cannot read {name}: {_reason(error)}") from error


def _identified(file: BinaryIO) -> Image.Image:
    Image.init()
    with suppress(ImportError):  # an extra: nothing is said of HEIF where it is not there
        import pillow_heif

        pillow_heif.register_heif_opener(thumbnails=False)
    return Image.open(file, formats=[name for name in READABLE if name in Image.OPEN])


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"the picture is damaged or cut short ({str(error) or type(error).__name__})"


@contextmanager
def tolerant_pillow() -> Iterator[None]:
    """Silence Pillow's warnings and lift its size limit, which counts half of what we allow."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MAX_PIXELS
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _check_size(name: str, size: tuple[int, int]) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        raise _too_large(name)


def _too_large(name: str) -> ImageError:
    return ImageError(f"cannot read {name}: it claims more than {MAX_PIXELS // 10**6} million pixels")


def is_deep_colour(image: Image.Image) -> bool:
    """Tell whether a picture that is not yet loaded has 16 bits a channel, of which Pillow gives 8."""
    tiles = getattr(image, "tile", ())
    return any(";16" in str(tile.args) for tile in tiles) and not image.mode.startswith("I")


def _orientation_after_loading(
    image: Image.Image, stored: int, description: bytes | None, is_deep: bool
) -> _Orientation:
    # Pillow turns TIFF by itself while loading, and then takes the tag away.
    left = stored if stored_orientation(image.getexif) == stored else 1
    width, height = image.size
    turned_already = left != stored and swaps_sides(stored)
    return _Orientation(stored, left, (height, width) if turned_already else (width, height), description, is_deep)


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
    if image.mode.startswith("I;16"):  # cut off like colour of 16 bits
        grey = (np.asarray(image) >> 8).astype(np.uint8)
    else:
        grey = np.rint(_levels(image) * np.float32(255)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


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
