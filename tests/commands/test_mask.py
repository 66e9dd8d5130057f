"""``diffmatte matte --mask``: rough masks in the place of trimaps."""

import io
import json
import os
import shlex
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from PIL import Image
from support import fakes
from support.processes import finish
from typer.testing import Result

from diffmatte_cli.imaging.receipts import read_receipt
from diffmatte_cli.trimaps.band import Band
from diffmatte_cli.trimaps.masks import trimap_from_mask

MASK = np.zeros((fakes.HEIGHT, fakes.WIDTH), np.uint8)
MASK[6:18, 8:24] = 255


@pytest.fixture(autouse=True)
def folder(cat_folder: Path) -> Path:
    """Work beside a photograph, its trimap and its mask."""
    Image.fromarray(MASK).save("cat_mask.png")
    return cat_folder


def _trimap(mask: np.ndarray = MASK, band: Band = Band()) -> np.ndarray:
    return trimap_from_mask((mask / np.float32(255)).astype(np.float32), band)


def _run(*arguments: str) -> Result:
    result = fakes.run("matte", *arguments)
    assert result.exit_code == 0, result.stderr
    return result


def _pixels(path: str) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_the_trimap_is_the_one_that_trimap_makes(matter: fakes.FakeMatter) -> None:
    fakes.run("trimap", "cat_mask.png", "-o", "made.png")
    result = _run("cat.png", "--mask", "cat_mask.png")
    assert result.stderr.count("\n") == 2  # the device and the summary
    (_, trimap), *_ = matter.encoded
    np.testing.assert_array_equal(trimap, _trimap())
    np.testing.assert_array_equal(trimap, _pixels("made.png"))
    receipt = read_receipt(Path("cat_alpha.png"))
    assert receipt is not None
    assert (receipt.mask, receipt.band) == ("given", "1 %, less in gaps")


def test_its_band_is_part_of_the_receipt(matter: fakes.FakeMatter) -> None:
    _run("cat.png", "--mask", "cat_mask.png", "--band", "10")
    np.testing.assert_array_equal(matter.encoded[-1][1], _trimap(band=Band(percent=10)))
    assert "skipped" in _run("cat.png", "--mask", "cat_mask.png", "--band", "10", "--skip-existing").stderr
    assert "skipped" not in _run("cat.png", "--mask", "cat_mask.png", "--skip-existing").stderr
    assert "skipped" not in _run("cat.png", "--trimap", "cat_trimap.png", "--skip-existing").stderr


def test_a_smaller_mask_a_cutout_and_one_on_a_plain_colour(matter: fakes.FakeMatter) -> None:
    photograph = _pixels("cat.png")
    Image.fromarray(MASK).resize((16, 12), Image.Resampling.NEAREST).save("small.png")
    Image.fromarray(np.dstack([photograph, MASK])).save("cut.png")
    Image.fromarray(np.where(MASK[..., None] > 0, photograph, np.uint8(255))).save("white.png")
    for name in ("small", "cut", "white"):
        result = _run("cat.png", "--mask", f"{name}.png")
        assert ("plain colour" in result.stderr) == (name == "white")
        trimap, expected = matter.encoded[-1][1], _trimap()
        known = (trimap != 128) & (expected != 128)
        assert known.mean() > 0.6
        np.testing.assert_array_equal(trimap[known], expected[known])


def test_the_photographs_own_alpha(matter: fakes.FakeMatter) -> None:
    Image.fromarray(np.dstack([_pixels("cat.png"), MASK])).save("dog.png")
    _run("dog.png", "--mask", "alpha")
    np.testing.assert_array_equal(matter.encoded[-1][1], _trimap())
    result = fakes.run("matte", "cat.png", "--mask", "alpha")
    assert result.exit_code == 1
    assert "cat.png has no alpha channel to use as its mask: name a mask" in result.stderr


def _piped(*arguments: str) -> CompletedProcess[bytes]:
    given = Path("cat_mask.png").read_bytes()
    return finish(*fakes.PROGRAM, "0", "matte", "cat.png", "--mask", "-", *arguments, input=given, text=False)


