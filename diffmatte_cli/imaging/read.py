"""Read photographs. Files from outside are never trusted."""

import io
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import COMPRESSION, EXTRASAMPLES, PLANAR_CONFIGURATION, TiffImageFile

from ..errors import ImageError
from ..extras import install, is_installed
from ..storage.paths import spelled
from ..storage.reading import read_bytes
from . import oiio
from .colour import as_shares, quantise, to_srgb
from .levels import usual_shares
from .opening import MAX_PIXELS, is_deep, opened, tolerant_pillow
from .orientation import orient, swaps_sides

__all__ = ["ColourImage", "decode_deep", "decode_image", "is_beyond_pillow", "read_image", "reads_deep", "rgb_of"]

_MOST_DPI = 1e5  # more is a mistake, and some formats cannot store it
_LOST = f"its 16 bits a channel are read as 8: all are read with {install('vfx')}"
_UNKNOWN_SPACE = "its colour space {} is not known, so it is taken as linear light: give its input space otherwise"
_APART, _NONE, _ASSOCIATED = 2, 1, 1  # of a TIFF's planes, compression and extra samples


@dataclass(frozen=True)
class ColourImage:
    """Hold an upright photograph.

    Attributes:
        pixels: uint8 [H, W, 3], straight colour for a screen: the model's input.
        orientation: EXIF orientation, 1 to 8, that has been applied.
        icc_profile: the RGB colour profile, if there is one.
        dpi: horizontal and vertical resolution of the upright image, if known.
        exif: tags of the image and its exposure, with the orientation reset, if there are any.
        deep: uint16 or float32 [H, W, 3], the same colour at the file's own depth, where that is more than 8 bits.
        linear: whether ``deep`` is linear light; otherwise sRGB, or as the profile says.
        header: what a result in EXR keeps of an EXR's header.
        notes: what the user should know about how it was read.
    """

    pixels: NDArray[np.uint8]
    orientation: int = 1
    icc_profile: bytes | None = None
    dpi: tuple[float, float] | None = None
    exif: bytes | None = None
    deep: NDArray[Any] | None = None
    linear: bool = False
    header: oiio.Header = field(default_factory=oiio.Header)
    notes: tuple[str, ...] = ()

    @property
    def colour(self) -> NDArray[Any]:
        """The pixels at the file's own depth."""
        return self.pixels if self.deep is None else self.deep


def read_image(path: Path) -> ColourImage:
    """Read a photograph; see :func:`decode_image`."""
    return decode_image(read_bytes(path), path)


def decode_image(content: bytes, path: Path, space: str = "auto") -> ColourImage:
    """Decode a photograph of any usual format as upright RGB; transparency is ignored, its colour kept.

    ``path`` is its name in messages. ``space`` is one of ``INPUT_SPACES``: "auto" takes EXR for linear light unless it
    says otherwise, and all other formats for sRGB.

    Raises:
        ImageError: the content is not an image, damaged, cut short, or too large.
    """
    if is_beyond_pillow(content):
        deep = decode_deep(content, path)
        linear = content.startswith(oiio.EXR) if deep.linear is None else deep.linear
        return replace(
            _colour_image(orient(rgb_of(deep, path), deep.orientation), linear, space),
            orientation=deep.orientation,
            icc_profile=_of_rgb(deep.icc_profile),
            dpi=_turned(deep.dpi, deep.orientation),
            header=deep.header,
            notes=(_UNKNOWN_SPACE.format(deep.space),) if deep.space and deep.linear is None else (),
        )
    with opened(content, path) as (image, info):
        readable = info.is_deep and is_installed("vfx")
        pixels = _deep_pixels(content, path, image) if readable else _rgb_pixels(image)
        return replace(
            _colour_image(orient(pixels, info.orientation if readable else info.left), False, space),
            orientation=info.orientation,
            icc_profile=_of_rgb(image.info.get("icc_profile")),
            dpi=_turned(_dpi(image), info.orientation),
            exif=info.exif,
            notes=(_LOST,) if info.is_deep and not readable else (),
        )


def reads_deep(content: bytes) -> bool:
    """Tell from a photograph's header whether more than 8 bits a channel would be read."""
    with suppress(Exception), tolerant_pillow():
        if is_beyond_pillow(content):
            return True
        with Image.open(io.BytesIO(content), formats=["PNG", "TIFF"]) as image:
            return is_deep(image) and is_installed("vfx")
    return False


