"""Sound files are read whatever stands beside their pixels, and what their tags say of colour is obeyed or told."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import fakes

from diffmatte_cli.errors import ImageError
from diffmatte_cli.extras import is_installed
from diffmatte_cli.imaging.grey import decode_grey
from diffmatte_cli.imaging.png import chunks
from diffmatte_cli.imaging.read import decode_image, read_image
from diffmatte_cli.imaging.receipts import read_receipt

NAME = Path("x")
NOISE = np.random.default_rng(3).integers(0, 256, (fakes.HEIGHT, fakes.WIDTH, 3)).astype(np.uint8)
PROFILE = b"\0" * 16 + b"RGB " + np.random.default_rng(4).bytes(3_000_000)
P3 = bytes([12, 13, 0, 1])  # code points of Display P3 with sRGB's curve


def _chunk(name: bytes, data: bytes, damage: int = 0) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data) ^ damage)


def _png(*extra: bytes, pixels: np.ndarray = NOISE) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    content = buffer.getvalue()
    return content[:33] + b"".join(extra) + content[33:]


LONG = zlib.compress(bytes(5_000_000))
PASSED_BY = {
    "long zTXt": [_chunk(b"zTXt", b"k\0\0" + LONG)],
    "long iTXt": [_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + LONG)],
    "long plain iTXt": [_chunk(b"iTXt", b"k\0\0\0\0\0" + bytes(5_000_000))],
    "a hundred texts": [_chunk(b"zTXt", b"k%d\0\0" % n + zlib.compress(bytes(1_000_000))) for n in range(100)],
    "bad sum of text": [_chunk(b"tEXt", b"k\0v", damage=1)],
    "bad sum of time": [_chunk(b"tIME", bytes(7), damage=1)],
    "bad sum of resolution": [_chunk(b"pHYs", bytes(9), damage=1)],
    "short gamma": [_chunk(b"gAMA", b"\0")],
    "short primaries": [_chunk(b"cHRM", bytes(5))],
    "empty rendering intent": [_chunk(b"sRGB", b"")],
    "bad profile": [_chunk(b"iCCP", b"k\0\0" + b"nothing packed")],
    "a profile without end": [_chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(80_000_000)))],
}


@pytest.mark.parametrize("kind", PASSED_BY)
def test_what_stands_beside_whole_pixels_does_not_matter(kind: str) -> None:
    content = _png(*PASSED_BY[kind])
    photo = decode_image(content, NAME)
    np.testing.assert_array_equal(photo.pixels, NOISE)
    assert photo.icc_profile is None
    np.testing.assert_allclose(decode_grey(content, NAME, "g").levels, NOISE[..., 1] / 255, atol=1e-6)
    with pytest.raises(ImageError, match=r"^cannot read x: it has no channel mask: it has R, G, B$"):
        decode_grey(content, NAME, "mask")


def test_a_profile_of_several_megabytes_is_kept(cat_folder: Path, matter: fakes.FakeMatter) -> None:
    Path("x.png").write_bytes(_png(_chunk(b"iCCP", b"k\0\0" + zlib.compress(PROFILE))))
    for _ in range(2):
        done = fakes.run("matte", "x.png", "--trimap", "cat_trimap.png", "--cutout", "-o", "o.png", "--skip-existing")
        assert done.exit_code == 0, done.stderr
    assert "skipped" in done.stderr
    assert read_image(Path("o.png")).icc_profile == PROFILE


@pytest.mark.parametrize("name", [b"IHDR", b"IDAT", b"IEND"])
def test_damaged_pixels_stay_an_error(name: bytes) -> None:
    content = _png()
    parts = [chunk[:-1] + bytes([chunk[-1] ^ (found == name)]) for found, chunk in chunks(content)]
    damaged = content[:8] + b"".join(parts)
    if name == b"IEND":  # the pixels are whole
        np.testing.assert_array_equal(decode_image(damaged, NAME).pixels, NOISE)
        return
    with pytest.raises(ImageError, match="cannot read x: "):
        decode_image(damaged, NAME)


@pytest.mark.parametrize(
    "said", [{b"cICP": P3}, {b"gAMA": struct.pack(">I", 100_000), b"cHRM": struct.pack(">8I", *range(8))}]
)
@pytest.mark.parametrize("bits", ["8", pytest.param("16", marks=fakes.NEEDS_VFX)])
def test_what_a_png_says_of_its_colour_is_kept_or_told(
    said: dict[bytes, bytes], bits: str, cat_folder: Path, matter: fakes.FakeMatter
) -> None:
    Path("x.png").write_bytes(_png(*(_chunk(name, data) for name, data in said.items())))
    for suffix in ("png", "tif"):
        done = fakes.run(
            *("matte", "x.png", "--trimap", "cat_trimap.png", "--cutout", "--bit-depth", bits, "-o", f"o.{suffix}")
        )
        assert done.exit_code == 0, done.stderr
        told = f"its colour is not sRGB but what {', '.join(sorted(name.decode() for name in said))} say"
        assert (told in done.stderr) == (suffix == "tif")
    kept = {name: chunk[8:-4] for name, chunk in chunks(Path("o.png").read_bytes()) if name in said}
    assert kept == said
    assert read_receipt(Path("o.png")) is not None


def test_usual_colour_is_not_told(cat_folder: Path, matter: fakes.FakeMatter) -> None:
    gamma, primaries = (
        struct.pack(">I", 45455),
        struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
    )
    Path("x.png").write_bytes(_png(_chunk(b"gAMA", gamma), _chunk(b"cHRM", primaries)))
    done = fakes.run("matte", "x.png", "--trimap", "cat_trimap.png", "--cutout", "-o", "o.webp")
    assert "colour" not in done.stderr


RAMP = np.tile(np.array([0, 10_000, 50_000, 65_535], np.uint16), (4, 1))


def _tiff(pixels: np.ndarray, photometric: int, order: str = "<") -> bytes:
    """Return an uncompressed TIFF of one strip."""
    samples = 1 if pixels.ndim == 2 else pixels.shape[2]
    bits, form = pixels.dtype.itemsize * 8, {"u": 1, "f": 3}[pixels.dtype.kind]
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    many = struct.pack(f"{order}{samples}H", *[bits] * samples)
    tags = [(256, 4, pixels.shape[1]), (257, 4, pixels.shape[0]), (258, 3, bits), (259, 3, 1), (262, 3, photometric)]
    tags += [(273, 4, 8 + len(many)), (277, 3, samples), (278, 4, pixels.shape[0]), (279, 4, len(data)), (339, 3, form)]
    out = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(many) + len(data)) + many + data
    out += struct.pack(f"{order}H", len(tags))
    for tag, kind, value in tags:
        count = samples if tag == 258 else 1
        packed = struct.pack(
            f"{order}{'I' if kind == 4 or count > 2 else 'HH'}",
            *([value, 0] if kind == 3 and count < 3 else [8 if count > 2 else value]),
        )
        out += struct.pack(f"{order}HHI", tag, kind, count) + packed
    return out + bytes(4)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_where_0_is_white_grey_is_turned(kind: str, order: str) -> None:
    shares = RAMP / 65_535
    white = 1 if kind == "float32" else np.iinfo(kind).max
    pixels = ((1 - shares) * white).astype(np.float64)
    content = _tiff((np.rint(pixels) if white > 1 else pixels).astype(kind), 0, order)
    if (kind, order) == ("uint16", ">") and not is_installed("vfx"):
        pytest.skip("needs the extra vfx (OpenImageIO)")
    np.testing.assert_allclose(decode_grey(content, NAME).levels, shares, atol=0.5 / 255)
    photo = decode_image(content, NAME)
    np.testing.assert_allclose(photo.pixels[..., 0] / 255, shares, atol=1 / 255)
    if photo.deep is not None:
        np.testing.assert_allclose(photo.deep[..., 0] / white, shares, atol=1 / 65_535)


@pytest.mark.parametrize(
    ("photometric", "words"),
    [(6, "YCbCr"), (8, r"L\*a\*b\*"), (9, r"ICC L\*a\*b\*"), (32803, "a camera's raw pattern"), (40_000, "kind 40000")],
)
def test_colour_of_other_kinds_is_refused_by_name(photometric: int, words: str) -> None:
    content = _tiff(np.dstack([RAMP] * 3), photometric)
    for decode in (decode_image, decode_grey):
        with pytest.raises(ImageError, match=f"^cannot read x: its colours are stored as .*{words}.*: save it as RGB$"):
            decode(content, NAME)


def test_lab_of_8_bits_is_converted() -> None:
    lab = np.zeros((4, 4, 3), np.uint8)
    lab[..., 0] = 255
    assert decode_image(_tiff(lab, 8), NAME).pixels.min() >= 254


def test_light_beyond_white_is_told_where_it_is_lost(cat_folder: Path, matter: fakes.FakeMatter) -> None:
    oiio = pytest.importorskip("OpenImageIO", reason="needs the extra vfx (OpenImageIO)")
    light = np.full((fakes.HEIGHT, fakes.WIDTH, 3), 0.5, np.float32)
    trimap = fakes.cat_trimap()
    light[trimap == 0] = 5  # nobody misses it
    spec = oiio.ImageSpec(fakes.WIDTH, fakes.HEIGHT, 3, "half")
    for bright in (0, 7):
        where = np.argwhere(trimap == 255)[:bright]
        light[where[:, 0], where[:, 1], 1] = 3
        output = oiio.ImageOutput.create("x.exr")
        assert output.open("x.exr", spec)
        output.write_image(light)
        output.close()
        for suffix in ("png", "tif", "exr"):
            done = fakes.run("matte", "x.exr", "--trimap", "cat_trimap.png", "--cutout", "-o", f"o.{suffix}")
            told = f"7 pixels of the subject ({7 / (trimap != 0).sum():.1%}) are brighter than white, which {suffix}"
            assert (told in done.stderr) == (bright > 0 and suffix != "exr"), done.stderr
    assert "brighter" not in fakes.run("matte", "x.exr", "--trimap", "cat_trimap.png", "-o", "o.png").stderr


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "jpg"])
@pytest.mark.parametrize("result", ["png", "webp", "tif"])
def test_exif_of_every_kind_reaches_every_cutout(
    suffix: str, result: str, cat_folder: Path, matter: fakes.FakeMatter
) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    Image.fromarray(NOISE).save(f"x.{suffix}", exif=exif)
    done = fakes.run("matte", f"x.{suffix}", "--trimap", "cat_trimap.png", "--cutout", "-o", f"o.{result}")
    assert done.exit_code == 0, done.stderr
    with Image.open(f"o.{result}") as image:
        assert image.getexif()[0x010F] == "Maker"
