"""The ``ray`` engine: Ray Data distributes planned jobs over a cluster, with a model in each worker."""

import logging
import os
import pickle
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
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
from ...weights.store import Identity
from ..outcome import Outcome
from ..pipeline import Stopped
from .connecting import address_of, check_address, connected, first_line
from .workers import Coordinator, Note, Worker, WorkerConfig

__all__ = ["ClusterRun", "check_cluster", "jobs_together", "run_on_cluster"]

# Jobs are sent one by one, so that each is reported as it ends; very many of them in small blocks.
MOST_ALONE, MOST_TOGETHER = 4000, 16
# Jobs queued at a worker, so that it need not wait: two in progress, one next.
AT_HAND, SIDE_BY_SIDE = 3, 2
MOST_CORES = 4  # for one worker, unless --threads says otherwise
# Seconds: between polls; that a stopping run waits for jobs in progress, and for the last rows.
PAUSE, PATIENCE, LAST_ROWS = 0.2, 60.0, 1.0
_END: Any = object()


@dataclass(frozen=True)
class ClusterRun:
    """A run, as the command describes it.

    Attributes:
        options: the settings.
        weights: which weights are used.
        several: whether warnings name the photograph.
        stop: set by signals, and by an error that ``is_fatal``.
        tell, warn: receive the workers' messages.
    """

    options: MatteOptions
    weights: Identity
    several: bool
    stop: threading.Event
    is_fatal: Callable[[BaseException], bool]
    tell: Callable[[str], None]
    warn: Callable[[str], None]


@dataclass(frozen=True)
class WorkerPool:
    """How many workers there are, what each needs, and how many share one machine's memory."""

    count: int
    cores: int
    gpus: int
    share: int

    def __str__(self) -> str:
        """Describe the workers for a message."""
        each = "a GPU" if self.gpus else f"{self.cores} CPU core{'s' * (self.cores > 1)}"
        return f"{self.count} worker{'s' * (self.count > 1)} with {each}{' each' * (self.count > 1)}"


def check_cluster(options: MatteOptions, jobs: Sequence[Job]) -> None:
    """Raise UsageError for what the engine does not support, or if Ray is not installed."""
    require("ray", "the engine ray", "engine")
    if options.device not in ("auto", "cpu", "cuda"):
        raise UsageError(
            f"the engine ray supports the devices auto, cpu and cuda, not {options.device}: Ray assigns GPUs", "device"
        )
    if any(STREAM in (job.image, job.trimap, job.output) for job in jobs):
        raise UsageError("the engine ray supports files, folders and URLs, not standard input and output (-)", "engine")
    check_address(address_of(options))


def run_on_cluster(jobs: Sequence[Job], run: ClusterRun) -> Generator[tuple[Job, Outcome]]:
    """Run every job on a worker and yield its outcome as it ends.

    Once ``run.stop`` is set no job is started; those in progress stop between two steps, or are written.

    Raises:
        UsageError: there is no such cluster, or it lacks what the options require.
        ResourceError: the cluster is lost.
    """
    if not jobs:  # a shard may have none
        return

    def check() -> None:
        if run.stop.is_set():
            raise Stopped

    with suppress(Stopped), connected(address_of(run.options), check) as ray:
        workers = _choose_workers(ray, run.options, len(jobs))
        run.tell(f"ray: {workers}")
        coordinator = ray.remote(Coordinator).options(num_cpus=0, max_restarts=-1, max_task_retries=-1).remote()
        rows = _rows(ray, jobs, workers, _worker_config(jobs, run, workers, CoordinatorClient(coordinator)))
        yield from _ends(jobs, run, CoordinatorClient(coordinator), _fed(rows))


@dataclass(frozen=True)
class CoordinatorClient:
    """Call a method of the coordinator and wait for its answer, from any process of the cluster."""

    coordinator: Any

    def __call__(self, method: str, *arguments: Any) -> Any:
        """Return what the method returns."""
        import ray

        return ray.get(getattr(self.coordinator, method).remote(*arguments))


