"""Reading every usual kind of picture, refusing the unusual in one sentence."""

import struct
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageOps

from diffmatte_cli.errors import ImageError
from diffmatte_cli.extras import is_installed
from diffmatte_cli.imaging import opening
from diffmatte_cli.imaging.grey import decode_grey, decode_opacity, read_grey
from diffmatte_cli.imaging.orientation import orient, swaps_sides
from diffmatte_cli.imaging.read import decode_image, read_image

HEIGHT, WIDTH = 5, 7
RAMP = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH) * 7
COLOUR = np.stack([RAMP, 255 - RAMP, RAMP // 2], axis=-1)


def _saved(path: Path, picture: Image.Image, **settings: object) -> Path:
    picture.save(path, **settings)
    return path


def _rgba(colour: np.ndarray, alpha: int) -> Image.Image:
    return Image.fromarray(np.dstack([colour, np.full((HEIGHT, WIDTH), alpha, np.uint8)]))


def _palette(transparency: bytes | int | None) -> tuple[Image.Image, dict[str, object]]:
    picture = Image.fromarray(RAMP // 7).convert("L").copy()
    indexed = Image.frombytes("P", picture.size, picture.tobytes())
    indexed.putpalette([value for index in range(256) for value in (index * 7 % 256, 255 - index * 7 % 256, index)])
    return indexed, {} if transparency is None else {"transparency": transparency}


GREY3 = np.repeat(RAMP[..., None], 3, axis=2)
PALETTE3 = np.stack([RAMP, 255 - RAMP, RAMP // 7], axis=-1)
BINARY = RAMP > 120

# kind -> (file name, picture, settings to save it with, pixels expected of read_image)
PICTURES: dict[str, tuple[str, Image.Image, dict[str, object], np.ndarray]] = {
    "grey": ("x.png", Image.fromarray(RAMP), {}, GREY3),
    "rgb": ("x.png", Image.fromarray(COLOUR), {}, COLOUR),
    "rgba": ("x.png", _rgba(COLOUR, 90), {}, COLOUR),
    "rgba, fully transparent": ("x.png", _rgba(COLOUR, 0), {}, COLOUR),
    "rgba, webp": ("x.webp", _rgba(COLOUR, 0), {"lossless": True, "exact": True}, COLOUR),
    "rgba, tiff": ("x.tif", _rgba(COLOUR, 40), {}, COLOUR),
    "la": ("x.png", Image.fromarray(np.dstack([RAMP, 255 - RAMP])), {}, GREY3),
    "palette": ("x.png", _palette(None)[0], {}, PALETTE3),
    "palette, one transparent": ("x.png", _palette(3)[0], {"transparency": 3}, PALETTE3),
    "palette, many transparent": ("x.png", _palette(None)[0], {"transparency": bytes(range(35))}, PALETTE3),
    "palette, gif": ("x.gif", _palette(None)[0], {}, PALETTE3),
    "1-bit": ("x.png", Image.fromarray(BINARY), {}, np.repeat(BINARY[..., None], 3, axis=2) * np.uint8(255)),
    "16-bit png": ("x.png", Image.fromarray(RAMP.astype(np.uint16) * 257), {}, GREY3),
    "16-bit tiff": ("x.tif", Image.fromarray(RAMP.astype(np.uint16) * 257), {}, GREY3),
    "16-bit tiff, big-endian": ("x.tif", Image.fromarray(RAMP.astype(">u2") * 257), {}, GREY3),
    "32-bit tiff": ("x.tif", Image.fromarray(RAMP.astype(np.int32) * 257), {}, GREY3),
    "float tiff": ("x.tif", Image.fromarray(RAMP.astype(np.float32) / 255), {}, GREY3),
    "float tiff to 255": ("x.tif", Image.fromarray(RAMP.astype(np.float32)), {}, GREY3),
    "bmp": ("x.bmp", Image.fromarray(COLOUR), {}, COLOUR),
    "ppm": ("x.ppm", Image.fromarray(COLOUR), {}, COLOUR),
    "jpeg 2000": ("x.jp2", Image.fromarray(COLOUR), {"irreversible": False}, COLOUR),
    "wrong ending": ("x.jpg", Image.fromarray(COLOUR), {"format": "PNG"}, COLOUR),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_photographs_of_every_kind_become_rgb(kind: str, tmp_path: Path) -> None:
    name, picture, settings, expected = PICTURES[kind]
    photo = read_image(_saved(tmp_path / name, picture, **settings))
    assert photo.pixels.dtype == np.uint8
    np.testing.assert_array_equal(photo.pixels, expected)
    assert photo.orientation == 1


@pytest.mark.parametrize("kind", [kind for kind, row in PICTURES.items() if row[3] is GREY3])
def test_grey_pictures_of_every_depth_become_levels(kind: str, tmp_path: Path) -> None:
    name, picture, settings, _ = PICTURES[kind]
    grey = read_grey(_saved(tmp_path / name, picture, **settings))
    assert grey.levels.dtype == np.float32
    np.testing.assert_allclose(grey.levels, RAMP / 255, atol=1e-6)


def test_colour_is_read_as_luma_and_1_bit_as_0_and_1(tmp_path: Path) -> None:
    tinted = np.stack([RAMP, RAMP // 10 * 9, RAMP // 10 * 8 + 9], axis=-1)
    colour = read_grey(_saved(tmp_path / "c.png", _rgba(tinted, 0))).levels
    np.testing.assert_allclose(colour, tinted @ [0.299, 0.587, 0.114] / 255, atol=1 / 255)
    np.testing.assert_array_equal(read_grey(_saved(tmp_path / "b.png", Image.fromarray(BINARY))).levels, BINARY)


@pytest.mark.parametrize("kind", ["CMYK", "YCbCr"])
def test_jpeg_in_other_colour_spaces(kind: str, tmp_path: Path) -> None:
    flat = Image.new("RGB", (16, 16), (200, 40, 90)).convert(kind)
    photo = read_image(_saved(tmp_path / "x.jpg", flat, quality=100, icc_profile=bytes(16) + b"CMYK"))
    assert np.abs(photo.pixels.astype(int) - (200, 40, 90)).max() <= 4
    assert photo.icc_profile is None


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width: int, height: int, bits: int, colour_type: int, rows: bytes, *extra: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    body = b"".join([_chunk(b"IHDR", header), *extra, _chunk(b"IDAT", zlib.compress(rows)), _chunk(b"IEND", b"")])
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(("colour_type", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_16_bit_png_with_colour_or_alpha(colour_type: int, channels: int, tmp_path: Path) -> None:
    values = np.arange(3 * channels).reshape(1, 3, channels) * 20
    path = tmp_path / "deep.png"
    path.write_bytes(_png(3, 1, 16, colour_type, b"\0" + (values * 257).astype(">u2").tobytes()))
    expected = values[..., :3] if channels > 2 else np.repeat(values[..., :1], 3, axis=2)
    np.testing.assert_array_equal(read_image(path).pixels, expected)


def test_without_the_extra_8_bits_are_read_and_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (5, 7, 3))
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    path = tmp_path / "deep.png"
    path.write_bytes(_png(7, 5, 16, 2, rows))
    photos = [read_image(path)] if is_installed("vfx") else []
    monkeypatch.setattr("diffmatte_cli.extras.find_spec", lambda _: None)
    photos.append(read_image(path))
    assert photos[-1].deep is None
    assert photos[-1].notes == ("its 16 bits a channel are read as 8: all are read with pip install 'diffmatte[vfx]'",)
    for photo in photos:  # the model sees the same, with the extra and without
        np.testing.assert_array_equal(photo.pixels, values >> 8)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x76\x2f\x31\x01more", "OpenEXR needs an extra"),
        (b"II*\0\x08\0\0\0\0\0\0\0\0\0", "it is damaged, or a kind of TIFF that needs an extra"),
    ],
)
def test_what_only_the_extra_reads_says_so(content: bytes, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diffmatte_cli.extras.find_spec", lambda _: None)
    for decode in (decode_image, decode_grey, decode_opacity):
        with pytest.raises(ImageError, match=rf"^cannot read x: {words}: pip install 'diffmatte\[vfx\]'$"):
            decode(content, Path("x"))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 0.5, 1.001], [0, 0.5, 1]),
        ([-0.2, 0.5, 2], [0, 0.5, 1]),
        ([0, 51, 255.1], [0, 0.2, 1]),
        ([0, 13107, 65535], [0, 0.2, 1]),
        ([0, 1e5, 2e5], [0, 0.5, 1]),
    ],
)
def test_floats_a_little_beyond_white_do_not_move_it(
    values: list[float], expected: list[float], tmp_path: Path
) -> None:
    path = _saved(tmp_path / "x.tif", Image.fromarray(np.float32([values])))
    np.testing.assert_allclose(read_grey(path).levels, [expected], atol=1e-6)


@pytest.mark.parametrize("reader", [read_image, read_grey])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_floats_that_are_no_numbers_are_refused(reader: object, value: float, tmp_path: Path) -> None:
    levels = np.full((HEIGHT, WIDTH), 0.5, np.float32)
    levels[0, 0] = value
    path = _saved(tmp_path / "x.tif", Image.fromarray(levels))
    with pytest.raises(ImageError, match=r"cannot read .*x\.tif: some pixels are not numbers, or infinite"):
        reader(path)  # type: ignore[operator]


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_shallow_grey_reaches_full_white(bits: int, tmp_path: Path) -> None:
    path = tmp_path / "shallow.png"
    path.write_bytes(_png(2, 1, bits, 0, b"\0" + bytes([(2**bits - 1) << (8 - bits)])))
    assert read_grey(path).levels.tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_as_viewers_do(orientation: int, ending: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    coarse = Image.fromarray(COLOUR).resize((WIDTH * 16, HEIGHT * 16), Image.Resampling.NEAREST)
    settings = {"lossless": True} if ending == "webp" else {}
    path = _saved(tmp_path / f"x.{ending}", coarse, exif=exif, **settings)
    with Image.open(path) as stored:
        expected = np.asarray(ImageOps.exif_transpose(stored))
    photo = read_image(path)
    np.testing.assert_array_equal(photo.pixels, expected)
    assert photo.orientation == orientation
    grey = read_grey(_saved(tmp_path / f"grey.{ending}", coarse.convert("L"), exif=exif, **settings))
    assert (grey.levels.shape, grey.orientation) == (expected.shape[:2], orientation)


@pytest.mark.parametrize("mode", ["L", "I;16", "RGBA", "RGB"])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_turned_uncompressed_tiffs_are_not_scrambled(orientation: int, mode: str, tmp_path: Path) -> None:
    tags = Image.Exif()
    tags[0x0112] = orientation
    ramp = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH)
    picture = Image.fromarray(ramp * 257) if mode == "I;16" else Image.fromarray(ramp.astype(np.uint8)).convert(mode)
    path = _saved(tmp_path / "x.tif", picture, exif=tags)
    stored = Image.fromarray(ramp.astype(np.uint8))
    stored.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(stored))
    np.testing.assert_array_equal(read_image(path).pixels[..., 0], expected)
    np.testing.assert_allclose(read_grey(path).levels, expected / 255, atol=1e-6)


def test_an_absurd_resolution_is_ignored(tmp_path: Path) -> None:
    path = _saved(tmp_path / "x.tif", Image.fromarray(COLOUR), dpi=(1e9, 1e9))
    assert read_image(path).dpi is None


@given(st.integers(1, 8), hnp.arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 5))))
def test_orient_swaps_sides_exactly_where_it_says(orientation: int, pixels: np.ndarray) -> None:
    expected = pixels.shape[::-1] if swaps_sides(orientation) else pixels.shape
    assert orient(pixels, orientation).shape == expected


