"""Read files in pieces, up to a bound, and only what is a file. Standard library only."""

import errno
import io
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from ..errors import ImageError

__all__ = ["check_size", "in_pieces", "open_file"]

CHUNK = 2**20


def open_file(path: Path) -> BinaryIO:
    """Open a file for reading; raises OSError, for a pipe or a device, too, which would block or never end."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "it is not a file")
    return path.open("rb")


def in_pieces(read: Callable[[int], bytes], most: int, wait: Callable[[], None] = lambda: None) -> bytes:
    """Call ``read`` to the file's end, or for one byte more than ``most``; ``wait`` is called before each piece.

    Pieces may be shorter than requested. Memory grows with what arrives, not with ``most``.
    """
    content = io.BytesIO()
    while (left := most + 1 - content.tell()) > 0:
        wait()
        if not content.write(read(min(CHUNK, left))):
            break
    return content.getvalue()


def check_size(name: str, size: int, most: int) -> None:
    """Raise ImageError for a file of more than ``most`` bytes."""
    if size > most:
        raise ImageError(f"cannot read {name}: it is larger than {most / 2**30:.3g} GiB")
