"""The pages of a TIFF and what their tags say of colour: which page is the picture, and what Pillow cannot read."""

import io
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    COMPRESSION,
    EXTRASAMPLES,
    PHOTOMETRIC_INTERPRETATION,
    PLANAR_CONFIGURATION,
    ImageFileDirectory_v2,
)

from ..process.sharing import silence
from .layers import NoLayerError

__all__ = ["TIFF", "Page", "inverted", "page_of", "place_of"]

TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MOST_PAGES = 100  # of which one is looked for
_KIND, _OLD_KIND = 254, 255  # the tags NewSubfileType and SubfileType
_REDUCED, _MASK, _OLD_REDUCED = 1, 4, 2
_APART, _NONE, _ASSOCIATED = 2, 1, 1  # of planes, compression and extra samples
WHITE_IS_ZERO = 0
_WHITES = (1.0, 255.0, 65535.0)  # of floats
# What OpenImageIO makes RGB of: grey, RGB, a palette, CMYK. Of L*a*b* of 16 bits it makes other colours.
_READ = (WHITE_IS_ZERO, 1, 2, 3, 5)
_NAMES = {6: "YCbCr of more than 8 bits", 8: "L*a*b* of more than 8 bits or with alpha", 9: "ICC L*a*b*"}
_NAMES |= {10: "ITU L*a*b*", 32803: "a camera's raw pattern", 34892: "a camera's linear raw", 32844: "LogL"}
_NAMES |= {32845: "LogLuv"}


@dataclass(frozen=True)
class Page:
    """Hold what the tags of a page say.

    Attributes:
        place: in the file, from 0.
        is_full: whether it is a picture of its own: neither reduced in size nor another one's mask.
        photometric: what its numbers mean, by the tag PhotometricInterpretation; without it black is 0.
        bits: of each channel.
        in_planes: whether its channels lie one after another, uncompressed.
        is_associated: whether its fourth channel is an alpha that colour is multiplied by; without a word it is none.
    """

    place: int = 0
    is_full: bool = True
    photometric: int = 1
    bits: tuple[int, ...] = ()
    in_planes: bool = False
    is_associated: bool = False

    @classmethod
    def of(cls, place: int, tags: Mapping[int, Any]) -> Self:
        """Read the tags of a page; raises TypeError where one is of another type than it must be."""
        return cls(
            place,
            not tags.get(_KIND, 0) & (_REDUCED | _MASK) and tags.get(_OLD_KIND) != _OLD_REDUCED,
            int(tags.get(PHOTOMETRIC_INTERPRETATION, 1)),
            tuple(map(int, tags.get(BITSPERSAMPLE, ()))),
            tags.get(PLANAR_CONFIGURATION) == _APART and tags.get(COMPRESSION) == _NONE,
            _ASSOCIATED in tags.get(EXTRASAMPLES, ())[:1],
        )

    @property
    def is_deep(self) -> bool:
        """Whether it has 16 bits a channel."""
        return 16 in self.bits

    @property
    def has_zero_white(self) -> bool:
        """Whether 0 is white and more bits than 8 are read as they are: fewer are turned by who reads them."""
        return self.photometric == WHITE_IS_ZERO and max(self.bits, default=1) > 8

    @property
    def unread(self) -> str:
        """The name of colour of which OpenImageIO does not make RGB; empty for any other."""
        return "" if self.photometric in _READ else _NAMES.get(self.photometric, f"kind {self.photometric}")


def pages(content: bytes) -> Iterator[Page]:
    """Yield the pages of a TIFF in their order, as far as they can be read and up to ``MOST_PAGES``."""
    with silence, suppress(Exception):  # a damaged page ends them; reading the picture says what is wrong
        directory, seen = ImageFileDirectory_v2(content[: 16 if content[2:3] == b"+" else 8]), set[int]()
        file = io.BytesIO(content)
        while directory.next and directory.next not in seen and len(seen) < MOST_PAGES:
            seen.add(directory.next)
            file.seek(directory.next)
            directory.load(file)
            yield Page.of(len(seen) - 1, directory)


def page_of(content: bytes, layer: str | None = None) -> tuple[Page, int]:
    """Return a TIFF's page that is its picture, or number ``layer``, from 1, and how many pictures there are.

    Raises:
        NoLayerError: there is no such page.
    """
    found = list(pages(content))
    full = [page for page in found if page.is_full] or found or [Page()]
    return full[0] if layer is None else found[place_of(layer, len(found), "page")], len(full)


def place_of(layer: str, count: int, kind: str) -> int:
    """Return the place, from 0, of number ``layer``, from 1, of ``count`` pages or the like; raises NoLayerError."""
    if layer.isdecimal() and 1 <= int(layer) <= count:
        return int(layer) - 1
    have = f"it has {count} {kind}s" if count > 1 else f"it has one {kind}"
    raise NoLayerError(f"it has no layer {layer}: {have}, chosen by number, from 1", "layer")


def inverted(values: NDArray[Any]) -> NDArray[Any]:
    """Return grey with black and white exchanged; white of floats is the smallest usual one that no value is above."""
    peak = float(values.max(initial=0))
    is_float = values.dtype.kind == "f"
    white = next((usual for usual in _WHITES if peak <= usual), peak) if is_float else np.iinfo(values.dtype).max
    turned: NDArray[Any] = values.dtype.type(white) - values
    return turned
