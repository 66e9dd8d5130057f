"""Files of weights: their sha256, their size in words, and folders for them. Standard library only."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from ..errors import UsageError, WeightsError
from ..storage.pieces import open_file

__all__ = ["Check", "file_sha256", "go_on", "in_megabytes", "make_folder"]

PIECE = 2**22  # bytes hashed at once
# Called again and again in what takes long; may raise to end it.
Check = Callable[[], None]


def go_on() -> None:
    """Let what takes long go on."""


def file_sha256(path: Path, check: Check = go_on) -> str:
    """Return the sha256 of a file in hex digits; raises WeightsError if it cannot be read.

    ``check`` is called between pieces and may raise to end it.
    """
    digest = hashlib.sha256()
    try:
        with open_file(path) as file:
            while piece := file.read(PIECE):
                check()
                digest.update(piece)
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}") from error
    return digest.hexdigest()


def in_megabytes(size: int) -> str:
    """Return a file's size in bytes as text for people."""
    return f"{size / 1e6:.0f} MB" if size >= 10**7 else f"{size / 1e6:.1f} MB"


def make_folder(folder: Path) -> None:
    """Create a folder of the cache; raises UsageError where the system refuses."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot create the folder {folder}: {error.strerror}; choose another", "cache_dir") from error
