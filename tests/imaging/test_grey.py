"""Trimaps, masks and mattes in the files that people have: where their levels are, and in which type."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffmatte_cli.errors import ImageError
from diffmatte_cli.extras import is_installed
from diffmatte_cli.imaging.encoding import Result
from diffmatte_cli.imaging.grey import BY_ALPHA, LOST, decode_matte, decode_opacity, read_grey, read_matte
from diffmatte_cli.imaging.receipts import Receipt
from diffmatte_cli.imaging.write import write_images
from diffmatte_cli.settings import Computing, Sampling

CLASSES = np.zeros((12, 16), np.uint8)
CLASSES[2:10, 3:13], CLASSES[4:8, 5:11] = 1, 2
TRIMAP = np.array([0, 128, 255], np.uint8)[CLASSES]
MASK = CLASSES > 0
COLOURS = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
IGNORED = "has an alpha channel that varies, too, and was read by its grey alone"
vfx = pytest.mark.skipif(not is_installed("vfx"), reason="needs the extra vfx")


def _saved(path: Path, pixels: np.ndarray, **settings: object) -> Path:
    Image.fromarray(pixels).save(path, **settings)
    return path


def _tiff(path: Path, pixels: np.ndarray) -> Path:
    """Write numbers of any type as an uncompressed TIFF, which says what type they have."""
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    height, width, body = *pixels.shape[:2], np.ascontiguousarray(pixels).tobytes()
    bits, form = pixels.itemsize * 8, {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: 1 if channels == 1 else 2, 273: 8, 277: channels}
    tags |= {278: height, 279: len(body), 339: form}
    sizes = {273: "I", 279: "I"}
    directory, after = struct.pack("<H", len(tags)), b""
    end = 8 + len(body) + 2 + 12 * len(tags) + 4
    for tag, value in tags.items():
        if channels == 3 and tag in (258, 339):
            directory += struct.pack("<HHII", tag, 3, 3, end + len(after))
            after += struct.pack("<3H", value, value, value)
        else:
            is_long = tag in sizes
            directory += struct.pack(
                "<HHI" + ("I" if is_long else "HH"), tag, 4 if is_long else 3, 1, value, *[0] * (not is_long)
            )
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(body)) + body + directory + bytes(4) + after)
    return path


def _exr(path: Path, **channels: np.ndarray) -> Path:
    library = pytest.importorskip("OpenEXR", reason="needs OpenEXR, of the extra test")
    header = {"compression": library.ZIP_COMPRESSION, "type": library.scanlineimage}
    library.File(header, {name: np.ascontiguousarray(plane) for name, plane in channels.items()}).write(str(path))
    return path


@vfx
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("u1", (0, 1, 2)),
        ("i1", (-1, 0, 1)),
        ("u2", (0, 128, 255)),
        ("i2", (-1, 0, 1)),
        ("i2", (0, 128, 255)),
        ("i2", (0, 16384, 32767)),
        ("u4", (0, 1, 2)),
        ("u4", (0, 128, 255)),
        ("u4", (0, 2**31, 2**32 - 1)),
        ("i4", (-1, 0, 1)),
        ("f4", (0, 128, 255)),
        ("f4", (0, 0.5, 1)),
        ("f8", (0, 128, 255)),
    ],
)
def test_no_type_of_numbers_wraps_or_loses_its_white(
    kind: str, values: tuple[float, ...], channels: int, tmp_path: Path
) -> None:
    pixels = np.array(values, kind)[CLASSES]
    grey = read_grey(_tiff(tmp_path / "x.tif", pixels if channels == 1 else np.repeat(pixels[..., None], 3, axis=2)))
    np.testing.assert_allclose(grey.levels, CLASSES / 2, atol=0.003)
    assert bool(grey.notes) == (max(values) != {"u4": 2**32 - 1, "i2": 32767}.get(kind, 1) or min(values) < 0)


ROTO = np.array([0, 0.5, 1], np.float16)[CLASSES]
BLACK, WHITE = np.zeros_like(ROTO), np.ones_like(ROTO)


@vfx
@pytest.mark.parametrize(
    ("channels", "told"),
    [
        (dict.fromkeys("RGBA", ROTO), ""),
        ({"Y": ROTO}, ""),
        ({"A": ROTO}, ""),
        ({"Y": ROTO, "A": WHITE}, ""),
        ({"R": BLACK, "G": BLACK, "B": BLACK, "A": ROTO}, BY_ALPHA),
        ({"R": WHITE, "G": WHITE, "B": WHITE, "A": ROTO}, BY_ALPHA),
        ({**dict.fromkeys("RGB", np.ceil(ROTO)), "A": ROTO}, BY_ALPHA),
        ({**dict.fromkeys("RGB", ROTO), "A": np.ceil(ROTO)}, IGNORED),
        ({"Y": ROTO.astype(np.float32) * 255}, "has levels up to 255, and 255 is taken as white"),
        (dict.fromkeys("RGB", ROTO * 2), "holds the levels 0, 1 and 2 alone, taken as black, grey and white"),
    ],
)
def test_an_exr_trimap_is_never_divided_by_alpha(channels: dict[str, np.ndarray], told: str, tmp_path: Path) -> None:
    grey = read_grey(_exr(tmp_path / "x.exr", **channels))
    np.testing.assert_allclose(grey.levels, CLASSES / 2, atol=1e-3)
    assert grey.notes == tuple(filter(None, [told]))


@vfx
def test_a_tiff_of_premultiplied_colour_is_read_as_it_is_stored(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    write_images([Result(path, np.dstack([TRIMAP] * 4), premultiplied=True)])
    for read in (read_grey, read_matte):
        grey = read(path)
        np.testing.assert_allclose(grey.levels, TRIMAP / 255, atol=1e-6)
        assert grey.notes == ()


@pytest.mark.parametrize("flat", [0, 90, 255])
@pytest.mark.parametrize("planes", [1, 3])
@pytest.mark.parametrize("ending", ["png", "tif", "webp"])
def test_a_trimap_in_the_alpha_of_flat_colour(ending: str, planes: int, flat: int, tmp_path: Path) -> None:
    settings = {"lossless": True, "exact": True} if ending == "webp" else {}
    pixels = np.dstack([np.full_like(TRIMAP, flat)] * planes + [TRIMAP])
    grey = read_grey(_saved(tmp_path / f"x.{ending}", pixels, **settings))
    np.testing.assert_allclose(grey.levels, TRIMAP / 255, atol=1e-6)
    assert grey.notes == (BY_ALPHA,)


def test_an_alpha_channel_may_hold_numbers_of_classes(tmp_path: Path) -> None:
    path = _saved(tmp_path / "x.png", np.dstack([COLOURS, CLASSES]))
    numbers = "holds the levels 0, 1 and 2 of 255 alone, taken as black, grey and white"
    opacity = decode_opacity(path.read_bytes(), path)
    assert opacity is not None
    for grey, notes in ((opacity, (numbers,)), (read_grey(path), (BY_ALPHA, numbers))):
        np.testing.assert_array_equal(grey.levels, CLASSES / 2)
        assert grey.notes == notes


def test_a_cutout_is_a_trimap_or_a_matte_by_its_alpha(tmp_path: Path) -> None:
    path = _saved(tmp_path / "x.png", np.dstack([COLOURS, TRIMAP]))
    for read in (read_grey, read_matte):
        np.testing.assert_allclose(read(path).levels, TRIMAP / 255, atol=1e-6)
        assert read(path).notes == (BY_ALPHA,)
    opaque = _saved(tmp_path / "o.png", np.dstack([TRIMAP] * 3 + [np.full_like(TRIMAP, 40)]))
    assert read_matte(opaque).notes == ()
    np.testing.assert_allclose(read_matte(opaque).levels, TRIMAP / 255, atol=1e-6)


CODED = {
    "red, blue and green": (255, 0, 0, 0, 0, 255, 0, 255, 0),
    "black, grey and green": (0, 0, 0, 128, 128, 128, 0, 255, 0),
    "black, red and green": (0, 0, 0, 128, 0, 0, 0, 128, 0),
}


@pytest.mark.parametrize("form", ["rgb", "palette", "jpeg", "deep"])
@pytest.mark.parametrize("names", CODED)
def test_the_colours_of_a_coded_trimap_are_named(names: str, form: str, tmp_path: Path) -> None:
    palette = np.array(CODED[names], np.uint8).reshape(3, 3)
    path = tmp_path / {"jpeg": "x.jpg", "deep": "x.tif"}.get(form, "x.png")
    if form == "palette":
        picture = Image.frombytes("P", CLASSES.shape[::-1], CLASSES.tobytes())
        picture.putpalette(CODED[names])
        picture.save(path)
    elif form == "deep":
        if not is_installed("vfx"):
            pytest.skip("needs the extra vfx")
        write_images([Result(path, palette[CLASSES].astype(np.uint16) * 257)])
    else:
        coarse = palette[CLASSES].repeat(16, axis=0).repeat(16, axis=1)
        _saved(path, coarse, **({"quality": 95, "subsampling": 0} if form == "jpeg" else {}))
    with pytest.raises(ImageError, match=rf"cannot read .*: its colours are {names}\b.*black, grey and white"):
        read_grey(path)


@pytest.mark.parametrize(
    ("palette", "names"),
    [
        ((0, 0, 0, 128, 0, 0), "black and red"),  # a label of VOC
        ((255, 255, 0, 0, 0, 200), "yellow and blue"),
    ],
)
def test_two_entries_of_a_palette_are_a_mask(palette: tuple[int, ...], names: str, tmp_path: Path) -> None:
    picture = Image.frombytes("P", MASK.shape[::-1], MASK.astype(np.uint8).tobytes())
    picture.putpalette(palette)
    picture.save(tmp_path / "x.png")
    grey = read_grey(tmp_path / "x.png")
    np.testing.assert_array_equal(grey.levels, MASK)
    assert grey.notes == (f"has two colours alone, {names}, taken as black and white",)


def test_palettes_of_grey_are_read_by_their_greys(tmp_path: Path) -> None:
    for palette, expected in (
        ((255, 255, 255, 0, 0, 0, 0, 0, 0), CLASSES == 0),
        ((0, 0, 0, 128, 128, 128, 255, 255, 255), TRIMAP / 255),
    ):
        picture = Image.frombytes("P", CLASSES.shape[::-1], CLASSES.tobytes())
        picture.putpalette(palette)
        picture.save(tmp_path / "x.png")
        np.testing.assert_allclose(read_grey(tmp_path / "x.png").levels, expected, atol=1e-6)


def test_16_bits_of_colour_without_the_extra_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("OpenImageIO")
    path = tmp_path / "x.png"
    write_images([Result(path, np.dstack([TRIMAP.astype(np.uint16) * 257] * 3))])
    assert read_grey(path).notes == ()
    monkeypatch.setattr("diffmatte_cli.extras.find_spec", lambda _: None)
    np.testing.assert_allclose(read_grey(path).levels, TRIMAP / 255, atol=1e-6)
    assert read_grey(path).notes == (LOST,)


@pytest.mark.parametrize("bits", [8, 16])
def test_our_own_results_leave_no_doubt(bits: int, tmp_path: Path) -> None:
    """A matte of a nearly empty image is no mask of 0 and 1."""
    haze = np.where(MASK, np.float32(1 / (2**bits - 1)), np.float32(0))
    receipt = Receipt("1", "w", "i", "t", "alpha", bits, Sampling(), Computing(), "auto", False)
    path = tmp_path / "x.png"
    write_images([Result(path, haze, bits, receipt=receipt)])
    grey = decode_matte(path.read_bytes(), path)
    np.testing.assert_array_equal(grey.levels, haze)
    assert grey.notes == ()
    write_images([Result(path, haze, bits)])
    np.testing.assert_array_equal(read_matte(path).levels, MASK)
