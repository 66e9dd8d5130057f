"""Reports: the columns of their rows, their formats, and their place in a plan. Standard library only."""

import csv
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from ..errors import Problem, UsageError
from ..storage.paths import Place
from ..storage.remotes import is_remote
from .targets import Targets

__all__ = ["COLUMNS", "REPORTS", "check_report", "with_report"]

COLUMNS = (
    *("image", "trimap", "output", "alpha_output", "uncertainty_output", "status", "error"),
    *("width", "height", "unknown", "risk", "seconds", "peak_memory", "receipt"),
)


def _json_line(row: dict[str, Any], file: TextIO) -> None:
    file.write(json.dumps(row) + "\n")


def _csv_line(row: dict[str, Any], file: TextIO) -> None:
    receipt = json.dumps(row["receipt"]) if row["receipt"] else ""
    csv.DictWriter(file, COLUMNS).writerow(row | {"receipt": receipt})


# By suffix: the row writer, and the header.
REPORTS: dict[str, tuple[Callable[[dict[str, Any], TextIO], None], str]] = {
    ".jsonl": (_json_line, ""),
    ".csv": (_csv_line, ",".join(COLUMNS) + "\r\n"),
}


def check_report(path: Path) -> None:
    """Raise UsageError for a report of another suffix, or on another machine."""
    if is_remote(path):
        raise UsageError(f"the report {path} must be a file on this machine: rows are appended to it")
    if path.suffix.lower() not in REPORTS:
        raise UsageError(f"the report {path} must end in {' or '.join(REPORTS)}")


def with_report(report: Place, targets: Targets) -> Iterator[Problem]:
    """Yield the problems of a report's place."""
    parent, folder = report.parent, targets.folder
    # The run creates the folder of results, and those below it.
    to_be_made = folder is not None and parent.kind is None and parent.is_inside(folder)
    if parent.kind != "folder" and not to_be_made:
        yield f"the folder of the report {report} does not exist: create it first"
    elif report.kind not in (None, "file"):
        yield f"the report {report} already exists and is not a file"
    elif not to_be_made and not os.access((report if report.kind else parent).path, os.W_OK):
        yield f"the report {report} cannot be written: it, or its folder, is read-only"
    else:
        yield from targets.add(report, "the report", inside=parent)
