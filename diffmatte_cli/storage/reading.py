"""Read an image's bytes from a file, a URL or standard input, up to a limit."""

import io
import select
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import ImageError
from . import remotes
from .paths import STREAM, spelled

__all__ = ["read_bytes"]

CHUNK = 2**20
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
        elif path.exists() and not path.is_file():
            raise ImageError(f"cannot read {name}: it is not a file")
        else:
            with path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ImageError(f"cannot read {name}: {error.strerror or error}") from error
    if not content:
        raise ImageError(f"cannot read {name}: {'it is empty' if path == STREAM else 'the file is empty'}")
    if len(content) > MAX_BYTES:
        raise ImageError(f"cannot read {name}: it is larger than {MAX_BYTES // 2**30} GiB")
    return content


def _from_stdin(check: Callable[[], None]) -> bytes:
    stream: Any = sys.stdin.buffer
    content = io.BytesIO()
    while content.tell() <= MAX_BYTES:
        while not _is_ready(stream):
            check()
        if not content.write(stream.read1(CHUNK)):
            break
    return content.getvalue()


def _is_ready(stream: BinaryIO) -> bool:
    """Wait briefly for data; a stream that cannot be polled is ready."""
    try:
        return bool(select.select([stream], [], [], PATIENCE)[0])
    except (OSError, ValueError):  # not a pipe, or a system that polls sockets only
        return True
