"""Receipts: what a result was made of and how, kept inside its file, so that it can be made or trusted again."""

import hashlib
import io
import json
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, unescape

from PIL import Image, PngImagePlugin

from .exif import DIRECTORIES
from .formats import WRITERS
from .images import tolerant_pillow
from .remotes import is_remote, read

__all__ = ["Receipt", "embedded", "read_receipt", "sha256_of"]

# The PNG text's keyword, and the XMP property's name.
KEY = "diffmatte"
PIXELS = "pixels"
XMP_TAG = 700
_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:d="urn:diffmatte"><d:receipt>{}</d:receipt></rdf:Description>'
    "</rdf:RDF></x:xmpmeta>"
)
_IN_XMP = re.compile(rb"<d:receipt>(.*?)</d:receipt>", re.DOTALL)


@dataclass(frozen=True)
class Receipt:
    """Everything that decides a result's pixels: equal receipts, equal results
    (on one kind of device, and with the same memory: tiles change rounding).

    Attributes:
        program: the program's version.
        weights: sha256 of the weights file.
        image, trimap: sha256 of the files' bytes; a trimap of "alpha" is the photograph's own channel.
        result: "alpha" or "cutout".
        bits: of the written alpha.
        schedule, input_scale, attention_grids: None for the weights' own, and for what the picture's size asks for.
        path: "region", "whole" or "plain": the same numbers, but for rounding.
    """

    program: str
    weights: str
    image: str
    trimap: str
    result: str
    bits: int
    seed: int
    steps: int
    sampler: str
    schedule: str | None
    input_scale: float | None
    keep_known: bool
    attention_grids: int | None
    precision: str
    until_stable: float | None
    path: str

    def for_picture(self, picture: Image.Image) -> str:
        """Return one line of JSON to go into a picture's file; it also holds a sha256 of the picture's pixels."""
        return json.dumps(asdict(self) | {PIXELS: _digest(picture)})


def sha256_of(content: bytes) -> str:
    """Return the sha256 of a file's bytes in hex digits."""
    return hashlib.sha256(content).hexdigest()


def embedded(receipt: str | None, exif: bytes | None, pillow_name: str) -> dict[str, Any]:
    """Return Pillow's settings that write a receipt, as text of a PNG or XMP of TIFF and WebP, and EXIF into a file."""
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
        tags[XMP_TAG] = packet
    # Pillow writes EXIF's own directories into uncompressed TIFF alone.
    return {"exif": tags} | ({"compression": None} if any(tag in tags for tag in DIRECTORIES) else {})


def read_receipt(path: Path) -> Receipt | None:
    """Return the receipt inside a result; None where there is no such file, it is damaged, or holds none."""
    try:
        file = io.BytesIO(read(path)) if is_remote(path) else path
        with tolerant_pillow(), Image.open(file, formats=[w.pillow_name for w in WRITERS.values()]) as image:
            values = json.loads(_text_in(image))
            if values.pop(PIXELS) != _digest(image):  # cut short, or changed by somebody
                return None
            return Receipt(**values) if set(values) == {field.name for field in fields(Receipt)} else None
    except Exception:  # whatever is wrong with it: it is made again
        return None


def _digest(picture: Image.Image) -> str:
    """Return the sha256 of a picture's size and pixels; formats that know no grey give the same."""
    pixels = picture if picture.mode.startswith("I;16") else picture.convert("RGBA")
    return hashlib.sha256(repr(picture.size).encode() + pixels.tobytes()).hexdigest()


def _text_in(image: Image.Image) -> str:
    if image.format == "PNG":
        return str(image.info[KEY])
    packet = image.info["xmp"]
    (text,) = _IN_XMP.findall(packet if isinstance(packet, bytes) else str(packet).encode())
    return unescape(text.decode())
