"""Photographs, trimaps and masks as Python programs hold them, made into the arrays that a model takes."""

import io
from collections.abc import Callable, Iterable, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ..errors import ImageError, described
from ..imaging.colour import quantise
from ..imaging.grey import BY_ALPHA, GreyImage, decode_grey, decode_mask
from ..imaging.levels import shares_of
from ..imaging.read import ColourImage, decode_image, rgb_pixels
from ..settings import SamplingFields
from ..storage.paths import location
from ..storage.reading import read_bytes
from ..trimaps.band import Band
from ..trimaps.masks import fit_mask, trimap_from_mask
from ..trimaps.trimap import parse_trimap
from .known import fit_trimap

__all__ = ["INSTEAD", "Fields", "FileOrArray", "Picture", "is_batch", "pair_of", "photograph", "singles"]

# A path, an image of Pillow, an array [H, W] or [H, W, C], a tensor [C, H, W] (grey also [H, W]).
FileOrArray = str | PathLike[str] | Image.Image | NDArray[Any]
Picture = FileOrArray | Tensor

# What to do with a mask that was given as a trimap.
INSTEAD = "pass it as the mask instead, as in matte(image, mask=...), and a trimap is made of it"
# Floats may leave [0, 1] by so much, as resampling does.
OVERSHOOT = 0.01
# The modes of Pillow that a PNG holds as they are.
IN_PNG = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I")


class Fields(SamplingFields, total=False):
    """What ``Matter.matte`` takes by keyword."""

    mask: Any
    band: float | None
    noise: NDArray[np.float32] | None
    draws: NDArray[np.float32] | None
    truth: NDArray[np.float32] | None


