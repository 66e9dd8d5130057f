"""Planning asks the disk about each path once."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from diffmatte_cli.planning.jobs import plan
from diffmatte_cli.planning.requests import Request

QUESTIONS = ("stat", "lstat", "scandir", "listdir", "readlink", "access")
COUNT = 100


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, str]]:
    """Work in a folder of photographs with their trimaps; count what is asked of the disk, by question and path."""
    monkeypatch.chdir(tmp_path)
    for folder in ("photos", "trimaps"):
        Path(folder).mkdir()
        for number in range(COUNT):
            Path(folder, f"{number}.png").touch()
    counts: Counter[tuple[str, str]] = Counter()
    for name in QUESTIONS:
        whole = getattr(os, name)

        def asking(path: Any, *rest: Any, name: str = name, whole: Any = whole, **settings: Any) -> Any:
            counts[name, os.path.abspath(path)] += 1
            return whole(path, *rest, **settings)

        monkeypatch.setattr(os, name, asking)
    return counts


def _each_once(asked: Counter[tuple[str, str]], paths: int, folders: int) -> None:
    assert {question for question, count in asked.items() if count > 1} <= {("access", os.getcwd())}
    by_question = Counter(name for name, _ in asked)
    assert by_question["scandir"] == folders
    assert by_question["lstat"] + by_question["stat"] == paths


def test_a_folder(asked: Counter[tuple[str, str]]) -> None:
    assert len(plan(Request(("photos",), "trimaps", "out"))) == COUNT
    _each_once(asked, 3 * COUNT + 4, folders=2)  # photographs, trimaps, results; their folders and the current one


def test_trimaps_among_the_photographs(asked: Counter[tuple[str, str]]) -> None:
    for number in range(COUNT):
        Path("photos", f"{number}_trimap.png").touch()
    asked.clear()
    assert len(plan(Request(("photos",), "photos", "out/"))) == COUNT
    _each_once(asked, 3 * COUNT + 3, folders=1)


def test_files_a_pattern_a_report_and_steps(asked: Counter[tuple[str, str]]) -> None:
    photographs = tuple(f"photos/{number}.png" for number in range(COUNT))
    request = Request(photographs, "trimaps/{stem}.png", "out", report=Path("r.csv"), dump_steps=Path("steps"))
    assert len(plan(request)) == COUNT
    _each_once(asked, 4 * COUNT + 6, folders=0)
