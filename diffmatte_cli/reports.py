"""Reports: one row a job as it ends, for other programs to read."""

import csv
import json
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

from .errors import OutputError, UsageError
from .locations import spelled
from .remotes import is_remote

if TYPE_CHECKING:
    from .batch import Matted
    from .jobs import Job

__all__ = ["COLUMNS", "REPORTS", "Report", "check_report", "peak_memory"]

COLUMNS = (
    *("image", "trimap", "output", "alpha_output", "uncertainty_output", "status", "error"),
    *("width", "height", "unknown", "risk", "seconds", "peak_memory", "receipt"),
)


def _json_line(row: dict[str, Any], file: TextIO) -> None:
    file.write(json.dumps(row) + "\n")


def _csv_line(row: dict[str, Any], file: TextIO) -> None:
    receipt = json.dumps(row["receipt"]) if row["receipt"] else ""
    csv.DictWriter(file, COLUMNS).writerow(row | {"receipt": receipt})


# By ending: what writes a row, and the line above all rows.
REPORTS: dict[str, tuple[Callable[[dict[str, Any], TextIO], None], str]] = {
    ".jsonl": (_json_line, ""),
    ".csv": (_csv_line, ",".join(COLUMNS) + "\r\n"),
}


def check_report(path: Path) -> None:
    """Raise UsageError for a report whose ending says no format, and for one elsewhere."""
    if is_remote(path):
        raise UsageError(f"the report {path} must be a file on this machine: rows are added to it one by one")
    if path.suffix.lower() not in REPORTS:
        raise UsageError(f"the report {path} must end in {' or '.join(REPORTS)}")


class Report:
    """An open report; each row is on disk when ``add`` returns, so that a killed run leaves whole rows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._write_row, head = REPORTS[path.suffix.lower()]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("w", encoding="utf-8", errors="surrogateescape", newline="")
            self._file.write(head)
        except OSError as error:
            raise OutputError(f"cannot write the report {path}: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with suppress(OSError):  # rows that could not be written have been told by ``add``
            self._file.close()

    def add(self, job: "Job", status: str, matted: "Matted | None" = None, error: str = "") -> None:
        """Write one job's row; raises OutputError."""
        row = {
            "image": job.name,
            "trimap": "alpha" if job.trimap is None else spelled(job.trimap, "standard input"),
            "output": spelled(job.output, "standard output"),
            "alpha_output": str(job.alpha_output) if job.alpha_output else None,
            "uncertainty_output": str(job.uncertainty_output) if job.uncertainty_output else None,
            "status": status,
            "error": error or None,
            "width": matted.width if matted and matted.width else None,
            "height": matted.height if matted and matted.height else None,
            "unknown": round(matted.unknown, 6) if matted and matted.width else None,
            "risk": matted.risk if matted else None,
            "seconds": round(matted.seconds, 3) if matted else None,
            "peak_memory": peak_memory(),
            "receipt": asdict(matted.receipt) if matted else None,
        }
        try:
            self._write_row(row, self._file)
            self._file.flush()
        except OSError as failure:
            raise OutputError(f"cannot write the report {self.path}: {failure.strerror}") from failure


def peak_memory() -> int | None:
    """Return the most memory that the process has had resident so far, in bytes; None where it cannot be told."""
    status = Path("/proc/self/status")
    if status.exists():  # what the resource module says there may be the parent's
        found = re.search(r"^VmHWM:\s*(\d+) kB", status.read_text(), re.MULTILINE)
        if found:
            return int(found[1]) * 1024
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
