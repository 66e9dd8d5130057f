"""Encode results: by Pillow, or as 16-bit colour and EXR by OpenImageIO; metadata by Pillow."""

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL import TiffImagePlugin as Tiff

from ..errors import OutputError
from ..storage.atomic import refusal
from ..storage.paths import spelled
from . import oiio
from .colour import as_shares, quantise
from .exif import DIRECTORIES
from .formats import QUALITY, WRITERS, Writer, writer_for
from .opening import tolerant_pillow
from .png import SRGB, with_chunks
from .receipts import COLOUR, KEY, Receipt, colour_note, embedded, pixels_digest

__all__ = ["Result", "check_fits", "encoded"]

_TIFF_HEAD = 8  # bytes
_PER_INCH, _ASSOCIATED = 2, 1  # of a resolution's unit and of extra samples
_CHANNELS = {1: "Y", 3: "RGB", 4: "RGBA"}


@dataclass(frozen=True)
class Result:
    """Describe an image to write.

    ``pixels`` is alpha float32 [H, W] in [0, 1], or uint8 or uint16 [H, W] or [H, W, 3 or 4]; for EXR also float32 of
    these shapes, and ``layers`` are more channels, float32 [H, W] by name. ``format`` is a key of ``WRITERS``, by
    default that of the suffix of ``path``. ``premultiplied`` and ``linear`` describe the colour, as do a PNG's
    ``chunks``; ``quality`` is of JPEG, 1 to 100; ``notes`` go beside the receipt.
    """

    path: Path
    pixels: NDArray[Any]
    bits: int = 8
    icc_profile: bytes | None = None
    dpi: tuple[float, float] | None = None
    exif: bytes | None = None
    receipt: Receipt | None = None
    format: str | None = None
    premultiplied: bool = False
    linear: bool = False
    layers: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    header: oiio.Header | None = None
    chunks: Mapping[bytes, bytes] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    quality: int = QUALITY

    @property
    def writer(self) -> Writer:
        """The format's record; raises UsageError for a suffix without one, or a depth that it lacks."""
        return WRITERS[self.format] if self.format else writer_for(self.path, self.bits if self.bits > 8 else None)


def check_fits(path: Path, writer: Writer, height: int, width: int) -> None:
    """Raise OutputError where a format cannot hold an image of this size."""
    limit = writer.max_side
    if max(height, width) > limit:
        raise OutputError(
            f"cannot write {spelled(path, 'standard output')}: its format holds at most {limit} pixels a side"
            f" and the image is {width}x{height}; name the result .png"
        )


def encoded(result: Result) -> bytes:
    """Return the bytes of a result's file; raises OutputError where its format cannot hold it."""
    check_fits(result.path, result.writer, *result.pixels.shape[:2])
    try:
        if result.writer.pillow_name == "EXR":
            return _exr(result)
        pixels = quantise(result.pixels, result.bits) if result.pixels.dtype == np.float32 else result.pixels
        is_deep = pixels.dtype == np.uint16 and pixels.ndim == 3
        return _deep(result, pixels) if is_deep else _by_pillow(result, Image.fromarray(pixels))
    except OSError as error:
        raise refusal(result.path, error) from error
    except (ValueError, struct.error) as error:
        raise OutputError(f"cannot write {spelled(result.path, 'standard output')}: {error}") from error


def _exr(result: Result) -> bytes:
    pixels = as_shares(result.pixels)
    quantise(pixels, 8)  # refuses values that are not finite
    planes = {**_planes(pixels), **result.layers}
    channels = {name: np.clip(plane, -oiio.LARGEST, oiio.LARGEST).astype(np.float16) for name, plane in planes.items()}
    text = (KEY, result.receipt.line(pixels_digest(channels), result.notes)) if result.receipt else None
    return oiio.encode("exr", channels, linear=result.linear, text=text, header=result.header)


def _planes(pixels: NDArray[Any]) -> dict[str, NDArray[Any]]:
    planes = np.atleast_3d(pixels)
    return dict(zip(_CHANNELS[planes.shape[2]], np.moveaxis(planes, -1, 0), strict=True))


