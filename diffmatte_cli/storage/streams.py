"""Check that standard input and output can carry an image. Standard library only."""

import os
import sys

from ..errors import UsageError

__all__ = ["check_input", "check_output"]


def check_input() -> None:
    """Raise UsageError where standard input is closed or a keyboard."""
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("nothing is piped into standard input (-): pipe an image in, or name a file")


def check_output() -> None:
    """Raise UsageError where standard output is closed or a terminal, which would show the image as text."""
    if sys.stdout.name == os.devnull:  # which ``app.main`` puts in place of a closed one
        raise UsageError("standard output is closed: name a file, or pipe it on", "output")
    if sys.stdout.isatty():
        raise UsageError("standard output is a terminal, which shows no images: name a file, or pipe it on", "output")
