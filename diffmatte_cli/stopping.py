"""Signals that end a run in order: the first asks it to stop, the second ends the process at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType

from .storage.atomic import abandon

__all__ = ["SIGNALS", "Stop", "stopping_on_signals"]

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@dataclass
class Stop:
    """Hold whether a run is to stop, and the signal that said so; 0 when it was something else."""

    event: threading.Event = field(default_factory=threading.Event)
    signal: int = 0


@contextmanager
def stopping_on_signals() -> Iterator[Stop]:
    """Yield what signals set while the block runs.

    Elsewhere than in the main thread, where signals cannot be caught, they do what they did.
    """
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

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    # What the caller has set to be ignored, as nohup does, stays so.
    heard = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, caught) for number in heard}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
