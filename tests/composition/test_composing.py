"""Backgrounds: what lies where, in light or in sRGB, by every name that the option takes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support import fakes

from diffmatte_cli.composition.background import Background, Plane, background_of, composite
from diffmatte_cli.composition.foreground import FOREGROUNDS, blurred_background
from diffmatte_cli.errors import ImageError, UsageError
from diffmatte_cli.extras import is_installed
from diffmatte_cli.imaging.colour import to_linear, to_srgb
from diffmatte_cli.imaging.read import ColourImage
from diffmatte_cli.planning.options import FOREGROUND_NAMES

pytestmark = pytest.mark.usefixtures("cat_folder")
ALPHA = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
KNOWN = fakes.cat_trimap()


def _matte(*arguments: str, code: int = 0) -> Any:
    result = fakes.run_matte(*arguments)
    assert result.exit_code == code, result.stderr
    return result


def _plane(value: float, linear: bool = False) -> Plane:
    return Plane(np.full((3, 4, 3), value, np.float32), linear)


def test_srgb_and_light_are_inverse_and_standard() -> None:
    values = np.linspace(0, 1, 1001, dtype=np.float32)
    np.testing.assert_allclose(to_srgb(to_linear(values)), values, atol=1e-6)
    assert to_linear(np.float32([0.5]))[0] == pytest.approx(0.2140411, abs=1e-6)
    assert to_srgb(np.float32([0.18]))[0] == pytest.approx(0.4613561, abs=1e-6)


@pytest.mark.parametrize("linear", [False, True])
def test_the_equation_holds_in_the_space_that_was_asked_for(linear: bool) -> None:
    above, below = _plane(0.8), _plane(0.2)
    mixed = composite(above, below, ALPHA, linear_light=linear)
    assert not mixed.linear
    a, b = (to_linear(np.float32([0.8])), to_linear(np.float32([0.2]))) if linear else (0.8, 0.2)
    expected = ALPHA * a + (1 - ALPHA) * b
    np.testing.assert_allclose(mixed.values[..., 0], to_srgb(expected) if linear else expected, atol=1e-5)


def test_layers_of_different_kinds_meet_in_the_foregrounds_own() -> None:
    mixed = composite(_plane(0.5, linear=True), _plane(1.0), np.zeros((3, 4), np.float32), linear_light=False)
    assert mixed.linear
    np.testing.assert_allclose(mixed.values, 1, atol=1e-6)


def test_a_colour_fills_what_is_transparent(matter: fakes.FakeMatter) -> None:
    _matte("--background", "#ff8000")
    with Image.open("cat_on_ff8000.png") as picture:
        assert picture.mode == "RGB"
        pixels = np.asarray(picture)
    assert (pixels[KNOWN == 0] == (255, 128, 0)).all()
    own = np.asarray(Image.open("cat.png"))
    np.testing.assert_array_equal(pixels[KNOWN == 255], own[KNOWN == 255])
    assert "skipped" in _matte("--background", "#ff8000", "--skip-existing").stderr
    assert "skipped" not in _matte("--background", "blue", "--skip-existing").stderr


def test_half_transparent_pixels_mix_the_subjects_own_colour(matter: fakes.FakeMatter) -> None:
    _matte("--cutout", "-o", "cut.png")
    _matte("--background", "white", "-o", "laid.png")
    rgba, laid = (np.asarray(Image.open(name)).astype(np.float32) / 255 for name in ("cut.png", "laid.png"))
    expected = rgba[..., 3:] * rgba[..., :3] + 1 - rgba[..., 3:]
    np.testing.assert_allclose(laid, expected, atol=1.6 / 255)
    _matte("--background", "white", "--linear-light", "-o", "light.png")
    light = np.asarray(Image.open("light.png")).astype(np.float32) / 255
    assert (light >= laid - 1 / 255).all()  # light is brighter than the mean of two sRGB values
    assert light.sum() > laid.sum() + 1


def test_a_picture_covers_the_whole_frame_and_keeps_its_shape(matter: fakes.FakeMatter) -> None:
    wide = np.zeros((10, 60, 3), np.uint8)
    wide[:, 28:32] = 200  # what will be the middle
    Image.fromarray(wide).save("room.png")
    _matte("--background", "room.png")
    pixels = np.asarray(Image.open("cat_on_room.png"))
    assert pixels.shape == (fakes.HEIGHT, fakes.WIDTH, 3)
    assert pixels[0, fakes.WIDTH // 2, 0] > 150
    assert pixels[0, 0, 0] < 20
    with Image.open("cat_on_room.png") as picture:
        receipt = picture.info["diffmatte"]
    assert "room" not in receipt  # but its sha256
    assert "skipped" in _matte("--background", "room.png", "--skip-existing").stderr
    Image.fromarray(255 - wide).save("room.png")
    assert "skipped" not in _matte("--background", "room.png", "--skip-existing").stderr


def test_a_background_keeps_its_light(tmp_path: Path) -> None:
    picture = ColourImage(np.zeros((2, 2, 3), np.uint8), deep=np.full((2, 2, 3), 4.0, np.float32), linear=True)
    plane = Background("x", image=picture).plane(ColourImage(np.zeros((3, 4, 3), np.uint8)), ALPHA)
    assert plane.linear
    np.testing.assert_allclose(plane.values, 4, rtol=1e-6)


def test_a_checkerboard_alternates(matter: fakes.FakeMatter) -> None:
    _matte("--background", "checker")
    pixels = np.asarray(Image.open("cat_on_checker.png"))
    assert set(np.unique(pixels[0])) == {153, 204}
    assert (pixels[0, :-1] != pixels[0, 1:]).all()  # squares of one pixel in so small a picture


def test_a_blurred_background_is_free_of_the_subject() -> None:
    image = np.full((200, 300, 3), (20, 40, 220), np.uint8)
    alpha = np.zeros((200, 300), np.float32)
    alpha[60:140, 90:210] = 1
    image[60:140, 90:210] = (250, 200, 10)
    found = blurred_background(image, alpha)
    np.testing.assert_allclose(found, np.broadcast_to(np.float32([20, 40, 220]) / 255, found.shape), atol=0.01)
    stripes = image.copy()
    stripes[:, ::2] = 0
    assert blurred_background(stripes, alpha)[10].std(axis=0).max() < 0.2 * (stripes[10] / 255).std(axis=0).max()


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (40, 3)])
def test_backgrounds_of_any_size(shape: tuple[int, int]) -> None:
    photo, alpha = ColourImage(np.full((*shape, 3), 9, np.uint8)), np.full(shape, 0.5, np.float32)
    picture = Background("x", image=ColourImage(np.full((5, 9, 3), 77, np.uint8)))
    for background, level in ((background_of("blur"), 9), (background_of("navy"), (0, 0, 128)), (picture, 77)):
        expected = np.broadcast_to(np.float32(level) / 255, (*shape, 3))
        np.testing.assert_allclose(background.plane(photo, alpha).values, expected, atol=1e-5)
    assert set(np.unique(background_of("checker").plane(photo, alpha).values)) <= {np.float32(0.6), np.float32(0.8)}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_a_background_that_is_transparent_somewhere_is_refused(mode: str, matter: fakes.FakeMatter) -> None:
    sheet = Image.new("RGBA", (9, 5), (255, 0, 255, 255))
    sheet.convert("LA" if mode == "LA" else "RGBA").save("sheet.png")
    assert background_of("sheet.png").image is not None  # opaque all over
    sheet.putpixel((3, 3), (255, 0, 255, 0))
    if mode == "P":
        palette = sheet.convert("RGB").quantize(2)
        palette.save("sheet.png", transparency=int(np.asarray(palette)[0, 0]))
    else:
        sheet.convert(mode).save("sheet.png")
    with pytest.raises(ImageError, match=r"the background sheet\.png is transparent in places"):
        background_of("sheet.png")
    assert "without its alpha channel" in _matte("--background", "sheet.png", "-o", "x.png", code=1).stderr
    assert not Path("x.png").exists()


def test_a_background_that_is_no_file_is_told_as_one() -> None:
    Path("rooms").mkdir()
    Path("red").mkdir()
    Path("gone").symlink_to("nowhere")
    for text, words in (
        ("rooms", "the background rooms is not a file: name an image file"),
        ("gone", "the background gone is a broken symlink"),
        ("rooms/a", "the background rooms/a does not exist"),
        ("room.jfif", "does not exist"),
        ("s3", "must be a colour"),
    ):
        with pytest.raises(UsageError, match=words):
            background_of(text)
    assert background_of("red").colour == (255, 0, 0)


def test_what_is_no_background_is_refused(matter: fakes.FakeMatter) -> None:
    with pytest.raises(UsageError, match=r"the background nowhere\.png does not exist"):
        background_of("nowhere.png")
    for more in ((), ("--dry-run",)):
        assert (
            "nowhere.png does not exist (--background)" in _matte("--background", "nowhere.png", *more, code=2).stderr
        )
        assert "must be a colour" in _matte("--background", "nowhere", *more, code=2).stderr
    for text in ("#00000000", "#fff8", "rgb(300, 0, 0)"):
        assert "must be an opaque colour" in _matte("--background", text, code=2).stderr
    Path("broken.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match="cannot read"):
        background_of("broken.png")
    Path("room.png").write_bytes(Path("cat.png").read_bytes())
    assert "would replace the input" in _matte("--background", "room.png", "-o", "room.png", code=2).stderr
    assert "name one" in _matte("--linear-light", code=2).stderr
    for flag in ("--premultiplied", "--straight"):
        assert f"omit it ({flag})" in _matte(flag, code=2).stderr
        assert f"omit it ({flag})" in _matte(flag, "--background", "red", code=2).stderr


def test_the_options_names_are_those_that_are_there() -> None:
    assert tuple(FOREGROUNDS) == FOREGROUND_NAMES


def test_no_estimate_keeps_the_photographs_colour(matter: fakes.FakeMatter) -> None:
    _matte("--cutout", "--foreground", "none")
    pixels = np.asarray(Image.open("cat_cutout.png"))
    np.testing.assert_array_equal(pixels[..., :3], np.asarray(Image.open("cat.png")))


def test_the_multi_level_estimate_needs_its_extra(matter: fakes.FakeMatter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diffmatte_cli.extras.find_spec", lambda _: None)
    result = _matte("--cutout", "--foreground", "ml", code=2)
    assert "needs an extra: pip install 'diffmatte[ml]' (--foreground)" in result.stderr
    assert "the foreground must be one of" in _matte("--cutout", "--foreground", "x", code=2).stderr


@pytest.mark.skipif(not is_installed("ml"), reason="needs the extra ml (pymatting)")
@pytest.mark.filterwarnings("default")  # of its compiler
def test_the_multi_level_estimate_frees_colours_of_the_background() -> None:
    rows, columns = np.mgrid[:80, :90]
    alpha = np.clip((30 - np.hypot(rows - 40, columns - 45)) / 10, 0, 1).astype(np.float32)
    true, behind = np.float32([3.0, 1.5, 0.2]), np.float32([0.1, 0.3, 0.8])
    image = alpha[..., None] * true + (1 - alpha[..., None]) * behind
    soft = (alpha > 0.1) & (alpha < 1)
    found = FOREGROUNDS["ml"](image, alpha)
    assert found.dtype == np.float32
    assert np.abs(found - true)[soft].mean() < np.abs(image - true)[soft].mean() / 5
    np.testing.assert_array_equal(found[alpha == 1], image[alpha == 1])
