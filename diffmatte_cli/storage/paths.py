"""Paths as users write them: files, folders, URLs, and ``-`` for standard input or output. Standard library only."""

import os
import stat
import unicodedata
from collections.abc import Hashable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from ..errors import UsageError
from . import remotes
from .remotes import check_scheme, is_open, is_remote, is_url, parsed

__all__ = ["STREAM", "Place", "alike", "below", "below_in_table", "location", "spelled"]

# Standard input or output; ``location`` tells a file of this name apart.
STREAM = Path("-")


def location(text: str) -> Path:
    """Return the path of an argument: ``-`` is the stream, ``./-`` a file called so; ``s3://`` begins a URL.

    Raises UsageError for an empty text, such as an unset shell variable, and for a URL of an unknown scheme.
    """
    if not text:
        raise UsageError("a path is empty: is a shell variable unset?")
    if is_url(text):
        return _checked(parsed(text))
    path = Path(text)
    return Path(os.path.abspath(path)) if path == STREAM and text != str(STREAM) else path


def _checked(path: Path) -> Path:
    if is_remote(path):
        check_scheme(path)
    return path


def below(folder: Path, text: str) -> Path:
    """Return the path of an argument relative to ``folder``, unless it is a URL or absolute."""
    return location(text if is_url(text) else os.path.join(folder, text))


def below_in_table(folder: Path, text: str, named: "Iterable[Place]") -> Path:
    """Return the path that a table names, as ``below`` does for an argument.

    A table may be anybody's, so URLs are those of plain stores, or below what the user has ``named``.

    Raises UsageError for all others, before anything is looked up.
    """
    joined = text if is_url(text) else os.path.join(folder, text)
    if not is_url(joined):
        return location(joined)
    path = parsed(joined)
    if is_remote(path) and not is_open(path) and not any(place.at(path).is_inside(place) for place in named):
        raise UsageError(
            f"a table may name files, s3, gs, az, http and https URLs, and what is below a URL named as an argument,"
            f" not {path}"
        )
    return _checked(path)


