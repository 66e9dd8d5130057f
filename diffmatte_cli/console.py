"""Print messages for the user on stderr, one line each; the one place where text is made safe to show."""

import os
import re
import sys
import traceback
from contextlib import AbstractContextManager, nullcontext

__all__ = ["fail", "masked", "printable", "say", "say_nothing", "trace", "warn"]

# Of URLs: a password, or a user of http, which may be a token; what a query says of keys, and whatever is as long.
_USER = re.compile(r"([a-z][a-z0-9+.-]*)://([^\s/?#\"]*)@", re.IGNORECASE)
_SECRET = "auth|cred|key|pass|pwd|secret|sig|token"
_QUERY = re.compile(r"(?<=[?&#;])([^\s=&#;'\"]*)=([^\s&#;'\"]*[^\s&#;'\".,:)])")


def masked(text: str) -> str:
    """Hide what would open a store to others: passwords, signatures and tokens in URLs."""
    return _QUERY.sub(_without_value, _USER.sub(_without_password, text)) if "://" in text else text


def _without_password(found: re.Match[str]) -> str:
    scheme, user = found[1], found[2]
    name, colon, _ = user.partition(":")
    if not colon and not scheme.lower().startswith("http"):
        return found[0]
    return f"{scheme}://{name}:***@" if colon else f"{scheme}://***@"


def _without_value(found: re.Match[str]) -> str:
    name, value = found.groups()
    return f"{name}=***" if len(value) > 15 or re.search(_SECRET, name, re.IGNORECASE) else found[0]


def printable(text: str) -> str:
    """Escape line breaks, control and bidi characters and undecodable bytes, and mask secrets of URLs."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in masked(text))


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


def trace(error: BaseException) -> None:
    """Print an error's traceback."""
    for line in "".join(traceback.format_exception(error)).splitlines():
        say(line)


def fail(text: str) -> None:
    """Print an error; the caller chooses the exit code."""
    say(text, "error", "bold red")
