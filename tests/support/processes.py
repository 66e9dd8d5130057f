"""Child processes: each in a session of its own, and all of it killed when the test that started it is through."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import diffmatte_cli
from diffmatte_cli.process.signals import SIGNALS

__all__ = ["PATIENCE", "PYTHONPATH", "finish", "read_rest", "read_until", "start", "terminal", "wait_for"]

PATIENCE = 240  # seconds: many times what anything here takes, so that a busy machine fails no test
# Where the package under test lies, and this one.
PYTHONPATH = os.pathsep.join(str(Path(file).parents[1]) for file in (diffmatte_cli.__file__, __file__))
MARK = "DIFFMATTE_STARTED_BY"


@contextmanager
def start(
    *command_line: str, env: dict[str, str] | None = None, ignoring: tuple[int, ...] = (), **settings: Any
) -> Iterator[subprocess.Popen[str]]:
    """Start Python on a command line; when the block ends, kill it and whatever it has started.

    It finds the package under test and this one. Of the signals that end a run it ignores those of ``ignoring``
    alone, whatever the process that runs the tests has been told to ignore.
    """
    mark = f"{MARK}={uuid4().hex}"
    environment = os.environ | {"PYTHONPATH": PYTHONPATH} | (env or {}) | dict([mark.split("=")])
    with _ignored_by_children(ignoring):
        process = subprocess.Popen(
            [sys.executable, *command_line], env=environment, start_new_session=True, **{"text": True} | settings
        )
    try:
        yield process
    finally:
        _kill(process, mark.encode())


def finish(
    *command_line: str, input: str | bytes | None = None, timeout: int = PATIENCE, **settings: Any
) -> subprocess.CompletedProcess[Any]:
    """Run Python on a command line to its end, as ``start`` does."""
    pipe = subprocess.PIPE
    streams = {"stdout": pipe, "stderr": pipe} | ({} if input is None else {"stdin": pipe})
    with start(*command_line, **streams | settings) as process:
        text, errors = process.communicate(input, timeout)  # type: ignore[arg-type]
    return subprocess.CompletedProcess(process.args, process.returncode, text, errors)


def wait_for(happened: Callable[[], object], process: subprocess.Popen[str], timeout: int = PATIENCE) -> None:
    """Wait until something has happened that a process brings about, or the process has ended."""
    until = time.monotonic() + timeout
    while not happened() and process.poll() is None:
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.01)


def read_until(words: str, process: subprocess.Popen[str]) -> str:
    """Return what a process says on stderr until it has said these words, or has ended."""
    assert process.stderr is not None
    stream, text, until = process.stderr.fileno(), "", time.monotonic() + PATIENCE
    while words not in text:
        ready, *_ = select.select([stream], [], [], max(0, until - time.monotonic()))
        assert ready, f"it never said {words!r}, but {text!r}"
        if not (part := os.read(stream, 2**16)):
            break
        text += part.decode()
    return text


def read_rest(process: subprocess.Popen[str]) -> str:
    """Return what a process goes on to say on stderr, and wait for its end."""
    assert process.stderr is not None
    text = process.stderr.read()
    process.wait(PATIENCE)
    return text


@contextmanager
def terminal() -> Iterator[tuple[int, Callable[[], bytes]]]:
    """Open a pseudo terminal; yield its end for a program's stderr, and what returns all that was shown there."""
    import termios

    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 100))

    def shown() -> bytes:
        os.close(theirs)
        content = b""
        with suppress(OSError):  # how Linux tells the end of a terminal
            while chunk := os.read(ours, 4096):
                content += chunk
        return content

    try:
        yield theirs, shown
    finally:
        os.close(ours)


@contextmanager
def _ignored_by_children(ignoring: tuple[int, ...]) -> Iterator[None]:
    """Let a child ignore these of ``SIGNALS`` and no other.

    A child inherits what is ignored, as SIGINT is in a shell's background and SIGHUP under nohup, but nothing that is
    handled: so what is not to be inherited is handled, by doing nothing, until the child has been started.
    """
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if number in ignoring:
            signal.signal(number, signal.SIG_IGN)
        elif handler == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _kill(process: subprocess.Popen[str], mark: bytes) -> None:
    """Kill a process, its process group, and whatever else bears the mark."""
    if process.poll() is None:  # or its number may be another's by now
        os.killpg(process.pid, signal.SIGKILL) if hasattr(os, "killpg") else process.kill()
    while marked := list(_marked(mark)):
        for number in marked:
            with suppress(OSError):
                os.kill(number, signal.SIGKILL)
        time.sleep(0.01)
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with suppress(OSError):  # what was never read by the process
                stream.close()


def _marked(mark: bytes) -> Iterator[int]:
    """Find processes by their environment, where the system shows it."""
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (place / "environ").read_bytes():
                yield int(place.name)
