"""Sequences: frames found by a pattern, paired by number, named by number, all with one seed."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support import fakes

from diffmatte_cli.errors import UsageError
from diffmatte_cli.planning.sequences import frame_path, frames, gaps, is_pattern, marked, remarked, unmarked
from diffmatte_cli.storage.paths import Place

pytestmark = pytest.mark.usefixtures("cat_folder")


def _shot(*numbers: int, width: int = 4) -> None:
    Path("in").mkdir()
    for number in numbers:
        shutil.copy("cat.png", f"in/shot.{number:0{width}d}.png")
        shutil.copy("cat_trimap.png", f"in/matte_{number}.png")


def _place(text: str) -> Place:
    return Place(Path()).named(text)


def _matte(*arguments: str, code: int = 0) -> Any:
    result = fakes.run("matte", *arguments, "--steps", "2")
    assert result.exit_code == code, result.stderr
    return result


@pytest.mark.parametrize("text", ["a/shot.%04d.exr", "%d.png", "x_####.tif", "shot#.png", "take #2.%04d.png"])
def test_what_is_a_pattern(text: str) -> None:
    assert is_pattern(_place(text))


@pytest.mark.parametrize(
    "text", ["cat.png", "100%.png", "50%s.png", "%04d/x.png", "%0999999999d.png", "a.%100d.png", "out#/", "-"]
)
def test_what_is_none(text: str) -> None:
    assert not is_pattern(_place(text))


def test_a_file_of_that_very_name_is_a_file(matter: fakes.FakeMatter) -> None:
    shutil.copy("cat.png", "cat#.png")
    assert not is_pattern(_place("cat#.png"))
    assert is_pattern(_place("cats#.png"))
    _matte("cat#.png", "--trimap", "cat_trimap.png")
    assert Path("cat#_alpha.png").is_file()


@given(st.integers(0, 10**7), st.integers(1, 8))
def test_numbers_go_in_and_out(number: int, width: int) -> None:
    assert frame_path(Path(f"x.%0{width}d.png"), number) == frame_path(Path(f"x.{'#' * width}.png"), number)
    assert frame_path(Path("x.%d.png"), number) == Path(f"x.{number}.png")


def test_frames_are_found_in_the_order_of_their_numbers() -> None:
    _shot(8, 9, 10, 12, 10000)
    for stray in ("shot.10.png", "shot.00011.png", "shot.a.png", "othershot.0001.png", "shot.\u0660\u0667.png"):
        shutil.copy("cat.png", Path("in", stray))
    assert list(frames(_place("in/shot.%04d.png"))) == [8, 9, 10, 12, 10000]
    assert gaps((8, 9, 10, 12, 10000)) == ["11", "13-9999"]
    assert list(frames(_place("in/shot.%d.png"))) == [10, 10000]
    with pytest.raises(UsageError, match=r"no frames match in/none\.%04d\.png"):
        frames(_place("in/none.%04d.png"))


def test_a_sequence_comes_out_as_a_sequence(matter: fakes.FakeMatter) -> None:
    _shot(1, 2, 4)
    Path("out").mkdir()
    arguments = ("in/shot.%04d.png", "--trimap", "in/matte_%d.png", "-o", "out/a.####.png", "--uncertainty", "2")
    result = _matte(*arguments, "--cutout", "--with-alpha")
    assert "warning: in/shot.%04d.png is missing frames between the first and the last: 3" in result.stderr
    assert "3 done" in result.stderr
    expected = {f"a{mark}.{n:04d}.png" for n in (1, 2, 4) for mark in ("", "_alpha", "_uncertainty")}
    assert {path.name for path in Path("out").iterdir()} == expected
    assert [setting.seed for setting in matter.settings] == [0, 1] * 3  # the same in each frame
    frames_written = [np.asarray(Image.open(f"out/a.{n:04d}.png")) for n in (1, 2, 4)]
    for other in frames_written[1:]:
        np.testing.assert_array_equal(other, frames_written[0])


def test_a_sequence_into_a_folder(matter: fakes.FakeMatter) -> None:
    _shot(7, 8)
    _matte("in/shot.####.png", "--trimap", "in/matte_#.png", "-o", "out/")
    assert sorted(path.name for path in Path("out").iterdir()) == ["shot_alpha.0007.png", "shot_alpha.0008.png"]


def test_what_does_not_fit_together_is_told_before_any_work(matter: fakes.FakeMatter) -> None:
    _shot(1, 2)
    Path("in/matte_2.png").unlink()
    Path("in/matte_1.png").rename("in/matte_2.png")
    text = _matte("in/shot.%04d.png", "--trimap", "in/matte_%d.png", "-o", "x.%d.png", code=2).stderr
    assert "the trimap in/matte_1.png does not exist, and in/shot.0001.png needs it" in text
    Path("in/matte_2.png").rename("in/matte_1.png")
    assert "is not a frame" in _matte("cat.png", "--trimap", "in/matte_%d.png", code=2).stderr
    assert "name one (--output)" in _matte("in/shot.%04d.png", "--trimap", "in/matte_%d.png", code=2).stderr
    Path("in/matte_2.png").write_bytes(Path("in/matte_1.png").read_bytes())
    text = _matte("in/shot.%04d.png", "--trimap", "in/matte_%d.png", "-o", "none/x.%d.png", code=2).stderr
    assert text.count("does not exist: create it first") == 1
    assert not list(Path().glob("x.*"))


def test_a_mark_goes_before_the_number() -> None:
    assert marked("shot.0012", "alpha", 12) == "shot_alpha.0012"
    assert marked("shot0012", "alpha", 12) == "shot_alpha0012"
    assert marked("12", "alpha", 12) == "_alpha12"
    assert marked("shot.0012", "alpha", None) == "shot.0012_alpha"
    assert remarked("a_cutout.7", "uncertainty", ("alpha", "cutout")) == "a_uncertainty.7"
    assert remarked("a_cutout_alpha", "uncertainty", ("alpha", "cutout")) == "a_cutout_uncertainty"


@given(st.text(min_size=1), st.integers(0, 9999), st.booleans(), st.sampled_from(["alpha", "cutout"]))
def test_marks_come_off_again(name: str, number: int, is_frame: bool, mark: str) -> None:
    marks = ("alpha", "cutout")
    plain = f"{name}.{number:04d}" if is_frame else name
    result = marked(plain, mark, number if is_frame else None)
    assert unmarked(result, marks) == (plain, mark)
    assert remarked(result, "uncertainty", marks) == marked(plain, "uncertainty", number if is_frame else None)
    assert unmarked("cat", marks) == ("cat", None)
