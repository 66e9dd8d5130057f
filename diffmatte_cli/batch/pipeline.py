"""Three concurrent stages: reading, computing and writing, with bounded queues between them.

Independent of images and models. Memory stays flat because a stage waits until the next one has room.
"""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from queue import Queue, SimpleQueue
from traceback import clear_frames
from typing import Any, TypeVar

from .outcome import Outcome

__all__ = ["Stopped", "run_stages"]

J = TypeVar("J")
Stage = Callable[[Any], Any]

# How many jobs may wait before a stage, for each worker.
WAITING = 1
_END: Any = object()


class Stopped(Exception):  # noqa: N818 (nothing went wrong)
    """Raised by a stage that abandons a job because the run is stopping; the job then counts as not begun."""


def run_stages(
    jobs: Iterable[J],
    read: Callable[[J], Any],
    computers: Sequence[Stage],
    write: Callable[[Any], Outcome],
    stop: threading.Event,
    is_fatal: Callable[[BaseException], bool] = lambda _: False,
) -> Generator[tuple[J, Outcome]]:
    """Take every job through the three stages and yield its outcome as it ends.

    A stage returns its work for the next one, or the job's outcome. ``read`` runs in one thread, each of
    ``computers`` (one per device, say) in its own, ``write`` in as many. Once ``stop`` is set, which a fatal error
    does too, no job is begun; what has been computed is still written. Jobs not finished then are not yielded.
    Leaving the iteration early stops it as well.
    """
    count = len(computers)
    ready: Queue[Any] = Queue(WAITING * count)
    computed: Queue[Any] = Queue(WAITING * count)
    ended: SimpleQueue[Any] = SimpleQueue()

    def pass_on(job: J, stage: Stage, item: Any, following: "Queue[Any] | SimpleQueue[Any]") -> None:
        """Run one stage on one job; pass on its work, or the job's outcome."""
        try:
            result = stage(item)
        except Stopped:
            return
        except BaseException as error:  # any error ends this job, and no thread silently
            if is_fatal(error):
                stop.set()
            _release(error)
            result = Outcome("failed", error)
        (ended if isinstance(result, Outcome) else following).put((job, result))

    def feed() -> None:
        for job in jobs:
            if stop.is_set():
                break
            pass_on(job, read, job, ready)
        for _ in computers:
            ready.put(_END)

    def compute(work: Stage) -> None:
        while (item := ready.get()) is not _END:
            if not stop.is_set():
                pass_on(item[0], work, item[1], computed)
            del item
        computed.put(_END)

    def finish() -> None:
        while (item := computed.get()) is not _END:
            pass_on(item[0], write, item[1], ended)
            del item
        ended.put(_END)

    with _side_by_side([feed, *(partial(compute, work) for work in computers), *[finish] * count], stop):
        for _ in computers:
            while (end := ended.get()) is not _END:
                yield end


def _release(error: BaseException | None) -> None:
    """Free what the frames of an error hold: images, which would be kept while others are read."""
    while error is not None:
        clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


@contextmanager
def _side_by_side(loops: Sequence[Callable[[], None]], stop: threading.Event) -> Iterator[None]:
    """Run each of ``loops`` in its own thread until all have ended; an error in the block stops them."""
    threads = [threading.Thread(target=loop, daemon=True) for loop in loops]
    for thread in threads:
        thread.start()
    try:
        yield
    except BaseException:
        stop.set()
        raise
    finally:
        for thread in threads:
            thread.join()
