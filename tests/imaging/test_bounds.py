"""What files claim is looked at before it costs anything, and one that asks for too much leaves the others alone."""

import gc
import io
import struct
import threading
import time
import weakref
import zlib
from pathlib import Path

import pytest
from PIL import Image, ImageFile
from support import fakes

from diffmatte_cli.batch.outcome import Outcome
from diffmatte_cli.batch.pipeline import run_stages
from diffmatte_cli.errors import ImageError, ResourceError
from diffmatte_cli.imaging.grey import decode_grey, decode_opacity
from diffmatte_cli.imaging.read import decode_image
from diffmatte_cli.process import memory

NAME = Path("x")
SIDE = 20_000


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _png(side: int, bits: int, kind: int) -> bytes:
    head = struct.pack(">IIBBBBB", side, side, bits, kind, 0, 0, 0)
    rows = zlib.compress(bytes(4_000_000))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def _gif(side: int) -> bytes:
    sides = struct.pack("<HH", side, side)
    return b"GIF89a" + sides + b"\x80\0\0\0\0\0\xff\xff\xff," + bytes(4) + sides + b"\0\2\2D\1\0;"


def _other(form: str, claimed: int, width: bytes, height: bytes) -> bytes:
    """Return a small file of one format in which the sides have been overwritten."""
    buffer = io.BytesIO()
    Image.new("RGB", (217, 219)).save(buffer, form)
    return buffer.getvalue().replace(height + width, claimed.to_bytes(len(height), "big") * 2, 1)


def _exr(channels: list[bytes], side: int, after: int = 100) -> bytes:
    """Return the header of an EXR of half floats, and some bytes behind it."""

    def attribute(name: bytes, kind: bytes, data: bytes) -> bytes:
        return name + b"\0" + kind + b"\0" + struct.pack("<I", len(data)) + data

    listed = b"".join(name + b"\0" + struct.pack("<iBBBBii", 1, 0, 0, 0, 0, 1, 1) for name in channels) + b"\0"
    window = struct.pack("<4i", 0, 0, side - 1, side - 1)
    header = [
        attribute(b"channels", b"chlist", listed),
        attribute(b"compression", b"compression", b"\0"),
        attribute(b"dataWindow", b"box2i", window),
        attribute(b"displayWindow", b"box2i", window),
        attribute(b"lineOrder", b"lineOrder", b"\0"),
        attribute(b"pixelAspectRatio", b"float", struct.pack("<f", 1)),
        attribute(b"screenWindowCenter", b"v2f", bytes(8)),
        attribute(b"screenWindowWidth", b"float", struct.pack("<f", 1)),
        attribute(b"owner", b"string", b"J\xfcrgen"),  # not UTF-8
    ]
    return b"\x76\x2f\x31\x01" + struct.pack("<I", 2) + b"".join(header) + b"\0" + bytes(after)


FALSE_CLAIMS = {
    "GIF": _gif(SIDE),
    "PNG": _png(SIDE, 8, 6),
    "PNG of one bit": _png(SIDE, 1, 0),
    "JPEG": _other("JPEG", SIDE, b"\0\xd9", b"\0\xdb"),
}


@pytest.mark.parametrize("kind", FALSE_CLAIMS)
def test_a_small_file_does_not_claim_a_large_picture(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("it was decoded"))
    assert len(FALSE_CLAIMS[kind]) < 5000
    for decode in (decode_image, decode_grey, decode_opacity):
        with pytest.raises(ImageError, match=r"^cannot read x: it claims 20000x20000 pixels, more than a file of its"):
            decode(FALSE_CLAIMS[kind], NAME)


