"""Pictures of more than 8 bits: nothing is lost on the way in and out, and other programs read what is written."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image
from support import fakes
from support.processes import finish

from diffmatte_cli.errors import FullError, ImageError
from diffmatte_cli.imaging import oiio as ours
from diffmatte_cli.imaging.colour import to_linear, to_srgb
from diffmatte_cli.imaging.encoding import Result
from diffmatte_cli.imaging.grey import decode_opacity, read_grey
from diffmatte_cli.imaging.read import decode_image, read_image
from diffmatte_cli.imaging.receipts import Receipt, read_receipt
from diffmatte_cli.imaging.write import write_images
from diffmatte_cli.settings import Computing, Sampling

pytestmark = [pytest.mark.usefixtures("cat_folder")]
oiio = pytest.importorskip("OpenImageIO", reason="needs the extra vfx (OpenImageIO)")

RNG = np.random.default_rng(0)
DEEP = RNG.integers(0, 65536, (fakes.HEIGHT, fakes.WIDTH, 3)).astype(np.uint16)
LIGHT = RNG.random((fakes.HEIGHT, fakes.WIDTH, 3), np.float32) * 3


def _save(name: str, pixels: np.ndarray, kind: str, names: str = "RGBA", **attributes: Any) -> Path:
    """Write a picture by OpenImageIO itself."""
    spec = oiio.ImageSpec(pixels.shape[1], pixels.shape[0], pixels.shape[2], kind)
    spec.channelnames = list(names[: pixels.shape[2]])
    for key, value in {"oiio:UnassociatedAlpha": 1, **attributes}.items():
        spec.attribute(key, value)
    output = oiio.ImageOutput.create(name)
    assert output.open(name, spec), output.geterror()
    assert output.write_image(pixels)
    assert output.close()
    return Path(name)


def _load(name: str, kind: str = "uint16") -> np.ndarray:
    wanted = oiio.ImageSpec()
    wanted.attribute("oiio:UnassociatedAlpha", 1)
    source = oiio.ImageInput.open(name, wanted)
    return np.asarray(source.read_image(kind))


def _matte(photo: str, *arguments: str, code: int = 0) -> Any:
    result = fakes.run("matte", photo, "--trimap", "cat_trimap.png", "--steps", "2", *arguments)
    assert result.exit_code == code, result.stderr
    return result


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_colour_comes_in_whole(ending: str, channels: int) -> None:
    pixels = np.concatenate([DEEP, DEEP[..., :1]], axis=2)[..., :channels]
    photo = read_image(_save(f"x.{ending}", pixels, "uint16"))
    np.testing.assert_array_equal(photo.deep, DEEP)
    np.testing.assert_array_equal(photo.pixels, DEEP >> 8)
    assert not photo.linear
    assert photo.notes == ()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_16_bit_colour_is_turned_like_8_bit_colour(ending: str, orientation: int) -> None:
    _save(f"deep.{ending}", DEEP, "uint16", Orientation=orientation)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray((DEEP >> 8).astype(np.uint8)).save(f"flat.{ending}", exif=exif)
    deep, flat = read_image(Path(f"deep.{ending}")), read_image(Path(f"flat.{ending}"))
    assert deep.orientation == flat.orientation == orientation
    np.testing.assert_array_equal(deep.pixels, flat.pixels)


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_a_16_bit_cutout_keeps_every_level_profile_and_exif(ending: str, matter: fakes.FakeMatter) -> None:
    profile = bytes(16) + b"RGB " + bytes(108)
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    exif.get_ifd(ExifTags.IFD.Exif).update({ExifTags.Base.ExposureTime: 1 / 250})
    small = Image.new("RGB", (fakes.WIDTH, fakes.HEIGHT))
    small.save("about.tif", exif=exif.tobytes(), icc_profile=profile, dpi=(300, 300))
    _save("x.tif", DEEP, "uint16")
    photo, about = read_image(Path("x.tif")), read_image(Path("about.tif"))
    assert photo.deep is not None
    receipt = Receipt("x", "x", "x", "alpha", "cutout", 16, Sampling(), Computing(), "auto", True)
    pixels = np.concatenate([photo.deep, DEEP[..., :1]], axis=2)
    out = Path(f"out.{ending}")
    write_images([Result(out, pixels, 16, profile, about.dpi, about.exif, receipt)])
    np.testing.assert_array_equal(_load(str(out)), pixels)
    with Image.open(out) as picture:
        assert picture.info["icc_profile"] == profile
        assert picture.info["dpi"] == pytest.approx((300, 300), rel=0.01)
        assert picture.getexif()[ExifTags.Base.Make] == "Maker"
        assert float(picture.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime]) == pytest.approx(1 / 250)
    assert read_receipt(out) == receipt


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_a_16_bit_photograph_becomes_a_16_bit_cutout(ending: str, matter: fakes.FakeMatter) -> None:
    _save("x.png", DEEP, "uint16")
    arguments = ("--cutout", "--bit-depth", "16", "-o", f"out.{ending}")
    _matte("x.png", *arguments)
    found = _load(f"out.{ending}")
    assert found.dtype == np.uint16
    opaque = fakes.cat_trimap() == 255
    np.testing.assert_array_equal(found[opaque][:, :3], DEEP[opaque])
    assert len(np.unique(found[..., 3])) > 256
    assert "skipped" in _matte("x.png", *arguments, "--skip-existing").stderr
    first = Path(f"out.{ending}").read_bytes()
    _matte("x.png", *arguments)
    assert Path(f"out.{ending}").read_bytes() == first


@pytest.mark.parametrize("bits", ["8", "16"])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_premultiplied_colour_is_colour_times_alpha(ending: str, bits: str, matter: fakes.FakeMatter) -> None:
    _save("x.png", DEEP, "uint16")
    for flag in ("straight", "premultiplied"):
        arguments = ("--cutout", "--bit-depth", bits, f"--{flag}", "-o", f"{flag}.{ending}")
        _matte("x.png", *arguments)
        assert "skipped" in _matte("x.png", *arguments, "--skip-existing").stderr, flag
    white = 2 ** int(bits) - 1
    kind = "uint8" if bits == "8" else "uint16"
    straight, multiplied = (_load(f"{flag}.{ending}", kind) / white for flag in ("straight", "premultiplied"))
    np.testing.assert_array_equal(straight[..., 3], multiplied[..., 3])
    alpha = straight[..., 3:]
    if ending == "tif":  # the file says what it holds, so that readers divide it
        spec = oiio.ImageInput.open("premultiplied.tif").spec()
        assert not spec.get_int_attribute("tiff:UnassociatedAlpha")
    np.testing.assert_allclose(multiplied[..., :3], straight[..., :3] * alpha, atol=1.6 / white)


def _exr(name: str, layers: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read an EXR by the independent library: its header, and its channels by name."""
    library = pytest.importorskip("OpenEXR", reason="needs OpenEXR, of the extra test")
    file = library.File(name, separate_channels=True)
    channels = {key: channel.pixels for key, channel in file.channels().items()}
    assert set(channels) == set(layers.split())
    assert all(plane.dtype == np.float16 for plane in channels.values())
    return file.header(), channels


