"""``diffmatte evaluate``: figures, pairing, text and exit codes."""

import json
import os
from pathlib import Path

import fsspec
import numpy as np
import pytest
from PIL import Image
from support import fakes
from support.processes import finish
from typer.testing import Result

from diffmatte_cli.errors import OutputError

SHAPE = (20, 30)


def _save(path: str, value: float, *, deep: bool = False) -> None:
    Path(path).parent.mkdir(exist_ok=True)
    kind, white = (np.uint16, 65535) if deep else (np.uint8, 255)
    Image.fromarray(np.full(SHAPE, round(value * white), kind)).save(path)


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work beside three folders with two pictures each: one off by 0.2 everywhere, one perfect."""
    monkeypatch.chdir(tmp_path)
    for name, pred in (("a", 0.6), ("b", 0.4)):
        _save(f"pred/{name}_alpha.png", pred)
        _save(f"gt/{name}.png", 0.4)
        trimap = np.zeros(SHAPE, np.uint8)
        trimap[:10] = 128
        Path("trimap").mkdir(exist_ok=True)
        Image.fromarray(trimap).save(f"trimap/{name}.png")


def _run(*arguments: str) -> Result:
    return fakes.run("evaluate", *arguments)


def _json(*arguments: str) -> dict[str, object]:
    result = _run(*arguments, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)  # type: ignore[no-any-return]


def _error(result: Result, code: int) -> str:
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_folders_as_json() -> None:
    found = _json("pred", "gt", "--trimap", "trimap")
    assert found == {
        "mean": {"sad": pytest.approx(0.03), "mse": pytest.approx(20), "grad": 0, "conn": pytest.approx(0.03)},
        "pictures": [
            {"name": "a", "sad": pytest.approx(0.06), "mse": pytest.approx(40), "grad": 0, "conn": pytest.approx(0.06)},
            {"name": "b", "sad": 0, "mse": 0, "grad": 0, "conn": 0},
        ],
    }


def test_what_lies_beside_alphas_is_no_prediction() -> None:
    for name in ("a", "b"):
        _save(f"pred/{name}_uncertainty.png", 0.1, deep=True)
        _save(f"pred/{name}_cutout.png", 0.9)
    found = _json("pred", "gt", "--trimap", "trimap")
    assert [picture["sad"] for picture in found["pictures"]] == [pytest.approx(0.06), 0]  # type: ignore[attr-defined]


def test_files_as_json_in_any_depth() -> None:
    _save("deep.png", 0.6, deep=True)
    found = _json("deep.png", "gt/a.png", "--trimap", "trimap/b.png")
    (scores,) = found["pictures"]  # type: ignore[misc]
    assert scores["name"] == "deep"
    assert (scores["sad"], scores["mse"]) == (pytest.approx(0.06), pytest.approx(40, rel=1e-4))


def test_the_table_names_every_picture_and_the_mean() -> None:
    result = _run("pred", "gt", "--trimap", "trimap")
    assert (result.exit_code, result.stderr) == (0, "")
    rows = [line.replace("│", " ").split() for line in result.stdout.splitlines()]
    assert ["a", "0.060", "40.000", "0.000", "0.060"] in rows
    assert ["b", "0.000", "0.000", "0.000", "0.000"] in rows
    assert ["mean", "of", "2", "0.030", "20.000", "0.000", "0.030"] in rows


def test_long_and_odd_names_survive_the_table() -> None:
    name = "[red]" + "long" * 30
    for folder, suffix in (("pred", "_alpha"), ("gt", ""), ("trimap", "")):
        Path(folder, f"a{suffix}.png").rename(Path(folder, f"{name}{suffix}.png"))
    assert name in _run("pred", "gt", "--trimap", "trimap").stdout


def test_without_any_unknown_region_there_is_no_score() -> None:
    Image.fromarray(np.zeros(SHAPE, np.uint8)).save("known.png")
    result = _run("pred/a_alpha.png", "gt/a.png", "--trimap", "known.png", "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "warning: known.png has no unknown region, and is left out of the mean" in result.stderr
    assert "error: no trimap has an unknown region to score" in result.stderr


def test_a_picture_without_an_unknown_region_is_left_out_of_the_mean() -> None:
    Image.fromarray(np.zeros(SHAPE, np.uint8)).save("trimap/b.png")
    given = ("pred", "gt", "--trimap", "trimap", "--metrics", "sad")
    result = _run(*given, "--json", "--csv", "scores.csv")
    found = json.loads(result.stdout)
    alone = found["pictures"][0]["sad"]
    assert found == {"mean": {"sad": alone}, "pictures": [{"name": "a", "sad": alone}, {"name": "b", "sad": None}]}
    assert Path("scores.csv").read_text() == f"name,sad\na,{alone}\nb,\nmean,{alone}\n"
    assert result.stderr == "warning: trimap/b.png has no unknown region, and is left out of the mean\n"
    rows = [line.replace("│", " ").split() for line in _run(*given).stdout.splitlines()]
    assert ["b", "-"] in rows
    assert ["mean", "of", "1", f"{alone:.3f}"] in rows


def test_levels_of_0_and_1_are_masks_and_that_is_told_once() -> None:
    subject = np.zeros(SHAPE, np.uint8)
    subject[:5] = 1
    for name in "ab":
        Image.fromarray(subject).save(f"gt/{name}.png")
        Image.fromarray(subject * 255).save(f"pred/{name}_alpha.png")
    result = _run("pred", "gt", "--region", "image", "--metrics", "sad", "--json")
    assert json.loads(result.stdout)["mean"] == {"sad": 0}
    told = "holds the levels 0 and 1 of 255 alone, taken as black and white"
    assert result.stderr == f"warning: each of gt/a.png, gt/b.png {told}\n"
    Image.fromarray(1 - subject).save("pred/a_alpha.png")  # as dark as the truth, and all wrong
    (wrong, _) = json.loads(_run("pred", "gt", "--region", "image", "--metrics", "sad", "--json").stdout)["pictures"]
    assert wrong["sad"] == subject.size / 1000


@pytest.mark.parametrize("ending", ["png", "tif", "webp"])
def test_a_cutout_is_scored_by_its_alpha(ending: str) -> None:
    alpha = np.asarray(Image.open("pred/a_alpha.png")).copy()
    alpha[0] = 0
    Image.fromarray(alpha).save("alone.png")
    colour = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), np.uint8)
    settings = {"lossless": True} if ending == "webp" else {}
    Image.fromarray(np.dstack([colour, alpha])).save(f"cutout.{ending}", **settings)
    given = ("gt/a.png", "--trimap", "trimap/a.png", "--json")
    result = _run(f"cutout.{ending}", *given)
    assert json.loads(result.stdout)["mean"] == json.loads(_run("alone.png", *given).stdout)["mean"]
    assert result.stderr == f"warning: cutout.{ending} was read by its alpha channel, not by its colour\n"


def test_a_coloured_picture_is_no_matte() -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), np.uint8)).save("photo.png")
    result = _run("photo.png", "gt/a.png", "--trimap", "trimap/a.png")
    assert result.exit_code == 1
    assert "error: cannot read photo.png: its colours are " in result.stderr


@pytest.mark.parametrize("trimap", [[], ["--trimap", "trimap"]])
def test_all_pixels_count_where_that_is_asked_for(trimap: list[str]) -> None:
    Image.fromarray(np.zeros(SHAPE, np.uint8)).save("trimap/a.png")  # nothing unknown, which does not matter
    found = _json("pred", "gt", *trimap, "--region", "image")
    assert found["pictures"][0]["sad"] == pytest.approx(600 * 0.2 / 1000)  # type: ignore[index]


def test_metrics_are_chosen_and_keep_the_order_asked_for() -> None:
    found = _json("pred", "gt", "--trimap", "trimap", "--metrics", "mse,sad")
    assert list(found["mean"]) == ["mse", "sad"]  # type: ignore[call-overload]


def test_the_definition_is_chosen() -> None:
    """Below the port's level of 0.6 are 153 of 255, and where no pixel reaches a level, all is one area for it."""
    _save("pred/a_alpha.png", 0.8)
    _save("gt/a.png", 0.6)
    by_rules, ported = (
        _json("pred", "gt", "--trimap", "trimap", "--definition", name)["pictures"][0]["conn"]  # type: ignore[index]
        for name in ("matlab", "python")
    )
    assert by_rules == pytest.approx(300 * 0.2 / 1000)
    assert ported == 0


