"""Read the reports of batches. Standard library only."""

import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..planning.manifest import is_path
from ..storage.cells import from_cell
from ..storage.paths import Place
from ..storage.remotes import is_remote, is_url, parsed
from ..storage.tables import TABLES, read_table

__all__ = ["ReportRow", "merged", "read_report", "reports_in", "rows_of"]

_NEEDED = ("image", "trimap", "output", "status")


@dataclass(frozen=True)
class ReportRow:
    """Hold a report's row: what became of one job.

    Attributes:
        image, trimap, output, alpha, uncertainty: paths as they are spelled there; empty or None for no such file. Of a
            composite and its cutout ``output`` is the cutout, which shows more.
        composite: the composite that a cutout lies beside.
        status, error: how the job ended.
        risk: higher is worse; None where it was not measured.
        base: the folder that paths start at.
        trusted: whether the user named the report, so that its paths may lead anywhere on this machine.
        here: a place whose answers about paths are shared.
    """

    image: str
    trimap: str
    output: str
    alpha: str | None
    uncertainty: str | None
    status: str
    error: str | None
    risk: float | None
    composite: str | None = None
    base: Path = Path()
    trusted: bool = False
    here: Place = field(default_factory=lambda: Place(Path()), repr=False, compare=False)

    def path(self, text: str) -> Path:
        """Return the path of a file of the row, a URL's unchecked; raises UsageError for a chain of URLs."""
        return parsed(text) if is_url(text) else self.here.at(self.base / text).found.path

    def picture(self, text: str | None, places: Iterable[Place]) -> Path | None:
        """Return the path of a picture of the row if it may be read: it is in ``places``, or a trusted row's file."""
        if text is None:
            return None
        with suppress(UsageError):
            path = self.path(text)
            if (self.trusted and not is_remote(path)) or any(place.at(path).is_inside(place) for place in places):
                return path
        return None


def reports_in(folder: Path) -> list[Path]:
    """Return the reports in a folder, the oldest first; other tables are skipped."""
    try:
        tables = [path for path in folder.iterdir() if path.suffix.lower() in TABLES and path.is_file()]
        return sorted(filter(_is_report, tables), key=lambda path: (path.stat().st_mtime, path))
    except OSError as error:
        raise UsageError(f"cannot list the folder {folder}: {error.strerror}") from error


def _is_report(path: Path) -> bool:
    with suppress(UsageError):
        return next(read_report(path), None) is not None
    return False


def rows_of(report: Path, folder: Place, *, trusted: bool) -> list[ReportRow]:
    """Return a report's rows, with the folder found out that their paths start at: the run's own, which no row tells.

    It is the current folder, the report's, or one above the results' ``folder``, such that outputs are in ``folder``.
    """
    rows = list(read_report(report))
    bases = (Path(), report.parent, *folder.path.parents, *Path(folder.target).parents)
    outputs, images = (_folders(getattr(row, name) for row in rows) for name in ("output", "image"))

    def fit(base: Path) -> tuple[int, int]:
        inside = Counter({name: n for name, n in outputs.items() if folder.at(base / name).is_inside(folder)})
        # Where no result was made, their folder may be missing, too.
        return there(base, inside), there(base, images) if inside else 0

    def there(base: Path, names: Counter[str]) -> int:
        return sum(count for name, count in names.items() if folder.at(base / name).kind == "folder")

    best = max(bases, key=fit)
    return [replace(row, base=best, trusted=trusted, here=folder) for row in rows]


def _folders(paths: Iterable[str]) -> Counter[str]:
    return Counter(os.path.dirname(path) for path in paths if not is_url(path))


def read_report(path: Path) -> Iterator[ReportRow]:
    """Yield a report's rows; columns that it lacks are taken as empty.

    Raises:
        UsageError: it cannot be read, or is not a report; the message names the line.
    """
    for number, row in read_table(path, "report"):
        values = {} if isinstance(row, str) else row
        if path.suffix.lower() == ".csv":
            values = {name: from_cell(value) for name, value in values.items()}
        yield _row(values, number, path)


def _row(line: dict[str, Any], number: int, path: Path) -> ReportRow:
    needed = [name for name in _NEEDED if name != "trimap"] if _lacks_trimap(line) else _NEEDED
    if not all(_name(line.get(name)) for name in needed):
        raise UsageError(f"line {number} of {path} is not one of a report that `diffmatte matte` writes")
    image, trimap, output, status = (line.get(name) or "" for name in _NEEDED)
    alpha, uncertainty, error = (_name(line.get(name)) for name in ("alpha_output", "uncertainty_output", "error"))
    cutout = _name(line.get("cutout_output"))
    shown, composite = (output, None) if cutout is None else (cutout, output)
    return ReportRow(image, trimap, shown, alpha, uncertainty, status, error, _number(line.get("risk")), composite)


def _lacks_trimap(line: dict[str, Any]) -> bool:
    """Tell whether a job had no trimap, or made one of a mask and kept none."""
    return line.get("status") == "unpaired" or bool(line.get("mask"))


def _name(value: Any) -> str | None:
    return value if is_path(value) and value else None


def _number(value: Any) -> float | None:
    with suppress(TypeError, ValueError, OverflowError):
        if math.isfinite(number := float(value)):
            return number
    return None


def merged(old: ReportRow | None, new: ReportRow) -> ReportRow:
    """Merge the rows of one result from two runs: the later one, which knows less of what it skipped."""
    if old is None or new.status != "skipped":
        return new
    risk = old.risk if new.risk is None else new.risk
    return replace(new, risk=risk, uncertainty=new.uncertainty or old.uncertainty)