def test_a_mask_from_a_pipe() -> None:
    done = _piped("--model", "tiny", "--cutout", "-o", "-")
    assert done.returncode == 0, done.stderr
    with Image.open(io.BytesIO(done.stdout)) as picture:
        assert picture.mode == "RGBA"


def test_folders_a_pattern_and_a_report(matter: fakes.FakeMatter) -> None:
    fakes.make_photos("ab")
    Path("masks").mkdir()
    for name in ("a_mask", "b"):
        Image.fromarray(MASK).save(f"masks/{name}.png")
    _run("photos", "--mask", "masks", "-o", "out", "--report", "out/r.jsonl", "--trimap-output", "kept")
    assert sorted(os.listdir("kept")) == ["a.png", "b.png"]
    rows = [json.loads(line) for line in Path("out/r.jsonl").read_text().splitlines()]
    assert [(row["mask"], row["trimap"]) for row in rows] == [
        ("masks/a_mask.png", "kept/a.png"),
        ("masks/b.png", "kept/b.png"),
    ]
    np.testing.assert_array_equal(_pixels("kept/a.png"), _trimap())
    _run("photos/b.png", "--mask", "masks/{stem}.png", "-o", "out2/")
    # A report without trimaps is one, too.
    _run("photos", "--mask", "masks", "-o", "out", "--report", "out/r.jsonl")
    assert fakes.run("review", "out", "--photos", "photos").exit_code == 0


def test_a_sequence_and_a_folder_of_both(matter: fakes.FakeMatter) -> None:
    for number in (1, 2):
        Image.fromarray(_pixels("cat.png")).save(f"shot.{number:04}.png")
    Image.fromarray(MASK).save("held.png")
    result = _run("shot.%04d.png", "--mask", "held.png", "-o", "frames/", "--trimap-output", "kept")
    assert "the mask held.png serves all 2 frames" in result.stderr
    assert sorted(os.listdir("kept")) == ["shot.0001.png", "shot.0002.png"]
    Path("both").mkdir()
    for name in ("cat.png", "cat_mask.png"):
        Path(name).rename(f"both/{name}")
    _run("both", "--mask", "both", "-o", "out")
    assert os.listdir("out") == ["cat_alpha.png"]


def test_a_manifest(matter: fakes.FakeMatter) -> None:
    table = "image,trimap,mask,output\ncat.png,,cat_mask.png,a.png\ncat.png,cat_trimap.png,,b.png\n"
    Path("jobs.csv").write_text(table)
    _run("--manifest", "jobs.csv", "-o", "out", "--trimap-output", "kept")
    np.testing.assert_array_equal(matter.encoded[0][1], _trimap())
    np.testing.assert_array_equal(matter.encoded[1][1], fakes.cat_trimap())
    assert os.listdir("kept") == ["a.png"]
    Path("jobs.csv").write_text("image,trimap,mask\ncat.png,cat_trimap.png,cat_mask.png\n")
    result = fakes.run("matte", "--manifest", "jobs.csv", "-o", "out")
    assert "line 2 of jobs.csv: it has both a trimap and a mask: leave one empty" in result.stderr
    Path("jobs.csv").write_text("image\ncat.png\n")
    assert "lacks the column trimap (or mask)" in fakes.run("matte", "--manifest", "jobs.csv", "-o", "out").stderr