def test_csv_ends_with_the_mean() -> None:
    arguments = ("pred", "gt", "--trimap", "trimap", "--metrics", "sad", "--csv")
    printed = _run(*arguments, "-").stdout
    rows = [line.split(",") for line in printed.splitlines()]
    assert [row[0] for row in rows] == ["name", "a", "b", "mean"]
    assert [float(row[1]) for row in rows[1:]] == [pytest.approx(0.06), 0, pytest.approx(0.03)]
    Path("scores.csv").write_text("old")
    assert "mean of 2" in _run(*arguments, "scores.csv").stdout
    assert Path("scores.csv").read_text() == printed
    assert b"\r" not in Path("scores.csv").read_bytes()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a POSIX system")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--csv", "none/scores.csv"], "the folder of the result none/scores.csv does not exist: create it first"),
        (["--csv", "pred"], "the result pred is an existing folder: name a file"),
        (["--csv", "pipe"], "the result pipe already exists and is not a file: name another"),
        (["--csv", "gt/a.png"], "the result gt/a.png would replace the input gt/a.png: name another"),
        (["--csv", "linked/b.png"], "the result linked/b.png would replace the input trimap/b.png: name another"),
        (["--plots", "gt"], "--plots gt also contains inputs: name another folder"),
        (["--plots", "linked"], "--plots linked also contains inputs: name another folder"),
        (["--plots", "gt/a.png"], "--plots gt/a.png is not a folder: name one"),
        (["--plots", "-"], "--plots - is not a folder: name one"),
        (["--plots", "pipe/plots"], "the folder of the result pipe/plots/worst.png cannot be created: "),
        (["--plots", "to"], "the result to/a_error.png of --plots would be outside the folder to"),
        (["--csv", "plots", "--plots", "plots"], "which is also the folder of the result of --plots"),
        (["--csv", "memory://there"], "the result memory://there is an existing folder: name a file"),
    ],
)
def test_places_that_cannot_be_end_before_a_picture_is_read(arguments: list[str], says: str) -> None:
    os.mkfifo("pipe")
    Path("linked").symlink_to("trimap")
    Path("to").mkdir()
    Path("to/a_error.png").symlink_to("../pred/a_alpha.png")
    fsspec.filesystem("memory").pipe("/there/x.csv", b"x")
    Path("gt/b.png").write_text("no picture")  # which would be told otherwise
    before = {path: path.stat() for path in Path().rglob("*") if not path.is_dir()}
    error = _run("pred", "gt", "--trimap", "trimap", *arguments)
    assert (error.exit_code, error.stdout) == (2, "")
    assert says in error.stderr
    after = {path: path.stat() for path in Path().rglob("*") if not path.is_dir()}
    assert [(path, at.st_ino, at.st_mtime_ns) for path, at in after.items()] == [
        (path, at.st_ino, at.st_mtime_ns) for path, at in before.items()
    ]


