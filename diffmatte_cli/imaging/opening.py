"""Open an image by Pillow: check its header before its pixels, and turn every error into one sentence."""

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import BITSPERSAMPLE, TiffImageFile

from ..errors import ImageError
from ..process.sharing import Shared, silence
from ..storage.paths import spelled
from .exif import described, stored_orientation
from .formats import READABLE

__all__ = ["MAX_PIXELS", "ImageInfo", "is_deep", "opened", "tolerant_pillow"]

MAX_PIXELS = 400_000_000  # more than any camera has; a decompression bomb is refused by its header


@dataclass(frozen=True)
class ImageInfo:
    """Hold what a file says of its image.

    Attributes:
        orientation: EXIF orientation, 1 to 8.
        left: the orientation that is still to be applied after decoding.
        exif: the rest of the EXIF that a result may carry.
        is_deep: whether the file has 16 bits a channel.
    """

    orientation: int
    left: int
    exif: bytes | None
    is_deep: bool


@contextmanager
def opened(content: bytes, path: Path) -> Iterator[tuple[Image.Image, ImageInfo]]:
    """Yield the decoded first image of a file and what the file says of it; raises ImageError for any failure."""
    name = spelled(path, "standard input")
    try:
        with tolerant_pillow(), _identified(io.BytesIO(content)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise _too_large(name)
            # Before loading, which reading a PNG's EXIF may do: TIFF's own directories are out of reach afterwards.
            deep, stored, exif = is_deep(image), stored_orientation(image.getexif), described(image.getexif)
            image.load()
            if image.mode == "F" and not np.isfinite(np.asarray(image)).all():
                numbers = "some pixels are not numbers, or infinite: save it with levels from 0 to 1"
                raise ImageError(f"cannot read {name}: {numbers}")
            # Pillow applies a TIFF's orientation while loading, and then removes the tag.
            left = stored if stored_orientation(image.getexif) == stored else 1
            yield image, ImageInfo(stored, left, exif, deep)
    except (ImageError, MemoryError):
        raise
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


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"the image is damaged or cut short ({str(error) or type(error).__name__})"


@contextmanager
def _lifted() -> Iterator[None]:
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MAX_PIXELS
    try:
        with silence:
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


_TOLERANCE = Shared(_lifted)


def tolerant_pillow() -> Shared:
    """Silence Pillow's warnings and raise its pixel limit to ours while any thread is inside."""
    return _TOLERANCE


def _too_large(name: str) -> ImageError:
    return ImageError(f"cannot read {name}: it claims more than {MAX_PIXELS // 10**6} million pixels")


def is_deep(image: Image.Image) -> bool:
    """Tell whether a PNG or TIFF that is not yet loaded has 16 bits a channel, of which Pillow returns 8 in colour."""
    if isinstance(image, TiffImageFile):
        return 16 in image.tag_v2.get(BITSPERSAMPLE, ())
    return image.format == "PNG" and any(";16" in str(tile.args) for tile in getattr(image, "tile", ()))
