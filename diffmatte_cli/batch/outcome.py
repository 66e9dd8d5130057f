"""The outcome of a job."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import described

if TYPE_CHECKING:
    from ..imaging.receipts import Receipt
    from ..planning.jobs import Job

__all__ = ["Outcome", "failure"]


@dataclass(frozen=True)
class Outcome:
    """The outcome of a job.

    Attributes:
        status: "done", "skipped" for a result that exists already, "unpaired" without a trimap, or "failed".
        error: why it failed.
        receipt: of the result; None if it failed.
        width, height: in pixels; None unless it is done.
        unknown: share of unknown pixels, 0 to 1; None unless it is done, or where nobody has seen the trimap.
        engine: what computed it, as a phrase.
        seconds: spent on it by all stages, waiting excluded; None if it failed.
        risk: see ``uncertainty.risk_of``; None unless requested.
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
    """Say why a job failed, naming the photograph."""
    text = described(error)
    return text if job.name in text else f"{job.name}: {text}"
