"""Open an image by Pillow: check its header before its pixels, and turn every error into one sentence."""

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, PngImagePlugin, UnidentifiedImageError
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, TiffImageFile

from ..errors import ImageError, ResourceError
from ..process.memory import check_room
from ..process.sharing import Shared, silence
from ..storage.paths import spelled
from .exif import described, stored_orientation
from .formats import READABLE
from .frames import seek_picture
from .layers import NoLayerError
from .png import LARGEST_PROFILE, readable
from .tiff import WHITE_IS_ZERO, inverted

__all__ = ["MAX_PIXELS", "ImageInfo", "is_deep", "opened", "tolerant_pillow"]

MAX_PIXELS = 400_000_000  # more than any camera has; a decompression bomb is refused by its header
# Bytes of memory a pixel, until a photograph is as the model wants it; some decoders hold it several times.
_BYTES, _MORE_BYTES, _DEMANDING = 12, 20, ("WEBP", "AVIF", "HEIF", "JPEG2000")
# How many bytes a byte of a file stands for at most, as it is compressed; formats without such a bound are not here.
_DEFLATE = 1032
_EXPANSION = {"PNG": _DEFLATE, "GIF": 4096, "JPEG": 512, "MPO": 512, "BMP": 255, "PPM": 1}
_TIFF_EXPANSION = {"raw": 1, "packbits": 64, "tiff_lzw": 4096, "tiff_adobe_deflate": _DEFLATE, "tiff_deflate": _DEFLATE}
_BYTE_A_PIXEL = ("GIF", "JPEG", "MPO", "BMP")  # at least; others pack up to eight pixels of one channel into a byte


@dataclass(frozen=True)
class ImageInfo:
    """Hold what a file says of its image.

    Attributes:
        orientation: EXIF orientation, 1 to 8.
        left: the orientation that is still to be applied after decoding.
        exif: the rest of the EXIF that a result may carry.
        is_deep: whether the file has 16 bits a channel.
        note: what to tell of a choice among several images.
    """

    orientation: int
    left: int
    exif: bytes | None
    is_deep: bool
    note: str | None = None


@contextmanager
def opened(content: bytes, path: Path, layer: str | None = None) -> Iterator[tuple[Image.Image, ImageInfo]]:
    """Yield a file's decoded image and what the file says of it.

    Of several it is the one that is the picture, or number ``layer``, from 1.

    Raises:
        ImageError: whatever is wrong with the file.
        ResourceError: it needs more memory than is free.
    """
    name = spelled(path, "standard input")
    try:
        with tolerant_pillow(), _identified(io.BytesIO(readable(content))) as image:
            note = seek_picture(image, content, layer)
            _check_size(image, content, name)
            # Before loading, which reading a PNG's EXIF may do: TIFF's own directories are out of reach afterwards.
            deep, stored, exif = is_deep(image), stored_orientation(image.getexif), described(image.getexif)
            image.load()
            _check_numbers(image, name)
            _turn_whites(image)
            # Pillow applies a TIFF's orientation while loading, and then removes the tag.
            left = stored if stored_orientation(image.getexif) == stored else 1
            yield image, ImageInfo(stored, left, exif, deep, note)
    except (ImageError, ResourceError, MemoryError):
        raise
    except NoLayerError as error:
        raise ImageError(f"cannot read {name}: {error}", *error.settings) from error
    except UnidentifiedImageError as error:
        known = ", ".join(READABLE)
        raise ImageError(f"cannot read {name}: it is not an image, or is damaged, or none of {known}") from error
    except Image.DecompressionBombError as error:
        raise _too_large(name) from error
    except Exception as error:  # Pillow's decoders raise nearly every kind on damaged data.
        raise ImageError(f"cannot read {name}: {_reason(error)}") from error


def _identified(file: BinaryIO) -> Image.Image:
    Image.init()
    with suppress(ImportError):  # without the extra HEIF is not mentioned
        import pillow_heif

        pillow_heif.register_heif_opener(thumbnails=False)
    return Image.open(file, formats=[name for name in READABLE if name in Image.OPEN])


def _check_size(image: Image.Image, content: bytes, name: str) -> None:
    """Raise for more pixels than are read, than the file can hold, or than there is memory for."""
    pixels = image.width * image.height
    if pixels > MAX_PIXELS:
        raise _too_large(name)
    kind = image.format or ""
    most = _TIFF_EXPANSION.get(image.info.get("compression", "")) if kind == "TIFF" else _EXPANSION.get(kind)
    packed = 8 if len(image.getbands()) == 1 and kind not in _BYTE_A_PIXEL else 1
    if most is not None and pixels > most * packed * len(content):
        claimed = f"it claims {image.width}x{image.height} pixels, more than a file of its size can hold"
        raise ImageError(f"cannot read {name}: {claimed}: it is damaged or cut short")
    needed = pixels * (_MORE_BYTES if kind in _DEMANDING else _BYTES)
    check_room(needed, f"cannot read {name}: an image of {pixels / 1e6:.0f} megapixels")


def _check_numbers(image: Image.Image, name: str) -> None:
    if image.mode == "F" and not np.isfinite(np.asarray(image)).all():
        numbers = "some pixels are not numbers, or infinite: save it with levels from 0 to 1"
        raise ImageError(f"cannot read {name}: {numbers}")


def _turn_whites(image: Image.Image) -> None:
    """Invert grey of 16 bits and floats where 0 is white: of a TIFF of up to 8 bits Pillow does it."""
    if not isinstance(image, TiffImageFile) or image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) != WHITE_IS_ZERO:
        return
    if image.mode in ("I;16", "F"):
        image.frombytes(inverted(np.asarray(image)).tobytes())


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"the image is damaged or cut short ({' '.join(str(error).split()) or type(error).__name__})"


@contextmanager
def _lifted() -> Iterator[None]:
    limits = Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK
    Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = MAX_PIXELS, LARGEST_PROFILE
    try:
        with silence:
            yield
    finally:
        Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = limits


_TOLERANCE = Shared(_lifted)


def tolerant_pillow() -> Shared:
    """Silence Pillow's warnings and raise its limits, of pixels and profiles, to ours while any thread is inside."""
    return _TOLERANCE


def _too_large(name: str) -> ImageError:
    return ImageError(f"cannot read {name}: it claims more than {MAX_PIXELS // 10**6} million pixels")


def is_deep(image: Image.Image) -> bool:
    """Tell whether a PNG or TIFF that is not yet loaded has 16 bits a channel, of which Pillow returns 8 in colour."""
    if isinstance(image, TiffImageFile):
        return 16 in image.tag_v2.get(BITSPERSAMPLE, ())
    return image.format == "PNG" and any(";16" in str(tile.args) for tile in getattr(image, "tile", ()))
