"""Paths as people write them: files, folders, and ``-`` for the streams of a pipe. Standard library only."""

import os
from collections.abc import Hashable, Iterator
from pathlib import Path

from .errors import UsageError
from .formats import READABLE_SUFFIXES

__all__ = ["STREAM", "identity", "is_inside", "location", "names_folder", "pictures_in", "spelled"]

# Standard input or output; a file of this name is kept apart by ``location``.
STREAM = Path("-")


def location(text: str) -> Path:
    """Return the path of an argument: ``-`` is the stream, ``./-`` a file called so.

    Raises UsageError for an empty text, as a shell makes it of a variable that is not set.
    """
    if not text:
        raise UsageError("a path is empty: is a variable of the shell not set?")
    path = Path(text)
    return Path(os.path.abspath(path)) if path == STREAM and text != str(STREAM) else path


def names_folder(text: str) -> bool:
    """Tell whether an argument names a folder: one that is there, or any name that ends in a slash."""
    return text != str(STREAM) and bool(text) and (text.endswith("/") or os.path.isdir(text))


def spelled(path: Path, stream: str) -> str:
    """Return a path for a message; ``stream`` is what ``-`` is called there."""
    return stream if path == STREAM else str(path)


def identity(path: Path) -> Hashable:
    """Return what two paths to one file have in common, links and spellings aside; the file need not exist."""
    try:
        found = os.stat(path)
    except OSError:
        return os.path.realpath(path)
    return found.st_dev, found.st_ino


def is_inside(path: Path, folder: Path) -> bool:
    """Tell whether a path lies in a folder, or is it, once every link is followed."""
    inner, outer = os.path.realpath(path), os.path.realpath(folder)
    return os.path.commonpath([inner, outer]) == outer


def pictures_in(folder: Path, *, recursive: bool = False, except_in: Path | None = None) -> Iterator[Path]:
    """Yield a folder's pictures by name, known by their endings; hidden files and folders are left out.

    With ``recursive`` those of the folders below follow, links to folders not; the folder ``except_in`` is passed by.

    Raises UsageError for a folder that cannot be looked into.
    """
    try:
        with os.scandir(folder) as entries:
            found = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    except OSError as error:
        raise UsageError(f"cannot look into the folder {folder}: {error.strerror}") from error
    below = []
    for name, is_folder in found:
        path = folder / name
        if name.startswith("."):
            continue
        if is_folder:
            below.append(path)
        elif path.suffix.lower() in READABLE_SUFFIXES and not path.is_dir():
            yield path
    for path in below if recursive else ():
        if except_in is None or os.path.realpath(path) != os.path.realpath(except_in):
            yield from pictures_in(path, recursive=True, except_in=except_in)
