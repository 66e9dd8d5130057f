"""Scores put together, and a model over a test set, by a fake model and by ``tiny``."""

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from PIL import Image
from support import fakes
from typer.testing import Result

from diffmatte_cli.commands import evaluate as command
from diffmatte_cli.evaluation.scores import Evaluation, as_csv
from diffmatte_cli.imaging.orientation import orient
from diffmatte_cli.settings import Computing

NAMES = ("ape", "bat", "cat")
METRICS = ("sad", "mse", "grad", "conn")
GIVEN = ("evaluate", "--data", "set", "--layout", "plain")


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, matter: fakes.FakeMatter) -> fakes.FakeMatter:
    """Work beside a test set of three pictures, with a fake in the model's place."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "resolve_model", fakes.fake_resolve_model)
    fakes.make_photos(NAMES)
    Path("set").mkdir()
    Path("photos").rename("set/image")
    Path("trimaps").rename("set/trimap")
    Path("set/alpha").mkdir()
    for number, name in enumerate(NAMES):
        truth = np.where(fakes.cat_trimap() == 128, 40 * number, fakes.cat_trimap())
        Image.fromarray(truth.astype(np.uint8)).save(f"set/alpha/{name}.png")
    return matter


def _json(*arguments: str) -> dict[str, Any]:
    result = fakes.run(*GIVEN, *arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def _error(result: Result, code: int) -> str:
    assert (result.exit_code, result.stdout) == (code, "")
    return result.stderr.splitlines()[-1]


def test_the_last_number_of_steps_is_at_the_top(model: fakes.FakeMatter) -> None:
    found = _json("--steps", "1,2,5", "--seed", "3")
    assert (found["model"], found["layout"], found["seed"], found["consistent"]) == ("tiny", "plain", 3, False)
    assert list(found["steps"]) == ["1", "2", "5"]
    assert {"mean": found["mean"], "pictures": found["pictures"]} == found["steps"]["5"]
    assert [picture["name"] for picture in found["pictures"]] == list(NAMES)
    for metric in METRICS:
        assert found["mean"][metric] == pytest.approx(np.mean([picture[metric] for picture in found["pictures"]]))
    assert len(model.encoded) == 3  # once a picture
    assert [(settings.steps, settings.seed) for settings in model.settings] == [(1, 3), (2, 3), (5, 3)] * 3
    assert model.truths == [None] * 9


def test_consistent_sampling_gives_the_truth_to_the_sampler(model: fakes.FakeMatter) -> None:
    usual, consistent = _json("--steps", "9"), _json("--steps", "9", "--consistent")
    assert consistent["consistent"] is True
    assert model.truths[-1] is not None
    assert model.truths[-1].dtype == np.float32
    np.testing.assert_array_equal(model.truths[-1] * 255, np.asarray(Image.open("set/alpha/cat.png")))
    assert consistent["mean"]["sad"] < 0.1 * usual["mean"]["sad"]


def test_raw_lets_the_sampler_go_on_with_what_it_computed(model: fakes.FakeMatter) -> None:
    assert _json("--steps", "2")["keep_known"] is True
    assert _json("--steps", "2", "--raw")["keep_known"] is False
    assert [settings.keep_known for settings in model.settings] == [True] * 3 + [False] * 3


def test_what_is_scored_is_what_is_written(model: fakes.FakeMatter) -> None:
    """The mattes kept, scored again as files, have the very same scores: they are rounded before they are scored."""
    found = _json("--steps", "1,3", "-o", "kept")
    for steps in ("1", "3"):
        again = fakes.run("evaluate", f"kept/steps-{steps}", "set/alpha", "--trimap", "set/trimap", "--json")
        assert json.loads(again.stdout) == found["steps"][steps]
    _json("--steps", "3", "--output", "one")
    assert sorted(os.listdir("one")) == ["ape.png", "bat.png", "cat.png"]
    assert Path("one/cat.png").read_bytes() == Path("kept/steps-3/cat.png").read_bytes()


def test_mattes_may_be_kept_at_a_url(model: fakes.FakeMatter) -> None:
    _json("--steps", "1,2", "-o", "memory://kept")
    found = fsspec.filesystem("memory").find("/kept")
    assert found == [f"/kept/steps-{steps}/{name}.png" for steps in (1, 2) for name in NAMES]
    assert not Path("memory:").exists()


def test_mattes_never_follow_a_link_into_the_test_set(model: fakes.FakeMatter) -> None:
    Path("kept").mkdir()
    Path("kept/steps-2").symlink_to("../set/alpha")
    line = _error(fakes.run(*GIVEN, "-o", "kept", "--steps", "1,2"), 2)
    assert "--output kept also contains inputs: name another folder" in line
    Path("kept/ape.png").symlink_to("../set/alpha/ape.png")
    assert "kept/ape.png of --output would be outside the folder kept" in _error(fakes.run(*GIVEN, "-o", "kept"), 2)


@pytest.mark.parametrize("folder", ["set/alpha", "set/image", "link"])
def test_the_test_set_is_never_replaced(folder: str, model: fakes.FakeMatter) -> None:
    Path("link").symlink_to("set/trimap")
    before = {path: path.read_bytes() for path in Path("set").rglob("*.png")}
    for arguments in ([], ["--steps", "1,2"]):
        line = _error(fakes.run(*GIVEN, "-o", folder, *arguments), 2)
        assert f"--output {folder} also contains inputs: name another folder" in line
    assert f"--plots {folder} also contains inputs" in _error(fakes.run(*GIVEN, "--plots", folder), 2)
    assert "would replace the input set/" in _error(fakes.run(*GIVEN, "--csv", f"{folder}/ape.png"), 2)
    assert {path: path.read_bytes() for path in Path("set").rglob("*.png")} == before


def test_the_table_has_a_row_for_each_number_of_steps(model: fakes.FakeMatter) -> None:
    mean = _json("--steps", "1,12")["steps"]["12"]["mean"]
    result = fakes.run(*GIVEN, "--steps", "1,12")
    rows = [line.replace("│", " ").split() for line in result.stdout.splitlines()]
    assert ["12", *(f"{mean[metric]:.3f}" for metric in METRICS)] in rows
    assert "mean of 3" in result.stdout


def test_the_table_of_one_number_of_steps_has_a_row_for_each_picture(model: fakes.FakeMatter) -> None:
    found = _json("--steps", "3")
    rows = [line.replace("│", " ").split() for line in fakes.run(*GIVEN, "--steps", "3").stdout.splitlines()]
    for picture in found["pictures"]:
        assert [picture["name"], *(f"{picture[metric]:.3f}" for metric in METRICS)] in rows
    assert ["mean", "of", "3", *(f"{found['mean'][metric]:.3f}" for metric in METRICS)] in rows


def test_csv_has_the_steps_and_a_mean_of_each(model: fakes.FakeMatter) -> None:
    found = _json("--steps", "2,1", "--csv", "scores.csv", "--metrics", "mse,sad")
    rows = list(csv.reader(io.StringIO(Path("scores.csv").read_text())))
    assert rows[0] == ["name", "steps", "mse", "sad"]
    assert [row[:2] for row in rows[1:]] == [[name, steps] for steps in "21" for name in (*NAMES, "mean")]
    assert [float(value) for value in rows[-1][2:]] == [found["mean"]["mse"], found["mean"]["sad"]]
    assert fakes.run(*GIVEN, "--steps", "2,1", "--csv", "-", "--metrics", "mse,sad").stdout.splitlines() == [
        ",".join(row) for row in rows
    ]


def test_only_the_first_pictures(model: fakes.FakeMatter) -> None:
    assert [picture["name"] for picture in _json("--limit", "2")["pictures"]] == ["ape", "bat"]


def test_the_model_is_loaded_as_matte_loads_it(model: fakes.FakeMatter) -> None:
    _json("--precision", "bf16", "--memory", "3GB", "--attention-grids", "1", "--model", "other")
    assert model.computing == [Computing(precision="bf16", memory=3 * 10**9, attention_grids=1)]


def test_an_empty_unknown_region_is_told(model: fakes.FakeMatter) -> None:
    Image.fromarray(np.zeros((fakes.HEIGHT, fakes.WIDTH), np.uint8)).save("set/trimap/bat.png")
    result = fakes.run(*GIVEN, "--json")
    found = json.loads(result.stdout)
    assert found["pictures"][1] == {"name": "bat", **dict.fromkeys(METRICS)}
    assert found["mean"]["sad"] == pytest.approx(sum(found["pictures"][place]["sad"] for place in (0, 2)) / 2)
    assert "bat.png has no unknown region, and is left out of the mean" in result.stderr


def test_a_mask_in_the_place_of_a_trimap_is_told_where_the_whole_image_is_scored(model: fakes.FakeMatter) -> None:
    Image.fromarray(np.where(fakes.cat_trimap() == 255, np.uint8(255), np.uint8(0))).save("set/trimap/bat.png")
    result = fakes.run(*GIVEN, "--region", "image", "--json")
    assert result.exit_code == 0
    assert "bat.png has no unknown region, and is scored as the matte" in result.stderr
    assert "is scored as the matte" not in fakes.run(*GIVEN, "--region", "image", "--raw").stderr


@pytest.mark.parametrize("part", ["image", "alpha", "trimap"])
def test_sizes_that_differ_are_named_before_a_model_is_loaded(part: str, model: fakes.FakeMatter) -> None:
    Image.new("RGB" if part == "image" else "L", (7, 5)).save(f"set/{part}/cat.png")
    line = _error(fakes.run(*GIVEN), 1)
    assert "sizes differ: " in line
    assert f"{Path('set', part, 'cat.png')} is 7x5" in line
    assert model.computing == []


def test_turned_sizes_are_named_when_they_are_reached(model: fakes.FakeMatter) -> None:
    Image.new("L", (fakes.HEIGHT, fakes.WIDTH)).save("set/alpha/cat.png")
    assert f"cat.png is {fakes.HEIGHT}x{fakes.WIDTH}" in _error(fakes.run(*GIVEN), 1)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("stored", [("alpha", "trimap"), ("alpha",), ("trimap",), ()])
def test_alphas_and_trimaps_of_the_stored_pixels_are_turned_along(
    orientation: int, stored: tuple[str, ...], model: fakes.FakeMatter
) -> None:
    """A photograph stored on its side gives the scores of one stored upright, whatever lies beside it."""
    expected = _json()
    exif = Image.Exif()
    exif[0x0112] = orientation
    back = {5: 5, 6: 8, 7: 7, 8: 6}[orientation]
    for part in ("image", *stored):
        for path in Path("set", part).iterdir():
            turned = Image.fromarray(orient(np.asarray(Image.open(path)), back))
            turned.save(path, **({"exif": exif} if part == "image" else {}))
    assert _json() == expected


def test_a_damaged_picture_leaves_no_table_behind(model: fakes.FakeMatter) -> None:
    Path("set/image/cat.png").write_bytes(b"no picture")
    line = _error(fakes.run(*GIVEN, "--csv", "scores.csv", "--plots", "plots"), 1)
    assert "cannot read set/image/cat.png" in line
    assert not Path("scores.csv").exists()
    assert not Path("plots").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--steps", "1,1"], "--steps must be different numbers"),
        (["--steps", "1,"], "--steps must be different numbers"),
        (["--steps", "two"], "--steps must be different numbers"),
        (["--steps", "0"], "steps must be a whole number"),
        (["--limit", "0"], "--limit must be at least 1"),
        (["--seed", "-1"], "the seed must be"),
        (["--metrics", "sad,psnr"], "the metrics must be one of sad, mse, grad, conn, not 'psnr' (--metrics)"),
        (["--metrics", "sad,sad"], "each once"),
        (["--region", "known"], "the region must be one of unknown, image"),
        (["--definition", "julia"], "the definition must be one of matlab, python"),
        (["--worst", "0"], "--worst must be from 1"),
        (["--json", "--csv", "-"], "both use standard output"),
        (["--plots", "set/alpha/cat.png"], "is not a folder: name one"),
        (["-o", "set/alpha/cat.png"], "is not a folder: name one"),
        (["-o", "-"], "is not a folder: name one"),
        (["-o", "kept", "--csv", "kept"], "which is also the folder of the result of --output"),
        (["--device", "abacus"], "unknown device"),
        (["--model", "none"], "no model named"),
    ],
)
def test_mistakes_end_before_a_model_is_loaded(arguments: list[str], says: str, model: fakes.FakeMatter) -> None:
    assert says in _error(fakes.run(*GIVEN, *arguments), 2)
    assert model.computing == []


FORMS = "give PRED and GT with --trimap TRIMAP, or --data DIR with --layout NAME and a --model"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--data", "set"],
        ["--layout", "plain"],
        ["--model", "tiny"],
        ["set/alpha"],
        ["set/alpha", "set/alpha", "--trimap", "set/trimap", "--data", "set"],
        ["set/alpha", "set/alpha", "--trimap", "set/trimap", "--steps", "3"],
        ["set/alpha", "set/alpha", "--trimap", "set/trimap", "--weights-file", "w.toml"],
        ["--data", "set", "--layout", "plain", "--trimap", "set/trimap"],
    ],
)
def test_a_mixture_of_the_forms_names_both(arguments: list[str], model: fakes.FakeMatter) -> None:
    assert FORMS in _error(fakes.run("evaluate", *arguments), 2)


def test_a_model_of_the_environment_is_no_mixture(model: fakes.FakeMatter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFMATTE_MODEL", "other")
    assert fakes.run("evaluate", "set/alpha", "set/alpha", "--trimap", "set/trimap").exit_code == 0
    assert _json()["model"] == "other"


def _size(path: str) -> tuple[int, int]:
    with Image.open(path) as image:
        image.load()
        return image.size


def test_plots_of_a_model(model: fakes.FakeMatter) -> None:
    """The worst have an error map each; a second run gives the same bytes."""
    found = _json("--steps", "1,4", "--plots", "plots", "--worst", "2")
    worst = sorted(found["pictures"], key=lambda picture: -picture["sad"])[:2]
    maps = [f"{picture['name']}_error.png" for picture in worst]
    assert sorted(os.listdir("plots")) == sorted([*maps, "pictures.png", "steps.png", "worst.png"])
    assert all(min(_size(f"plots/{name}")) > 100 for name in os.listdir("plots"))
    _json("--steps", "1,4", "--plots", "again", "--worst", "2")
    for name in os.listdir("plots"):
        assert Path("again", name).read_bytes() == Path("plots", name).read_bytes(), name


def test_plots_without_photographs_or_trimaps(model: fakes.FakeMatter) -> None:
    """Of one number of steps there is no curve; names may hold what matplotlib takes for formulas, and any letters."""
    for folder in ("alpha", "image"):
        Path(f"set/{folder}/cat.png").rename(f"set/{folder}/$x^2 猫.png")
    Path("pred").mkdir()
    for name in ("ape", "bat", "$x^2 猫"):
        Image.new("L", (fakes.WIDTH, fakes.HEIGHT), 90).save(f"pred/{name}.png")
    result = fakes.run("evaluate", "pred", "set/alpha", "--region", "image", "--plots", "plots", "--metrics", "mse")
    assert (result.exit_code, result.stderr) == (0, "")
    maps = [f"{name}_error.png" for name in ("ape", "bat", "$x^2 猫")]
    assert sorted(os.listdir("plots")) == sorted([*maps, "pictures.png", "worst.png"])


def test_many_pictures_share_a_histogram(tmp_path: Path) -> None:
    from diffmatte_cli.evaluation.options import ScoreOptions
    from diffmatte_cli.evaluation.plots import MOST_BARS, Gallery

    found = Evaluation({f"picture {number}": {"sad": float(number)} for number in range(MOST_BARS + 1)})
    gallery = Gallery(ScoreOptions(("sad",)), 1)
    flat = np.zeros((4, 4), np.float32)
    from diffmatte_cli.evaluation.scores import Trial

    for name, scores in found.images.items():
        gallery.add(Trial(name, flat, flat, np.zeros((4, 4), np.uint8)), scores)
    assert [exhibit.name for exhibit in gallery.worst] == [f"picture {MOST_BARS}"]
    gallery.draw(tmp_path, {None: found})
    assert _size(str(tmp_path / "pictures.png")) == (400, 400)


def test_csv_of_files_has_no_steps() -> None:
    found = Evaluation({"a,b": {"sad": 1.5}, "c": {"sad": 0.5}})
    rows = list(csv.reader(io.StringIO(as_csv({None: found}))))
    assert rows == [["name", "sad"], ["a,b", "1.5"], ["c", "0.5"], ["mean", "1.0"]]
