"""What goes wrong in ``diffmatte matte``: one line, the right exit code, nothing left behind."""

import errno
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support import fakes

from diffmatte_cli.batch import engines
from diffmatte_cli.errors import DiffmatteError, ResourceError, UsageError, WeightsError

pytestmark = pytest.mark.usefixtures("cat_folder")

USAGE = {
    "steps 0": (("--steps", "0"), "steps must be a whole number from 1 to 10000, not 0 (--steps)"),
    "steps -3": (("--steps", "-3"), "steps must be a whole number from 1"),
    "steps of text": (("--steps", "ten"), "--steps"),
    "unknown option": (("--stepz", "1"), "No such option"),
    "bits": (("--bit-depth", "12"), "the bit depth must be 8 or 16, not 12 (--bit-depth)"),
    "bits of webp": (("--bit-depth", "16", "--format", "webp"), "webp holds no 16-bit images"),
    "alpha without cutout": (
        ("--with-alpha",),
        "it is the result itself (--with-alpha, --cutout)",
    ),
    "model": (("--model", "giant"), "no model named 'giant'"),
    "device": (("--device", "tpu"), "unknown device 'tpu'"),
    "device number": (("--device", "cpu:1"), "unknown device"),
    "absent device": (("--device", "cuda:7"), "cuda:7 is not there"),
    "threads": (("--threads", "0"), "threads must be from 1 to 512, not 0 (--threads)"),
    "attention grids": (("--attention-grids", "0"), "attention grids must be from 1 to 16"),
    "sampler": (("--sampler", "euler"), "the sampler must be one of ddim, ddpm, not 'euler' (--sampler)"),
    "schedule": (("--schedule", "exp"), "not 'exp' (--schedule)"),
    "input scale 0": (("--input-scale", "0"), "the input scale must be above 0 and at most 1, not 0.0 (--input-scale)"),
    "input scale nan": (("--input-scale=nan",), "not nan (--input-scale)"),
    "seed": (("--seed", "-1"), "the seed must be from"),
    "huge seed": (("--seed", str(2**63)), "the seed must be from"),
    "ending": (("-o", "x.bmp"), "must end in one of"),
    "output is input": (("-o", "./cat.png"), "would replace the input"),
    "no folder": (("-o", "none/x.png"), "does not exist"),
    "dump nowhere": (("--dump-steps", "none/steps"), "does not exist"),
    "own trimap": (("--trimap", "cat.png"), "as both the photograph and its trimap"),
}


@pytest.mark.parametrize("case", USAGE)
def test_usage_errors(case: str, matter: fakes.FakeMatter, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a picture was opened")

    monkeypatch.setattr(Image, "open", refuse)
    arguments, text = USAGE[case]
    assert text in fakes.error_line(fakes.run_matte(*arguments), 2)
    assert matter.encoded == []


def test_no_trimap_and_missing_files(matter: fakes.FakeMatter) -> None:
    assert "a trimap is a grey image" in fakes.error_line(fakes.run("matte", "cat.png"), 2)
    assert "dog.png does not exist" in fakes.error_line(fakes.run("matte", "dog.png", "--trimap", "cat_trimap.png"), 2)
    assert "no input given" in fakes.error_line(fakes.run("matte"), 2)
    assert "No such command" in fakes.error_line(fakes.run("mate"), 2)


@pytest.mark.parametrize("which", ["cat.png", "cat_trimap.png"])
@pytest.mark.parametrize("kind", ["text", "empty", "cut"])
def test_bad_pictures(kind: str, which: str, matter: fakes.FakeMatter) -> None:
    whole = Path(which).read_bytes()
    Path(which).write_bytes({"text": b"hello " * 30, "empty": b"", "cut": whole[: len(whole) // 2]}[kind])
    line = fakes.error_line(fakes.run_matte("--dump-steps", "steps"), 1)
    assert line.startswith(f"error: cannot read {which}: ")


FAILURES: list[tuple[BaseException, int, str]] = [
    (WeightsError("other.safetensors belongs to another model"), 1, "belongs to another model"),
    (ResourceError("not enough memory: 800x600 would fit"), 1, "800x600 would fit"),
    (MemoryError(), 1, "not enough memory"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 1, "error: not enough memory"),
    (ValueError("[red]odd[/red]"), 1, "unexpected ValueError: [red]odd[/red]; run again with --verbose"),
    (OSError(errno.EIO, "Input/output error"), 1, "Input/output error"),
]


@pytest.mark.parametrize(("failure", "code", "text"), FAILURES)
@pytest.mark.parametrize("step", [0, 2])
def test_failures_of_the_model_leave_nothing(
    step: int,
    failure: BaseException,
    code: int,
    text: str,
    matter: fakes.FakeMatter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = fakes.FakeMatter.steps

    def failing(self: fakes.FakeMatter, encoding: Any, **settings: Any) -> Any:
        for number, alpha in enumerate(whole(self, encoding, **settings)):
            if number == step:
                raise failure
            yield alpha

    monkeypatch.setattr(fakes.FakeMatter, "steps", failing)
    assert text in fakes.error_line(fakes.run_matte("--dump-steps", "steps"), code)


def test_nan_is_never_written(matter: fakes.FakeMatter, monkeypatch: pytest.MonkeyPatch) -> None:
    def undefined(self: fakes.FakeMatter, encoding: Any, **settings: Any) -> Any:
        yield np.full((fakes.HEIGHT, fakes.WIDTH), np.nan, np.float32)

    monkeypatch.setattr(fakes.FakeMatter, "steps", undefined)
    assert "not numbers" in fakes.error_line(fakes.run_matte(), 1)


def test_an_unexpected_error_shows_its_traceback_only_when_asked(
    matter: fakes.FakeMatter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(engines, "_load", broken)
    assert "Traceback" not in fakes.run_matte().stderr
    verbose = fakes.run_matte("--verbose").stderr
    assert "Traceback" in verbose
    assert verbose.splitlines()[-1] == "error: unexpected ZeroDivisionError: by zero"


def test_ctrl_c_inside_a_command(matter: fakes.FakeMatter, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(engines, "_load", interrupted)
    result = fakes.run_matte("--dump-steps", "steps")
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1] == "interrupted"
    assert sorted(os.listdir()) == ["cat.png", "cat_trimap.png"]


def test_names_with_markup_line_breaks_and_great_length_stay_one_line(matter: fakes.FakeMatter) -> None:
    name = "[bold]a\nb[/bold] :smile: " + "long " * 40
    result = fakes.run("matte", name, "--trimap", "cat_trimap.png")
    assert result.stderr == f"error: the photograph {name.replace(chr(10), chr(92) + 'n')} does not exist\n"


def test_every_error_has_an_exit_code_of_its_own_kind() -> None:
    assert {kind.exit_code for kind in DiffmatteError.__subclasses__()} == {1, 2}


def test_options_are_named_as_the_user_spelt_them(matter: fakes.FakeMatter) -> None:
    both = ("matte", "cat.png", "cat.png", "--trimap", "cat_trimap.png")
    for spelt in ("-o", "--output"):
        assert fakes.error_line(fakes.run(*both, spelt, "-"), 2).endswith(f": name a folder ({spelt})")
    assert fakes.error_line(fakes.run(*both), 2).endswith(": name one (--output)")
    assert fakes.error_line(fakes.run_matte("--steps=0"), 2).endswith(", not 0 (--steps)")


def test_settings_stay_with_an_error_on_its_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(UsageError("too many", "steps", "seed")))
    assert (str(error), error.settings) == ("too many", ("steps", "seed"))
