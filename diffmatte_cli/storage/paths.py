"""Paths as people write them: files, folders, URLs, and ``-`` for the streams of a pipe. Standard library only."""

import os
from collections.abc import Hashable
from pathlib import Path

from ..errors import UsageError
from . import remotes
from .remotes import is_remote, is_url, remote

__all__ = [
    "STREAM",
    "below",
    "identity",
    "is_folder",
    "is_inside",
    "kind",
    "location",
    "names_folder",
    "place",
    "spelled",
]

# Standard input or output; a file of this name is kept apart by ``location``.
STREAM = Path("-")


def location(text: str) -> Path:
    """Return the path of an argument: ``-`` is the stream, ``./-`` a file called so; ``s3://`` begins a URL.

    Raises UsageError for an empty text, as a shell makes it of a variable that is not set, and for a URL of a
    kind that is not known.
    """
    if not text:
        raise UsageError("a path is empty: is a variable of the shell not set?")
    if is_url(text):
        return remote(text)
    path = Path(text)
    return Path(os.path.abspath(path)) if path == STREAM and text != str(STREAM) else path


def below(folder: Path, text: str) -> Path:
    """Return the path of an argument that starts at ``folder``, unless it is a URL or absolute."""
    return location(text if is_url(text) else os.path.join(folder, text))


def names_folder(text: str) -> bool:
    """Tell whether an argument names a folder: one that is there, or any name that ends in a slash."""
    return text != str(STREAM) and bool(text) and (text.endswith("/") or is_folder(location(text)))


def kind(path: Path) -> str | None:
    """Return "file", "folder", "other", "dead link", or None where there is nothing.

    Raises UsageError where a remote place does not say.
    """
    if is_remote(path):
        return remotes.kind(path)
    if os.path.isfile(path):
        return "file"
    if os.path.isdir(path):
        return "folder"
    return "other" if os.path.exists(path) else "dead link" if os.path.lexists(path) else None


def is_folder(path: Path) -> bool:
    """Tell whether a folder is there; raises UsageError where a remote place does not say."""
    return kind(path) == "folder"


def spelled(path: Path, stream: str) -> str:
    """Return a path for a message; ``stream`` is what ``-`` is called there."""
    return stream if path == STREAM else str(path)


def identity(path: Path) -> Hashable:
    """Return what two paths to one file have in common, links and spellings aside; the file need not exist."""
    if is_remote(path):
        return remotes.place(path)
    try:
        found = os.stat(path)
    except OSError:
        return os.path.realpath(path)
    return found.st_dev, found.st_ino


def place(path: Path) -> str:
    """Return where a path leads, once every link is followed."""
    return remotes.place(path) if is_remote(path) else os.path.realpath(path)


def is_inside(path: Path, folder: Path) -> bool:
    """Tell whether a path lies in a folder, or is it, once every link is followed."""
    return location(place(path)).is_relative_to(location(place(folder)))
