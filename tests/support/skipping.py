"""Skip tests for what a machine lacks, or let them fail where nothing may be skipped."""

import os

import pytest

__all__ = ["VARIABLE", "note_skipped", "skip_without"]

VARIABLE = "DIFFMATTE_NO_SKIP"


def skip_without(found: object, reason: str) -> pytest.MarkDecorator:
    """Return a mark that skips tests unless something is ``found``; raises where ``DIFFMATTE_NO_SKIP`` is set."""
    if not found and os.environ.get(VARIABLE, "0") != "0":
        raise RuntimeError(f"{reason}, and {VARIABLE} is set")
    return pytest.mark.skipif(not found, reason=reason)


def note_skipped(report: pytest.CollectReport | pytest.TestReport) -> None:
    """Append what was skipped to the file that ``DIFFMATTE_SKIPPED`` names, from which ``pytest @FILE`` runs it."""
    if report.skipped and (file := os.environ.get("DIFFMATTE_SKIPPED")):
        with open(file, "a") as lines:
            lines.write(f"{report.nodeid}\n")