@pytest.mark.parametrize(("arguments", "code"), [(["--csv", "s.csv"], 1), (["--plots", "plots"], 2)])
def test_read_only_folders_are_told_before_a_picture_is_read(
    arguments: list[str], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "read-only" in _error(_run("pred", "gt", "--trimap", "trimap", *arguments), code)


@pytest.mark.parametrize("arguments", [["--csv", "s.csv"], ["--plots", "plots"], ["--csv", "memory://s.csv"]])
def test_scores_are_printed_even_if_a_file_fails(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, _: bytes) -> None:
        raise OutputError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr("diffmatte_cli.imaging.write.write_file", refuse)
    monkeypatch.setattr("diffmatte_cli.evaluation.plots.write_file", refuse)
    result = _run("pred", "gt", "--trimap", "trimap", "--json", *arguments)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["mean"]["sad"] == pytest.approx(0.03)
    assert "No space left on device" in result.stderr


def test_everything_may_be_a_url() -> None:
    store = fsspec.filesystem("memory")
    for path in Path().rglob("*.png"):
        store.pipe(f"/scored/{path}", path.read_bytes())
    url = "memory://scored"
    given = (f"{url}/pred", f"{url}/gt", "--trimap", f"{url}/trimap")
    assert _json(*given) == _json("pred", "gt", "--trimap", "trimap")
    assert _run(*given, "--csv", f"{url}/s.csv", "--plots", f"{url}/plots").exit_code == 0
    assert store.cat("/scored/s.csv").startswith(b"name,sad,mse,grad,conn\na,")
    assert store.cat("/scored/plots/worst.png").startswith(b"\x89PNG")
    assert not Path("memory:").exists()
    assert "would replace the input" in _error(_run(*given, "--csv", f"{url}/gt/a.png"), 2)
    assert "also contains inputs" in _error(_run(*given, "--plots", f"{url}/gt"), 2)


@pytest.mark.parametrize("place", range(6))
def test_empty_paths_are_refused(place: int) -> None:
    arguments = ["pred", "gt", "--trimap", "trimap", "--csv", "s.csv", "--plots", "plots"]
    arguments[(0, 1, 3, 5, 7, 7)[place]] = ""
    if place == 5:
        arguments = ["--data", "set", "--layout", "plain", "-o", ""]
    assert "a path is empty" in _error(_run(*arguments), 2)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--worst", "3"], "--worst requires --plots: give --plots DIR, or omit it"),
        (["--definition", "python", "--metrics", "sad,mse"], "--definition is for grad and conn: add one"),
    ],
)
def test_options_that_would_change_nothing_are_refused(arguments: list[str], says: str) -> None:
    assert says in _error(_run("pred", "gt", "--trimap", "trimap", *arguments), 2)


