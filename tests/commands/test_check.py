"""``diffmatte check``: where pairs come from, what is printed, and the folder of repaired copies."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support import fakes
from support.processes import finish
from typer.testing import Result

from diffmatte_cli.imaging.grey import read_grey


def _save(path: str, pixels: np.ndarray, **settings: Any) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **settings)


def _photo(path: str, height: int = fakes.HEIGHT, width: int = fakes.WIDTH) -> None:
    _save(path, np.full((height, width, 3), 90, np.uint8))


MASK = np.where(fakes.cat_trimap() == 255, np.uint8(255), np.uint8(0))
TWICE, LARGE = (fakes.cat_trimap().repeat(times, axis=0).repeat(times, axis=1) for times in (2, 5))
LARGE = np.roll(LARGE, (1, 2), (0, 1))  # off the grid of JPEG's blocks
SIDEWAYS = np.rot90(fakes.cat_trimap())
NO_BACKGROUND = np.maximum(fakes.cat_trimap(), 128)


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work beside two photographs, the trimap of ``a`` good and that of ``b`` a mask."""
    monkeypatch.chdir(tmp_path)
    for name, trimap in (("a", fakes.cat_trimap()), ("b", MASK)):
        _photo(f"photos/{name}.png")
        _save(f"trimaps/{name}.png", trimap)


def _run(*arguments: str, **settings: Any) -> Result:
    return fakes.run("check", *arguments, **settings)


def _rows(*arguments: str, code: int = 0, **settings: Any) -> list[dict[str, Any]]:
    result = _run(*arguments, "--json", **settings)
    assert (result.exit_code, result.stderr) == (code, "")
    return json.loads(result.stdout)  # type: ignore[no-any-return]


def _codes(rows: list[dict[str, Any]]) -> dict[str, dict[str, bool]]:
    """Return picture -> code -> whether it was mended."""
    return {row["image"]: {f["code"]: f["mended"] for f in row["findings"]} for row in rows}


