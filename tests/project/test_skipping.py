"""That tests which need more than is there are skipped, or are not where nothing may be skipped."""

from pathlib import Path
from typing import Literal

import pytest
from support.skipping import VARIABLE, note_skipped, skip_without


def test_what_is_missing_skips_or_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (None, "0", "1"):
        monkeypatch.delenv(VARIABLE, raising=False)
        if value is not None:
            monkeypatch.setenv(VARIABLE, value)
        assert skip_without("here", "needs it").args == (False,)
        if value == "1":
            with pytest.raises(RuntimeError, match="needs it, and DIFFMATTE_NO_SKIP is set"):
                skip_without(None, "needs it")
        else:
            assert skip_without(None, "needs it").args == (True,)


def test_what_was_skipped_can_be_run_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "skipped"
    outcomes: dict[str, Literal["passed", "failed", "skipped"]] = {"a": "skipped", "b": "passed", "c": "failed"}
    reports = [pytest.TestReport(f"tests/t.py::{n}", ("", 1, ""), {}, o, None, "setup") for n, o in outcomes.items()]
    reports.append(pytest.TestReport("tests/t.py::d[x y]", ("", 1, ""), {}, "skipped", None, "setup"))
    for named in (False, True):
        if named:
            monkeypatch.setenv("DIFFMATTE_SKIPPED", str(file))
        else:
            monkeypatch.delenv("DIFFMATTE_SKIPPED", raising=False)
        for report in (*reports, pytest.CollectReport("tests/u.py", "skipped", None, [])):
            note_skipped(report)
        assert file.exists() == named
    assert file.read_text().splitlines() == ["tests/t.py::a", "tests/t.py::d[x y]", "tests/u.py"]
