"""Standard input and output as places for pictures, refused where they are none. Standard library only."""

import os
import sys

from ..errors import UsageError

__all__ = ["check_input", "check_output"]


def check_input() -> None:
    """Raise UsageError where standard input brings no picture: closed, or somebody's keyboard."""
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("nothing is piped into standard input (-): pipe a picture in, or name a file")


def check_output() -> None:
    """Raise UsageError where standard output takes no picture: closed, or a terminal, which would show it as text."""
    if sys.stdout.name == os.devnull:  # as ``app.main`` puts it in a closed one's place
        raise UsageError("standard output is closed: name a file, or pipe it on", "output")
    if sys.stdout.isatty():
        raise UsageError("standard output is a terminal, which shows no pictures: name a file, or pipe it on", "output")
