"""Read photographs. Files from outside are never trusted."""

import io
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from ..errors import ImageError, ResourceError
from ..extras import install, is_installed
from ..storage.paths import spelled
from ..storage.reading import read_bytes
from . import oiio
from .colour import as_shares, quantise, to_srgb
from .exr import EXR, DamagedError
from .frames import pages_told, seek_picture
from .layers import NoLayerError
from .levels import usual_shares
from .opening import MAX_PIXELS, is_deep, opened, tolerant_pillow
from .orientation import orient, swaps_sides
from .png import PNG, colour_chunks, readable
from .tiff import TIFF, Page, inverted, page_of

__all__ = ["ColourImage", "decode_deep", "decode_image", "is_beyond_pillow", "read_image", "reads_deep", "rgb_of"]
__all__ += ["rgb_pixels"]

_MOST_DPI = 1e5  # more is a mistake, and some formats cannot store it
_LOST = f"its 16 bits a channel are read as 8: all are read with {install('vfx')}"
_UNKNOWN_SPACE = "its colour space {} is not known, so it is taken as linear light: give its input space otherwise"


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
        chunks: what a PNG says of its colour beside a profile, see ``png.colour_chunks``.
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
    chunks: Mapping[bytes, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def colour(self) -> NDArray[Any]:
        """The pixels at the file's own depth."""
        return self.pixels if self.deep is None else self.deep


def read_image(path: Path) -> ColourImage:
    """Read a photograph; see :func:`decode_image`."""
    return decode_image(read_bytes(path), path)


def decode_image(content: bytes, path: Path, space: str = "auto", layer: str | None = None) -> ColourImage:
    """Decode a photograph of any usual format as upright RGB; transparency is ignored, its colour kept.

    ``path`` is its name in messages. ``space`` is one of ``INPUT_SPACES``: "auto" takes EXR for linear light unless it
    says otherwise, and all other formats for sRGB. ``layer`` chooses where a file holds several pictures: an EXR's
    layer or part by its name, a page or frame by its number, from 1; None for what the file says is its picture.

    Raises:
        ImageError: the content is not an image, damaged, cut short, or too large, or there is no such layer.
        ResourceError: it needs more memory than is free.
    """
    if is_beyond_pillow(content, layer):
        deep = decode_deep(content, path, layer=layer)
        linear = content.startswith(EXR) if deep.linear is None else deep.linear
        unknown = _UNKNOWN_SPACE.format(deep.space) if deep.space and deep.linear is None else None
        return replace(
            _colour_image(orient(rgb_of(deep, path), deep.orientation), linear, space),
            orientation=deep.orientation,
            icc_profile=_of_rgb(deep.icc_profile),
            dpi=_turned(deep.dpi, deep.orientation),
            header=deep.header,
            notes=_notes(deep.note, unknown),
        )
    with opened(content, path, layer) as (image, info):
        whole = info.is_deep and is_installed("vfx")
        pixels = rgb_of(decode_deep(content, path, layer=layer), path) if whole else rgb_pixels(image)
        return replace(
            _colour_image(orient(pixels, info.orientation if whole else info.left), False, space),
            orientation=info.orientation,
            icc_profile=_of_rgb(image.info.get("icc_profile")),
            dpi=_turned(_dpi(image), info.orientation),
            exif=info.exif,
            chunks=colour_chunks(readable(content)),
            notes=_notes(info.note, _LOST if info.is_deep and not whole else None),
        )


def _notes(*texts: str | None) -> tuple[str, ...]:
    return tuple(text for text in texts if text)


def reads_deep(content: bytes, layer: str | None = None) -> bool:
    """Tell from a photograph's header whether more than 8 bits a channel would be read."""
    with suppress(Exception), tolerant_pillow():
        if is_beyond_pillow(content, layer):
            return True
        with Image.open(io.BytesIO(readable(content)), formats=["PNG", "TIFF"]) as image:
            seek_picture(image, content, layer)
            return is_deep(image) and is_installed("vfx")
    return False


def rgb_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """Return a decoded image's colour, uint8 [H, W, 3]."""
    if image.mode.startswith("I;16"):  # truncated like 16-bit colour
        grey = (np.asarray(image) >> 8).astype(np.uint8)
    elif image.mode in ("I", "F"):
        grey = quantise(usual_shares(np.asarray(image)), 8)
    else:
        return np.asarray(image.convert("RGB"))
    return np.repeat(grey[..., None], 3, axis=2)


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


def is_beyond_pillow(content: bytes, layer: str | None = None) -> bool:
    """Tell whether Pillow cannot read a file: EXR, and TIFF that it does not know or takes for another kind."""
    if not content.startswith(TIFF):
        return content.startswith(EXR)
    try:
        page, _ = page_of(content, layer)
        with tolerant_pillow(), TiffImageFile(io.BytesIO(content)) as image:
            image.seek(page.place)
            return page.in_planes and page.is_deep
    except SyntaxError:  # Pillow's way to say so
        return True
    except Exception:
        return False


def decode_deep(
    content: bytes,
    path: Path,
    *,
    layer: str | None = None,
    channel: str | None = None,
    data: bool = False,
    associated: bool | None = None,
) -> oiio.Deep:
    """Decode a file by OpenImageIO, not yet turned; see ``decode_image`` and ``oiio.read``.

    Raises:
        ImageError: the content is damaged, cut short or too large, or the extra is missing.
        ResourceError: it needs more memory than is free.
    """
    name = spelled(path, "standard input")
    try:
        page, count = page_of(content, layer) if content.startswith(TIFF) else (Page(), 1)
        if page.unread:
            raise DamagedError(f"its colours are stored as {page.unread}, which is not read: save it as RGB")
        if not is_installed("vfx"):
            kind = "OpenEXR" if content.startswith(EXR) else "it is damaged, or a kind of TIFF that"
            raise DamagedError(f"{kind} needs an extra: {install('vfx')}")
        named = channel if data else layer if content.startswith(EXR) else None
        if associated is None and (page.is_deep or content.startswith(PNG)):
            associated = page.is_associated
        deep = oiio.read(readable(content), MAX_PIXELS, page=page.place, name=named, data=data, associated=associated)
        if page.has_zero_white:
            channels = {name: plane if name == "A" else inverted(plane) for name, plane in deep.channels.items()}
            deep = replace(deep, channels=channels)
        return deep if layer or count < 2 else replace(deep, note=pages_told(page.place, count))
    except NoLayerError as error:
        raise ImageError(f"cannot read {name}: {error}", *error.settings) from error
    except DamagedError as error:
        raise ImageError(f"cannot read {name}: {error}") from error
    except ResourceError as error:
        raise ResourceError(f"cannot read {name}: {error}") from error
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