def _errors(*arguments: str, code: int = 2) -> list[str]:
    """Check that a run failed before any work; return its lines."""
    before = _snapshot()
    result = _run(*arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert _snapshot() == before
    lines = result.stderr.splitlines()
    assert all(line.startswith("error: ") for line in lines)
    return lines


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_keeps_the_diagnosis(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        return whole(Path("/dev/full") if path.name.startswith(".diffmatte-") else path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    rows = _rows("photos", "--trimap", "trimaps", "--fix", "mended", code=1)
    for row in rows:
        assert row["findings"][-1]["code"] == "unwritten"
        assert "No space left" in row["findings"][-1]["text"]
        assert row["unknown"] is not None
        assert not any(finding["mended"] for finding in row["findings"])
    assert not list(Path("mended").iterdir())


def _snapshot() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}


def _picture(path: str) -> np.ndarray:
    return np.rint(read_grey(Path(path)).levels * 255).astype(np.uint8)


def test_a_good_pair() -> None:
    result = _run("photos/a.png", "--trimap", "trimaps/a.png")
    assert (result.exit_code, result.stderr) == (0, "1 checked, 0 with problems\n")
    rows = [line.replace("│", " ").split() for line in result.stdout.splitlines()]
    assert ["photos/a.png", "32x24", "33.3%", "ok"] in rows


def test_a_pair_as_json() -> None:
    (row,) = _rows("photos/a.png", "--trimap", "trimaps/a.png")
    share = pytest.approx(256 / 768)
    assert row == {
        "image": "photos/a.png",
        "trimap": "trimaps/a.png",
        "width": 32,
        "height": 24,
        "unknown": share,
        "foreground": pytest.approx(128 / 768),
        "background": pytest.approx(384 / 768),
        "memory": None,
        "seconds": None,
        "findings": [],
        "fixed": None,
    }


def test_a_folder_with_something_wrong() -> None:
    rows = _rows("photos", "--trimap", "trimaps", code=1)
    assert _codes(rows) == {"photos/a.png": {}, "photos/b.png": {"no-unknown": False}}
    result = _run("photos", "--trimap", "trimaps")
    assert (result.exit_code, result.stderr) == (1, "2 checked, 1 with problems\n")
    assert "no-unknown: the trimap has no unknown (grey) region" in result.stdout


def test_numbers_of_classes_are_told_and_mended() -> None:
    _save("trimaps/b.png", fakes.cat_trimap() // 127)
    (_, row) = _rows("photos", "--trimap", "trimaps", code=1)
    told = "the trimap holds the levels 0, 1 and 2 of 255 alone, taken as black, grey and white"
    assert row["findings"] == [{"code": "levels", "text": told, "mended": False}]
    assert _codes(_rows("photos", "--trimap", "trimaps", "--fix", "mended")) == {
        "photos/a.png": {},
        "photos/b.png": {"levels": True},
    }
    np.testing.assert_array_equal(_picture("mended/b.png"), fakes.cat_trimap())


def test_the_colours_of_a_trimap_are_named() -> None:
    _save("trimaps/b.png", np.array([[255, 0, 0], [0, 0, 255], [0, 255, 0]], np.uint8)[fakes.cat_trimap() // 127])
    (row,) = _rows("photos/b.png", "--trimap", "trimaps/b.png", code=1)
    assert [finding["code"] for finding in row["findings"]] == ["unreadable"]
    assert "its colours are red, blue and green" in row["findings"][0]["text"]


@pytest.mark.parametrize("level", [0, 255])
def test_what_is_all_black_or_white_is_no_usable_trimap(level: int) -> None:
    _save("trimaps/b.png", np.full_like(MASK, level))
    (row,) = _rows("photos/b.png", "--trimap", "trimaps/b.png", "--fix", "mended", code=1)
    assert row["fixed"] is None
    assert not Path("mended").exists()


def test_every_finding_has_a_line_of_its_own() -> None:
    _save("trimaps/b.png", np.full_like(MASK, 255))
    table = _run("photos/b.png", "--trimap", "trimaps/b.png").stdout
    assert "\\n" not in table
    starts = [line.split("│")[-2].split(":")[0].strip() for line in table.splitlines() if ": the trimap" in line]
    assert starts == ["no-unknown", "no-background"]


def test_a_tree() -> None:
    _photo("photos/x/c.png")
    _save("trimaps/x/c_trimap.png", fakes.cat_trimap())
    assert len(_rows("photos", "--trimap", "trimaps", code=1)) == 2
    rows = _rows("photos", "--trimap", "trimaps", "--recursive", "--fix", "fixed")
    assert [row["fixed"] for row in rows] == ["fixed/a.png", "fixed/b.png", "fixed/x/c.png"]
    assert all(not row["findings"] for row in _rows("photos", "--trimap", "fixed", "--recursive"))


def test_a_manifest() -> None:
    Path("list.csv").write_text(
        "image,trimap,output\nphotos/a.png,trimaps/a.png,\nphotos/b.png,trimaps/b.png,x/y.png\n"
    )
    rows = _rows("--manifest", "list.csv", "--fix", "fixed")
    assert _codes(rows) == {"photos/a.png": {}, "photos/b.png": {"no-unknown": True}}
    assert [row["fixed"] for row in rows] == ["fixed/a.png", "fixed/x/y.png"]


def test_own_alpha() -> None:
    pixels = np.dstack([np.zeros((*MASK.shape, 3), np.uint8), fakes.cat_trimap()])
    _save("own.png", pixels)
    (own, opaque) = _rows("own.png", "photos/a.png", "--trimap", "alpha", code=1)
    assert (own["trimap"], own["findings"]) == ("alpha", [])
    assert [finding["code"] for finding in opaque["findings"]] == ["no-alpha"]
    assert (opaque["width"], opaque["unknown"]) == (32, None)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("-", "--trimap", "trimaps/a.png"), ("standard input", "trimaps/a.png")),
        (("photos/a.png", "--trimap", "-"), ("photos/a.png", "standard input")),
    ],
)
def test_pipes(arguments: tuple[str, ...], names: tuple[str, str]) -> None:
    (row,) = _rows(*arguments, input=Path("trimaps/a.png").read_bytes())
    assert (row["image"], row["trimap"]) == names
    assert row["findings"] == []


@pytest.mark.parametrize("path", ["photos/a.png", "trimaps/a.png"])
@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n cut short"])
def test_an_unreadable_picture_is_a_row(path: str, content: bytes) -> None:
    Path(path).write_bytes(content)
    first, second = _rows("photos", "--trimap", "trimaps", "--fix", "fixed", code=1)
    assert _codes([first]) == {"photos/a.png": {"unreadable": False}}
    assert first["findings"][0]["text"].startswith(f"cannot read {path}: ")
    assert (first["width"], first["unknown"], first["fixed"]) == (None, None, None)
    assert second["fixed"] == "fixed/b.png"
    assert os.listdir("fixed") == ["b.png"]


def test_the_folder_of_repaired_copies_is_complete_and_clean() -> None:
    for name, trimap in (("c.png", TWICE), ("d.png", 255 - MASK), ("e.jpg", LARGE)):
        _photo(f"photos/{name}", *(LARGE.shape if trimap is LARGE else MASK.shape))
        _save(f"trimaps/{name}", trimap)
    before = _snapshot()
    rows = _rows("photos", "--trimap", "trimaps", "--fix", "new/fixed")
    assert _codes(rows) == {
        "photos/a.png": {},
        "photos/b.png": {"no-unknown": True},
        "photos/c.png": {"size": True},
        "photos/d.png": {"inverted": True, "no-unknown": True},
        "photos/e.jpg": {"noise": True},
    }
    assert sorted(os.listdir("new/fixed")) == ["a.png", "b.png", "c.png", "d.png", "e.png"]
    for name, expected in (("a", fakes.cat_trimap()), ("c", fakes.cat_trimap()), ("e", LARGE)):
        np.testing.assert_array_equal(_picture(f"new/fixed/{name}.png"), expected)
    assert {path: content for path, content in _snapshot().items() if not path.startswith("new")} == before
    assert all(not row["findings"] for row in _rows("photos", "--trimap", "new/fixed"))


def test_repairs_are_told_in_the_table() -> None:
    result = _run("photos", "--trimap", "trimaps", "--fix", "fixed")
    assert (result.exit_code, result.stderr) == (0, "2 checked, 0 with problems\n")
    assert "no-unknown (repaired): " in result.stdout


def test_repairing_again_replaces_old_copies() -> None:
    for _ in range(2):
        assert _run("photos", "--trimap", "trimaps", "--fix", "fixed").exit_code == 0
    assert sorted(os.listdir("fixed")) == ["a.png", "b.png"]


def test_what_cannot_be_mended_is_still_wrong() -> None:
    _save("trimaps/a.png", NO_BACKGROUND)
    _save("trimaps/b.png", SIDEWAYS)
    rows = _rows("photos", "--trimap", "trimaps", "--fix", "fixed", code=1)
    assert _codes(rows) == {
        "photos/a.png": {"no-background": False, "wide": False},
        "photos/b.png": {"orientation": False},
    }
    assert [row["fixed"] for row in rows] == ["fixed/a.png", None]
    np.testing.assert_array_equal(_picture("fixed/a.png"), NO_BACKGROUND)


def test_a_trimap_of_the_stored_pixels_is_mended() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    _save("photos/a.jpg", np.zeros((24, 32, 3), np.uint8), exif=exif)
    rows = _rows("photos/a.jpg", "--trimap", "trimaps/a.png", "--fix", "fixed")
    assert _codes(rows) == {"photos/a.jpg": {"orientation": True}}
    np.testing.assert_array_equal(_picture("fixed/a.png"), np.rot90(fakes.cat_trimap(), -1))


@pytest.mark.parametrize("extra", [(), ("--fix", "fixed")])
def test_a_missing_trimap_is_a_finding(extra: tuple[str, ...]) -> None:
    Path("trimaps/b.png").unlink()
    rows = _rows("photos", "--trimap", "trimaps", *extra, code=1)
    assert _codes(rows) == {"photos/a.png": {}, "photos/b.png": {"no-trimap": False}}
    assert rows[1]["trimap"] is None
    Path("trimaps/a.png").unlink()
    assert {code for row in _rows("photos", "--trimap", "trimaps", *extra, code=1) for code in _codes([row])}
    assert Path("fixed/b.png").exists() is False


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "no input given"),
        (("photos",), "no trimap given"),
        (("none.png", "--trimap", "trimaps/a.png"), "none.png does not exist"),
        (("photos", "--trimap", "trimaps/a.png"), "one trimap, trimaps/a.png, for 2 photographs"),
        (("-", "--trimap", "-"), "cannot hold both"),
        (("photos", "--manifest", "list.csv"), "omit the inputs"),
        (("--manifest", "none.csv"), "cannot read the manifest"),
        (("photos", "--trimap", "trimaps", "--fix", "trimaps"), "--fix trimaps also contains inputs"),
        (("photos", "--trimap", "trimaps", "--fix", "photos/../photos"), "also contains inputs"),
        (("photos/a.png", "--trimap", "trimaps/a.png", "--fix", "photos"), "also contains inputs"),
        (("photos", "--trimap", "trimaps", "--fix", "photos/a.png"), "photos/a.png is not one: name a folder (--fix)"),
        (("photos", "--trimap", "trimaps", "--fix", "photos/a.png/x"), "photos/a.png is a file"),
        (("photos", "--trimap", "trimaps", "--seed", "3"), "No such option"),
    ],
)
def test_mistakes_that_show_before_a_picture_is_opened(arguments: tuple[str, ...], words: str) -> None:
    assert words in _errors(*arguments)[0]


