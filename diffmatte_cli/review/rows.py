"""Read reports back: rows by the result that they tell of. Standard library only."""

import csv
import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..reports import REPORTS

__all__ = ["Row", "merged", "read_report", "reports_in"]

_NEEDED = ("image", "trimap", "output", "status")


@dataclass(frozen=True)
class Row:
    """Hold what a report says of one job.

    Attributes:
        image, trimap, output, uncertainty: as they are spelled there; None for no such file.
        status, error: how the job ended.
        risk: higher is worse; None where it was not measured.
        report: the file it stands in.
    """

    image: str
    trimap: str
    output: str
    uncertainty: str | None
    status: str
    error: str | None
    risk: float | None
    report: Path

    def path(self, text: str) -> Path:
        """Return the path of a file of the row: as it is spelled, or else from the report's folder."""
        beside = self.report.parent / text
        return beside if not os.path.lexists(text) and os.path.lexists(beside) else Path(text)


def reports_in(folder: Path) -> list[Path]:
    """List the reports that lie in a folder, the oldest first; other tables are passed by."""
    tables = [path for path in folder.iterdir() if path.suffix.lower() in REPORTS and path.is_file()]
    return sorted(filter(_is_report, tables), key=lambda path: (path.stat().st_mtime, path))


def _is_report(path: Path) -> bool:
    try:
        return next(read_report(path), None) is not None
    except UsageError:
        return False


def read_report(path: Path) -> Iterator[Row]:
    """Yield a report's rows; columns that it lacks are taken as empty.

    Raises:
        UsageError: it cannot be read, or is no report; the message names the line.
    """
    if path.suffix.lower() not in REPORTS:
        raise UsageError(f"the report {path} must end in {' or '.join(REPORTS)}")
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            lines = csv.DictReader(file) if path.suffix.lower() == ".csv" else map(_object, file)
            for number, line in enumerate(lines, 1):
                yield _row(line, number, path)
    except OSError as error:
        raise UsageError(f"cannot read the report {path}: {error.strerror}") from error
    except csv.Error as error:
        raise UsageError(f"the report {path} is no CSV: {error}") from error


def _object(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _row(line: dict[str, Any], number: int, path: Path) -> Row:
    if not all(map(_text, map(line.get, _NEEDED))):
        raise UsageError(f"row {number} of {path} is not one of a report of `diffmatte matte --report`")
    image, trimap, output, status = (line[name] for name in _NEEDED)
    uncertainty, error = _text(line.get("uncertainty_output")), _text(line.get("error"))
    return Row(image, trimap, output, uncertainty, status, error, _number(line.get("risk")), path)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value and "\0" not in value else None


def _number(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def merged(old: Row | None, new: Row) -> Row:
    """Return what holds after two runs told of one result: the later, which knows less of what it skipped."""
    if old is None or new.status != "skipped":
        return new
    risk = old.risk if new.risk is None else new.risk
    return replace(new, risk=risk, uncertainty=new.uncertainty or old.uncertainty)
