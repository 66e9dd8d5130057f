"""Progress: a bar on a terminal, a line a minute elsewhere, nothing when quiet, and never standard output."""

import re

import pytest

from diffmatte_cli import progress
from diffmatte_cli.progress import Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    return now


def train(clock: list[float], seconds: float, **how: bool) -> None:
    """Make three steps of so many seconds."""
    with Progress("training", 9, "step", done=6, **how) as shown:
        for number in range(3):
            clock[0] += seconds
            if shown.is_due:
                shown.note(f"loss {number}")
            shown.advance()


def test_a_line_a_minute_without_a_terminal(clock: list[float], capfd: pytest.CaptureFixture[str]) -> None:
    train(clock, 35)
    assert capfd.readouterr() == ("", "training: step 8 of 9, loss 1\n")


@pytest.mark.parametrize("how", [{"shown": False}, {"lines": False}])
def test_nothing_where_nothing_is_wanted(
    how: dict[str, bool], clock: list[float], capfd: pytest.CaptureFixture[str]
) -> None:
    train(clock, 100, **how)
    assert capfd.readouterr() == ("", "")


def test_a_bar_with_a_note_on_a_terminal(
    clock: list[float], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    train(clock, 100)
    out, err = capfd.readouterr()
    assert out == ""
    assert re.search(r"training: 100%.*9/9 .*loss 2", err)


def test_a_long_name_keeps_its_end_and_no_control_characters(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Progress("matting", 1) as shown:
        shown.note("x" * 99 + "/cat\x1b.jpg")
    err = capfd.readouterr().err
    assert "...xxx" in err
    assert r"/cat\x1b.jpg" in err