def _jpeg(result: Result, image: Image.Image) -> bytes:
    """Encode a JPEG, whose receipt is of the pixels that will be read from it."""
    buffer, settings = io.BytesIO(), dict[str, Any](quality=result.quality)
    image.save(buffer, "JPEG", **result.writer.settings, **settings)
    with tolerant_pillow(), Image.open(buffer) as read:
        settings |= _save_settings(result, read)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **settings)
    return buffer.getvalue()


def _by_pillow(result: Result, image: Image.Image) -> bytes:
    if result.writer.pillow_name == "JPEG":
        return _jpeg(result, image)
    buffer = io.BytesIO()
    if not (result.premultiplied and result.writer.pillow_name == "TIFF"):
        image.save(buffer, result.writer.pillow_name, **_save_settings(result, image))
        return buffer.getvalue()
    image.save(buffer, "TIFF", **result.writer.settings)
    marked = _with_tags(buffer.getvalue(), {Tiff.EXTRASAMPLES: _ASSOCIATED})
    # Reading it divides the colour: a receipt is checked by that.
    with tolerant_pillow(), Image.open(io.BytesIO(marked)) as read:
        return _with_tags(marked, _tags(_save_settings(result, read)))


def _deep(result: Result, pixels: NDArray[np.uint16]) -> bytes:
    """Encode 16-bit colour: the pixels by OpenImageIO, all else by Pillow."""
    channels, kind = _planes(pixels), result.writer.pillow_name
    content = oiio.encode(kind.lower(), channels, straight=not result.premultiplied)
    settings = _save_settings(result, channels)
    if kind == "TIFF":
        return _with_tags(content, _tags(settings))
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1)).save(buffer, kind, **settings)
    return with_chunks(content, buffer.getvalue())


def _save_settings(result: Result, pixels: Image.Image | Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    kind, chunks = result.writer.pillow_name, dict(result.chunks)
    if kind != "PNG":
        chunks = {}
    elif result.icc_profile is not None:  # which overrules it, and Pillow leaves it out
        chunks.pop(SRGB, None)
    notes = {**result.notes, **({COLOUR: colour_note(chunks)} if chunks else {})}
    line = result.receipt.line(pixels_digest(pixels), notes) if result.receipt else None
    extra = {"icc_profile": result.icc_profile, "dpi": result.dpi}
    kept = {name: value for name, value in extra.items() if value is not None}
    settings = {**result.writer.settings, **kept, **embedded(line, result.exif, kind)}
    for name, data in chunks.items():
        settings["pnginfo"].add(name, data)
    return settings


def _tags(settings: Mapping[str, Any]) -> dict[int, Any]:
    """Return the TIFF tags that Pillow makes of its settings."""
    exif = settings["exif"]
    tags = {tag: exif.get_ifd(tag) if tag in DIRECTORIES else exif[tag] for tag in exif}
    if "icc_profile" in settings:
        tags[Tiff.ICCPROFILE] = settings["icc_profile"]
    if "dpi" in settings:
        across, down = settings["dpi"]
        tags |= {Tiff.X_RESOLUTION: across, Tiff.Y_RESOLUTION: down, Tiff.RESOLUTION_UNIT: _PER_INCH}
    return tags


def _with_tags(tiff: bytes, tags: Mapping[int, Any]) -> bytes:
    """Return a TIFF with these tags added, in a new directory before its old content."""
    with tolerant_pillow(), Tiff.TiffImageFile(io.BytesIO(tiff)) as image:
        directory = image.tag_v2
        dict(directory)  # only tags that were looked at are saved
    for of_the_writer in (Tiff.SOFTWARE, Tiff.DATE_TIME):  # the same input gives the same bytes
        directory.pop(of_the_writer, None)
    # When it is saved, offsets of pixels count from the directory's end.
    directory[Tiff.STRIPOFFSETS] = tuple(offset - _TIFF_HEAD for offset in directory[Tiff.STRIPOFFSETS])
    directory.update(tags)
    buffer = io.BytesIO()
    directory.save(buffer)
    return buffer.getvalue() + tiff[_TIFF_HEAD:]
