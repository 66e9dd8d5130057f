"""Receipts: what a result was made of and how, kept inside its file, so that it can be made again or trusted."""

import hashlib
import io
import json
import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self, TypeVar
from xml.sax.saxutils import escape, unescape

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin
from PIL.ExifTags import Base

from ..settings import Computing, Sampling
from ..storage.reading import read_bytes
from ..version import __version__
from . import oiio
from .exif import DIRECTORIES, stored_orientation
from .exr import EXR
from .formats import WRITERS
from .opening import MAX_PIXELS, is_deep, tolerant_pillow
from .png import PNG, colour_chunks

__all__ = [
    "COLOUR",
    "Receipt",
    "colour_note",
    "embedded",
    "pixels_digest",
    "read_notes",
    "read_receipt",
    "receipt_in",
    "receipt_of_trimap",
    "sha256_of",
]

S = TypeVar("S", Sampling, Computing)

KEY, PIXELS, NOTES, COLOUR = (
    "diffmatte",
    "pixels",
    "notes",
    "colour",
)  # of a PNG's text and an EXR's attribute; in the receipt's JSON
_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:d="urn:diffmatte"><d:receipt>{}</d:receipt></rdf:Description>'
    "</rdf:RDF></x:xmpmeta>"
)
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_IN_XMP = re.compile(rb"<d:receipt>(.*?)</d:receipt>", re.DOTALL)


# Settings that decide nothing but rounding, or stand in a record's ``path``.
_ASIDE = ("whole", "plain", "memory", "threads")


@dataclass(frozen=True, eq=False)
class Receipt:
    """Hold everything that decides a result's pixels: equal receipts, equal results.

    That is so on one kind of device, and with the same memory, since tiles change rounding.

    Attributes:
        program: the program's version.
        weights: sha256 of the weights file; ``download`` that of the one that it was converted from when it was pulled.
        preprocessing: how the weights' record lets a photograph become the network's input; None if it is silent.
        image, trimap: sha256 of the files; "alpha" for the photograph's own alpha channel as its trimap. Where the
            trimap was made of a mask, that of the mask's file, or of the file of the model that made it.
        result: "alpha", "cutout", "uncertainty" or "trimap".
        bits: a channel of the result; 16 of an EXR are half floats.
        sampling, computing: the settings.
        input_space: the colour space that the photograph was taken for.
        deep: whether more than 8 bits a channel were read of it.
        layer, channel: which of several the photograph and its trimap were; None for what the files say.
        seeds: the number of seeds, from the sampling's on, of an uncertainty; None where the file has none.
        foreground, background, linear_light, premultiplied, space: how colours were made; None where there are none.
            The background of an image is its sha256.
        mask: where the trimap was made of a mask, "given", or the name of the model that made it.
        band: the widths of that trimap's unknown region.
        quality: of a JPEG.
    """

    program: str
    weights: str
    image: str
    trimap: str
    result: str
    bits: int
    sampling: Sampling
    computing: Computing
    input_space: str
    deep: bool
    layer: str | None = None
    channel: str | None = None
    download: str | None = None
    preprocessing: str | None = None
    seeds: int | None = None
    foreground: str | None = None
    background: str | None = None
    linear_light: bool | None = None
    premultiplied: bool | None = None
    space: str | None = None
    mask: str | None = None
    band: str | None = None
    quality: int | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Receipt) and self.record() == other.record()

    def record(self) -> dict[str, Any]:
        """Return a flat record, whose ``path`` is "region", "whole" or "plain"."""
        record = asdict(self)
        settings = record.pop("sampling") | record.pop("computing")
        path = "plain" if settings["plain"] else "whole" if settings["whole"] else "region"
        return record | {name: value for name, value in settings.items() if name not in _ASIDE} | {"path": path}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """Read a flat record; settings that its program did not know have their defaults."""
        values = dict(record)
        path = values.pop("path")
        values |= {"plain": path == "plain", "whole": path == "whole"}
        return cls(sampling=_taken(Sampling, values), computing=_taken(Computing, values), **values)

    def line(self, digest: str, notes: Mapping[str, Any] | None = None) -> str:
        """Return one line of JSON for an image's file, with its ``pixels_digest`` and notes that decide nothing."""
        return json.dumps(self.record() | {PIXELS: digest} | ({NOTES: dict(notes)} if notes else {}))


def receipt_of_trimap(mask: bytes, band: str, channel: str | None) -> Receipt:
    """Return the receipt of a trimap that was made of a mask's file alone, by no model."""
    return Receipt(
        program=__version__,
        weights="",
        image="",
        trimap=sha256_of(mask),
        result="trimap",
        bits=8,
        sampling=Sampling(),
        computing=Computing(),
        input_space="auto",
        deep=False,
        channel=channel,
        mask="given",
        band=band,
    )


def _taken(kind: type[S], values: dict[str, Any]) -> S:
    """Make settings of their values, which are taken out of ``values``."""
    return kind(**{field.name: values.pop(field.name) for field in fields(kind) if field.name in values})


def sha256_of(content: bytes) -> str:
    """Return the sha256 of a file's bytes in hex digits."""
    return hashlib.sha256(content).hexdigest()