def _choose_workers(ray: Any, options: MatteOptions, jobs: int) -> WorkerPool:
    """Choose the workers: one per GPU, or per group of cores if there is none."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    if options.device == "cuda" and not gpus:
        raise UsageError("no machine of the Ray cluster has a GPU: choose another device", "device")
    if gpus and options.device != "cpu":
        return _gpu_workers(nodes, options.computing.threads or 1, jobs)
    most = max((int(node.get("CPU", 0)) for node in nodes), default=0)
    cores = options.computing.threads or max(1, min(MOST_CORES, most))
    count = min(jobs, sum(int(node.get("CPU", 0)) // cores for node in nodes))
    if not count:
        raise UsageError(f"no machine of the Ray cluster has {cores} CPU cores: the most is {most}")
    return WorkerPool(count, cores, 0, min(count, most // cores))


def _gpu_workers(nodes: list[dict[str, float]], cores: int, jobs: int) -> WorkerPool:
    """Choose one worker per GPU, as far as its machine has the cores."""
    count = min(jobs, sum(min(int(node.get("GPU", 0)), int(node.get("CPU", 0)) // cores) for node in nodes))
    if not count:
        most = max(int(node.get("CPU", 0)) for node in nodes if node.get("GPU", 0) >= 1)
        raise UsageError(
            f"no machine of the Ray cluster has a GPU and {cores} CPU core{'s' * (cores > 1)}: the most is {most}"
        )
    return WorkerPool(count, cores, 1, 1)


def _worker_config(
    jobs: Sequence[Job], run: ClusterRun, workers: WorkerPool, coordinator: CoordinatorClient
) -> WorkerConfig:
    threads = run.options.computing.threads if workers.gpus else workers.cores
    computing = replace(run.options.computing, threads=threads)
    paths = (path for job in jobs for path in (job.image, job.trimap, *job.written))
    is_needed = any(path is not None and not is_remote(path) for path in paths) or any(_relative_files(run.options))
    options = replace(run.options, device="auto" if workers.gpus else "cpu", computing=computing)
    return WorkerConfig(
        options, run.weights, run.several, os.getcwd() if is_needed else None, workers.share, coordinator
    )


def _relative_files(options: MatteOptions) -> Iterator[Path]:
    """Yield the relative paths of files that options name."""
    store = options.store
    # The name of a model or a colour may also be that of a file.
    named = [Path(text) for text in (options.model, options.background) if text is not None and os.path.isfile(text)]
    yield from (path for path in (*named, store.weights_file, store.cache_dir) if path and not path.is_absolute())


def _rows(ray: Any, jobs: Sequence[Job], workers: WorkerPool, config: WorkerConfig) -> Iterator[dict[str, Any]]:
    """Run the jobs with Ray Data; yield a row for each as it arrives."""
    import ray.data as data

    context = data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.execution_no_progress_timeout_s = -1
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    together = jobs_together(len(jobs))
    items = [{"index": index, "job": pickle.dumps(job)} for index, job in enumerate(jobs)]
    pool = data.ActorPoolStrategy(
        size=workers.count,
        max_tasks_in_flight_per_actor=AT_HAND,
        max_concurrent_calls_per_actor=SIDE_BY_SIDE,
        enable_true_multi_threading=True,
    )
    done = data.from_items(items, override_num_blocks=-(-len(jobs) // together)).map_batches(
        Worker,
        fn_constructor_args=(config,),
        batch_size=None,
        compute=pool,
        num_cpus=workers.cores,
        num_gpus=workers.gpus or None,
    )
    yield from done.iter_rows()


def jobs_together(count: int) -> int:
    """Return how many of ``count`` jobs make a block, whose rows arrive together."""
    return min(MOST_TOGETHER, -(-count // MOST_ALONE))


def _fed(rows: Iterator[dict[str, Any]]) -> "SimpleQueue[Any]":
    """Return a queue that a thread fills with rows, then the error that ended them, if any, and ``_END``."""
    queue: SimpleQueue[Any] = SimpleQueue()

    def feed() -> None:
        try:
            for row in rows:
                queue.put(row)
        except BaseException as error:  # raised by the consumer
            queue.put(error)
        queue.put(_END)

    threading.Thread(target=feed, name="rows", daemon=True).start()
    return queue


def _ends(
    jobs: Sequence[Job], run: ClusterRun, coordinator: CoordinatorClient, rows: "SimpleQueue[Any]"
) -> Generator[tuple[Job, Outcome]]:
    """Turn rows into outcomes until there are no more."""
    collector, waiting = ResultCollector(jobs, run), None
    while True:
        if run.stop.is_set():
            coordinator("stop")  # repeated: a restarted coordinator has forgotten
            waiting = waiting or ShutdownWait(coordinator)
        try:
            row = rows.get(timeout=PAUSE)
        except Empty:
            row = None
        if row is _END:
            return
        if isinstance(row, BaseException):
            raise ResourceError(f"the Ray cluster failed: {first_line(row)}") from row
        end = None if row is None else collector.taken(row["index"], *pickle.loads(row["ended"]))
        if end is not None:
            yield end
        elif waiting is not None and waiting.is_over():
            return


class ShutdownWait:
    """Decide how long a stopping run waits: until no job is in progress and no row arrives."""

    def __init__(self, coordinator: CoordinatorClient) -> None:
        self._coordinator, self._deadline = coordinator, monotonic() + PATIENCE
        self._idle_since: float | None = None

    def is_over(self) -> bool:
        """Tell whether to end, when no outcome has just arrived."""
        now = monotonic()
        if self._coordinator("in_progress"):
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now
        return now > self._deadline or (self._idle_since is not None and now - self._idle_since > LAST_ROWS)


class ResultCollector:
    """Collect rows: each job's outcome once, and the workers' messages."""

    def __init__(self, jobs: Sequence[Job], run: ClusterRun) -> None:
        self._jobs, self._run = jobs, run
        self._told: set[str] = set()
        self._ended: set[int] = set()

    def taken(self, index: int, outcome: Outcome | None, notes: Sequence[Note]) -> tuple[Job, Outcome] | None:
        """Return a job and its outcome; None if it was not run, or had ended before."""
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
            elif text not in self._told:  # every worker says it
                self._told.add(text)
                self._run.tell(text)
