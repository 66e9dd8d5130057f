"""Count and report outcomes: a line or a bar while jobs run, failures, jobs not processed, the exit code."""

from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

import typer

from ..batch.outcome import Outcome, failure
from ..console import fail, say, trace
from ..errors import DiffmatteError, FullError, OutputError, UsageError, WeightsError, lacks_temporary
from ..planning.jobs import Job
from ..planning.options import MatteOptions
from ..progress import Progress
from ..storage.paths import spelled
from .naming import running

if TYPE_CHECKING:
    from ..batch.report import Report
    from ..process.signals import Stop

__all__ = ["Tally"]

# Errors that every other photograph would meet too.
FATAL = (WeightsError, UsageError, FullError, BrokenPipeError)
# At most so many jobs that were not processed are named.
MOST_NAMED = 20


@dataclass
class Tally:
    """Count and report the outcomes of ``jobs``; ``several`` makes them a batch, even a single one."""

    jobs: list[Job]
    options: MatteOptions
    stop: "Stop"
    report: "Report | None"
    several: bool
    progress: Progress
    began: float = field(default_factory=monotonic)
    ended: set[int] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("done", "skipped", "unpaired", "failed"), 0))
    failures: list[str] = field(default_factory=list)
    fatal: BaseException | None = None

    def is_fatal(self, error: BaseException) -> bool:
        """Tell whether a job's error ends the run; called by the thread that met it, so that no other job is begun."""
        return self.options.fail_fast or self._is_everybodys(error)

    def _is_everybodys(self, error: BaseException) -> bool:
        is_fatal = isinstance(error, FATAL) or not isinstance(error, Exception) or lacks_temporary(error)
        return is_fatal or not self.several

    def add(self, job: Job, outcome: Outcome) -> None:
        """Count, print and report one job's outcome."""
        self.ended.add(id(job))
        self.counts[outcome.status] += 1
        self._report(job, outcome)
        if outcome.error is not None:
            self._failed(outcome.error, failure(job, outcome.error))
        elif not self.options.quiet and not self.progress.is_bar:
            say(self._line(job, outcome))
        self.progress.advance()

    def _report(self, job: Job, outcome: Outcome) -> None:
        try:
            if self.report is not None:
                self.report.add(job, outcome)
        except OutputError as error:  # without a report nobody would know what was done
            self.report, self.fatal = None, self.fatal or error
            self.stop.event.set()

    def _failed(self, error: BaseException, sentence: str) -> None:
        if isinstance(error, DiffmatteError):
            sentence = running.get().named(error, sentence)
        self.failures.append(sentence)
        if self._is_everybodys(error):
            self.fatal = self.fatal or error
        else:
            fail(sentence)
            if self.options.verbose:
                trace(error)

    def _line(self, job: Job, outcome: Outcome) -> str:
        number = f"{len(self.ended)}/{len(self.jobs)} {job.name}: " if self.several else ""
        if outcome.status == "skipped":
            return f"{number}skipped, already done: {spelled(job.output, 'standard output')}"
        if job.unpaired is not None:
            return f"{number}passed by: {job.unpaired}"
        files = ", ".join(spelled(path, "standard output") for path in job.written)
        unknown = "" if outcome.unknown is None else f", {outcome.unknown:.1%} unknown"
        size = f"{outcome.width}x{outcome.height}{unknown}"
        risk = "" if outcome.risk is None else f"risk {outcome.risk:.1f}, "
        return f"{number}{size}, {outcome.engine}, {risk}{outcome.seconds:.1f} s: {files}"

    def finish(self) -> None:
        """Print the summary, and exit accordingly."""
        left = [job for job in self.jobs if id(job) not in self.ended]
        if self.several:
            self._tell_end(left)
        if self.fatal is not None:
            raise self.fatal
        if self.stop.signal:
            raise typer.Exit(128 + self.stop.signal)
        if self.failures:
            raise typer.Exit(1)

    def _tell_end(self, left: list[Job]) -> None:
        if len(self.failures) > 1 and self.fatal is None:
            say(f"{len(self.failures)} failed:")
            for sentence in self.failures:
                say(f"  {sentence}")
        for job in left[:MOST_NAMED]:
            say(f"not processed: {job.name}")
        if len(left) > MOST_NAMED:
            say(f"not processed: {len(left) - MOST_NAMED} more")
        if not self.options.quiet or left or self.failures:
            say(self._counted(len(left)))

    def _counted(self, left: int) -> str:
        seconds = monotonic() - self.began
        parts = [f"{count} {status}" for status, count in self.counts.items() if count or status == "done"]
        parts += [f"{left} not processed (resume with --skip-existing)"] * bool(left)
        rate = f", {60 * self.counts['done'] / seconds:.1f} a minute" if self.counts["done"] else ""
        return f"{', '.join(parts)} in {seconds:.1f} s{rate}"
