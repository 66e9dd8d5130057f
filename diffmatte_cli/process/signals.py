"""Graceful stop on signals: the first asks the run to stop, the second ends the process at once."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType

from ..storage.atomic import abandon

__all__ = ["SIGNALS", "Stop", "end_on_signals", "signals_handled", "stopping_on_signals"]

Handler = Callable[[int, FrameType | None], None] | signal.Handlers

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@dataclass
class Stop:
    """Whether a run is stopping, and by which signal; 0 if for another reason."""

    event: threading.Event = field(default_factory=threading.Event)
    signal: int = 0


@contextmanager
def signals_handled(handler: Handler | None) -> Iterator[None]:
    """Handle ``SIGNALS`` by ``handler`` while the block runs, then restore the old handlers, whoever changed them.

    None sets no handler. Signals that the caller ignores, as under nohup, stay ignored. Outside the main thread, where
    handlers cannot be set, do nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        for number, old in before.items():
            if handler is not None and old != signal.SIG_IGN:
                signal.signal(number, handler)
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def end_on_signals() -> None:
    """End this process by an exception at the first of ``SIGNALS``, so that it tidies up, and at once at the second.

    Those that the caller ignores, as under nohup, stay ignored.
    """
    caught: list[int] = []

    def end(number: int, _: FrameType | None) -> None:
        if caught:
            abandon()
            os._exit(128 + number)
        caught.append(number)
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, end)


@contextmanager
def stopping_on_signals() -> Iterator[Stop]:
    """Yield a ``Stop`` that signals set while the block runs; see ``signals_handled``."""
    stop = Stop()

    def caught(number: int, _: FrameType | None) -> None:
        if stop.signal:
            abandon()
            os._exit(128 + number)
        stop.signal = number
        stop.event.set()
        # Not through what sys.stderr buffers, which the signal may have interrupted.
        with suppress(OSError, ValueError):
            os.write(sys.stderr.fileno(), b"\nstopping once files in progress are written; again to stop at once\n")

    with signals_handled(caught):
        yield stop
