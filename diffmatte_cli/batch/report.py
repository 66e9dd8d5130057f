"""Reports: one row a job as it ends, for other programs to read."""

from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ..errors import OutputError
from ..inference.peak import peak_memory
from ..planning.rows import REPORTS
from ..storage.paths import spelled

if TYPE_CHECKING:
    from ..planning.jobs import Job
    from .stages import Matted

__all__ = ["Report"]


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
            "receipt": matted.receipt.record() if matted else None,
        }
        try:
            self._write_row(row, self._file)
            self._file.flush()
        except OSError as failure:
            raise OutputError(f"cannot write the report {self.path}: {failure.strerror}") from failure
