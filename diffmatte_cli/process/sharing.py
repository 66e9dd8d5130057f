"""Change process-wide state that several threads may want changed at once."""

import threading
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

__all__ = ["Shared", "silence"]


class Shared:
    """A process-wide change shared by threads: the first makes it, the last undoes it.

    Separately, one thread would undo it for another, and could restore the changed state for good.
    """

    def __init__(self, change: Callable[[], AbstractContextManager[object]]) -> None:
        self._change, self._lock, self._inside, self._undo = change, threading.Lock(), 0, ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._undo.enter_context(self._change())
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._undo.close()


# Hides libraries' warnings.
silence = Shared(lambda: warnings.catch_warnings(action="ignore"))
