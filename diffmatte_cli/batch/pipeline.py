"""Three stages side by side: reading, computing and writing, with bounded queues between them.

It knows neither pictures nor models. Memory stays flat because a stage waits until the next one has room.
"""

import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from queue import Queue, SimpleQueue
from typing import Any, Generic, TypeVar

__all__ = ["Ended", "Settled", "Stopped", "run_stages"]

J = TypeVar("J")

# How many jobs may wait before a stage, for each worker.
WAITING = 1
_END: Any = object()


class Stopped(Exception):  # noqa: N818 (nothing went wrong)
    """Raised by a stage that gives a job up because the run is to stop; the job then counts as not begun."""


@dataclass(frozen=True)
class Settled:
    """What a stage returns instead of work for the next one: the job is done, with this result."""

    result: Any


@dataclass(frozen=True)
class Ended(Generic[J]):
    """One job's end: its result, or the error that it failed with."""

    job: J
    result: Any = None
    error: BaseException | None = None


def run_stages(
    jobs: Iterable[J],
    read: Callable[[J], Any],
    computers: Sequence[Callable[[Any], Any]],
    write: Callable[[Any], Any],
    stop: threading.Event,
    is_fatal: Callable[[BaseException], bool] = lambda _: False,
) -> Generator[Ended[J]]:
    """Take every job through the three stages and yield each one's end as it comes.

    ``read`` runs in one thread, each of ``computers`` (a device, say) in its own, ``write`` in as many. Once
    ``stop`` is set, as an error that ``is_fatal`` sets it, no job is begun any more; what has been computed
    is still written. Jobs that were not finished then are not yielded. Leaving the iteration early stops it, too.
    """
    count = len(computers)
    ready: Queue[Any] = Queue(WAITING * count)
    computed: Queue[Any] = Queue(WAITING * count)
    ended: SimpleQueue[Any] = SimpleQueue()

    def pass_on(job: J, stage: Callable[[Any], Any], item: Any, following: "Queue[Any]") -> None:
        """Run one stage on one job; pass its work on, or tell its end."""
        try:
            result = stage(item)
        except Stopped:
            return
        except BaseException as error:  # whatever it is: it ends this job, and no thread silently
            if is_fatal(error):
                stop.set()
            ended.put(Ended(job, error=error))
            return
        if isinstance(result, Settled):
            ended.put(Ended(job, result.result))
        else:
            following.put((job, result))

    def feed() -> None:
        for job in jobs:
            if stop.is_set():
                break
            pass_on(job, read, job, ready)
        for _ in computers:
            ready.put(_END)

    def compute(work: Callable[[Any], Any]) -> None:
        while (item := ready.get()) is not _END:
            if not stop.is_set():
                pass_on(item[0], work, item[1], computed)
            del item
        computed.put(_END)

    def finish() -> None:
        while (item := computed.get()) is not _END:
            pass_on(item[0], lambda work: Settled(write(work)), item[1], computed)
            del item
        ended.put(_END)

    threads = [threading.Thread(target=feed, name="reading", daemon=True)]
    for work in computers:
        threads.append(threading.Thread(target=compute, args=(work,), name="computing", daemon=True))
        threads.append(threading.Thread(target=finish, name="writing", daemon=True))
    for thread in threads:
        thread.start()
    try:
        for _ in computers:
            while (end := ended.get()) is not _END:
                yield end
    except BaseException:
        stop.set()
        raise
    finally:
        for thread in threads:
            thread.join()
