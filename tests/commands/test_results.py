"""One run, many results, each under a name of its own; composites as JPEG."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from support import fakes
from typer.testing import Result

from diffmatte_cli.imaging.receipts import read_receipt

pytestmark = pytest.mark.usefixtures("cat_folder", "matter")
KNOWN = fakes.cat_trimap()
INPUTS = {"cat.png", "cat_trimap.png"}


def _made() -> list[str]:
    return sorted(set(os.listdir()) - INPUTS)


def _pixels(name: str) -> np.ndarray:
    with Image.open(name) as picture:
        return np.asarray(picture)


def _matte(*arguments: str) -> Result:
    result = fakes.run_matte(*arguments)
    assert result.exit_code == 0, result.stderr
    return result


def test_three_results_of_one_run() -> None:
    result = _matte("--cutout", "--background", "white", "--with-alpha")
    assert _made() == ["cat_alpha.png", "cat_cutout.png", "cat_on_white.png"]
    assert result.stderr.endswith(": cat_on_white.png, cat_alpha.png, cat_cutout.png\n")
    shapes = {name: _pixels(name).shape[2:] for name in _made()}
    assert shapes == {"cat_alpha.png": (), "cat_cutout.png": (4,), "cat_on_white.png": (3,)}
    alone = {"alpha": (), "cutout": ("--cutout",), "on_white": ("--background", "white")}
    for name, options in alone.items():
        _matte(*options, "-o", "alone.png")
        np.testing.assert_array_equal(_pixels("alone.png"), _pixels(f"cat_{name}.png"))
        assert read_receipt(Path("alone.png")) == read_receipt(Path(f"cat_{name}.png"))
    assert "skipped" in _matte("--cutout", "--background", "white", "--with-alpha", "--skip-existing").stderr
    Path("cat_cutout.png").unlink()
    assert "skipped" not in _matte("--cutout", "--background", "white", "--with-alpha", "--skip-existing").stderr


def test_one_run_after_another_leaves_every_result() -> None:
    Image.new("RGB", (8, 8)).save("my room.png")
    for options in (
        (),
        ("--cutout",),
        *(("--background", name) for name in ("white", "#ff8000", "my room.png", "blur")),
    ):
        _matte(*options)
    assert _made() == [
        *("cat_alpha.png", "cat_cutout.png", "cat_on_blur.png", "cat_on_ff8000.png", "cat_on_my-room.png"),
        *("cat_on_white.png", "my room.png"),
    ]
    assert _pixels("cat_cutout.png").shape[2] == 4


def test_what_is_beside_a_result_that_has_a_name() -> None:
    _matte("--cutout", "--background", "white", "--with-alpha", "-o", "x.jpg")
    assert _made() == ["x.jpg", "x_alpha.png", "x_cutout.png"]


def test_a_photograph_whose_name_looks_like_a_results() -> None:
    Path("cat.png").rename("dog_on_table.png")
    arguments = ("dog_on_table.png", "--trimap", "cat_trimap.png", "--with-alpha", "--cutout")
    assert fakes.run("matte", *arguments, "--background", "red").exit_code == 0
    made = [name for name in _made() if name != "dog_on_table.png"]
    assert made == ["dog_on_table_alpha.png", "dog_on_table_cutout.png", "dog_on_table_on_red.png"]


def test_composites_of_an_earlier_run_are_no_photographs() -> None:
    fakes.make_photos(["a", "a_on_chair"])
    for name in ("a", "a_on_chair"):
        fakes.run(
            "matte", f"photos/{name}.png", "--trimap", "trimaps", "--background", "white", "-o", f"photos/{name}.jpg"
        )
        Path(f"photos/{name}.jpg").rename(f"photos/{name}_on_white.jpg")
    result = fakes.run("matte", "photos", "--trimap", "trimaps", "-o", "out", "--dry-run")
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["photos/a.png", "photos/a_on_chair.png"]
    assert "2 images are taken for results of an earlier run" in result.stderr


def test_jpeg_keeps_profile_exif_and_receipt() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    Image.fromarray(_pixels("cat.png")).save("cat.png", icc_profile=profile, exif=exif, dpi=(300, 300))
    arguments = ("--background", "white", "--format", "jpg")
    _matte(*arguments)
    with Image.open("cat_on_white.jpg") as picture:
        assert (picture.format, picture.mode) == ("JPEG", "RGB")
        assert picture.info["icc_profile"] == profile
        assert picture.getexif()[0x010F] == "Maker"
        assert picture.info["dpi"] == (300, 300)
        assert np.abs(np.asarray(picture).astype(int)[KNOWN == 0] - 255).mean() < 3
    receipt = read_receipt(Path("cat_on_white.jpg"))
    assert receipt is not None
    assert (receipt.quality, receipt.background) == (95, "white")
    assert "skipped" in _matte(*arguments, "--skip-existing").stderr
    large = os.path.getsize("cat_on_white.jpg")
    assert "skipped" not in _matte(*arguments, "--skip-existing", "--quality", "50").stderr
    assert os.path.getsize("cat_on_white.jpg") < large
    content = Path("cat_on_white.jpg").read_bytes()
    with Image.open(io.BytesIO(content)) as picture:
        picture.save("cat_on_white.jpg", quality=50, xmp=picture.info["xmp"])  # somebody's own
    assert read_receipt(Path("cat_on_white.jpg")) is None


@pytest.mark.parametrize(
    "arguments",
    [("-o", "x.jpg"), ("-o", "x.jpeg", "--cutout"), ("--format", "jpg"), ("--cutout", "--format", "jpg", "-o", "-")],
)
def test_jpeg_is_for_composites(arguments: tuple[str, ...]) -> None:
    line = fakes.error_line(fakes.run_matte(*arguments), 2)
    assert "jpg holds neither transparency nor exact levels: write png, or lay the cutout on a background" in line
    assert line.endswith("--background)")


@pytest.mark.parametrize("quality", ["0", "101"])
def test_a_quality_that_there_is_not(quality: str) -> None:
    line = fakes.error_line(fakes.run_matte("--background", "white", "--quality", quality), 2)
    assert f"the quality must be from 1 to 100, not {quality} (--quality)" in line


def test_review_shows_the_cutout_of_a_composite() -> None:
    fakes.make_photos("a")
    several = ("--cutout", "--background", "white", "--with-alpha", "--format", "jpg")
    fakes.run("matte", "photos", "--trimap", "trimaps", "-o", "out", *several, "--report", "out/r.jsonl")
    assert sorted(os.listdir("out")) == ["a_alpha.png", "a_cutout.png", "a_on_white.jpg", "r.jsonl"]
    for report in (True, False):
        if not report:
            Path("out/r.jsonl").unlink()
        result = fakes.run("review", "out", "--photos", "photos", "--trimap", "trimaps")
        assert result.exit_code == 0, result.stderr
        assert "review.html: 1 results" in result.stderr
        assert "ignored" not in result.stderr
    for name in ("a_alpha.png", "a_cutout.png"):
        Path("out", name).unlink()
    assert "review.html: 1 results" in fakes.run("review", "out").stderr