def test_without_the_extra_two_metrics_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diffmatte_cli.extras.find_spec", lambda _: None)
    line = _error(_run("pred", "gt", "--trimap", "trimap"), 2)
    assert "pip install 'diffmatte[eval]', or score by sad,mse alone (--metrics)" in line
    given = ("pred", "gt", "--trimap", "trimap", "--metrics", "sad,mse")
    assert _run(*given).exit_code == 0
    assert "--plots needs an extra: pip install 'diffmatte[eval]'" in _error(_run(*given, "--plots", "plots"), 2)


def test_missing_partners_are_listed() -> None:
    Path("gt/a.png").unlink()
    Path("trimap/b.png").unlink()
    assert "no partner for: a (ground truth), b (trimap)" in _error(_run("pred", "gt", "--trimap", "trimap"), 2)


def test_of_many_missing_partners_three_are_named() -> None:
    for number in range(5):
        _save(f"pred/c{number}.png", 0.5)
    line = _error(_run("pred", "gt", "--region", "image"), 2)
    assert "no partner for: c0 (ground truth), c1 (ground truth), c2 (ground truth), and 2 more\n" in line


def test_missing_paths_and_mixed_kinds() -> None:
    for name in ("none", "-", "memory://none"):
        assert f"the prediction {name} does not exist" in _error(_run(name, "gt", "--trimap", "trimap"), 2)
    assert "three files or three folders" in _error(_run("pred", "gt/a.png", "--trimap", "trimap"), 2)
    assert "two files or two folders" in _error(_run("pred", "gt/a.png", "--region", "image"), 2)
    assert "Missing option '--trimap'" in _error(_run("pred", "gt"), 2)


@pytest.mark.parametrize("which", ["pred/a_alpha.png", "gt/a.png", "trimap/a.png"])
def test_sizes_that_differ_are_named(which: str) -> None:
    Image.new("L", (7, 5)).save(which)
    line = _error(_run("pred", "gt", "--trimap", "trimap"), 1)
    assert f"{which} is 7x5" in line
    assert "is 30x20" in line


def test_a_bad_picture_is_named() -> None:
    Path("gt/b.png").write_text("no picture")
    assert "cannot read gt/b.png" in _error(_run("pred", "gt", "--trimap", "trimap"), 1)


@pytest.mark.parametrize("arguments", [["--json"], []])
@pytest.mark.skipif(os.name == "nt", reason="pipes end otherwise there")
def test_a_reader_that_leaves_early_is_no_disaster(arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command_line = ["-m", "diffmatte_cli", "evaluate", "pred", "gt", "--trimap", "trimap", *arguments]
    done = finish(*command_line, stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_evaluating_needs_no_torch() -> None:
    script = "import sys; from diffmatte_cli.commands.app import app\n"
    script += "try: app(['evaluate', 'pred', 'gt', '--trimap', 'trimap'])\nfinally: print('torch' in sys.modules)"
    done = finish("-c", script)
    assert done.stdout.splitlines()[-1] == "False"
