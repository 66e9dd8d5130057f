"""What the ``ray`` engine runs on a cluster: workers that matte, and the desk that knows what is in hand.

Ray is not imported here; it passes what these classes hold and return from process to process.
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
from ...planning.jobs import Job
from ...planning.options import MatteOptions
from ...version import __version__
from ...weights.store import resolve_model, sha256_of_model
from ..engines import Engine, engines
from ..outcome import Outcome
from ..pipeline import Stopped
from ..stages import Stages, made_before

__all__ = ["Desk", "Note", "Setup", "Worker"]

# What is to be told, and whether it is a warning.
Note = tuple[str, bool]
# A job that so many workers have died of is given up.
MOST_TRIES = 3
# The desk's answer instead of how often a job was begun.
STOPPED = -1
# Seconds between two looks at whether the run is to stop.
PAUSE = 0.3


@dataclass(frozen=True)
class Setup:
    """What every worker is given.

    Attributes:
        options: of the run.
        weights: sha256 that the model's file has to have.
        several: whether warnings need the photograph's name.
        folder: where paths of files start; None where none is relative.
        share: how many workers share a machine's memory.
        desk: a handle to call the desk by: it takes a method's name and arguments and waits for the answer.
        version: of the program.
    """

    options: MatteOptions
    weights: str
    several: bool
    folder: str | None
    share: int
    desk: Any
    version: str = __version__


class Desk:
    """Know what is in hand, how often each job was begun, and whether the run is to stop."""

    def __init__(self) -> None:
        self._begun: Counter[int] = Counter()
        self._stopped = False

    def begin(self, index: int, again: bool = False) -> int:
        """Note that a job is begun, unless it was before and not ``again``; return how often it was before.

        Once all are to stop it is done with, and ``STOPPED`` is returned.
        """
        if self._stopped:
            self.end(index)
            return STOPPED
        before = self._begun[index]
        if again or not before:
            self._begun[index] += 1
        return before

    def end(self, index: int) -> None:
        """Note that a job is done with."""
        self._begun.pop(index, None)

    def stop(self) -> None:
        """Ask all workers to stop."""
        self._stopped = True

    def is_stopped(self) -> bool:
        """Tell whether they were asked."""
        return self._stopped

    def in_hand(self) -> int:
        """Return how many jobs are begun and not ended."""
        return len(self._begun)


@dataclass
class Room:
    """Let jobs of one worker side by side, or one alone; that they are two at most, Ray sees to (``SIDE_BY_SIDE``)."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    inside: int = 0
    alone: bool = False

    @contextmanager
    def entered(self, alone: bool) -> Iterator[None]:
        """Wait for room, alone or beside another job, until the block ends."""
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
    """Matte blocks of jobs with one model, which is loaded for the first; two blocks may come side by side.

    While one job is computed the other is read or written.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._name = f"{socket.gethostname()} {os.getpid()}"
        self._stop = threading.Event()
        self._computing, self._preparing = threading.Lock(), threading.Lock()
        self._room = Room()
        self._engine: Engine | None = None
        self._background: Background | None = None
        self._notes: deque[Note] = deque()
        self._has_told = False
        threading.Thread(target=self._listen, daemon=True).start()

    def __call__(self, block: Mapping[str, Any]) -> dict[str, Any]:
        """Take a block of indices and pickled jobs; return the indices, each with the pickled outcome and notes."""
        indices = [int(index) for index in block["index"]]
        ended = [self._ended(index, pickle.loads(job)) for index, job in zip(indices, block["job"], strict=True)]
        return {"index": indices, "ended": [pickle.dumps(end) for end in ended]}

    def _listen(self) -> None:
        while not self._stop.wait(PAUSE):
            if self._setup.desk("is_stopped"):
                self._stop.set()

    def _ended(self, index: int, job: Job) -> tuple[Outcome | None, tuple[Note, ...]]:
        """Do one job; its outcome is None where the run was to stop."""
        outcome = None
        before = self._setup.desk("begin", index)
        if before == STOPPED:
            self._stop.set()
            return None, ()
        try:
            with self._room.entered(alone=before > 0):
                if before:
                    self._begin_again(index, before)
                outcome = self._matted(job)
        except Stopped:
            pass
        except Exception as error:  # of another kind, it may not be sent
            outcome = Outcome(
                "failed", error if isinstance(error, DiffmatteError) else DiffmatteError(described(error))
            )
        self._setup.desk("end", index)
        return outcome, tuple(self._notes.popleft() for _ in range(len(self._notes)))

    def _begin_again(self, index: int, before: int) -> None:
        """Begin what a worker has died of, in case it died of something else."""
        if not self._has_told:
            self._has_told = True
            self._warn("a worker died and was replaced: what it had in hand is done again")
        if before >= MOST_TRIES:
            raise ResourceError(f"{before} workers died while doing it; often their machine had no memory left")
        self._setup.desk("begin", index, True)

    def _matted(self, job: Job) -> Outcome:
        engine = self._prepared()
        stages = Stages(
            self._setup.options,
            self._setup.weights,
            self._warn,
            self._stop,
            several=self._setup.several,
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
        """Return the engine, once everything here has proved to be as it is where the run was started."""
        with self._preparing:
            if self._engine is None:
                self._check_place()
                options = self._setup.options
                source = resolve_model(options.model, options.store)
                if sha256_of_model(source) != self._setup.weights:
                    raise WeightsError(f"the weights of {options.model} on {self._name} are others than yours")
                if options.background is not None:
                    self._background = background_of(options.background)
                (self._engine,) = engines(source, self._fitting(), self._tell)
            return self._engine

    def _check_place(self) -> None:
        if self._setup.version != __version__:
            raise UsageError(f"diffmatte is {__version__} on {self._name} and {self._setup.version} here: install one")
        try:
            os.chdir(self._setup.folder or ".")
        except OSError as error:
            raise UsageError(
                f"the folder {self._setup.folder} is not on {self._name}: use a folder that all machines share, or URLs"
            ) from error

    def _fitting(self) -> MatteOptions:
        """Return the options with this worker's part of the machine's memory."""
        options = replace(self._setup.options, quiet=True)
        if options.computing.memory is not None or self._setup.share == 1:
            return options
        from ...inference.matter import pick_device
        from ...inference.memory import default_limit

        memory = default_limit(pick_device(options.device)) // self._setup.share
        return replace(options, computing=replace(options.computing, memory=memory))

    def _warn(self, text: str) -> None:
        self._notes.append((text, True))

    def _tell(self, text: str) -> None:
        self._notes.append((text, False))
