"""Signals that end a run in order: the first asks it to stop, the second ends the process at once."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType

from .storage.atomic import abandon

__all__ = ["SIGNALS", "Stop", "signals_handled", "stopping_on_signals"]

Handler = Callable[[int, FrameType | None], None] | signal.Handlers

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@dataclass
class Stop:
    """Hold whether a run is to stop, and the signal that said so; 0 when it was something else."""

    event: threading.Event = field(default_factory=threading.Event)
    signal: int = 0


@contextmanager
def signals_handled(handler: Handler | None) -> Iterator[None]:
    """Handle ``SIGNALS`` by ``handler`` while the block runs, then as before, whoever changed it; None changes nothing.

    Those that the caller has set to be ignored, as nohup does, stay so. Elsewhere than in the main thread, where
    signals cannot be caught, they do what they did.
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


@contextmanager
def stopping_on_signals() -> Iterator[Stop]:
    """Yield what signals set while the block runs, as ``signals_handled`` does."""
    stop = Stop()

    def caught(number: int, _: FrameType | None) -> None:
        if stop.signal:
            abandon()
            os._exit(128 + number)
        stop.signal = number
        stop.event.set()
        # Not by the usual way: that may be what the signal came in the middle of.
        with suppress(OSError):
            os.write(2, b"\nstopping: what is being written is finished first; once more stops at once\n")

    with signals_handled(caught):
        yield stop
