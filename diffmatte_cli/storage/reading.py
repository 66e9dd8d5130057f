"""Read an image's bytes from a file, a URL or standard input, up to a limit."""

import os
import select
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import ImageError
from . import remotes
from .paths import STREAM, spelled
from .pieces import check_size, in_pieces, open_file

__all__ = ["MAX_BYTES", "read_bytes"]

PATIENCE = 0.2  # seconds
MAX_BYTES = 4 * 2**30  # more than the largest image takes at any depth; a pipe may never end


def read_bytes(path: Path, check: Callable[[], None] = lambda: None) -> bytes:
    """Read a whole image file, or standard input for ``STREAM``.

    While standard input is silent, ``check`` is called regularly: it may raise to end the wait.

    Raises:
        ImageError: the file is empty, larger than 4 GiB, or cannot be read.
    """
    name = spelled(path, "standard input")
    try:
        if path == STREAM:
            content = _from_stdin(check)
        elif remotes.is_remote(path):
            content = remotes.read(path, MAX_BYTES)
        else:
            with open_file(path) as file:
                check_size(name, os.fstat(file.fileno()).st_size, MAX_BYTES)
                content = in_pieces(file.read, MAX_BYTES)
    except OSError as error:
        raise ImageError(f"cannot read {name}: {error.strerror or error}") from error
    if not content:
        raise ImageError(f"cannot read {name}: {'it is empty' if path == STREAM else 'the file is empty'}")
    check_size(name, len(content), MAX_BYTES)
    return content


def _from_stdin(check: Callable[[], None]) -> bytes:
    stream: Any = sys.stdin.buffer

    def wait() -> None:
        while not _is_ready(stream):
            check()

    return in_pieces(stream.read1, MAX_BYTES, wait)


def _is_ready(stream: BinaryIO) -> bool:
    """Wait briefly for data; a stream that cannot be polled is ready."""
    try:
        return bool(select.select([stream], [], [], PATIENCE)[0])
    except (OSError, ValueError):  # not a pipe, or a system that polls sockets only
        return True