def test_copies_of_one_name_are_refused() -> None:
    _photo("more/a.jpg")
    lines = _errors("photos/a.png", "more/a.jpg", "--trimap", "trimaps", "--fix", "fixed")
    assert lines == ["error: photos/a.png and more/a.jpg would both be written to fixed/a.png: rename one"]


def test_links_in_the_folder_of_copies_lead_to_no_input() -> None:
    Path("fixed").mkdir()
    Path("fixed/b.png").symlink_to("../trimaps/b.png")
    (line,) = _errors("photos", "--trimap", "trimaps", "--fix", "fixed")
    assert "would be outside the folder fixed" in line
    Path("fixed/b.png").unlink()
    os.link("trimaps/b.png", "fixed/b.png")
    (line,) = _errors("photos", "--trimap", "trimaps", "--fix", "fixed")
    assert "would replace the input trimaps/b.png" in line


@pytest.mark.skipif(os.name == "nt", reason="such names are not allowed there")
def test_odd_names_survive_the_table() -> None:
    name = "[red]new\nline\x1b[1m" + "long" * 30
    _photo(f"odd/{name}.png")
    _save(f"odd/{name}_trimap.png", fakes.cat_trimap())
    table = _run("odd", "--trimap", "odd").stdout
    assert f"odd/[red]new\\nline\\x1b[1m{'long' * 30}.png" in "".join(
        line.split("│")[1].strip() for line in table.splitlines() if "│" in line
    )
    assert "\x1b" not in table
    assert _rows("odd", "--trimap", "odd")[0]["image"] == f"odd/{name}.png"


