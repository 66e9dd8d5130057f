"""Read trimaps, masks and mattes: grey that is data, not colour. Files from outside are never trusted."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import BITSPERSAMPLE, EXTRASAMPLES, SAMPLEFORMAT, TiffImageFile

from ..errors import ImageError, joined
from ..extras import install, is_installed
from ..storage.paths import spelled
from ..storage.reading import read_bytes
from . import oiio
from .colour import as_shares
from .levels import FEW, shares_of, usual_white
from .opening import ImageInfo, opened
from .orientation import orient
from .plain import subject_on_plain
from .read import decode_deep, is_beyond_pillow, rgb_of
from .receipts import receipt_in

__all__ = [
    "BY_ALPHA",
    "BY_PLAIN",
    "LOST",
    "GreyImage",
    "decode_grey",
    "decode_mask",
    "decode_matte",
    "decode_opacity",
    "is_flat",
    "read_grey",
    "read_matte",
]

Plane = NDArray[Any]

BY_ALPHA = "was read by its alpha channel, not by its colour"
BY_PLAIN = "was read as a cutout on a plain colour"
_NO_ALPHA = "has an alpha channel that varies, too, and was read by its grey alone"
LOST = f"has 16 bits a channel, read as 8: all are read with {install('vfx')}"
_LUMA = (0.587, 0.114)  # of green and blue, as Pillow weighs colours; red has the rest
_SIGNED, _ASSOCIATED = 2, 1  # of a TIFF's sample formats and extra samples
# A pixel is coloured whose channels are so far apart, as a share of white; so is an image with so many of them.
_SATURATION, _COLOURED = 0.25, 0.001
_NAMES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")  # by bits of R, G and B


@dataclass(frozen=True)
class GreyImage:
    """Hold an upright grey image.

    Attributes:
        levels: float32 [H, W] in [0, 1].
        orientation: EXIF orientation, 1 to 8, that has been applied.
        notes: what the user should know about how it was read, each to follow the image's name: "holds the levels ...".
    """

    levels: NDArray[np.float32]
    orientation: int = 1
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Stored:
    """Hold what a file stores, not turned and never divided by alpha.

    Attributes:
        colour: booleans, integers or floats [H, W] or, where it is not grey, [H, W, 3].
        alpha: the same [H, W], if there is any.
        orientation, left: as of ``ImageInfo``.
        background: the colour of a palette's first entry, which labels leave to the background.
        notes: as of ``GreyImage``.
    """

    colour: Plane
    alpha: Plane | None
    orientation: int = 1
    left: int = 1
    background: tuple[int, ...] = (0, 0, 0)
    notes: tuple[str, ...] = ()


def read_grey(path: Path) -> GreyImage:
    """Read a trimap; see :func:`decode_grey`."""
    return decode_grey(read_bytes(path), path)


def read_matte(path: Path) -> GreyImage:
    """Read a matte; see :func:`decode_matte`."""
    return decode_matte(read_bytes(path), path)


def decode_grey(content: bytes, path: Path, channel: str | None = None) -> GreyImage:
    """Decode a trimap or a mask of any usual format as upright grey levels.

    These are its grey as it is stored, or its alpha channel where that varies and the visible colour does not, or is
    no grey. Two colours, one of them black or the first of a palette, are a mask. White is found by ``shares_of``.
    ``channel`` names the one that is meant, of an EXR wholly or by its last words, and else R, G, B or A.

    Raises:
        ImageError, ResourceError: as for :func:`decode_image`; or it is coloured, what is white cannot be told, or
            which channel is meant.
    """
    return _decoded(content, path, channel, of_cutout=False)


def decode_matte(content: bytes, path: Path, channel: str | None = None) -> GreyImage:
    """Decode a matte, alone or as a cutout's alpha channel, as upright levels; as ``decode_grey`` otherwise."""
    return _decoded(content, path, channel, of_cutout=True)


def decode_mask(content: bytes, path: Path, channel: str | None = None) -> GreyImage:
    """Decode a mask as upright levels: as ``decode_matte``, and of a cutout on a plain colour where that is not."""
    return _decoded(content, path, channel, of_cutout=True, on_plain=True)