def test_a_painted_trimap_is_never_replaced(matter: fakes.FakeMatter) -> None:
    arguments = ("cat.png", "--mask", "cat_mask.png", "--trimap-output", "kept")
    _run(*arguments)
    _run(*arguments, "--band", "5")  # over its own
    np.testing.assert_array_equal(_pixels("kept/cat.png"), _trimap(band=Band(percent=5)))
    painted = _pixels("kept/cat.png").copy()
    painted[0, 0] = 128
    Image.fromarray(painted).save("kept/cat.png")
    result = fakes.run("matte", *arguments)
    assert result.exit_code == 2
    assert "kept/cat.png already exists, painted or changed by hand" in result.stderr
    assert "(--trimap-output)" in result.stderr
    np.testing.assert_array_equal(_pixels("kept/cat.png"), painted)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("cat.png", "--mask", "cat_mask.png", "--trimap", "cat_trimap.png"), "give one of them (--trimap, --mask)"),
        (("cat.png", "--trimap", "cat_trimap.png", "--band", "3"), "--band goes with --mask"),
        (("cat.png", "--trimap", "cat_trimap.png", "--trimap-output", "x"), "(--trimap-output, --mask)"),
        (("cat.png", "--mask", "cat_mask.png", "--trimap-output", "."), "also contains inputs"),
        (("cat.png", "--mask", "none.png"), "the mask none.png does not exist"),
        (("cat.png", "--mask", "cat.png"), "cat.png is given as both the photograph and its mask"),
        (("-", "--mask", "-"), "cannot hold both the photograph and its mask"),
        (("cat.png",), "or give a mask instead, white subject on black"),
        (
            ("photos", "--trimap", "empty", "-o", "out"),
            "masks instead, or pass such photographs by (--mask, --skip",
        ),
    ],
)
def test_mistakes_that_show_at_once(arguments: tuple[str, ...], words: str) -> None:
    fakes.make_photos("a")
    Path("empty").mkdir()
    result = fakes.run("matte", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr


def test_a_mask_as_a_trimap_is_answered_with_the_option(matter: fakes.FakeMatter) -> None:
    result = fakes.run("matte", "cat.png", "--trimap", "cat_mask.png")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("error: the trimap is a mask, black and white without grey")
    instead = "give it as the mask instead, of which a trimap is made"
    assert result.stderr.endswith(f"{instead}: diffmatte matte cat.png --mask cat_mask.png\n")
    assert not Path("cat_alpha.png").exists()
    Path("masks").mkdir()
    fakes.make_photos("ab")
    Image.fromarray(MASK).save("trimaps/a.png")
    result = fakes.run("matte", "photos", "--trimap", "trimaps", "-o", "out")
    assert result.exit_code == 1
    assert "error: photos/a.png: the trimap is a mask" in result.stderr
    assert "(--mask)" in result.stderr
    assert os.listdir("out") == ["b_alpha.png"]


@pytest.mark.parametrize("given", [("--trimap", "my small mask.png"), ("--trimap=my small mask.png",)])
def test_a_mask_of_another_size_as_a_trimap_is_answered_so_too(
    given: tuple[str, ...], matter: fakes.FakeMatter
) -> None:
    height, width = fakes.HEIGHT // 2, fakes.WIDTH // 2
    Image.fromarray(MASK[::2, ::2]).save("my small mask.png")
    result = fakes.run("matte", "cat.png", *given, "-o", "a.png")
    assert result.exit_code == 2
    words = "the trimap is a mask, black and white without grey for what is unknown"
    sizes = f"{width}x{height} where the photograph is {fakes.WIDTH}x{fakes.HEIGHT}"
    told, _, command = result.stderr.splitlines()[-1].rpartition(": ")
    assert told == f"error: {words}, {sizes}: give it as the mask instead, of which a trimap is made"
    assert command == shlex.join(["diffmatte", "matte", "cat.png", *given, "-o", "a.png"]).replace("trimap", "mask")
    _run(*shlex.split(command)[2:])  # which does it
    assert Path("a.png").exists()


def test_a_painted_trimap_of_another_size_is_no_mask(matter: fakes.FakeMatter) -> None:
    Image.fromarray(np.where(MASK > 0, MASK, np.uint8(128))[::2, ::2]).save("small.png")
    result = fakes.run("matte", "cat.png", "--trimap", "small.png")
    assert result.exit_code == 1
    assert "paint the trimap over the photograph at its full size" in result.stderr


@pytest.mark.parametrize("level", [0, 255])
def test_a_frame_without_an_edge_is_no_mask(level: int, matter: fakes.FakeMatter) -> None:
    Image.fromarray(np.full_like(MASK, level)).save("flat.png")
    _run("cat.png", "--trimap", "flat.png")
    assert (_pixels("cat_alpha.png") == level).all()


def test_a_plan(matter: fakes.FakeMatter) -> None:
    result = _run("cat.png", "--mask", "cat_mask.png", "--trimap-output", "kept", "--dry-run")
    assert result.stdout == "cat.png with cat_mask.png as its mask -> cat_alpha.png, kept/cat.png\n"
    assert not Path("kept").exists()