def test_odd_names_survive_among_the_findings() -> None:
    Path("odd").mkdir()
    Path("odd/[b]x\ny.png").write_bytes(b"")
    table = _run("photos/a.png", "--trimap", "odd/[b]x\ny.png").stdout
    assert "unreadable: cannot read odd/[b]x\\ny.png: the file is empty" in table


@pytest.mark.parametrize("arguments", [["--json"], []])
@pytest.mark.skipif(os.name == "nt", reason="pipes end otherwise there")
def test_a_reader_that_leaves_early_is_no_disaster(arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command_line = ["-m", "diffmatte_cli", "check", "photos/a.png", "--trimap", "trimaps/a.png", *arguments]
    done = finish(*command_line, stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_checking_needs_no_torch() -> None:
    script = "import sys; from diffmatte_cli.commands.app import app\n"
    script += "try: app(['check', 'photos', '--trimap', 'trimaps'])\nfinally: print('torch' in sys.modules)"
    assert finish("-c", script).stdout.splitlines()[-1] == "False"


def test_real_pairs_are_fine(photographs: Path) -> None:
    rows = _rows(str(photographs / "image"), "--trimap", str(photographs / "trimap"))
    assert rows
    assert not any(row["findings"] for row in rows)


def test_memory_and_time_are_estimated_for_what_is_unknown() -> None:
    options = ["--estimate", "--steps", "2", "--device", "cpu"]
    (row,) = _rows("photos/a.png", "--trimap", "trimaps/a.png", *options)
    assert 2**28 < row["memory"] < 2**31
    assert 0 < row["seconds"] < float("inf")
    result = fakes.run("check", "photos/a.png", "--trimap", "trimaps/a.png", "--estimate", "--model", "res34")
    assert "random ones are timed" in result.stderr
    assert "GiB" in result.stdout
