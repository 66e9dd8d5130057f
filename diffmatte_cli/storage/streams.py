"""Check that standard input and output can carry an image. Standard library only."""

import os
import sys

from ..errors import UsageError

__all__ = ["check_input", "check_output"]


def check_input() -> None:
    """Raise UsageError if standard input is closed or a terminal."""
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("nothing is piped into standard input (-): pipe an image in, or name a file")


def check_output() -> None:
    """Raise UsageError if standard output is closed or a terminal."""
    if sys.stdout.name == os.devnull:  # substituted by ``app.main`` for a closed one
        raise UsageError("standard output is closed: name a file, or use a pipe", "output")
    if sys.stdout.isatty():
        raise UsageError(
            "standard output is a terminal, which cannot show images: name a file, or use a pipe", "output"
        )