def decode_opacity(
    content: bytes, path: Path, layer: str | None = None, channel: str | None = None
) -> GreyImage | None:
    """Decode an image's alpha channel as upright grey levels; None where it has no transparency.

    ``layer`` chooses among several, as for ``decode_image``; ``channel`` names another channel than alpha.

    Raises:
        ImageError, ResourceError: as for :func:`decode_grey`.
    """
    stored = _stored(content, path, layer, channel, data=channel is not None)
    if channel is not None:
        return _image(content, path, stored, *_grey(stored, path))
    return None if stored.alpha is None else _image(content, path, stored, stored.alpha)


def is_flat(values: Plane) -> bool:
    """Tell whether the pixels of [H, W] or [H, W, C] are all alike."""
    return bool((values == values[:1, :1]).all())


def _decoded(content: bytes, path: Path, channel: str | None, *, of_cutout: bool, on_plain: bool = False) -> GreyImage:
    stored = _stored(content, path, None, channel, data=True)
    colour, alpha = stored.colour, stored.alpha
    if alpha is None or is_flat(alpha) or np.array_equal(colour, alpha):
        try:
            grey, told = _grey(stored, path)
        except ImageError:
            subject = subject_on_plain(colour, _white(colour)) if on_plain else None
            if subject is None:
                raise
            grey, told = subject, BY_PLAIN
        return _image(content, path, stored, grey, told)
    if of_cutout or _is_coloured(colour) or _is_flat_where(alpha > 0, colour):
        return _image(content, path, stored, alpha, BY_ALPHA)
    return _image(content, path, stored, *_grey(stored, path), _NO_ALPHA)


def _image(content: bytes, path: Path, stored: _Stored, values: Plane, *notes: str) -> GreyImage:
    """Scale the levels to shares of white, which our own results never leave in doubt."""
    try:
        levels, told = shares_of(values)
    except ImageError as error:
        if receipt_in(content) is None:
            raise ImageError(f"cannot read {spelled(path, 'standard input')}: {error}") from error
        levels, told = as_shares(values).clip(0, 1), ""
    if told and receipt_in(content) is not None:
        levels, told = as_shares(values).clip(0, 1), ""
    noted = tuple(filter(None, (*stored.notes, *notes, told)))
    return GreyImage(orient(levels, stored.left), stored.orientation, noted)


def _stored(content: bytes, path: Path, layer: str | None, channel: str | None, *, data: bool) -> _Stored:
    """Read an image, or one ``channel``; with ``data`` of an EXR what is a trimap, and otherwise the photograph."""
    if is_beyond_pillow(content, layer):
        return _of_deep(decode_deep(content, path, layer=layer, channel=channel, data=data, associated=False), path)
    with opened(content, path, layer) as (image, info):
        if channel is not None:
            return _Stored(_values(_channel_of(image, path, channel)), None, info.orientation, info.left)
        if not info.is_deep or _is_grey(image):
            return _by_pillow(image, info)
        if not is_installed("vfx"):
            return replace(_by_pillow(image, info), notes=(LOST,))
        deep = decode_deep(content, path, layer=layer, associated=False)
        return replace(_of_deep(deep, path), orientation=info.orientation, left=info.orientation)


def _of_deep(deep: oiio.Deep, path: Path) -> _Stored:
    grey = deep.channels.get("Y")
    colour = _without_copies(rgb_of(deep, path)) if grey is None else grey
    return _Stored(colour, deep.channels.get("A"), deep.orientation, deep.orientation)


def _channel_of(image: Image.Image, path: Path, channel: str) -> Image.Image:
    bands = {name.lower(): name for name in image.getbands()}
    if channel.lower() not in bands:
        name, shown = spelled(path, "standard input"), ", ".join(bands.values())
        raise ImageError(f"cannot read {name}: it has no channel {channel}: it has {shown}", "channel")
    return image.getchannel(bands[channel.lower()])


def _is_grey(image: Image.Image) -> bool:
    return image.mode in ("1", "L", "I", "F") or image.mode.startswith("I;16")


