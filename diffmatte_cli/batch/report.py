"""Reports: one row per job as it ends, for other programs to read."""

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..console import masked
from ..errors import OutputError
from ..inference.peak import peak_memory
from ..planning.jobs import Job
from ..planning.rows import REPORTS, irreplaceable
from ..planning.sources import ALPHA, AUTO, TRIMAP
from ..storage.atomic import staged_file
from ..storage.paths import spelled
from .outcome import Outcome, failure

__all__ = ["Report"]


class Report:
    """An open report; each row is on disk when ``add`` returns, so that a killed run leaves complete rows.

    It replaces an older report, but no other file that has come since the plan.
    """

    def __init__(self, path: Path, *, overwrite: bool = True) -> None:
        self.path = path
        self._write_row, head = REPORTS[path.suffix.lower()]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            exists = os.path.lexists(path)
            if exists and (problem := irreplaceable(path, overwrite=overwrite)):
                raise OutputError(str(problem))
            with staged_file(path, within=path.parent, overwrite=exists) as temporary:
                self._file = temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="")
                self._file.write(head)
                self._file.flush()
        except OSError as error:
            raise OutputError(f"cannot write the report {path}: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with suppress(OSError):  # ``add`` has reported rows that could not be written
            self._file.close()

    def add(self, job: Job, outcome: Outcome) -> None:
        """Write one job's row; raises OutputError."""
        try:
            self._write_row(_row(job, outcome), self._file)
            self._file.flush()
        except OSError as error:
            raise OutputError(f"cannot write the report {self.path}: {error.strerror}") from error


def _row(job: Job, outcome: Outcome) -> dict[str, Any]:
    row = {
        "image": job.name,
        "trimap": _trimap(job),
        "mask": None if job.guide == TRIMAP else _guide(job),
        "output": spelled(job.output, "standard output"),
        "alpha_output": str(job.alpha_output) if job.alpha_output else None,
        "cutout_output": str(job.cutout_output) if job.cutout_output else None,
        "uncertainty_output": str(job.uncertainty_output) if job.uncertainty_output else None,
        "status": outcome.status,
        "error": job.unpaired if outcome.error is None else failure(job, outcome.error),
        "width": outcome.width,
        "height": outcome.height,
        "unknown": None if outcome.unknown is None else round(outcome.unknown, 6),
        "risk": outcome.risk,
        "seconds": None if outcome.seconds is None else round(outcome.seconds, 3),
        "peak_memory": peak_memory(),
        "receipt": None if outcome.receipt is None else outcome.receipt.record(),
    }
    return {name: masked(value) if isinstance(value, str) else value for name, value in row.items()}


def _trimap(job: Job) -> str | None:
    if job.guide != TRIMAP:
        return None if job.trimap_output is None else str(job.trimap_output)
    return _guide(job)


def _guide(job: Job) -> str | None:
    if job.unpaired is not None:
        return None
    if job.guide == AUTO:
        return AUTO
    return ALPHA if job.trimap is None else spelled(job.trimap, "standard input")
