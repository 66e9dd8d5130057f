"""What the ``ray`` engine runs on a cluster: the workers, and the coordinator that tracks jobs in progress.

Ray is not imported here; what these classes hold and return must be picklable.
"""

import os
import pickle
import socket
import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from ...composition.background import Background, background_of
from ...errors import DiffmatteError, ResourceError, UsageError, WeightsError, described
from ...inference.masking import MaskModel
from ...planning.jobs import Job
from ...planning.options import MatteOptions
from ...version import __version__
from ...weights.pulling import identified
from ...weights.store import Identity, resolve_model
from ..engines import Engine, engines
from ..outcome import Outcome
from ..pipeline import Stopped
from ..stages import Stages, made_before

__all__ = ["Coordinator", "Note", "Worker", "WorkerConfig"]

# A message, and whether it is a warning.
Note = tuple[str, bool]
# A job is given up after as many workers have died of it.
MOST_TRIES = 3
# Returned by ``Coordinator.begin`` once the run is stopping.
STOPPED = -1
# Seconds between checks for a stop.
PAUSE = 0.3


@dataclass(frozen=True)
class WorkerConfig:
    """Configuration of every worker.

    Attributes:
        options: of the run.
        weights: which weights are expected.
        several: whether warnings name the photograph.
        folder: base of relative paths; None if there are none.
        share: how many workers share a machine's memory.
        coordinator: calls a method of the coordinator, given its name and arguments, and returns the answer.
        version: of the program.
    """

    options: MatteOptions
    weights: Identity
    several: bool
    folder: str | None
    share: int
    coordinator: Any
    version: str = __version__


class Coordinator:
    """Track jobs in progress, how often each was begun, and whether the run is stopping."""

    def __init__(self) -> None:
        self._begun: Counter[int] = Counter()
        self._stopped = False

    def begin(self, index: int, again: bool = False) -> int:
        """Record the start of a job, a repeated one only with ``again``; return the number of earlier starts.

        Once the run is stopping, end the job and return ``STOPPED``.
        """
        if self._stopped:
            self.end(index)
            return STOPPED
        before = self._begun[index]
        if again or not before:
            self._begun[index] += 1
        return before

    def end(self, index: int) -> None:
        """Record the end of a job."""
        self._begun.pop(index, None)

    def stop(self) -> None:
        """Ask all workers to stop."""
        self._stopped = True

    def is_stopped(self) -> bool:
        """Tell whether workers were asked to stop."""
        return self._stopped

    def in_progress(self) -> int:
        """Return the number of jobs in progress."""
        return len(self._begun)


@dataclass
class JobLock:
    """Admit several jobs, or a single one alone; Ray limits them to ``SIDE_BY_SIDE``."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    inside: int = 0
    alone: bool = False

    @contextmanager
    def entered(self, alone: bool) -> Iterator[None]:
        """Wait to be admitted, alone or beside other jobs, and hold the place for the block."""
        with self.changed:
            self.changed.wait_for(lambda: not self.alone and not (alone and self.inside))
            self.inside, self.alone = self.inside + 1, alone
        try:
            yield
        finally:
            with self.changed:
                self.inside, self.alone = self.inside - 1, False
                self.changed.notify_all()


class Worker:
    """Matte blocks of jobs with one model, loaded for the first; two blocks may run concurrently.

    While one job is computed, another is read or written.
    """

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._name = f"{socket.gethostname()} {os.getpid()}"
        self._stop = threading.Event()
        self._computing, self._preparing = threading.Lock(), threading.Lock()
        self._job_lock = JobLock()
        self._engine: Engine | None = None
        self._background: Background | None = None
        self._masks = MaskModel(config.options.mask_model, offline=config.options.store.offline)
        self._notes: deque[Note] = deque()
        self._has_told = False
        threading.Thread(target=self._listen, daemon=True).start()

    def __call__(self, block: Mapping[str, Any]) -> dict[str, Any]:
        """Run a block of pickled jobs; return their indices with pickled outcomes and notes."""
        indices = [int(index) for index in block["index"]]
        ended = [self._ended(index, pickle.loads(job)) for index, job in zip(indices, block["job"], strict=True)]
        return {"index": indices, "ended": [pickle.dumps(end) for end in ended]}

    def _listen(self) -> None:
        while not self._stop.wait(PAUSE):
            if self._config.coordinator("is_stopped"):
                self._stop.set()

    def _ended(self, index: int, job: Job) -> tuple[Outcome | None, tuple[Note, ...]]:
        """Run one job; its outcome is None if the run was stopping."""
        outcome = None
        before = self._config.coordinator("begin", index)
        if before == STOPPED:
            self._stop.set()
            return None, ()
        try:
            with self._job_lock.entered(alone=before > 0):
                if before:
                    self._begin_again(index, before)
                outcome = self._matted(job)
        except Stopped:
            pass
        except Exception as error:  # other kinds may not be picklable
            outcome = Outcome(
                "failed", error if isinstance(error, DiffmatteError) else DiffmatteError(described(error))
            )
        self._config.coordinator("end", index)
        return outcome, tuple(self._notes.popleft() for _ in range(len(self._notes)))

    def _begin_again(self, index: int, before: int) -> None:
        """Retry a job during which a worker died, in case the job was not the cause."""
        if not self._has_told:
            self._has_told = True
            self._warn("a worker died and was replaced: its jobs are repeated")
        if before >= MOST_TRIES:
            raise ResourceError(f"{before} workers died on it; most likely their machines ran out of memory")
        self._config.coordinator("begin", index, True)

    def _matted(self, job: Job) -> Outcome:
        engine = self._prepared()
        stages = Stages(
            self._config.options,
            self._config.weights,
            self._warn,
            self._stop,
            self._masks,
            several=self._config.several,
            background=self._background,
        )
        work = stages.read(job)
        if isinstance(work, Outcome):
            return work
        if (done := made_before(work)) is not None:
            return done
        with self._computing:
            work = stages.computer(engine)(work)
        return stages.write(work)

    def _prepared(self) -> Engine:
        """Return the engine, after checking that version, folder and weights match the driver's."""
        with self._preparing:
            if self._engine is None:
                self._check_place()
                options = self._config.options
                resolved = resolve_model(options.model, options.store)
                source = identified(resolved, options.store, progress=False, check=self._check_stop)
                if source.identity != self._config.weights:
                    raise WeightsError(
                        f"the weights of {options.model} on {self._name} differ from those on this machine"
                    )
                if options.background is not None:
                    self._background = background_of(options.background)
                (self._engine,) = engines(source, self._options_here(), self._tell, self._check_stop)
            return self._engine

    def _check_place(self) -> None:
        if self._config.version != __version__:
            raise UsageError(
                f"diffmatte is {__version__} on {self._name} and {self._config.version} here: install the same version"
            )
        try:
            os.chdir(self._config.folder or ".")
        except OSError as error:
            raise UsageError(
                f"folder {self._config.folder} is missing on {self._name}: use one that all machines share, or URLs"
            ) from error

    def _options_here(self) -> MatteOptions:
        """Return the options with this worker's share of the machine's memory."""
        options = replace(self._config.options, quiet=True)
        if options.computing.memory is not None or self._config.share == 1:
            return options
        from ...inference.matter import pick_device
        from ...inference.memory import default_limit

        memory = default_limit(pick_device(options.device)) // self._config.share
        return replace(options, computing=replace(options.computing, memory=memory))

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise Stopped

    def _warn(self, text: str) -> None:
        self._notes.append((text, True))

    def _tell(self, text: str) -> None:
        self._notes.append((text, False))
