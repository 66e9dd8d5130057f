"""The ``ray`` engine: planned jobs spread over a cluster by Ray Data, with a model in each worker."""

import logging
import os
import pickle
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any

from ...errors import ResourceError, UsageError
from ...extras import require
from ...planning.jobs import Job
from ...planning.options import MatteOptions
from ...storage.paths import STREAM
from ...storage.remotes import is_remote
from ..outcome import Outcome
from .connecting import address_of, check_address, connected, first_line
from .workers import Desk, Note, Setup, Worker

__all__ = ["Run", "check_cluster", "jobs_together", "run_on_cluster"]

# Jobs go out one by one, so that each one's end is told at once; very many of them in blocks of a few.
MOST_ALONE, MOST_TOGETHER = 4000, 16
# Jobs that a worker has at hand, so that it need not wait: two in work, one behind them.
AT_HAND, SIDE_BY_SIDE = 3, 2
MOST_CORES = 4  # for one worker, unless --threads says otherwise
# Seconds: between two looks at what has come; that a run which is to stop waits for what is in hand, and for its rows.
PAUSE, PATIENCE, LAST_ROWS = 0.2, 60.0, 1.0
_END: Any = object()


@dataclass(frozen=True)
class Run:
    """What a run is, as the command knows it.

    Attributes:
        options: of the run.
        weights: sha256 of the weights file.
        several: whether warnings need the photograph's name.
        stop: set by signals, and by an error that ``is_fatal``.
        tell, warn: hear what workers have to say.
    """

    options: MatteOptions
    weights: str
    several: bool
    stop: threading.Event
    is_fatal: Callable[[BaseException], bool]
    tell: Callable[[str], None]
    warn: Callable[[str], None]


@dataclass(frozen=True)
class Crew:
    """How many workers there are, what each takes, and how many share one machine's memory."""

    count: int
    cores: int
    gpus: int
    share: int

    def __str__(self) -> str:
        """Say it for people."""
        each = "a GPU" if self.gpus else f"{self.cores} CPU core{'s' * (self.cores > 1)}"
        return f"{self.count} worker{'s' * (self.count > 1)} with {each}{' each' * (self.count > 1)}"


def check_cluster(options: MatteOptions, jobs: Sequence[Job]) -> None:
    """Raise UsageError for what the engine cannot do, and where Ray is not installed."""
    require("ray", "the engine ray", "engine")
    if options.device not in ("auto", "cpu", "cuda"):
        raise UsageError(
            f"the engine ray takes auto, cpu or cuda for its device, not {options.device}: Ray deals GPUs out", "device"
        )
    if any(STREAM in (job.image, job.trimap, job.output) for job in jobs):
        raise UsageError(
            "the engine ray takes files, folders and URLs: standard input and output (-) stay here", "engine"
        )
    check_address(address_of(options))


def run_on_cluster(jobs: Sequence[Job], run: Run) -> Generator[tuple[Job, Outcome]]:
    """Take every job to a worker and yield what became of each as it ends.

    Once ``run.stop`` is set no job is begun any more; what is in hand stops between two steps, or is written.

    Raises:
        UsageError: there is no such cluster, or it lacks what the options ask for.
        ResourceError: the cluster is lost.
    """
    if not jobs:  # a share may have none
        return
    with connected(address_of(run.options)) as ray:
        crew = _crew(ray, run.options, len(jobs))
        run.tell(f"ray: {crew}")
        desk = ray.remote(Desk).options(num_cpus=0, max_restarts=-1, max_task_retries=-1).remote()
        rows = _rows(ray, jobs, crew, _setup(jobs, run, crew, Asking(desk)))
        yield from _ends(jobs, run, Asking(desk), _fed(rows))


@dataclass(frozen=True)
class Asking:
    """Call a method of the desk and wait for its answer, from any process of the cluster."""

    desk: Any

    def __call__(self, method: str, *arguments: Any) -> Any:
        """Return what the method returns."""
        import ray

        return ray.get(getattr(self.desk, method).remote(*arguments))


