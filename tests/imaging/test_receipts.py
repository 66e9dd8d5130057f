"""A receipt stands for its file only while that is as it was written."""

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from support import fakes

from diffmatte_cli.imaging.encoding import Result, encoded
from diffmatte_cli.imaging.formats import WRITERS
from diffmatte_cli.imaging.receipts import KEY, Receipt, read_notes, read_receipt
from diffmatte_cli.settings import Computing, Sampling

RECEIPT = Receipt("1", "w" * 64, "i" * 64, "alpha", "alpha", 8, Sampling(), Computing(), "auto", False)
ALPHA = np.linspace(0, 1, 32 * 24, dtype=np.float32).reshape(24, 32)


def _written(path: Path, notes: dict[str, Any] | None = None) -> bytes:
    content = encoded(Result(path, ALPHA, receipt=RECEIPT, notes=notes or {}))
    path.write_bytes(content)
    assert read_receipt(path) == RECEIPT
    return content


@pytest.mark.parametrize("form", fakes.FORMATS)
def test_a_file_that_was_cut_short_has_none(form: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{WRITERS[form].suffixes[0]}"
    content = _written(path)
    for size in {len(content) - 1, len(content) - 12, len(content) // 2, 20, 0}:
        path.write_bytes(content[:size])
        assert read_receipt(path) is None, size


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif.tobytes().removeprefix(b"Exif\0\0")


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:Description tiff:Orientation="6"/></x:xmpmeta>'


@pytest.mark.parametrize(
    "chunk",
    [
        _chunk(b"eXIf", _exif()),
        _chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
        _chunk(b"gAMA", struct.pack(">I", 100000)),
        _chunk(b"tRNS", b"\0\0"),
    ],
)
def test_a_png_that_is_shown_otherwise_has_none(chunk: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    content = _written(path)
    path.write_bytes(content[:33] + chunk + content[33:])
    assert read_receipt(path) is None
    path.write_bytes(content[:33] + _chunk(b"tIME", bytes(7)) + content[33:])  # shows nothing
    assert read_receipt(path) == RECEIPT


@pytest.mark.parametrize("form", ["tiff", "webp"])
@pytest.mark.parametrize("square", [True, False])
def test_a_picture_that_is_turned_has_none(form: str, square: bool, tmp_path: Path) -> None:
    path = tmp_path / f"a.{form}"
    pixels = np.full((24, 24), 0.5, np.float32) if square else ALPHA
    path.write_bytes(encoded(Result(path, pixels, receipt=RECEIPT)))
    with Image.open(path) as image:
        image.load()
        exif = image.getexif()
        exif[0x0112] = 3
        if form == "webp":
            image.save(path, lossless=True, exact=True, exif=exif, xmp=image.info["xmp"])
        else:
            image.save(path, exif=exif)
    assert read_receipt(path) is None


@fakes.NEEDS_VFX
def test_an_exr_that_is_turned_has_none(tmp_path: Path) -> None:
    import OpenImageIO as oiio  # noqa: N813

    path = tmp_path / "a.exr"
    _written(path)
    image = oiio.ImageBuf(str(path))
    assert image.write(str(tmp_path / "b.exr"))
    assert read_receipt(tmp_path / "b.exr") == RECEIPT
    image.specmod()["Orientation"] = 6
    assert image.write(str(tmp_path / "b.exr"))
    assert read_receipt(tmp_path / "b.exr") is None


def test_a_second_picture_in_the_file_leaves_none(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    _written(path)
    with Image.open(path) as image:
        image.load()
        image.save(path, save_all=True, append_images=[image.rotate(180)], exif=image.getexif())
    assert read_receipt(path) is None


@pytest.mark.parametrize(
    "notes",
    [
        *({"risk": value} for value in ("1", "=1+1", True, [], {}, None, float("nan"), float("inf"), -1, 10**400)),
        *({"steps": value} for value in (1, "a" * 64, [1], ["x"], ["A" * 64], {"a": 1}, None)),
        *({"other": 1}, [], "risk", 1, None),
    ],
)
def test_forged_notes_leave_none(notes: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    _written(path, {"risk": 0.5})
    assert read_notes(path) == {"risk": 0.5}
    with Image.open(path) as image:
        image.load()
        values = json.loads(image.info[KEY]) | {"notes": notes}
        text = PngImagePlugin.PngInfo()
        text.add_text(KEY, json.dumps(values))
        image.save(path, pnginfo=text)
    assert read_receipt(path) is None
    assert read_notes(path) == {}


def test_a_receipt_without_notes_counts(tmp_path: Path) -> None:
    _written(tmp_path / "a.png")
    assert read_notes(tmp_path / "a.png") == {}