def test_what_packs_well_is_read() -> None:
    for form, settings in (
        ("PNG", {}),
        ("GIF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "group4"}),
    ):
        buffer = io.BytesIO()
        Image.new("1", (4000, 4000)).save(buffer, form, **settings)
        assert decode_image(buffer.getvalue(), NAME).pixels.shape == (4000, 4000, 3), form
    buffer = io.BytesIO()
    Image.new("L", (4000, 4000)).save(buffer, "JPEG", quality=1, progressive=True)
    assert decode_image(buffer.getvalue(), NAME).pixels.shape == (4000, 4000, 3)


def test_memory_is_asked_before_an_image_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (1000, 1000)).save(buffer, "WEBP")
    monkeypatch.setattr(memory, "free_memory", lambda: 2**20)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("it was decoded"))
    words = r"^cannot read x: an image of 1 megapixels needs about 0\.019 GiB of memory, and 0\.00098 GiB are free: "
    for decode in (decode_image, decode_grey, decode_opacity):
        with pytest.raises(ResourceError, match=words):
            decode(buffer.getvalue(), NAME)


@fakes.NEEDS_VFX
def test_memory_is_asked_of_exr_too(monkeypatch: pytest.MonkeyPatch) -> None:
    content = _exr([b"B", b"G", b"R"], 10_000, after=10_000_000)
    monkeypatch.setattr(memory, "free_memory", lambda: 2**30)
    with pytest.raises(ResourceError, match=r"^cannot read x: an image of 100 megapixels needs about 5\.6 GiB"):
        decode_image(content, NAME)


@fakes.NEEDS_VFX
def test_a_header_is_bounded() -> None:
    began, words = time.monotonic(), "^cannot read x: it(s header lists more channels| has more than 1000 parts)"
    for content in (
        _exr([b"c%06d" % number for number in range(250_000)], 8),
        b"\x76\x2f\x31\x01" + struct.pack("<I", 2 + (1 << 12)) + b"a\0b\0\0\0\0\0\0" * 5000 + b"\0",
        b"\x76\x2f\x31\x01" + struct.pack("<I", 2) + b"a\0b\0\0\0\0\0" * 20_000 + b"\0",
    ):
        with pytest.raises(ImageError, match=words):
            decode_image(content, NAME)
    assert time.monotonic() - began < 5


@fakes.NEEDS_VFX
def test_names_and_messages_that_are_not_utf_8_are_one_sentence() -> None:
    for names in ([b"B", b"G", b"R"], [b"B\xff", b"G\xfe", b"R\xfd"]):
        for after in (0, 100):
            for decode in (decode_image, decode_grey, decode_opacity):
                with pytest.raises(ImageError, match=r"^cannot read x: [^\n]{5,300}$"):
                    decode(_exr(names, 8, after), NAME)


def test_what_an_error_held_is_free_before_the_next_job_is_read() -> None:
    class Frame:
        """What takes memory."""

    held: list[weakref.ref[Frame]] = []
    alive: list[bool] = []

    def read(job: int) -> Outcome:
        alive.extend(reference() is not None for reference in held)
        frame = Frame()
        held.append(weakref.ref(frame))
        try:
            raise ValueError(f"within {frame}")
        except ValueError as error:
            raise ImageError(f"job {job}") from error

    gc.disable()
    try:
        ends = list(run_stages(range(3), read, [lambda work: work], lambda work: work, threading.Event()))
    finally:
        gc.enable()
    assert [str(outcome.error) for _, outcome in ends] == ["job 0", "job 1", "job 2"]
    assert not any(alive)


def test_hostile_photographs_leave_the_others_alone(cat_folder: Path, matter: fakes.FakeMatter) -> None:
    Path("in").mkdir()
    Path("trimaps").mkdir()
    hostile = {"a.gif": FALSE_CLAIMS["GIF"], "c.png": FALSE_CLAIMS["PNG"], "d.exr": _exr([b"R", b"G", b"B"], 20_000)}
    for name, content in (hostile | {"b.png": Path("cat.png").read_bytes()}).items():
        Path("in", name).write_bytes(content)
        Path("trimaps", f"{name[0]}.png").write_bytes(Path("cat_trimap.png").read_bytes())
    done = fakes.run("matte", "in", "--trimap", "trimaps", "-o", "out")
    assert done.exit_code == 1, done.stderr
    assert [path.name for path in Path("out").iterdir()] == ["b_alpha.png"]
    assert all(f"cannot read in/{name}: " in done.stderr for name in hostile)