def _crew(ray: Any, options: MatteOptions, jobs: int) -> Crew:
    """Choose the workers: one a GPU, or one for some cores where there are none."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    if options.device == "cuda" and not gpus:
        raise UsageError("no machine of the Ray cluster has a GPU: choose another device", "device")
    if gpus and options.device != "cpu":
        return _crew_of_gpus(nodes, options.computing.threads or 1, jobs)
    most = max((int(node.get("CPU", 0)) for node in nodes), default=0)
    cores = options.computing.threads or max(1, min(MOST_CORES, most))
    count = min(jobs, sum(int(node.get("CPU", 0)) // cores for node in nodes))
    if not count:
        raise UsageError(f"no machine of the Ray cluster has {cores} CPU cores: it has {most} at most")
    return Crew(count, cores, 0, min(count, most // cores))


def _crew_of_gpus(nodes: list[dict[str, float]], cores: int, jobs: int) -> Crew:
    """Choose one worker a GPU, as far as its machine has the cores."""
    count = min(jobs, sum(min(int(node.get("GPU", 0)), int(node.get("CPU", 0)) // cores) for node in nodes))
    if not count:
        most = max(int(node.get("CPU", 0)) for node in nodes if node.get("GPU", 0) >= 1)
        raise UsageError(
            f"no machine of the Ray cluster has a GPU and {cores} CPU core{'s' * (cores > 1)}: it has {most} at most"
        )
    return Crew(count, cores, 1, 1)


def _setup(jobs: Sequence[Job], run: Run, crew: Crew, desk: Asking) -> Setup:
    threads = run.options.computing.threads if crew.gpus else crew.cores
    computing = replace(run.options.computing, threads=threads)
    paths = (path for job in jobs for path in (job.image, job.trimap, *job.written))
    is_needed = any(path is not None and not is_remote(path) for path in paths) or any(_relative_files(run.options))
    options = replace(run.options, device="auto" if crew.gpus else "cpu", computing=computing)
    return Setup(options, run.weights, run.several, os.getcwd() if is_needed else None, crew.share, desk)


def _relative_files(options: MatteOptions) -> Iterator[Path]:
    """Yield what options name that a worker looks for from the current folder."""
    store = options.store
    # A name of a model or of a colour may also be a file's.
    named = [Path(text) for text in (options.model, options.background) if text is not None and os.path.isfile(text)]
    yield from (path for path in (*named, store.weights_file, store.cache_dir) if path and not path.is_absolute())


def _rows(ray: Any, jobs: Sequence[Job], crew: Crew, setup: Setup) -> Iterator[dict[str, Any]]:
    """Let Ray Data do it; yield a row for each job as it comes."""
    import ray.data as data

    context = data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.execution_no_progress_timeout_s = -1
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    together = jobs_together(len(jobs))
    items = [{"index": index, "job": pickle.dumps(job)} for index, job in enumerate(jobs)]
    pool = data.ActorPoolStrategy(
        size=crew.count,
        max_tasks_in_flight_per_actor=AT_HAND,
        max_concurrent_calls_per_actor=SIDE_BY_SIDE,
        enable_true_multi_threading=True,
    )
    done = data.from_items(items, override_num_blocks=-(-len(jobs) // together)).map_batches(
        Worker,
        fn_constructor_args=(setup,),
        batch_size=None,
        compute=pool,
        num_cpus=crew.cores,
        num_gpus=crew.gpus or None,
    )
    yield from done.iter_rows()


def jobs_together(count: int) -> int:
    """Return how many of ``count`` jobs make a block, whose rows come together."""
    return min(MOST_TOGETHER, -(-count // MOST_ALONE))


def _fed(rows: Iterator[dict[str, Any]]) -> "SimpleQueue[Any]":
    """Return a queue that a thread fills with rows, then with the error that ended them, if any, and ``_END``."""
    queue: SimpleQueue[Any] = SimpleQueue()

    def feed() -> None:
        try:
            for row in rows:
                queue.put(row)
        except BaseException as error:  # told by who takes it out
            queue.put(error)
        queue.put(_END)

    threading.Thread(target=feed, name="rows", daemon=True).start()
    return queue


def _ends(jobs: Sequence[Job], run: Run, desk: Asking, rows: "SimpleQueue[Any]") -> Generator[tuple[Job, Outcome]]:
    """Make ends of rows until none comes any more."""
    ledger, leaving = Ledger(jobs, run), None
    while True:
        if run.stop.is_set():
            desk("stop")  # again each time: a desk that was started anew has forgotten
            leaving = leaving or Leaving(desk)
        try:
            row = rows.get(timeout=PAUSE)
        except Empty:
            row = None
        if row is _END:
            return
        if isinstance(row, BaseException):
            raise ResourceError(f"the Ray cluster gave up: {first_line(row)}") from row
        end = None if row is None else ledger.taken(row["index"], *pickle.loads(row["ended"]))
        if end is not None:
            yield end
        elif leaving is not None and leaving.is_over():
            return


class Leaving:
    """Decide how long a run that is to stop waits: until nothing is in hand and no row comes any more."""

    def __init__(self, desk: Asking) -> None:
        self._desk, self._deadline = desk, monotonic() + PATIENCE
        self._idle_since: float | None = None

    def is_over(self) -> bool:
        """Tell whether to go, when no job's end has come just now."""
        now = monotonic()
        if self._desk("in_hand"):
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now
        return now > self._deadline or (self._idle_since is not None and now - self._idle_since > LAST_ROWS)


class Ledger:
    """Take rows in: each job's end once, and what workers have to tell."""

    def __init__(self, jobs: Sequence[Job], run: Run) -> None:
        self._jobs, self._run = jobs, run
        self._told: set[str] = set()
        self._ended: set[int] = set()

    def taken(self, index: int, outcome: Outcome | None, notes: Sequence[Note]) -> tuple[Job, Outcome] | None:
        """Return a job and what became of it; None if it was not done, or had ended before."""
        self._tell(notes)
        if outcome is None or index in self._ended:
            return None
        self._ended.add(index)
        if outcome.error is not None and self._run.is_fatal(outcome.error):
            self._run.stop.set()
        return self._jobs[index], outcome

    def _tell(self, notes: Sequence[Note]) -> None:
        for text, is_warning in notes:
            if is_warning:
                self._run.warn(text)
            elif text not in self._told:  # what every worker says by itself
                self._told.add(text)
                self._run.tell(text)
