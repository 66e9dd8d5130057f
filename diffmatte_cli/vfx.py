"""Pictures of more than 8 bits a channel, through OpenImageIO: the extra ``vfx``, imported where it is used.

Read are 16-bit and floating-point PNG and TIFF, and OpenEXR; written are 16-bit PNG and TIFF in colour, and
half-float OpenEXR of named channels.
"""

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .colour import as_shares

__all__ = ["EXR", "DamagedError", "Deep", "encode", "read"]

EXR = b"\x76\x2f\x31\x01"
_KINDS = {EXR: "exr", b"\x89PNG": "png", b"II*\0": "tiff", b"MM\0*": "tiff", b"II+\0": "tiff", b"MM\0+": "tiff"}
# What a result keeps of an EXR's header: the primaries, and what an editing room finds its frames by.
KEPT = ("chromaticities", "smpte:TimeCode", "smpte:KeyCode", "FramesPerSecond", "PixelAspectRatio", "Make", "Model")
Attributes = Sequence[tuple[str, Any, Any]]  # name, OpenImageIO's type, value
_SPACE, _STRAIGHT = "oiio:ColorSpace", "oiio:UnassociatedAlpha"
SPACES = {True: "lin_rec709_scene", False: "srgb_rec709_scene"}


class DamagedError(Exception):
    """Raised for content that OpenImageIO cannot read; the text says why."""


@dataclass(frozen=True)
class Deep:
    """Hold a decoded picture.

    Attributes:
        channels: float32 or uint16 [H, W] by name, straight colour; H and W are of the display window.
        linear: what the file says of its colour: linear light or sRGB; None where it says nothing.
        texts: what the header says in text.
        kept: what a result keeps of an EXR's header, for ``encode``.
    """

    channels: Mapping[str, NDArray[Any]]
    linear: bool | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    kept: Attributes = ()

    def colour(self) -> list[NDArray[Any]]:
        """Return red, green and blue of the first layer that has colour or grey; nothing where none has."""
        for layer in dict.fromkeys(["", *(name.rpartition(".")[0] for name in self.channels)]):
            start = f"{layer}." if layer else ""
            for names in ("RGB", "YYY"):
                if all(start + name in self.channels for name in names):
                    return [self.channels[start + name] for name in names]
        return [*self.channels.values()] * 3 if len(self.channels) == 1 else []


def read(content: bytes, most_pixels: int, *, divide: bool = True) -> Deep:
    """Decode a PNG, TIFF or EXR at its own depth, known by its first bytes; ``divide`` makes colour straight.

    Raises:
        DamagedError: it is none of these, damaged, cut short or has more than ``most_pixels``.
        ImportError: the extra is missing.
    """
    import OpenImageIO as oiio  # noqa: N813 (the name that its users give it)

    kind = _KINDS.get(content[:4])
    if kind is None:
        raise DamagedError("it is no PNG, TIFF or EXR")
    with tempfile.TemporaryDirectory(prefix="diffmatte-") as folder:
        path = Path(folder, f"picture.{kind}")
        path.write_bytes(content)
        # Straight colour as the file has it; what is stored premultiplied is divided below.
        wanted = oiio.ImageSpec()
        wanted.attribute(_STRAIGHT, 1)
        oiio.attribute("try_all_readers", 0)
        source = oiio.ImageInput.open(str(path), wanted)
        if source is None:
            raise DamagedError(_reason(oiio.geterror()))
        try:
            return _decoded(source, most_pixels, divide)
        finally:
            source.close()


def _decoded(source: Any, most_pixels: int, divide: bool) -> Deep:
    spec = source.spec()
    if max(spec.width * spec.height, spec.full_width * spec.full_height) > most_pixels:
        raise DamagedError(f"it claims more than {most_pixels // 10**6} million pixels")
    whole = spec.format.basetype in (_basetype("uint8"), _basetype("uint16"))
    pixels = source.read_image("uint16" if whole else "float")
    trouble = source.geterror()
    if pixels is None or trouble:
        raise DamagedError(_reason(trouble))
    if not whole:
        pixels = np.nan_to_num(pixels, nan=0.0, posinf=65504.0, neginf=0.0).astype(np.float32, copy=False)
    planes = _in_display_window(pixels, spec)
    channels = dict(zip(spec.channelnames, np.moveaxis(planes, -1, 0), strict=True))
    # Of EXR's and such TIFF's colour: multiplied by alpha.
    if divide and not spec.get_int_attribute(_STRAIGHT):
        channels = _straight(channels)
    return Deep(channels, _linear(spec), _texts(spec), _kept(spec))


