"""Read trimaps, masks and mattes: grey that is data, not colour. Files from outside are never trusted."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import ImageError
from ..storage.paths import spelled
from ..storage.reading import read_bytes
from . import oiio
from .colour import as_shares
from .levels import levels_of
from .opening import opened
from .orientation import orient
from .read import decode_deep, is_beyond_pillow, rgb_of

__all__ = ["GreyImage", "decode_grey", "decode_opacity", "read_grey"]

_LUMA = (0.299, 0.587, 0.114)  # as Pillow weighs colours


@dataclass(frozen=True)
class GreyImage:
    """Hold an upright grey image: ``levels`` float32 [H, W] in [0, 1], and the EXIF ``orientation`` applied."""

    levels: NDArray[np.float32]
    orientation: int = 1


def read_grey(path: Path) -> GreyImage:
    """Read a trimap or matte; see :func:`decode_grey`."""
    return decode_grey(read_bytes(path), path)


def decode_grey(content: bytes, path: Path, channel: str | None = None) -> GreyImage:
    """Decode a trimap or matte of any usual format as upright grey levels (colour by luma, without transparency).

    ``channel`` names the one that is meant, of an EXR wholly or by its last words, and else R, G, B or A.

    Raises:
        ImageError, ResourceError: as for :func:`decode_image`; or there is no such channel.
    """
    if is_beyond_pillow(content):
        deep = decode_deep(content, path, data=True, channel=channel)
        return _grey(as_shares(rgb_of(deep, path)) @ np.array(_LUMA, np.float32), deep)
    with opened(content, path) as (image, info):
        return GreyImage(orient(levels_of(_channel_of(image, path, channel)), info.left), info.orientation)


def decode_opacity(
    content: bytes, path: Path, layer: str | None = None, channel: str | None = None
) -> GreyImage | None:
    """Decode an image's alpha channel as upright grey levels; None where it has no transparency.

    ``layer`` chooses among several, as for ``decode_image``; ``channel`` names another channel than alpha.

    Raises:
        ImageError, ResourceError: as for :func:`decode_image`; or there is no such channel.
    """
    if is_beyond_pillow(content, layer):
        if channel is not None:
            return decode_grey(content, path, channel)
        deep = decode_deep(content, path, layer=layer)
        return _grey(as_shares(deep.channels["A"]), deep) if "A" in deep.channels else None
    with opened(content, path, layer) as (image, info):
        if not image.has_transparency_data and channel is None:
            return None
        chosen = image.convert("RGBA").getchannel("A") if channel is None else _channel_of(image, path, channel)
        return GreyImage(orient(levels_of(chosen), info.left), info.orientation)


def _channel_of(image: Image.Image, path: Path, channel: str | None) -> Image.Image:
    if channel is None:
        return image
    bands = {name.lower(): name for name in image.getbands()}
    if channel.lower() not in bands:
        name, shown = spelled(path, "standard input"), ", ".join(bands.values())
        raise ImageError(f"cannot read {name}: it has no channel {channel}: it has {shown}")
    return image.getchannel(bands[channel.lower()])


def _grey(levels: NDArray[np.float32], deep: oiio.Deep) -> GreyImage:
    return GreyImage(orient(levels.clip(0, 1), deep.orientation), deep.orientation)