FOREGROUND = "foreground.R foreground.G foreground.B"


def test_an_exr_holds_named_layers_that_openexr_reads(matter: fakes.FakeMatter) -> None:
    _save("x.png", DEEP, "uint16")
    result = _matte("x.png", "--cutout", "-o", "out.exr", "--uncertainty", "3")
    assert "risk" in result.stderr
    header, channels = _exr("out.exr", f"R G B A {FOREGROUND} alpha.Y trimap.Y uncertainty.Y")
    assert header["colorInteropID"] == "lin_rec709_scene"
    assert "capDate" not in header
    receipt = json.loads(header["diffmatte"])
    assert receipt["space"] == "linear"
    assert receipt["premultiplied"] is True
    assert receipt["seeds"] == 3
    alpha = channels["A"].astype(np.float32)
    np.testing.assert_array_equal(channels["alpha.Y"], channels["A"])
    np.testing.assert_array_equal(channels["trimap.Y"] * 2, np.array([0, 1, 2])[fakes.cat_trimap() // 127])
    opaque = fakes.cat_trimap() == 255
    for index, name in enumerate("RGB"):
        straight = channels[f"foreground.{name}"].astype(np.float32)
        np.testing.assert_allclose(straight[opaque], to_linear(DEEP[..., index] / np.float32(65535))[opaque], rtol=1e-3)
        np.testing.assert_allclose(channels[name], straight * alpha, rtol=2e-3, atol=1e-6)
    with Image.open("out_uncertainty.png") as picture:
        drawn = np.asarray(picture).astype(np.float32) / 65535
    np.testing.assert_allclose(channels["uncertainty.Y"], drawn, atol=1e-3)
    assert drawn[fakes.cat_trimap() == 128].max() > 0.01
    assert (drawn[fakes.cat_trimap() != 128] == 0).all()
    assert "skipped" in _matte("x.png", "--cutout", "-o", "out.exr", "--uncertainty", "3", "--skip-existing").stderr


def test_an_alpha_in_exr_is_its_main_layer(matter: fakes.FakeMatter) -> None:
    _matte("cat.png", "-o", "out.exr", "--exr-space", "srgb")
    header, channels = _exr("out.exr", f"Y {FOREGROUND} alpha.Y trimap.Y")
    assert header["colorInteropID"] == "srgb_rec709_scene"
    _matte("cat.png", "-o", "out.png", "--bit-depth", "16")
    np.testing.assert_allclose(channels["Y"], read_grey(Path("out.png")).levels, atol=1e-3)
    np.testing.assert_allclose(read_grey(Path("out.exr")).levels, channels["Y"], atol=1e-6)
    opaque = fakes.cat_trimap() == 255
    own = np.asarray(Image.open("cat.png"))[..., 0] / 255
    np.testing.assert_allclose(channels["foreground.R"][opaque], own[opaque], atol=1e-3)


def test_a_straight_exr_and_one_on_a_background(matter: fakes.FakeMatter) -> None:
    _save("x.exr", LIGHT, "half")
    _matte("x.exr", "--cutout", "--straight", "-o", "out.exr")
    _, channels = _exr("out.exr", f"R G B A {FOREGROUND} alpha.Y trimap.Y")
    np.testing.assert_array_equal(channels["R"], channels["foreground.R"])
    _matte("x.exr", "--background", "white", "--linear-light", "-o", "laid.exr")
    _, laid = _exr("laid.exr", f"R G B {FOREGROUND} alpha.Y trimap.Y")
    alpha, own = (channels[name].astype(np.float32) for name in ("A", "R"))
    np.testing.assert_allclose(laid["R"], alpha * own + 1 - alpha, rtol=3e-3)
    assert laid["R"].max() > 1.5  # what is brighter than white stays so


def test_light_comes_in_as_light_and_goes_out_as_srgb(matter: fakes.FakeMatter) -> None:
    path = _save("x.exr", LIGHT, "float")
    photo = read_image(path)
    assert photo.linear
    np.testing.assert_array_equal(photo.deep, LIGHT)
    np.testing.assert_array_equal(photo.pixels, np.rint(to_srgb(LIGHT).clip(0, 1) * 255))
    _matte("x.exr", "--cutout", "-o", "out.png")
    opaque = fakes.cat_trimap() == 255
    np.testing.assert_array_equal(np.asarray(Image.open("out.png"))[opaque][:, :3], photo.pixels[opaque])


def test_what_a_file_holds_can_be_said() -> None:
    path = _save("x.exr", LIGHT / 3, "float")
    content = path.read_bytes()
    assert not decode_image(content, path, "srgb").linear
    _save("y.exr", LIGHT / 3, "float", **{"oiio:ColorSpace": "srgb_rec709_scene"})
    assert not read_image(Path("y.exr")).linear
    flat = decode_image(Path("cat.png").read_bytes(), Path("cat.png"), "linear")
    assert flat.linear
    own = np.asarray(Image.open("cat.png")).astype(np.float32) / 255
    np.testing.assert_array_equal(flat.deep, own)
    np.testing.assert_allclose(flat.pixels / 255, to_srgb(own), atol=0.51 / 255)


def test_colour_times_alpha_is_divided_once() -> None:
    alpha = np.full((4, 5, 1), 0.25, np.float32)
    alpha[0] = 0
    _save("x.exr", np.concatenate([LIGHT[:4, :5] * alpha, alpha], axis=2), "float")
    photo = read_image(Path("x.exr"))
    np.testing.assert_allclose(photo.deep[1:], LIGHT[1:4, :5], rtol=1e-6)
    assert (photo.deep[0] == 0).all()


def test_layers_grey_and_odd_windows() -> None:
    library = pytest.importorskip("OpenEXR", reason="needs OpenEXR, of the extra test")
    planes = {f"beauty.{name}": LIGHT[..., index].astype(np.float16) for index, name in enumerate("RGB")}
    header = {
        "type": library.scanlineimage,
        "dataWindow": (np.array([-2, -3], np.int32), np.array([29, 20], np.int32)),
        "displayWindow": (np.array([0, 0], np.int32), np.array([24, 21], np.int32)),
    }
    library.File(header, planes).write("x.exr")
    photo = read_image(Path("x.exr"))
    assert photo.pixels.shape == (22, 25, 3)
    np.testing.assert_array_equal(photo.deep[:21], LIGHT[3:24, 2:27].astype(np.float16))
    assert (photo.deep[21] == 0).all()
    _save("y.exr", LIGHT[..., :1], "half", "Y")
    assert read_image(Path("y.exr")).pixels.shape == (fakes.HEIGHT, fakes.WIDTH, 3)
    _save("z.exr", LIGHT[..., :2], "half", "UV")
    with pytest.raises(ImageError, match=r"cannot read z\.exr: it has no channels R, G and B, nor Y"):
        read_image(Path("z.exr"))


def test_an_exr_trimap_and_an_exr_alpha_channel(matter: fakes.FakeMatter) -> None:
    trimap = fakes.cat_trimap().astype(np.float32) / 255
    _save("t.exr", trimap[..., None], "half", "Y")
    np.testing.assert_allclose(read_grey(Path("t.exr")).levels, trimap, atol=1e-3)
    _save("own.exr", np.concatenate([LIGHT, trimap[..., None]], axis=2), "half")
    assert fakes.run("matte", "own.exr", "--trimap", "alpha", "-o", "out.png").exit_code == 0
    assert (np.asarray(Image.open("out.png"))[fakes.cat_trimap() == 255] == 255).all()
    _save("none.exr", LIGHT, "half")
    result = fakes.run("matte", "none.exr", "--trimap", "alpha", "-o", "out.png")
    assert "no alpha channel" in result.stderr


def test_time_code_and_primaries_stay(matter: fakes.FakeMatter) -> None:
    primaries = (0.7, 0.3, 0.2, 0.6, 0.15, 0.06, 0.3127, 0.329)
    spec = oiio.ImageSpec(fakes.WIDTH, fakes.HEIGHT, 3, "half")
    spec.attribute("smpte:TimeCode", oiio.TypeTimeCode, (0x01020304, 0))
    spec.attribute("chromaticities", oiio.TypeDesc("float[8]"), primaries)
    output = oiio.ImageOutput.create("x.exr")
    assert output.open("x.exr", spec)
    output.write_image(LIGHT)
    output.close()
    _matte("x.exr", "-o", "out.exr")
    header, _ = _exr("out.exr", f"Y {FOREGROUND} alpha.Y trimap.Y")
    assert str(header["timeCode"]).startswith("(1, 2, 3, 4,")
    assert header["chromaticities"] == pytest.approx(primaries)
    assert "colorInteropID" not in header  # its name would contradict the primaries


def test_floating_point_tiff_is_read() -> None:
    path = _save("x.tif", LIGHT / 3, "float")
    photo = read_image(path)
    np.testing.assert_array_equal(photo.deep, LIGHT / 3)
    assert not photo.linear


def test_a_floating_point_tiff_is_turned_and_keeps_its_profile(matter: fakes.FakeMatter) -> None:
    profile = np.frombuffer(bytes(16) + b"RGB " + bytes(108), np.uint8)
    about = {"Orientation": 6, "XResolution": 300.0, "YResolution": 300.0, "ResolutionUnit": "in"}
    spec = oiio.ImageSpec(fakes.WIDTH, fakes.HEIGHT, 3, "float")
    spec.attribute("ICCProfile", oiio.TypeDesc(f"uint8[{profile.size}]"), profile)
    for key, value in about.items():
        spec.attribute(key, value)
    output = oiio.ImageOutput.create("x.tif")
    assert output.open("x.tif", spec), output.geterror()
    output.write_image(LIGHT / 3)
    output.close()
    photo = read_image(Path("x.tif"))
    np.testing.assert_array_equal(photo.deep, np.rot90(LIGHT / 3, -1))
    assert photo.orientation == 6
    assert photo.dpi == (300, 300)
    assert photo.icc_profile == profile.tobytes()
    _matte("x.tif", "--cutout", "--bit-depth", "16", "-o", "out.png")  # the trimap was painted over the stored pixels
    with Image.open("out.png") as picture:
        assert picture.size == (fakes.HEIGHT, fakes.WIDTH)
    _matte("x.tif", "--cutout", "--input-space", "linear", "-o", "light.png")
    with Image.open("light.png") as picture:
        assert "icc_profile" not in picture.info  # the numbers are sRGB's now


def _tags(name: str, **changes: int) -> None:
    """Change values of tags in a little-endian TIFF as Pillow writes it; 0 takes the tag's name away."""
    content = bytearray(Path(name).read_bytes())
    start = int.from_bytes(content[4:8], "little")
    for entry in range(start + 2, start + 2 + 12 * int.from_bytes(content[start : start + 2], "little"), 12):
        tag = f"tag{int.from_bytes(content[entry : entry + 2], 'little')}"
        if tag in changes:
            content[entry + 8 : entry + 10] = changes[tag].to_bytes(2, "little")
            if not changes[tag]:
                content[entry : entry + 2] = (65000).to_bytes(2, "little")
    Path(name).write_bytes(content)


def test_planes_and_fourth_channels_of_tiff() -> None:
    _save("planar.tif", DEEP, "uint16", planarconfig="separate", compression="none")
    with Image.open("planar.tif") as picture:
        assert picture.tag_v2[284] == 2
    np.testing.assert_array_equal(read_image(Path("planar.tif")).deep, DEEP)
    pixels = np.concatenate([DEEP, np.full_like(DEEP[..., :1], 20000)], axis=2)
    _save("extra.tif", pixels, "uint16", compression="none")
    np.testing.assert_array_equal(read_image(Path("extra.tif")).deep, DEEP)  # straight by its tag
    _tags("extra.tif", tag338=0)
    np.testing.assert_array_equal(read_image(Path("extra.tif")).deep, DEEP)  # without a word it is no alpha
    _save("multiplied.tif", pixels // 4, "uint16", **{"oiio:UnassociatedAlpha": 0})
    found = read_image(Path("multiplied.tif")).deep
    np.testing.assert_allclose(found, np.minimum(DEEP // 4 / 5000, found.max()), rtol=1e-3)


@pytest.mark.parametrize(("mode", "form"), [("BGR;16", "BMP"), ("I;16", "JPEG2000")])
def test_other_formats_of_16_bits_stay_with_pillow(mode: str, form: str) -> None:
    if form == "BMP":  # five bits, six and five
        rows = b"".join(bytes([255, 7]) * 4 for _ in range(3))
        head = b"BM" + (66 + len(rows)).to_bytes(4, "little") + bytes(4) + (66).to_bytes(4, "little")
        info = (40).to_bytes(4, "little") + (4).to_bytes(4, "little") + (3).to_bytes(4, "little") + b"\1\0\x10\0"
        masks = b"".join(mask.to_bytes(4, "little") for mask in (0xF800, 0x07E0, 0x001F))
        content = head + info + (3).to_bytes(4, "little") + bytes(20) + masks + rows
        Path("x").write_bytes(content)
    else:
        Image.fromarray(DEEP[..., 0]).save("x", form)
    with Image.open("x") as picture:
        assert mode in (picture.mode, *(picture.tile[0].args if form == "BMP" else ()))
    photo = read_image(Path("x"))
    assert photo.deep is None
    assert photo.notes == ()


def test_light_beyond_half_floats_and_nearly_nothing_of_alpha(matter: fakes.FakeMatter) -> None:
    bright = LIGHT.copy()
    bright[10:14, 10:14] = 1e6
    _save("sun.exr", bright, "float")
    arguments = ("--cutout", "--straight", "-o", "out.exr")
    _matte("sun.exr", *arguments)
    _, channels = _exr("out.exr", f"R G B A {FOREGROUND} alpha.Y trimap.Y")
    assert all(np.isfinite(plane).all() for plane in channels.values())
    assert "skipped" in _matte("sun.exr", *arguments, "--skip-existing").stderr
    glow = np.full((fakes.HEIGHT, fakes.WIDTH, 4), 0.5, np.float32)
    glow[3, 4] = (0.2, 0.2, 0.2, 1e-6)
    _save("glow.exr", glow, "float")
    assert read_image(Path("glow.exr")).deep.max() == 1


def test_grey_and_layers_are_divided_by_their_own_alpha(matter: fakes.FakeMatter) -> None:
    quarter = np.full((fakes.HEIGHT, fakes.WIDTH, 1), 0.25, np.float32)
    grey, spec = np.concatenate([LIGHT[..., :1] * 0.25, quarter], axis=2), oiio.ImageSpec
    for name, channels, pixels in (
        ("y.exr", ["Y", "A"], grey),
        ("l.exr", [f"beauty.{c}" for c in "RGBA"], np.concatenate([LIGHT * 0.25, quarter], axis=2)),
    ):
        described = spec(fakes.WIDTH, fakes.HEIGHT, len(channels), "float")
        described.channelnames = channels
        output = oiio.ImageOutput.create(name)
        assert output.open(name, described)
        output.write_image(pixels)
        output.close()
    np.testing.assert_allclose(read_image(Path("y.exr")).deep[..., 1], LIGHT[..., 0], rtol=1e-6)
    np.testing.assert_allclose(read_image(Path("l.exr")).deep, LIGHT, rtol=1e-6)
    opacity = decode_opacity(Path("l.exr").read_bytes(), Path("l.exr"))
    assert opacity is not None
    assert (opacity.levels == 0.25).all()


@pytest.mark.parametrize(
    ("space", "linear", "written"),
    [
        ("lin_ap1_scene", True, "lin_ap1_scene"),
        ("srgb_p3d65_scene", False, "lin_p3d65_scene"),
        ("lin_rec709_scene", True, "lin_rec709_scene"),
        ("g22_rec709_scene", False, "lin_rec709_scene"),
    ],
)
def test_gamuts_are_named_and_what_is_not_converted_is_said(
    space: str, linear: bool, written: str, matter: fakes.FakeMatter
) -> None:
    _save("x.exr", LIGHT / 3, "float", **{"oiio:ColorSpace": space})
    assert read_image(Path("x.exr")).linear == linear
    _matte("x.exr", "-o", "out.exr")
    header, _ = _exr("out.exr", f"Y {FOREGROUND} alpha.Y trimap.Y")
    assert header["colorInteropID"] == written
    told = "its primaries are not sRGB's" in _matte("x.exr", "--cutout", "-o", "out.png").stderr
    assert told == ("rec709" not in space)


def test_a_space_of_unknown_name_is_told(matter: fakes.FakeMatter) -> None:
    library = pytest.importorskip("OpenEXR", reason="needs OpenEXR, of the extra test")
    library.File({"type": library.scanlineimage, "colorInteropID": "acescct_ap1_scene"}, {"RGB": LIGHT}).write("x.exr")
    text = _matte("x.exr", "-o", "out.png").stderr
    assert "its colour space acescct_ap1_scene is not known, so it is taken as linear light: " in text


def test_what_the_program_writes_it_reads_as_that(matter: fakes.FakeMatter) -> None:
    primaries = oiio.TypeDesc("float[8]"), (0.7, 0.3, 0.2, 0.6, 0.15, 0.06, 0.3127, 0.329)
    for name, own in (("usual.exr", False), ("own.exr", True)):
        spec = oiio.ImageSpec(fakes.WIDTH, fakes.HEIGHT, 3, "half")
        spec.x, spec.y, spec.full_x, spec.full_y = 100, 50, 100, 50
        if own:
            spec.attribute("chromaticities", *primaries)
        output = oiio.ImageOutput.create(name)
        assert output.open(name, spec)
        output.write_image(LIGHT)
        output.close()
        for space in ("srgb", "linear"):
            _matte(name, "--cutout", "--exr-space", space, "-o", "out.exr")
            assert read_image(Path("out.exr")).linear == (space == "linear")
            header, _ = _exr("out.exr", f"R G B A {FOREGROUND} alpha.Y trimap.Y")
            assert list(header["displayWindow"][0]) == [100, 50]


def test_one_layer_is_read_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["R", "G", "B", *(f"pass{number:02}.Z" for number in range(60))]
    spec = oiio.ImageSpec(8, 8, len(names), "half")
    spec.channelnames = names
    output = oiio.ImageOutput.create("x.exr")
    assert output.open("x.exr", spec)
    output.write_image(np.ones((8, 8, len(names)), np.float32))
    output.close()
    seen, real = [], ours._in_display_window
    monkeypatch.setattr(
        ours, "_in_display_window", lambda pixels, spec: seen.append(pixels.shape) or real(pixels, spec)
    )
    read_image(Path("x.exr"))
    assert seen == [(8, 8, 3)]


def test_no_room_for_a_temporary_file_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    path = _save("x.exr", LIGHT, "half")
    content = path.read_bytes()

    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ImageError, match="by way of a temporary file: No space left"):
        decode_image(content, path)
    monkeypatch.undo()
    monkeypatch.setattr(ours, "encode", full)
    with pytest.raises(FullError, match=r"cannot write out\.exr: No space left"):
        write_images([Result(Path("out.exr"), LIGHT)])


def test_damaged_files_are_one_sentence() -> None:
    whole = {name: _save(name, LIGHT, "half" if name == "x.exr" else "float") for name in ("x.exr", "x.tif")}
    whole["x.png"] = _save("x.png", DEEP, "uint16")
    for name, path in whole.items():
        content = path.read_bytes()
        for cut in (5, 60, len(content) // 3, len(content) - 40):
            with pytest.raises(ImageError, match=rf"^cannot read {name}: [^/]{{3,200}}$"):
                decode_image(content[:cut], Path(name))
    numbers = np.full((3, 3, 3), np.nan, np.float32)
    numbers[0] = np.inf
    _save("n.exr", numbers, "float")
    assert np.isfinite(read_image(Path("n.exr")).deep).all()


def test_a_bomb_is_refused_by_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    _save("x.exr", LIGHT, "half")
    monkeypatch.setattr("diffmatte_cli.imaging.read.MAX_PIXELS", 500)
    with pytest.raises(ImageError, match="claims more than"):
        read_image(Path("x.exr"))


def test_nothing_is_said_about_leaks_at_the_end(matter: fakes.FakeMatter) -> None:
    _save("x.exr", LIGHT, "half")
    command = ("0", "matte", "x.exr", "--trimap", "cat_trimap.png", "-o", "out.png", "--quiet")
    done = finish(*fakes.PROGRAM, *command)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_extra_is_imported_only_where_it_is_used() -> None:
    script = "import sys; import diffmatte_cli.batch.stages; assert 'OpenImageIO' not in sys.modules"
    assert finish("-c", script).returncode == 0
    assert sys.modules.get("OpenImageIO") is not None
