"""Count what becomes of jobs, and tell it: a line or a bar while they run, failures, what is left, the exit code."""

import traceback
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any

import typer

from ..console import fail, say
from ..errors import FullError, OutputError, UsageError, WeightsError, described
from ..planning.jobs import Job
from ..planning.options import MatteOptions
from ..storage.paths import spelled

if TYPE_CHECKING:
    from ..batch.pipeline import Ended
    from ..batch.report import Report
    from ..batch.stages import Matted
    from ..process.signals import Stop

__all__ = ["Tally", "bar"]

# Errors that every other photograph would meet, too.
FATAL = (WeightsError, UsageError, FullError, BrokenPipeError)
# So many of the jobs that are left are named; --skip-existing finds the others.
MOST_NAMED = 20


def _sentence(job: Job, error: BaseException) -> str:
    """Say what a job failed with, naming the photograph."""
    text = described(error)
    return text if job.name in text else f"{job.name}: {text}"


def bar(total: int, shown: bool, doing: str = "matting") -> Any:
    """Return a progress bar over pictures; one that is not shown does nothing."""
    from tqdm import tqdm

    return tqdm(total=total, desc=doing, unit="picture", disable=not shown)


@dataclass
class Tally:
    """Count and tell what becomes of ``jobs``; ``several`` makes a batch of them, even of one."""

    jobs: list[Job]
    options: MatteOptions
    stop: "Stop"
    report: "Report | None"
    several: bool
    bar: Any
    began: float = field(default_factory=monotonic)
    ended: set[int] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("done", "skipped", "failed"), 0))
    failures: list[str] = field(default_factory=list)
    fatal: BaseException | None = None

    def is_fatal(self, error: BaseException) -> bool:
        """Tell whether a job's error ends the run; asked by the thread that met it, so that no other job is begun."""
        return self.options.fail_fast or self._is_everybodys(error)

    def _is_everybodys(self, error: BaseException) -> bool:
        return isinstance(error, FATAL) or not isinstance(error, Exception) or not self.several

    def add(self, end: "Ended[Job]") -> None:
        """Take one job's end in: count, tell and report."""
        self.ended.add(id(end.job))
        status = "failed" if end.error is not None else end.result.status
        self.counts[status] += 1
        sentence = _sentence(end.job, end.error) if end.error is not None else ""
        self._report(end, status, sentence)
        if end.error is not None:
            self._failed(end.error, sentence)
        elif not self.options.quiet and self.bar.disable:
            say(self._line(end.job, end.result))
        self.bar.update()

    def _report(self, end: "Ended[Job]", status: str, sentence: str) -> None:
        try:
            if self.report is not None:
                self.report.add(end.job, status, end.result, sentence)
        except OutputError as error:  # nobody would know any more what was done
            self.report, self.fatal = None, self.fatal or error
            self.stop.event.set()

    def _failed(self, error: BaseException, sentence: str) -> None:
        self.failures.append(sentence)
        if self._is_everybodys(error):
            self.fatal = self.fatal or error
        else:
            fail(sentence)
            if self.options.verbose:
                traceback.print_exception(error)

    def _line(self, job: Job, matted: "Matted") -> str:
        number = f"{len(self.ended)}/{len(self.jobs)} {job.name}: " if self.several else ""
        if matted.status == "skipped":
            return f"{number}skipped, done before: {spelled(job.output, 'standard output')}"
        files = ", ".join(spelled(path, "standard output") for path in job.written)
        size = f"{matted.width}x{matted.height}, {matted.unknown:.1%} unknown"
        risk = "" if matted.risk is None else f"risk {matted.risk:.1f}, "
        return f"{number}{size}, {matted.engine}, {risk}{matted.seconds:.1f} s: {files}"

    def finish(self) -> None:
        """Tell how it went, and end with the exit code that says so."""
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
            for failure in self.failures:
                say(f"  {failure}")
        for job in left[:MOST_NAMED]:
            say(f"left: {job.name}")
        if len(left) > MOST_NAMED:
            say(f"left: {len(left) - MOST_NAMED} more")
        if not self.options.quiet or left or self.failures:
            say(self._counted(len(left)))

    def _counted(self, left: int) -> str:
        seconds = monotonic() - self.began
        parts = [f"{count} {status}" for status, count in self.counts.items() if count or status == "done"]
        parts += [f"{left} left (go on with --skip-existing)"] * bool(left)
        rate = f", {60 * self.counts['done'] / seconds:.1f} a minute" if self.counts["done"] else ""
        return f"{', '.join(parts)} in {seconds:.1f} s{rate}"
