"""``diffmatte trimap``: trimaps out of masks, cutouts and soft segmentations, alone, in folders and in pipes."""

import io
import os
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support import fakes
from support.processes import finish, terminal
from typer.testing import Result

from diffmatte_cli.errors import FullError
from diffmatte_cli.imaging.grey import read_grey
from diffmatte_cli.trimaps.band import Band
from diffmatte_cli.trimaps.masks import trimap_from_mask

HEIGHT, WIDTH = 60, 80
MASK = np.zeros((HEIGHT, WIDTH), np.uint8)
MASK[15:45, 20:60] = 255


def _save(path: str, pixels: np.ndarray, **settings: Any) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **settings)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work beside one mask."""
    monkeypatch.chdir(tmp_path)
    _save("mask.png", MASK)


def _run(*arguments: str, **settings: Any) -> Result:
    return fakes.run("trimap", *arguments, **settings)


def _made(path: str | Path = "out.png") -> np.ndarray:
    """Return a trimap, and check that the file holds nothing but one."""
    with Image.open(path) as picture:
        assert picture.mode in ("L", "RGB")  # WebP knows no grey
        levels = np.asarray(picture.convert("L"))
    assert set(np.unique(levels)) <= {0, 128, 255}
    return levels


def _expected(pixels: np.ndarray, band: Band | None = None) -> np.ndarray:
    return trimap_from_mask((pixels / np.float32(255)).astype(np.float32), band or Band())


def _errors(*arguments: str, code: int = 2) -> list[str]:
    """Check that a run failed and changed nothing; return its lines."""
    before = _snapshot()
    result = _run(*arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert _snapshot() == before
    lines = result.stderr.splitlines()
    assert all(line.startswith("error: ") for line in lines)
    return lines


def _snapshot() -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in Path().rglob("*")}


def test_a_mask_and_one_line_about_it() -> None:
    result = _run("mask.png", "-o", "out.png")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "80x60, 5.8% unknown, 1 px inside the edge and 1 px outside: out.png\n"
    np.testing.assert_array_equal(_made(), _expected(MASK))


@pytest.mark.parametrize(
    ("options", "band"),
    [
        (("--erode", "3"), Band(erode=3)),
        (("--dilate", "4"), Band(dilate=4)),
        (("--erode", "2", "--dilate", "5"), Band(2, 5)),
        (("--erode", "0", "--dilate", "1"), Band(0, 1)),
        (("--band", "10"), Band(8, 8)),
    ],
)
def test_widths(options: tuple[str, ...], band: Band) -> None:
    assert _run("mask.png", "-o", "out.png", *options, "--quiet").stderr == ""
    np.testing.assert_array_equal(_made(), _expected(MASK, band))


def test_a_cutout_counts_by_its_alpha() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    _save("cutout.png", np.dstack([colours, MASK]))
    _save("cutout.webp", np.dstack([colours, MASK]), lossless=True, exact=True)
    for name in ("cutout.png", "cutout.webp"):
        assert _run(name, "-o", "out.png").exit_code == 0
        np.testing.assert_array_equal(_made(), _expected(MASK))


@pytest.mark.parametrize(
    ("pixels", "told"),
    [
        (MASK // 255, "holds the levels 0 and 1 of 255 alone, taken as black and white"),
        (MASK.astype(np.uint16), "has levels up to 255 of 65535, and 255 is taken as white"),
        (np.dstack([MASK, MASK * 0, MASK * 0]), "has two colours alone, black and red, taken as black and white"),
    ],
)
def test_a_mask_in_other_levels_or_colours_is_told(pixels: np.ndarray, told: str) -> None:
    _save("mask.png", pixels)
    result = _run("mask.png", "-o", "out.png", "--quiet")
    assert (result.exit_code, result.stderr) == (0, f"warning: mask.png {told}\n")
    np.testing.assert_array_equal(_made(), _expected(MASK))


def test_an_alpha_channel_that_says_nothing_does_not_count() -> None:
    _save("opaque.png", np.dstack([MASK, MASK, MASK, np.full_like(MASK, 255)]))
    assert _run("opaque.png", "-o", "out.png").exit_code == 0
    np.testing.assert_array_equal(_made(), _expected(MASK))


def test_a_soft_segmentation_is_unknown_where_it_is_unsure() -> None:
    soft = np.repeat(np.linspace(0, 255, 80).astype(np.uint8)[None], 60, axis=0)
    _save("soft.png", soft)
    assert _run("soft.png", "-o", "out.png", "--erode", "0", "--dilate", "0").exit_code == 0
    np.testing.assert_array_equal(_made(), np.select([soft <= 12, soft >= 243], [0, 255], 128))


def test_a_mask_of_16_bits_and_one_that_lies_on_its_side() -> None:
    _save("deep.png", MASK.astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6
    _save("turned.png", MASK, exif=exif)
    for name, expected in (("deep.png", MASK), ("turned.png", np.rot90(MASK, -1))):
        assert _run(name, "-o", "out.png").exit_code == 0
        np.testing.assert_array_equal(_made(), _expected(expected))


@pytest.mark.parametrize("name", ["out.tif", "out.TIFF", "out.webp"])
def test_other_formats(name: str) -> None:
    assert _run("mask.png", "-o", name).exit_code == 0
    np.testing.assert_array_equal(_made(name), _expected(MASK))


@pytest.mark.parametrize(("value", "words"), [(0, "no known foreground"), (255, "no known background")])
def test_a_mask_without_an_edge_is_warned_of(value: int, words: str) -> None:
    _save("flat.png", np.full_like(MASK, value))
    result = _run("flat.png", "-o", "out.png", "--quiet")
    assert result.exit_code == 0
    assert any(line.startswith("warning: flat.png: ") and words in line for line in result.stderr.splitlines())
    assert (_made() == value).all()


def test_one_pixel() -> None:
    _save("dot.png", np.full((1, 1), 255, np.uint8))
    assert _run("dot.png", "-o", "out.png", "--erode", "2000").exit_code == 0
    assert _made().tolist() == [[255]]


def test_a_tree() -> None:
    for name in ("masks/a.png", "masks/b.c.jpg", "masks/x/a.png", "masks/x/y/d.tif"):
        _save(name, MASK)
    Path("masks/notes.txt").touch()
    assert _run("masks", "-o", "flat").exit_code == 0
    assert sorted(os.listdir("flat")) == ["a.png", "b.c.png"]
    result = _run("masks", "-o", "masks/made", "--recursive")
    assert result.exit_code == 0, result.stderr
    found = sorted(str(path.relative_to("masks/made")) for path in Path("masks/made").rglob("*.png"))
    assert found == ["a.png", "b.c.png", "x/a.png", "x/y/d.png"]
    np.testing.assert_array_equal(_made("masks/made/x/y/d.png"), _expected(MASK))
    assert _run("masks", "-o", "masks/made", "--recursive").exit_code == 0
    assert len(list(Path("masks/made").rglob("*.png"))) == 4


@pytest.mark.parametrize("output", ["there", "made/", "."])
def test_one_mask_into_a_folder(output: str) -> None:
    Path("there").mkdir()
    _save("deep/cat.jpg", MASK)
    assert _run("deep/cat.jpg", "-o", output).exit_code == 0
    assert Path(output, "cat.png").is_file()


def _piped(*arguments: str, given: bytes) -> CompletedProcess[bytes]:
    return finish("-m", "diffmatte_cli", "trimap", *arguments, input=given, text=False)


def test_a_pipe() -> None:
    done = _piped("-", "-o", "-", "--band", "5", given=Path("mask.png").read_bytes())
    assert done.returncode == 0
    assert done.stderr == b"80x60, 22.7% unknown, 4 px inside the edge and 4 px outside: standard output\n"
    with Image.open(io.BytesIO(done.stdout)) as picture:
        assert picture.format == "PNG"
        np.testing.assert_array_equal(np.asarray(picture), _expected(MASK, Band(4, 4)))
    assert os.listdir() == ["mask.png"]


@pytest.mark.parametrize("given", [b"", b"no picture"])
def test_a_pipe_that_brings_no_picture(given: bytes) -> None:
    done = _piped("-", "-o", "-", given=given)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"error: cannot read standard input: ")
    assert done.stderr.count(b"\n") == 1


def test_a_pipe_into_a_folder() -> None:
    Path("there").mkdir()
    assert _run("-", "-o", "there", input=Path("mask.png").read_bytes()).exit_code == 0
    assert os.listdir("there") == ["stdin.png"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("mask.png",), "Missing option '-o'"),
        (("-o", "out.png"), "Missing argument"),
        (("mask.png", "-o", "out.png", "--band", "2", "--erode", "3"), "a band gives both sides their width"),
        (("mask.png", "-o", "out.png", "--band", "2", "--dilate", "0"), "a band gives both sides their width"),
        (
            ("mask.png", "-o", "out.png", "--band", "0"),
            "the band must be above 0 and at most 50 percent, not 0 (--band)",
        ),
        (("mask.png", "-o", "out.png", "--band", "nan"), "not nan"),
        (
            ("mask.png", "-o", "out.png", "--erode", "-1"),
            "the width to erode must be from 0 to 2000 pixels, not -1 (--erode)",
        ),
        (("mask.png", "-o", "out.png", "--erode", "1.5"), "Invalid value for '--erode'"),
        (("mask.png", "-o", "out.jpg"), "jpg holds neither transparency nor exact levels: write png"),
        (("mask.png", "-o", "out.gif"), "must end in one of .png, .tif, .tiff, .webp"),
        (("mask.png", "-o", "out"), "cannot tell the format of the result out"),
        (("mask.png", "-o", ""), "a path is empty"),
        (("mask.png", "-o", "none/out.png"), "the folder of the result none/out.png does not exist"),
        (("mask.png", "-o", "mask.png/out.png"), "mask.png/out.png"),
        (("mask.png", "-o", "mask.png"), "the result mask.png would replace the input mask.png"),
        (("mask.png", "-o", "./mask.png"), "would replace the input"),
        (("mask.png", "-o", "."), "would replace the input"),
        (("none.png", "-o", "out.png"), "none.png does not exist"),
        (("empty", "-o", "out"), "the folder empty contains no images"),
        (("masks", "-o", "masks"), "the folder of trimaps masks also contains masks"),
        (("masks", "-o", "mask.png"), "mask.png is not one: name a folder (-o)"),
        (("masks", "-o", "-"), "standard output (-) holds one image"),
        (("mask.png", "masks/a.png", "-o", "-"), "standard output (-) holds one image"),
        (("-", "mask.png", "-o", "out"), "give it alone"),
        (("mask.png", "masks/mask.jpg", "-o", "out"), "would both be written to out/mask.png: rename one"),
    ],
)
def test_mistakes_that_show_before_a_picture_is_opened(arguments: tuple[str, ...], words: str) -> None:
    Path("empty").mkdir()
    _save("masks/a.png", MASK)
    _save("masks/mask.jpg", MASK)
    assert words in _errors(*arguments)[0]


def test_every_conflict_is_told_at_once() -> None:
    _save("a/x.png", MASK)
    _save("b/x.png", MASK)
    Path("out/mask.png").mkdir(parents=True)
    lines = _errors("a", "b", "none.png", "mask.png", "-o", "out")
    assert len(lines) == 3
    assert "none.png does not exist" in lines[0]
    assert "would both be written to out/x.png" in lines[1]
    assert "out/mask.png is an existing folder" in lines[2]


def test_a_bad_mask_alone() -> None:
    Path("bad.png").write_bytes(b"no picture")
    (line,) = _errors("bad.png", "-o", "out.png", code=1)
    assert "cannot read bad.png" in line


def test_a_bad_mask_among_good_ones() -> None:
    for name in "ac":
        _save(f"masks/{name}.png", MASK)
    Path("masks/b.png").write_bytes(b"no picture")
    result = _run("masks", "-o", "out")
    assert (result.exit_code, result.stdout) == (1, "")
    made, error, also_made, summary = result.stderr.splitlines()
    assert error.startswith("error: cannot read masks/b.png: ")
    assert (made[-9:], also_made[-9:], summary) == ("out/a.png", "out/c.png", "1 of 3 failed")
    assert sorted(os.listdir("out")) == ["a.png", "c.png"]


def test_an_old_trimap_stays_when_the_new_one_fails() -> None:
    Path("bad.png").write_bytes(b"no picture")
    Path("out.png").write_bytes(b"old")
    _errors("bad.png", "-o", "out.png", "--overwrite", code=1)
    assert _run("mask.png", "-o", "out.png", "--overwrite").exit_code == 0
    np.testing.assert_array_equal(_made(), _expected(MASK))


def test_only_trimaps_that_nobody_has_changed_are_replaced_unasked() -> None:
    for name in ("out.png", "folder/mask.tif"):
        arguments = ("mask.png", "-o", name if "/" not in name else "folder/")
        assert _run(*arguments).exit_code == 0
        assert _run(*arguments, "--band", "10").exit_code == 0
    np.testing.assert_array_equal(_made(), _expected(MASK, Band(8, 8)))
    assert _errors("mask.png", "-o", "out.png", "--no-overwrite") == [
        "error: the result out.png already exists, and overwriting is off (--no-overwrite)"
    ]
    painted = _made().copy()
    painted[0, 0] = 128
    _save("out.png", painted)
    (line,) = _errors("mask.png", "-o", "out.png")
    assert line.startswith("error: out.png already exists, painted or changed by hand, and would be lost: name another")
    assert line.endswith(", or allow it with --overwrite")
    assert _run("mask.png", "-o", "out.png", "--overwrite").exit_code == 0
    np.testing.assert_array_equal(_made(), _expected(MASK))


def test_a_full_disk_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise FullError("no room is left")

    monkeypatch.setattr("diffmatte_cli.imaging.write.write_images", refuse)
    _save("masks/a.png", MASK)
    _save("masks/b.png", MASK)
    assert _errors("masks", "-o", "out", code=1) == ["error: no room is left"]


@pytest.mark.skipif(os.name == "nt", reason="such names are not allowed there")
def test_odd_names_are_told_in_one_line() -> None:
    name = "[red]new\nline.png"
    _save(f"masks/{name}", MASK)
    result = _run("masks", "-o", "out")
    assert (result.exit_code, result.stderr.count("\n")) == (0, 1)
    assert result.stderr.endswith(" outside: out/[red]new\\nline.png\n")
    assert os.listdir("out") == [name]


def test_the_trimap_of_a_mask_is_fine_for_check() -> None:
    Image.new("RGB", (WIDTH, HEIGHT)).save("cat.png")
    _run("mask.png", "-o", "out.png")
    assert fakes.run("check", "cat.png", "--trimap", "out.png").exit_code == 0


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no pseudo terminals here")
def test_a_terminal_gets_no_picture() -> None:
    with terminal() as (theirs, shown):
        done = finish("-m", "diffmatte_cli", "trimap", "mask.png", "-o", "-", stdout=theirs)
        assert shown() == b""
    assert done.returncode == 2
    assert "standard output is a terminal" in done.stderr


def test_real_mattes_become_trimaps_that_hold_them(photographs: Path) -> None:
    path = next((photographs / "alpha").iterdir())
    assert _run(str(path), "-o", "out.png").exit_code == 0
    alpha, trimap = read_grey(path).levels, _made()
    assert (alpha[trimap == 255] >= 0.95).all()
    assert (alpha[trimap == 0] <= 0.05).all()
    assert 0.01 < (trimap == 128).mean() < 0.4


def test_a_link_that_comes_after_the_plan_is_not_followed_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from diffmatte_cli.trimaps import masks

    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        Path(f"in_{name}").mkdir()
        Image.new("L", (40, 30), 255).save(f"in_{name}/{name}.png")
    Path("precious").write_text("mine")
    made = masks.trimap_from_mask

    def meanwhile(*arguments: Any) -> Any:
        if not Path("out/b.png").is_symlink():
            Path("out").mkdir(exist_ok=True)
            Path("out/b.png").symlink_to(tmp_path / "precious")
        return made(*arguments)

    monkeypatch.setattr(masks, "trimap_from_mask", meanwhile)
    result = fakes.run("trimap", "in_a", "in_b", "-o", "out")
    assert result.exit_code == 1
    assert "a symlink leads out of out" in result.stderr
    assert Path("precious").read_text() == "mine"
