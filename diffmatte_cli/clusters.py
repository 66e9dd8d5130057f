"""The ``ray`` engine: planned jobs spread over a cluster by Ray Data, with a model in each worker."""

import importlib.util
import logging
import os
import pickle
import signal
import socket
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any

from .errors import ResourceError, UsageError
from .jobs import Job
from .locations import STREAM
from .pipeline import Ended
from .remotes import is_remote
from .settings import MatteOptions
from .stopping import SIGNALS
from .workers import Desk, Outcome, Setup, Worker

__all__ = ["Run", "check_cluster", "jobs_together", "run_on_cluster"]

LOCAL = "local"
# Jobs go out one by one, so that each one's end is told at once; very many of them in blocks of a few.
MOST_ALONE, MOST_TOGETHER = 4000, 16
# Jobs that a worker has at hand, so that it need not wait: two in work, one behind them.
AT_HAND, SIDE_BY_SIDE = 3, 2
MOST_CORES = 4  # for one worker; more pictures side by side are faster than more cores for each
STORE_BYTES = 128 * 2**20  # of a local cluster's own store: rows are small
PATIENCE = 60.0  # seconds that a run which is to stop waits for what is in hand
SECONDS_TO_ANSWER = 5.0
# Ray's own log stays in its files. What is set already is kept.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
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
    if importlib.util.find_spec("ray") is None:
        raise UsageError("--engine ray needs Ray: install diffmatte[ray]")
    if options.devices not in ("auto", "cpu", "cuda"):
        raise UsageError(f"with --engine ray, --device is auto, cpu or cuda, not {options.devices}: Ray deals GPUs out")
    if any(STREAM in (job.image, job.trimap, job.output) for job in jobs):
        raise UsageError("--engine ray takes files, folders and URLs: standard input and output (-) stay here")
    _check_address(_address(options))


def _address(options: MatteOptions) -> str:
    """Return the cluster's address; Ray itself would also find one that somebody has started on this machine."""
    return options.ray_address or os.environ.get("RAY_ADDRESS") or LOCAL


def _check_address(address: str) -> None:
    """Try the address for some seconds; Ray itself would try for minutes."""
    if address in (LOCAL, "auto"):
        return
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or "/" in host:
        raise UsageError(f"--ray-address must be HOST:PORT of a cluster's head, or auto, not {address}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), SECONDS_TO_ANSWER).close()
    except (OSError, OverflowError) as error:
        raise UsageError(f"no Ray cluster answers at {address}: {error}") from error


def run_on_cluster(jobs: Sequence[Job], run: Run) -> Generator[Ended[Job]]:
    """Take every job to a worker and yield each one's end as it comes.

    Once ``run.stop`` is set no job is begun any more; what is in hand stops between two steps, or is written.

    Raises:
        UsageError: there is no such cluster, or it lacks what the options ask for.
        ResourceError: the cluster is lost.
    """
    with _connected(_address(run.options)) as ray:
        crew = _crew(ray, run.options, len(jobs))
        run.tell(f"ray: {crew}")
        desk = ray.remote(Desk).options(num_cpus=0, max_restarts=-1, max_task_retries=-1).remote()
        rows = _rows(ray, jobs, crew, _setup(jobs, run, crew, Asking(desk)))
        yield from _ends(jobs, run, crew, Asking(desk), _fed(rows))


@dataclass(frozen=True)
class Asking:
    """Call a method of the desk and wait for its answer, from any process of the cluster."""

    desk: Any

    def __call__(self, method: str, *arguments: Any) -> Any:
        """Return what the method returns."""
        import ray

        return ray.get(getattr(self.desk, method).remote(*arguments))


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Yield Ray, connected to a cluster, or to one of its own that ends with the block."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    own: dict[str, Any] = {"include_dashboard": False, "object_store_memory": STORE_BYTES}
    with _signals_kept(), _stderr_aside():
        try:
            ray.init(
                address=address,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                **(own if address == LOCAL else {}),
            )
        except Exception as error:  # of many kinds
            raise UsageError(_refusal(error, address)) from error
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):  # where Ray tells of workers that died
        try:
            yield ray
        finally:
            ray.shutdown()