def embedded(receipt: str | None, exif: bytes | None, pillow_name: str) -> dict[str, Any]:
    """Return Pillow's settings for a receipt, as text of a PNG or XMP of TIFF and WebP, and for EXIF."""
    packet = _XMP.format(escape(receipt)).encode() if receipt else None
    if pillow_name == "TIFF":
        return _tiff_tags(packet, exif)
    if pillow_name == "PNG":
        text = PngImagePlugin.PngInfo()
        if receipt:
            text.add_text(KEY, receipt)
        return {"pnginfo": text} | ({"exif": exif} if exif else {})
    return ({"xmp": packet} if packet else {}) | ({"exif": exif} if exif else {})


def _tiff_tags(packet: bytes | None, exif: bytes | None) -> dict[str, Any]:
    tags = Image.Exif()  # TIFF's tags and EXIF's are one
    tags.load(exif or b"")
    if packet:
        tags[Base.XMLPacket] = packet
    # Pillow writes EXIF's own directories into uncompressed TIFF only.
    return {"exif": tags} | ({"compression": None} if any(tag in tags for tag in DIRECTORIES) else {})


def read_receipt(path: Path) -> Receipt | None:
    """Return the receipt inside a result; None for a file that is missing, damaged, or without one."""
    found = _read(path)
    return found[0] if found else None


def receipt_in(content: bytes) -> Receipt | None:
    """Return the receipt in a result's bytes; None as for ``read_receipt``."""
    found = _found(content)
    return found[0] if found else None


def read_notes(path: Path) -> dict[str, Any]:
    """Return the notes beside the receipt inside a result; none without a valid receipt."""
    found = _read(path)
    return found[1] if found else {}


def _read(path: Path) -> tuple[Receipt, dict[str, Any]] | None:
    with suppress(Exception):  # the result is made again, whatever is wrong with it
        return _found(read_bytes(path))
    return None


def _found(content: bytes) -> tuple[Receipt, dict[str, Any]] | None:
    with suppress(Exception):
        text, pixels = _opened(content)
        values = json.loads(text)
        notes = values.pop(NOTES, {})
        # Otherwise the file was cut short or changed.
        as_written = values.pop(PIXELS) == pixels and notes.get(COLOUR, {}) == colour_note(colour_chunks(content))
        if as_written and all(_TAKES[name](note) for name, note in notes.items()):
            return Receipt.of(values), notes
    return None


def colour_note(chunks: Mapping[bytes, bytes]) -> dict[str, str]:
    """Return the note of what a PNG says of its colour: any other chunks change how its pixels are shown."""
    return {name.decode(): data.hex() for name, data in sorted(chunks.items())}


def _is_risk(note: Any) -> bool:
    return type(note) in (int, float) and math.isfinite(note) and note >= 0


def _is_digests(note: Any) -> bool:
    return isinstance(note, list) and all(isinstance(text, str) and re.fullmatch("[0-9a-f]{64}", text) for text in note)


# The notes beside a receipt, and what they may be.
_TAKES: Mapping[str, Callable[[Any], bool]] = {"risk": _is_risk, "steps": _is_digests, COLOUR: bool}


def _opened(content: bytes) -> tuple[str, str]:
    """Return the text of the receipt in a file, and the digest of its pixels.

    Raises ValueError where something was added that changes how the pixels are shown, or the end is missing.
    """
    if content.startswith(EXR):
        channels, texts = oiio.read_all(content, MAX_PIXELS)
        if texts.get("Orientation", "1") != "1":
            raise ValueError("it is to be turned")
        return texts[KEY], pixels_digest({name: plane.astype(np.float16) for name, plane in channels.items()})
    formats = [writer.pillow_name for name, writer in WRITERS.items() if name != "exr"]
    with tolerant_pillow(), Image.open(io.BytesIO(content), formats=formats) as image:
        text, deep_colour = _text_in(image), is_deep(image) and not image.mode.startswith("I")
        _check_as_written(image, content)
        if not deep_colour:
            return text, pixels_digest(image)
    return text, pixels_digest(oiio.read_all(content, MAX_PIXELS)[0])


def _check_as_written(image: Image.Image, content: bytes) -> None:
    if stored_orientation(image.getexif) != 1 or getattr(image, "n_frames", 1) != 1:
        raise ValueError("it is shown otherwise than it was written")
    if content.startswith(PNG):
        with Image.open(io.BytesIO(content)) as png:
            png.verify()  # every chunk; decoding stops at the last pixel
        if not content.endswith(_PNG_END):
            raise ValueError("its end is missing")


def pixels_digest(pixels: Image.Image | Mapping[str, NDArray[Any]]) -> str:
    """Return the sha256 of an image's size and pixels, which is the same for formats that have no grey."""
    if isinstance(pixels, Image.Image):
        plain = pixels if pixels.mode.startswith("I;16") else pixels.convert("RGBA")
        return hashlib.sha256(repr(plain.size).encode() + plain.tobytes()).hexdigest()
    digest = hashlib.sha256()
    for name, plane in sorted(pixels.items()):
        digest.update(f"{name} {plane.shape}".encode() + plane.tobytes())
    return digest.hexdigest()


def _text_in(image: Image.Image) -> str:
    if image.format == "PNG":
        return str(image.info[KEY])
    packet = image.info["xmp"]
    (text,) = _IN_XMP.findall(packet if isinstance(packet, bytes) else str(packet).encode())
    return unescape(text.decode())
