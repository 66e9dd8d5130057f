"""What became of a job."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import described

if TYPE_CHECKING:
    from ..imaging.receipts import Receipt
    from ..planning.jobs import Job

__all__ = ["Outcome", "failure"]


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes:
        status: "done", "skipped" for a result that was there already, or "failed".
        error: what it failed with.
        receipt: what the result was made of; None if it failed.
        width, height: in pixels; None unless it is done.
        unknown: share of unknown pixels, 0 to 1; None unless it is done.
        engine: a phrase for what computed it.
        seconds: spent on it by all stages, waiting aside; None if it failed.
        risk: see ``uncertainty.risk_of``; None where it was not asked for.
    """

    status: str
    error: BaseException | None = None
    receipt: "Receipt | None" = None
    width: int | None = None
    height: int | None = None
    unknown: float | None = None
    engine: str = ""
    seconds: float | None = None
    risk: float | None = None


def failure(job: "Job", error: BaseException) -> str:
    """Say what a job failed with, naming the photograph."""
    text = described(error)
    return text if job.name in text else f"{job.name}: {text}"
