"""Print messages for the user on stderr, one line each, verbatim."""

import os
import sys
from contextlib import AbstractContextManager, nullcontext

__all__ = ["fail", "printable", "say", "say_nothing", "warn"]


def printable(text: str) -> str:
    """Escape line breaks, control characters and undecodable bytes, which file names may contain."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def say(text: str, label: str = "", style: str = "") -> None:
    """Print one line on stderr, without wrapping or markup; colour follows NO_COLOR and the terminal."""
    from rich.console import Console
    from rich.text import Text

    line = Text.assemble((f"{label}: ", style) if label else "", printable(text))
    console = Console(stderr=True, highlight=False)
    # By default rich exits when the pipe is closed.
    console.on_broken_pipe = _fall_silent  # type: ignore[method-assign]
    try:
        with _bars_aside():
            console.print(line, soft_wrap=True)
    except OSError:
        _fall_silent()


def _bars_aside() -> AbstractContextManager[None]:
    """Clear progress bars, if any, while the block runs."""
    if "tqdm" not in sys.modules:
        return nullcontext()
    from tqdm import tqdm

    return tqdm.external_write_mode(sys.stderr, nolock=False)


def say_nothing(_: str) -> None:
    """Ignore a message; replaces ``say`` when quiet."""


def _fall_silent() -> None:
    """Discard the rest of stderr, buffered text included."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def warn(text: str) -> None:
    """Print a warning."""
    say(text, "warning", "bold yellow")


def fail(text: str) -> None:
    """Print an error; the caller chooses the exit code."""
    say(text, "error", "bold red")