def alike(name: str) -> str:
    """Return what names have in common that differ in case or in Unicode form alone: one file on many disks."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def spelled(path: Path, stream: str) -> str:
    """Return a path for a message; ``stream`` is the name of ``-``."""
    return stream if path == STREAM else str(path)


class _Answer(NamedTuple):
    """What the disk says of a path: its kind, the identity of the file, and why it cannot be looked up."""

    kind: str | None
    identity: tuple[int, int] | None = None
    is_link: bool = False
    refusal: str | None = None


@dataclass(frozen=True)
class Place:
    """A path with what the disk or the store says of it, looked up once, on first use.

    Places derived from one another share their answers. A plan derives all its places from the first; writers
    make new ones, because a link may have appeared since.

    Attributes:
        path: the path.
        text: the argument as written; empty if it was none.
        listed_kind: its kind, if known from a listing.
    """

    path: Path
    text: str = ""
    listed_kind: str | None = field(default=None, compare=False, repr=False)
    _known: "dict[str, Place]" = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Register the place for those derived from it."""
        self._known[str(self.path)] = self

    def __str__(self) -> str:
        """Return the path for a message."""
        return str(self.path)

    def __truediv__(self, name: str | Path) -> "Place":
        """Return the place of something in this folder."""
        return self.at(self.path / name)

    def at(self, path: Path, listed_kind: str | None = None) -> "Place":
        """Return the place of another path."""
        return self._known.get(str(path)) or Place(path, listed_kind=listed_kind, _known=self._known)

    def named(self, text: str) -> "Place":
        """Return the place of an argument; raises what ``location`` does."""
        place = self.at(location(text))
        return place if place.text == text else Place(place.path, text, _known=self._known)

    @property
    def parent(self) -> "Place":
        """The parent folder, by name."""
        return self.at(self.path.parent)

    @property
    def found(self) -> "Place":
        """This place or, where nothing is there, the only one whose name differs in case or Unicode form alone.

        Folders and archives that come from another system spell names otherwise than people type them.
        """
        if self.is_stream or self.is_remote or self.kind is not None:
            return self
        names, folder = [self.path.name], self.parent
        while folder.kind is None and folder.path.name not in ("", ".."):
            names.append(folder.path.name)
            folder = folder.parent
        while names and folder.kind == "folder":
            same = folder._alike.get(alike(name := names.pop()), [])
            if name not in same and len(same) != 1:
                return self
            folder /= name if name in same else same[0]
        return self if names else Place(folder.path, self.text, _known=self._known)

    @cached_property
    def _alike(self) -> dict[str, list[str]]:
        """The names in a folder by what is alike in them; none if it cannot be listed."""
        names: dict[str, list[str]] = {}
        with suppress(UsageError):
            for name in self.kinds:
                names.setdefault(alike(name), []).append(name)
        return names

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return self.path.stem

    @property
    def is_stream(self) -> bool:
        """Whether it is standard input or output."""
        return self.path == STREAM

    @property
    def is_remote(self) -> bool:
        """Whether it is a URL."""
        return is_remote(self.path)

    @property
    def names_folder(self) -> bool:
        """Whether it is a folder, or was written with a trailing slash; raises what ``kind`` does."""
        return self.text.endswith("/") or self.kind == "folder"

    @property
    def kind(self) -> str | None:
        """What exists there: "file", "folder", "stream", "other", "broken symlink", or None.

        Raises UsageError if a store cannot be queried.
        """
        return self.listed_kind or self._answer.kind

    @property
    def is_link(self) -> bool:
        """Whether it is a symlink itself."""
        return self.listed_kind is None and not self.is_remote and self._answer.is_link

    @property
    def refusal(self) -> str | None:
        """Why the disk cannot look up the path; None if it can."""
        return self._answer.refusal

    @property
    def identity(self) -> Hashable:
        """Equal for all paths to one file, hard links included; it need not exist."""
        return self.target if self.is_remote else self._answer.identity or self.target

    @cached_property
    def target(self) -> str:
        """The path with every symlink resolved; it need not exist."""
        if self.is_remote:
            return remotes.place(self.path)
        if self._is_turn:
            return os.path.realpath(self.path)
        above = [self.parent]
        while not above[-1]._is_turn and "target" not in vars(above[-1]):
            above.append(above[-1].parent)
        while above:  # from the top down: each knows its parent's, so that no depth is too much
            folder = above.pop().target
        return os.path.join(folder, self.path.name)

    @property
    def _is_turn(self) -> bool:
        """Whether the resolved path may not be the parent's with the name."""
        return self.is_link or self.path.name in ("", "..")

    def is_inside(self, folder: "Place") -> bool:
        """Tell whether it is in a folder, or is the folder, with every symlink resolved."""
        return f"{self.target}/".startswith(f"{folder.target.rstrip('/')}/")

    @cached_property
    def kinds(self) -> dict[str, str | None]:
        """The entries of a folder: sorted names, each with its kind, None for a symlink.

        Raises UsageError if it cannot be listed.
        """
        if self.is_remote:
            return dict(remotes.listing(self.path))
        try:
            with os.scandir(self.path) as entries:
                return dict(sorted((entry.name, _kind_of(entry)) for entry in entries))
        except OSError as error:
            raise UsageError(f"cannot list the folder {self}: {error.strerror}") from error

    @property
    def contents(self) -> "list[Place]":
        """The entries of a folder, by name; raises what ``kinds`` does."""
        return [self.at(self.path / name, kind) for name, kind in self.kinds.items()]

    @cached_property
    def _answer(self) -> _Answer:
        if self.is_stream:
            return _Answer("stream")
        return _Answer(remotes.kind(self.path)) if self.is_remote else _asked(self.path)


def _asked(path: Path) -> _Answer:
    is_link = False
    try:
        found = os.lstat(path)
        if is_link := stat.S_ISLNK(found.st_mode):
            found = os.stat(path)
    except OSError as error:
        if is_link:
            return _Answer("broken symlink", is_link=True)
        absent = isinstance(error, FileNotFoundError | NotADirectoryError)
        return _Answer(None, refusal=None if absent else error.strerror)
    kind = "file" if stat.S_ISREG(found.st_mode) else "folder" if stat.S_ISDIR(found.st_mode) else "other"
    return _Answer(kind, (found.st_dev, found.st_ino), is_link)


def _kind_of(entry: "os.DirEntry[str]") -> str | None:
    if entry.is_symlink():
        return None
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    return "file" if entry.is_file(follow_symlinks=False) else "other"
