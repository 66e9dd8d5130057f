"""Cutouts, new backgrounds, and compositing."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import ImageError
from ..imaging.colour import Floats, as_shares, converted, quantise
from ..imaging.grey import decode_opacity
from ..imaging.read import ColourImage, decode_image
from ..imaging.receipts import sha256_of
from ..planning.backgrounds import background_file, colour_of
from ..planning.options import BACKGROUNDS, BLUR, CHECKER
from ..storage.paths import Place
from ..storage.reading import read_bytes
from .foreground import blurred_background

__all__ = ["Background", "Plane", "background_of", "composite", "cutout"]

_OPAQUE = 255
_SQUARES = 64  # along the longer side of a checkerboard
_GREYS = 0.6, 0.8


@dataclass(frozen=True)
class Plane:
    """Colour float32 [H, W, 3], in linear light or sRGB."""

    values: Floats
    linear: bool

    def as_linear(self, wanted: bool) -> "Plane":
        """Return the same colour in linear light, or in sRGB."""
        return Plane(converted(self.values, self.linear, wanted), wanted)


def cutout(foreground: Floats, alpha: Floats, bits: int | None, *, premultiplied: bool) -> NDArray[Any]:
    """Return RGBA [H, W, 4]: uint8 or uint16, or float32 without ``bits``.

    ``foreground`` is float32 [H, W, 3] from 0, ``alpha`` float32 [H, W] in [0, 1]; ``premultiplied`` multiplies the
    first by the second.
    """
    opacity = np.clip(alpha, 0, 1)
    kind = np.float32 if bits is None else np.uint8 if bits == 8 else np.uint16
    result = np.empty((*alpha.shape, 4), kind)
    for channel in range(4):  # one at a time: a quarter of the memory
        plane = opacity if channel == 3 else foreground[..., channel]
        plane = plane * opacity if premultiplied and channel < 3 else plane
        result[..., channel] = plane if bits is None else quantise(plane, bits)
    return result


def composite(foreground: Plane, background: Plane, alpha: Floats, *, linear_light: bool) -> Plane:
    """Lay the foreground over the background (Eq. 1), in linear light or in sRGB; return the foreground's own kind."""
    above, below = (plane.as_linear(linear_light).values for plane in (foreground, background))
    opacity = np.clip(alpha, 0, 1)[..., None]
    return Plane(opacity * above + (1 - opacity) * below, linear_light).as_linear(foreground.linear)


@dataclass(frozen=True)
class Background:
    """A new background: a colour, "checker", "blur" or an image; make one with :func:`background_of`.

    ``name`` identifies it in receipts: the colour or keyword, or the sha256 of the image file. ``fitted`` caches the
    image at the size last needed.
    """

    name: str
    colour: tuple[int, ...] | None = None
    image: ColourImage | None = None
    fitted: dict[tuple[int, ...], Floats] = field(default_factory=dict, compare=False, repr=False)

    def plane(self, photo: ColourImage, alpha: Floats) -> Plane:
        """Return the background at a photograph's size; an image is scaled to cover."""
        height, width = alpha.shape
        if self.image is not None:
            if alpha.shape not in self.fitted:
                self.fitted.clear()
                self.fitted[alpha.shape] = _covering(self.image.colour, height, width)
            return Plane(self.fitted[alpha.shape], self.image.linear)
        if self.name == BLUR:
            return Plane(blurred_background(photo.colour, alpha), photo.linear)
        if self.name == CHECKER:
            side = max(1, max(height, width) // _SQUARES)
            odd = (np.arange(height)[:, None] // side + np.arange(width) // side) % 2
            grey = np.array(_GREYS, np.float32)[odd]
            return Plane(np.broadcast_to(grey[..., None], (height, width, 3)), False)
        colour = np.array(self.colour, np.float32) / np.float32(255)
        return Plane(np.broadcast_to(colour, (height, width, 3)), False)


def background_of(text: str) -> Background:
    """Return the background that ``text`` names.

    Raises:
        UsageError: as ``background_file``.
        ImageError: the file cannot be read, or is transparent anywhere: nobody has seen the colour there.
    """
    file = background_file(text, Place(Path()))
    if file is None:
        return Background(text, None if text in BACKGROUNDS else colour_of(text))
    content = read_bytes(file.path)
    opacity = decode_opacity(content, file.path)
    if opacity is not None and quantise(opacity.levels, 8).min() < _OPAQUE:
        raise ImageError(
            f"the background {file} is transparent in places, where it shows no colour: fill them, or save it"
            " without its alpha channel"
        )
    return Background(sha256_of(content), image=decode_image(content, file.path))


def _covering(pixels: NDArray[Any], height: int, width: int) -> Floats:
    """Scale [h, w, 3] to the smallest size that covers height x width, and crop the middle."""
    factor = max(height / pixels.shape[0], width / pixels.shape[1])
    # The visible part, in the image's own pixels, and its place in a crop at whole pixels.
    seen = height / factor, width / factor
    start = [(side - part) / 2 for side, part in zip(pixels.shape, seen, strict=False)]
    rows, columns = (slice(int(first), math.ceil(first + part)) for first, part in zip(start, seen, strict=True))
    top, left = start[0] - rows.start, start[1] - columns.start
    box = (left, top, left + seen[1], top + seen[0])
    how = Image.Resampling.LANCZOS if factor < 1 else Image.Resampling.BICUBIC
    fitted = np.empty((height, width, 3), np.float32)
    for channel in range(3):
        part = Image.fromarray(np.ascontiguousarray(as_shares(pixels[rows, columns, channel])))
        fitted[..., channel] = np.asarray(part.resize((width, height), how, box)).clip(0)
    return fitted
