"""Reports: the columns of their rows, their formats, and their place in a plan. Standard library only."""

import csv
import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from ..errors import Problem, UsageError
from ..storage.cells import cell
from ..storage.paths import Place
from ..storage.pieces import open_file
from ..storage.remotes import is_remote
from .targets import Targets

__all__ = ["COLUMNS", "REPORTS", "check_report", "irreplaceable", "with_report"]

COLUMNS = (
    *("image", "trimap", "mask", "output", "alpha_output", "cutout_output", "uncertainty_output"),
    *("status", "error"),
    *("width", "height", "unknown", "risk", "seconds", "peak_memory", "receipt"),
)
_OURS = {"image", "trimap", "output", "status", "error"}  # every report has had these
_LONGEST_LINE = 2**20


def _json_line(row: dict[str, Any], file: TextIO) -> None:
    file.write(json.dumps(row) + "\n")


def _csv_line(row: dict[str, Any], file: TextIO) -> None:
    receipt = json.dumps(row["receipt"]) if row["receipt"] else ""
    csv.DictWriter(file, COLUMNS).writerow({name: cell(value) for name, value in {**row, "receipt": receipt}.items()})


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


def irreplaceable(report: Path, *, overwrite: bool) -> UsageError | None:
    """Say why an existing file cannot be replaced by a report: nothing but a report ever is."""
    if not overwrite:
        return UsageError(f"the report {report} already exists, and overwriting is off", "overwrite")
    if _is_ours(report):
        return None
    return UsageError(f"{report} already exists and is not a report of `diffmatte matte`: name another", "report")


def _is_ours(path: Path) -> bool:
    """Tell whether a file is a report by its first line, or empty, as one is that was killed early."""
    with suppress(OSError, ValueError, RecursionError, csv.Error), open_file(path) as file:
        head = file.readline(_LONGEST_LINE).decode("utf-8", "surrogateescape")
        names = next(csv.reader([head]), []) if path.suffix.lower() == ".csv" else json.loads(head or "{}")
        return not head or (isinstance(names, dict | list) and set(names) >= _OURS)
    return False


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
    elif problems := list(targets.add(report, "the report", inside=parent, looked_at=True)):
        yield from problems
    elif report.kind is not None and (problem := irreplaceable(report.path, overwrite=targets.overwrite)):
        yield problem
