"""The rows of reports: their columns and formats. Standard library only."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from ..errors import UsageError
from ..storage.remotes import is_remote

__all__ = ["COLUMNS", "REPORTS", "check_report"]

COLUMNS = (
    *("image", "trimap", "output", "alpha_output", "uncertainty_output", "status", "error"),
    *("width", "height", "unknown", "risk", "seconds", "peak_memory", "receipt"),
)


def _json_line(row: dict[str, Any], file: TextIO) -> None:
    file.write(json.dumps(row) + "\n")


def _csv_line(row: dict[str, Any], file: TextIO) -> None:
    receipt = json.dumps(row["receipt"]) if row["receipt"] else ""
    csv.DictWriter(file, COLUMNS).writerow(row | {"receipt": receipt})


# By suffix: what writes a row, and the first line.
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