def _refusal(error: BaseException, address: str) -> str:
    """Say why Ray does not start; that a token is missing is known further down in the error only."""
    below: BaseException | None = error
    while below is not None:
        if "InvalidAuthToken" in str(below):
            return f"the Ray cluster at {address} asks for a token: set RAY_AUTH_MODE and RAY_AUTH_TOKEN"
        below = below.__cause__ or below.__context__
    return f"Ray does not start: {_first_line(error)}"


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Put back the handlers of signals that Ray takes for itself."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def _stderr_aside() -> Iterator[None]:
    """Keep what libraries write to stderr, past Python, away from it."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _crew(ray: Any, options: MatteOptions, jobs: int) -> Crew:
    """Choose the workers: one a GPU, or one for some cores where there are none."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    if options.devices == "cuda" and not gpus:
        raise UsageError("no machine of the Ray cluster has a GPU: leave out --device")
    if gpus and options.devices != "cpu":
        return Crew(min(jobs, gpus), options.threads or 1, 1, 1)
    most = max((int(node.get("CPU", 0)) for node in nodes), default=0)
    cores = options.threads or max(1, min(MOST_CORES, most))
    count = min(jobs, sum(int(node.get("CPU", 0)) // cores for node in nodes))
    if not count:
        raise UsageError(f"no machine of the Ray cluster has {cores} CPU cores: it has {most} at most")
    return Crew(count, cores, 0, min(count, most // cores))


def _setup(jobs: Sequence[Job], run: Run, crew: Crew, desk: Asking) -> Setup:
    own = {"devices": "auto"} if crew.gpus else {"devices": "cpu", "threads": crew.cores}
    paths = (path for job in jobs for path in (job.image, job.trimap, *job.written))
    folder = os.getcwd() if any(path is not None and not is_remote(path) for path in paths) else None
    options = replace(run.options, **own)
    return Setup(options, run.weights, run.several, folder, crew.share, desk)


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


def _ends(jobs: Sequence[Job], run: Run, crew: Crew, desk: Asking, rows: "SimpleQueue[Any]") -> Generator[Ended[Job]]:
    """Make ends of rows, each job's once, until none comes any more."""
    told: set[str] = set()
    workers: set[str] = set()
    replaced = 0
    ended: set[int] = set()
    deadline = None
    while True:
        if run.stop.is_set() and deadline is None:
            desk("stop")
            deadline = monotonic() + PATIENCE
        try:
            row = rows.get(timeout=1.0 if deadline else 0.2)
        except Empty:
            if deadline is not None and (monotonic() > deadline or not desk("in_hand")):
                return
            continue
        if row is _END:
            return
        if isinstance(row, BaseException):
            raise ResourceError(f"the Ray cluster gave up: {_first_line(row)}") from row
        outcome: Outcome = pickle.loads(row["ended"])
        _tell(outcome, run, told)
        workers.add(outcome.worker)
        if len(workers) > crew.count + replaced:
            replaced += 1
            run.warn("a worker died and was replaced: what it had in hand is done again")
        if row["index"] in ended or (outcome.result is None and outcome.error is None):
            continue
        ended.add(row["index"])
        if outcome.error is not None and run.is_fatal(outcome.error):
            run.stop.set()
        yield Ended(jobs[row["index"]], outcome.result, outcome.error)


def _tell(outcome: Outcome, run: Run, told: set[str]) -> None:
    """Tell what a worker noted; what each of them says by itself only once."""
    for text, is_warning in outcome.notes:
        if is_warning:
            run.warn(text)
        elif text not in told:
            told.add(text)
            run.tell(text)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