def pair_of(
    image: Picture, trimap: Picture | None, mask: Picture | None, band: float | None, tell: Callable[[str], None]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a photograph's colour, uint8 [H, W, 3], and its trimap's classes 0, 128 and 255, uint8 [H, W].

    A ``mask`` of any size in the place of the trimap gets an unknown region of ``band`` percent of the longer side.
    ``tell`` receives what is to be said of how they were read.

    Raises ImageError for what is no picture, or does not fit.
    """
    drawn, what = (mask, "mask") if trimap is None else (trimap, "trimap")
    if drawn is None or (trimap is not None and mask is not None):
        raise ImageError("a photograph needs its trimap or its mask, one of them: pass it, or the result of encode()")
    photo = photograph(image)
    grey = _grey(drawn, what)
    levels, told = (fit_trimap(grey, photo, INSTEAD), "") if what == "trimap" else fit_mask(grey, photo)
    for text in (*photo.notes, *(f"the {what} {note}" for note in (*grey.notes, told) if note not in ("", BY_ALPHA))):
        tell(text)
    return photo.pixels, parse_trimap(levels) if what == "trimap" else trimap_from_mask(levels, Band(percent=band))


def is_batch(image: Any) -> bool:
    """Tell a list of photographs, or a tensor of several, from one."""
    return isinstance(image, list | tuple) or (isinstance(image, Tensor) and image.ndim == 4)


def singles(guides: Any, images: Sequence[Any] | Tensor, what: str) -> Iterable[Any]:
    """Return the trimaps or masks of a batch one by one; raises ImageError for another number than ``images``."""
    if guides is None:
        return [None] * len(images)
    if not isinstance(guides, list | tuple | Tensor | np.ndarray) or len(guides) != len(images):
        raise ImageError(f"a batch of {len(images)} photographs needs as many {what}s, in a list or a tensor")
    return guides


def photograph(picture: Picture) -> ColourImage:
    """Return a photograph, whose alpha is left out.

    Arrays are uint8, uint16 of full range (cut to 8 bits) or floats in [0, 1]: grey [H, W], RGB or RGBA [H, W, C].
    Raises ImageError for anything else, and what reading a file raises.
    """
    if isinstance(picture, str | PathLike):
        path = location(fspath(picture))
        return decode_image(read_bytes(path), path)
    if isinstance(picture, Image.Image):
        return ColourImage(rgb_pixels(_loaded(picture, "photograph")))
    pixels = _array(picture)
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4) or pixels.size == 0:
        raise ImageError(f"a photograph is [H, W, 3], or a tensor [3, H, W], not {list(picture.shape)}")
    colour = _bytes(pixels[..., :3], "photograph")
    return ColourImage(colour if colour.shape[2] == 3 else np.repeat(colour, 3, axis=2))


def _grey(picture: Picture, what: str) -> GreyImage:
    """Return the levels of a trimap or a mask, of which white is found as in files."""
    decode = decode_grey if what == "trimap" else decode_mask
    if isinstance(picture, str | PathLike):
        path = location(fspath(picture))
        return decode(read_bytes(path), path)
    if isinstance(picture, Image.Image) and picture.mode == "F":
        picture = np.asarray(_loaded(picture, what))
    if isinstance(picture, Image.Image):
        return decode(_as_file(picture, what), Path(f"the {what}"))
    levels = _array(picture)
    if what == "mask" and levels.ndim == 3 and levels.shape[2] in (3, 4):  # a cutout
        return decode(_as_file(Image.fromarray(_bytes(levels, "mask")), what), Path("the mask"))
    if levels.ndim == 3 and levels.shape[2] == 1:
        levels = levels[..., 0]
    if levels.ndim != 2 or levels.size == 0:
        raise ImageError(f"a {what} is [H, W], or a tensor [1, H, W], not {list(picture.shape)}")
    if levels.dtype.kind not in "biuf" or not np.isfinite(levels).all():
        raise ImageError(f"the {what} is {levels.dtype} with values that are no levels: pass finite numbers")
    try:
        shares, note = shares_of(levels)
    except ImageError as error:
        raise ImageError(f"the {what} cannot be used: {error}") from error
    return GreyImage(shares, notes=(note,))


def _loaded(picture: Image.Image, what: str) -> Image.Image:
    """Return an image of Pillow whose pixels are decoded."""
    try:
        picture.load()
    except Exception as error:  # Pillow's decoders raise nearly every kind on damaged data
        raise ImageError(f"the {what} cannot be read: {described(error)}") from error
    if not all(picture.size) or (picture.mode == "F" and not np.isfinite(np.asarray(picture)).all()):
        raise ImageError(f"the {what} has no pixels, or some that are not finite: pass an image with levels")
    return picture


def _as_file(picture: Image.Image, what: str) -> bytes:
    """Return an image of Pillow as a file, so that it is read by the rules of files."""
    if _loaded(picture, what).mode not in IN_PNG:
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=0, exif=b"")
    return file.getvalue()


def _array(picture: NDArray[Any] | Tensor) -> NDArray[Any]:
    """Return a tensor's values with the channels last, or the array that it is."""
    if isinstance(picture, Tensor):
        values = picture.detach().cpu()
        values = values.float() if values.is_floating_point() else values
        return np.asarray(values.numpy() if values.ndim < 3 else values.movedim(0, -1).numpy())
    if not isinstance(picture, np.ndarray):
        raise ImageError(f"a picture is a path, an image of Pillow, an array or a tensor, not {type(picture).__name__}")
    return picture


def _bytes(values: NDArray[Any], what: str) -> NDArray[np.uint8]:
    """Return colour as uint8 of the same shape."""
    if values.dtype == np.uint8:
        return values
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if values.dtype == np.uint16:
        if 0 < high <= 255:
            raise ImageError(f"the {what} is uint16 with levels up to {high:.0f} of 65535: pass it as uint8")
        return (values >> np.uint16(8)).astype(np.uint8)
    if values.dtype.kind == "f":
        if not (low >= -OVERSHOOT and high <= 1 + OVERSHOOT):  # false for NaN, too
            raise ImageError(f"the {what}'s values go from {low:.4g} to {high:.4g}: pass floats from 0 to 1, or uint8")
        return quantise(values.astype(np.float32).clip(0, 1), 8)
    raise ImageError(f"a {what} of {values.dtype} is not known: pass uint8, uint16, or floats from 0 to 1")