def _rgb_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """Return a decoded image's colour, uint8 [H, W, 3]."""
    if image.mode.startswith("I;16"):  # truncated like 16-bit colour
        grey = (np.asarray(image) >> 8).astype(np.uint8)
    elif image.mode in ("I", "F"):
        grey = quantise(usual_shares(np.asarray(image)), 8)
    else:
        return np.asarray(image.convert("RGB"))
    return np.repeat(grey[..., None], 3, axis=2)


def _deep_pixels(content: bytes, path: Path, image: Image.Image) -> NDArray[Any]:
    """Return an image's colour at its own depth, not yet turned, uint16 or float32 [H, W, 3]."""
    # A TIFF says what its fourth channel is; otherwise it is not an alpha.
    said = image.tag_v2.get(EXTRASAMPLES, ()) if isinstance(image, TiffImageFile) else ()
    return rgb_of(decode_deep(content, path, associated=_ASSOCIATED in said[:1]), path)


def _colour_image(pixels: NDArray[Any], linear: bool, space: str) -> ColourImage:
    """Make a photograph of upright colour [H, W, 3]."""
    if linear if space == "auto" else space == "linear":
        light = as_shares(pixels)
        return ColourImage(quantise(to_srgb(light), 8), deep=light, linear=True)
    if pixels.dtype == np.uint8:
        return ColourImage(pixels)
    if pixels.dtype == np.uint16:  # truncated as by Pillow: the same matte with and without the extra
        return ColourImage((pixels >> 8).astype(np.uint8), deep=pixels)
    return ColourImage(quantise(as_shares(pixels), 8), deep=pixels)


def is_beyond_pillow(content: bytes) -> bool:
    """Tell whether Pillow cannot read a file: EXR, and TIFF that it does not know or takes for another kind."""
    if not content.startswith(oiio.TIFF):
        return content.startswith(oiio.EXR)
    try:
        with tolerant_pillow(), TiffImageFile(io.BytesIO(content)) as image:
            tags = image.tag_v2
            in_planes = tags.get(PLANAR_CONFIGURATION) == _APART and tags.get(COMPRESSION) == _NONE
            return in_planes and is_deep(image)
    except SyntaxError:  # Pillow's way to say so
        return True
    except Exception:
        return False


def decode_deep(content: bytes, path: Path, associated: bool | None = None) -> oiio.Deep:
    """Decode a file by OpenImageIO, not yet turned; ``associated`` as for ``oiio.read``.

    Raises:
        ImageError: the content is damaged, cut short or too large, or the extra is missing.
    """
    name = spelled(path, "standard input")
    if not is_installed("vfx"):
        kind = "OpenEXR" if content.startswith(oiio.EXR) else "it is damaged, or a kind of TIFF that"
        raise ImageError(f"cannot read {name}: {kind} needs an extra: {install('vfx')}")
    try:
        return oiio.read(content, MAX_PIXELS, associated=associated)
    except oiio.DamagedError as error:
        raise ImageError(f"cannot read {name}: {error}") from error
    except OSError as error:
        raise ImageError(f"cannot read {name} by way of a temporary file: {error.strerror or error}") from error


def rgb_of(deep: oiio.Deep, path: Path) -> NDArray[Any]:
    """Return the colour [H, W, 3] of named channels; grey three times."""
    planes = [deep.channels[name] for name in ("RGB" if "R" in deep.channels else "YYY") if name in deep.channels]
    if not planes:
        raise ImageError(f"cannot read {spelled(path, 'standard input')}: it has no channels R, G and B, nor Y")
    return np.stack(planes, axis=-1)


def _of_rgb(profile: Any) -> bytes | None:
    """Return an embedded profile if it is of RGB: one of CMYK or grey would be wrong for the result."""
    return profile if isinstance(profile, bytes) and profile[16:20] == b"RGB " else None


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    with suppress(KeyError, TypeError, ValueError, ZeroDivisionError):
        across, down = (float(value) for value in image.info["dpi"])
        if 0 < across < _MOST_DPI and 0 < down < _MOST_DPI:
            return across, down
    return None


def _turned(dpi: tuple[float, float] | None, orientation: int) -> tuple[float, float] | None:
    return dpi[::-1] if dpi and swaps_sides(orientation) else dpi