@pytest.mark.parametrize("exif", [b"Exif\0\0broken", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0"])
def test_damaged_exif_does_not_matter(exif: bytes, tmp_path: Path) -> None:
    photo = read_image(_saved(tmp_path / "x.jpg", Image.fromarray(COLOUR), exif=exif))
    assert photo.orientation == 1


def test_orientation_0_and_9_count_as_none(tmp_path: Path) -> None:
    for value in (0, 9, 65535):
        exif = Image.Exif()
        exif[0x0112] = value
        assert read_image(_saved(tmp_path / "x.jpg", Image.fromarray(COLOUR), exif=exif)).orientation == 1


def test_resolution_and_rgb_profile_are_kept_turned_with_the_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = bytes(16) + b"RGB " + bytes(108)
    path = _saved(tmp_path / "x.jpg", Image.fromarray(COLOUR), exif=exif, dpi=(300, 150), icc_profile=profile)
    photo = read_image(path)
    assert photo.dpi == (150, 300)
    assert photo.icc_profile == profile


def _cut(path: Path, picture: Image.Image, share: float) -> None:
    picture.save(path, quality=95) if path.suffix == ".jpg" else picture.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif", "gif", "bmp"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_truncated_pictures_are_refused(ending: str, share: float, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    path = tmp_path / f"cut.{ending}"
    _cut(path, Image.fromarray(noise), share)
    with pytest.raises(ImageError, match=r"cannot read .*cut\.") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


NO_PICTURES = {
    "empty": (b"", "the file is empty"),
    "text": (b"hello, world\n" * 20, "not an image"),
    "signature alone": (b"\x89PNG\r\n\x1a\n", "cannot read"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
    "bomb": (_png(60_000, 60_000, 8, 2, b"\0"), "more than 400 million pixels"),
    "bomb below Pillow's error": (_png(21_000, 21_000, 8, 0, b"\0"), "more than 400 million pixels"),
    "missing rows": (_png(200, 200, 8, 2, b"\0" * 50), "cannot read"),
}


@pytest.mark.parametrize("reader", [read_image, read_grey])
@pytest.mark.parametrize("kind", NO_PICTURES)
def test_what_is_no_picture_is_refused_in_one_sentence(kind: str, reader: object, tmp_path: Path) -> None:
    data, hint = NO_PICTURES[kind]
    path = tmp_path / "bad.png"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=hint) as caught:
        reader(path)  # type: ignore[operator]
    assert "bad.png" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_folders_missing_and_forbidden_files(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="it is not a file"):
        read_image(tmp_path)
    with pytest.raises(ImageError, match="No such file"):
        read_image(tmp_path / "none.png")


def test_a_large_but_honest_header_is_no_bomb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    path = _saved(tmp_path / "x.png", Image.fromarray(COLOUR))
    assert read_image(path).pixels.shape == (HEIGHT, WIDTH, 3)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_two_threads_that_read_at_once_share_pillows_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that comes first leaves first: the other still reads, and leaves all as it was found."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    before, inside, leave = list(warnings.filters), threading.Event(), threading.Event()
    seen = []

    def second() -> None:
        with opening.tolerant_pillow():
            inside.set()
            leave.wait(60)
            warnings.warn("hidden", stacklevel=1)
            seen.append(Image.MAX_IMAGE_PIXELS)

    thread = threading.Thread(target=second)
    with opening.tolerant_pillow():
        thread.start()
        assert inside.wait(60)
    leave.set()
    thread.join()
    assert seen == [opening.MAX_PIXELS]
    assert Image.MAX_IMAGE_PIXELS == 10
    assert warnings.filters == before


def test_a_photograph_is_at_most_400_megapixels() -> None:
    assert opening.MAX_PIXELS == 400_000_000


def test_heic_with_its_extra(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="needs the heic extra")
    pillow_heif.register_heif_opener()
    colours = np.kron(COLOUR[:2, :2], np.ones((32, 32, 1), np.uint8))
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    path = _saved(tmp_path / "x.heic", Image.fromarray(colours), quality=100, exif=exif)
    photo = read_image(path)
    assert np.abs(photo.pixels.astype(int) - colours).mean() < 3
    assert photo.exif is not None
    assert b"Maker" in photo.exif
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ImageError, match="cannot read"):
        read_image(path)