def _by_pillow(image: Image.Image, info: ImageInfo) -> _Stored:
    if _is_grey(image):
        values, key = _values(image), image.info.get("transparency")
        return _Stored(values, values != key if isinstance(key, int) else None, info.orientation, info.left)
    has_alpha = image.has_transparency_data
    pixels = np.asarray(image.convert("RGBA" if has_alpha else "RGB"))
    colour, alpha = pixels[..., :3], pixels[..., 3] if has_alpha else None
    if alpha is not None and isinstance(image, TiffImageFile) and _ASSOCIATED in image.tag_v2.get(EXTRASAMPLES, ()):
        # Pillow has divided it.
        colour = ((colour.astype(np.uint16) * alpha[..., None] + 127) // 255).astype(np.uint8)
    palette = image.getpalette("RGB") if image.mode == "P" else None
    background = tuple(palette[:3]) if palette else (0, 0, 0)
    return _Stored(_without_copies(colour), alpha, info.orientation, info.left, background)


def _values(image: Image.Image) -> Plane:
    """Return the levels of a grey image in the type that its file has, which Pillow's modes do not tell apart."""
    values = np.asarray(image)
    if image.format in ("PNG", "PPM") and image.mode == "I":
        return values.astype(np.uint16)
    if not isinstance(image, TiffImageFile) or image.mode not in ("L", "I"):
        return values
    bits, is_signed = image.tag_v2.get(BITSPERSAMPLE, (1,))[0], image.tag_v2.get(SAMPLEFORMAT, (1,))[0] == _SIGNED
    if image.mode == "L":
        return values.view(np.int8) if is_signed and bits == 8 else values
    if bits == 16:
        return values.astype(np.int16 if is_signed else np.uint16)
    return values if is_signed else values.view(np.uint32)


def _without_copies(colour: Plane) -> Plane:
    """Return colour [H, W, 3] as one plane [H, W] where all three are the same."""
    red = colour[..., 0]
    return red if all(np.array_equal(red, colour[..., channel]) for channel in (1, 2)) else colour


def _is_flat_where(visible: NDArray[np.bool_], colour: Plane) -> bool:
    return is_flat(colour[visible][None])


def _grey(stored: _Stored, path: Path) -> tuple[Plane, str]:
    """Return the grey levels [H, W] of stored colour, and what is to be said of that."""
    colour = stored.colour
    if colour.ndim == 2:
        return colour, ""
    if _is_coloured(colour):
        return _mask_of_two(stored, path)
    red, green, blue = (colour[..., channel].astype(np.float32) for channel in range(3))
    luma = red + _LUMA[0] * (green - red) + _LUMA[1] * (blue - red)
    return (luma if colour.dtype.kind == "f" else np.rint(luma).astype(colour.dtype)), ""


def _white(colour: Plane) -> float:
    peak = float(colour.max())
    return peak if peak <= FEW else usual_white(colour.dtype, peak)


def _is_coloured(colour: Plane) -> bool:
    return colour.ndim == 3 and bool(_saturated(colour, _white(colour)).mean() > _COLOURED)


def _saturated(colour: Plane, white: float) -> NDArray[np.bool_]:
    return np.asarray(colour.max(axis=-1) - colour.min(axis=-1) > _SATURATION * white)


def _mask_of_two(stored: _Stored, path: Path) -> tuple[NDArray[np.bool_], str]:
    """Return where an image of two colours does not have the background's; raises ImageError, which names more."""
    colour, white = stored.colour, _white(stored.colour)
    other = (colour != colour[0, 0]).any(axis=2)
    for background in ((0, 0, 0), stored.background):
        for mask in (other, ~other):
            if 0 < mask.mean() < 1 and is_flat(colour[mask][None]) and (colour[~mask] == background).all():
                names = joined([_colours(colour[where], white) for where in (~mask, mask)])
                return mask, f"has two colours alone, {names}, taken as black and white"
    raise ImageError(
        f"cannot read {spelled(path, 'standard input')}: its colours are {_colours(colour, white)}, and trimaps and"
        " mattes are black, grey and white: save it in these"
    )


def _colours(colour: Plane, white: float) -> str:
    """Name the colours of pixels [..., 3], the one with most pixels first."""
    brightest = colour.max(axis=-1)
    middle = (brightest + colour.min(axis=-1).astype(np.float32)) / 2
    bits = (colour > middle[..., None]) @ np.array([1, 2, 4])
    greys = np.digitize(brightest, [_SATURATION * white, (1 - _SATURATION) * white])
    found = np.where(_saturated(colour, white), bits, np.array([0, len(_NAMES), len(_NAMES) - 1])[greys])
    shares = np.bincount(found.ravel(), minlength=len(_NAMES) + 1) / found.size
    order = [index for index in np.argsort(-shares, kind="stable") if shares[index] > _COLOURED]
    return joined([(*_NAMES, "grey")[index] for index in order])
