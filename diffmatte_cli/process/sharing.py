"""Change what is the whole process's while several threads may want it changed at once."""

import threading
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

__all__ = ["Shared", "silence"]


class Shared:
    """A change of the whole process that any number of threads may be in: the first makes it, the last undoes it.

    Each for itself, one would undo it under another, and what another had changed would be put back for good.
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


# Of libraries' warnings nothing is shown meanwhile.
silence = Shared(lambda: warnings.catch_warnings(action="ignore"))