def _basetype(name: str) -> Any:
    import OpenImageIO as oiio  # noqa: N813

    return oiio.TypeDesc(name).basetype


def _in_display_window(pixels: NDArray[Any], spec: Any) -> NDArray[Any]:
    """Cut or fill up [h, w, C] of the data window to what is displayed."""
    window = (spec.full_y, spec.full_x, spec.full_height, spec.full_width)
    if window == (spec.y, spec.x, spec.height, spec.width):
        return pixels
    canvas = np.zeros((spec.full_height, spec.full_width, pixels.shape[2]), pixels.dtype)
    top, left = spec.y - spec.full_y, spec.x - spec.full_x
    rows = slice(max(top, 0), min(top + spec.height, spec.full_height))
    columns = slice(max(left, 0), min(left + spec.width, spec.full_width))
    if rows.start < rows.stop and columns.start < columns.stop:
        part = pixels[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        canvas[rows, columns] = part
    return canvas


def _straight(channels: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Divide colour by alpha, where there is some; whole numbers become float32 in [0, 1]."""
    if "A" not in channels or not set("RGB") & set(channels):
        return channels
    shares = {name: as_shares(plane) for name, plane in channels.items()}
    divisor = np.where(shares["A"] > 0, shares["A"], np.float32(1))
    return {name: plane / divisor if name in "RGB" else plane for name, plane in shares.items()}


def _linear(spec: Any) -> bool | None:
    said = str(spec.getattribute(_SPACE) or "").lower()
    if not said:
        return None
    return not (said.startswith(("srgb", "g22", "g24", "g18")) or "texture" in said)


def _kept(spec: Any) -> Attributes:
    return [(entry.name, entry.type, entry.value) for entry in spec.extra_attribs if entry.name in KEPT]


def _texts(spec: Any) -> dict[str, str]:
    return {entry.name: entry.value for entry in spec.extra_attribs if isinstance(entry.value, str)}


def encode(
    kind: str,
    channels: Mapping[str, NDArray[Any]],
    *,
    straight: bool = True,
    linear: bool = False,
    text: tuple[str, str] | None = None,
    kept: Attributes = (),
) -> bytes:
    """Encode channels [H, W] as "png" or "tiff" of 16 bits (uint16), or as "exr" of half floats (float32).

    ``straight`` says that colour is not multiplied by alpha, ``linear`` that an EXR's is light and not sRGB; ``text``
    is the name and value of an attribute of an EXR.

    Raises:
        OSError: OpenImageIO or the disk refuses.
        ImportError: the extra is missing.
    """
    import OpenImageIO as oiio  # noqa: N813

    height, width = next(iter(channels.values())).shape
    spec = oiio.ImageSpec(width, height, len(channels), "half" if kind == "exr" else "uint16")
    spec.channelnames = list(channels)
    if kind == "exr":
        # Without a date of writing: the same input gives the same bytes.
        own = {"compression": "zip", "DateTime": "", **dict([text] if text else [])}
        if not any(name == "chromaticities" for name, *_ in kept):  # primaries of its own contradict the usual space
            own[_SPACE] = SPACES[linear]
        for name, value in own.items():
            spec.attribute(name, value)
        for name, typed, value in kept:
            spec.attribute(name, typed, value)
    elif straight or kind == "png":  # PNG knows no other, and would be divided
        spec.attribute(_STRAIGHT, 1)
    with tempfile.TemporaryDirectory(prefix="diffmatte-") as folder:
        path = Path(folder, f"picture.{kind}")
        target: Any = oiio.ImageOutput.create(kind)
        pixels = np.stack(list(channels.values()), axis=-1)
        if not (target.open(str(path), spec) and target.write_image(pixels) and target.close()):
            raise OSError(_reason(target.geterror()))
        return path.read_bytes()


def _reason(text: str) -> str:
    """Return what OpenImageIO says, without the name of the temporary file."""
    first = next(iter(text.strip().splitlines()), "the picture is damaged or cut short")
    return re.sub(r" ?\(?/\S*picture\.[a-z]+\)?:?", "", first)
