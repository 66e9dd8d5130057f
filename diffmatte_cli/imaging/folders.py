"""What folders hold: pictures, known by their endings, and other folders. Standard library only."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from pathlib import Path

from ..errors import UsageError
from ..storage.paths import place
from ..storage.remotes import is_remote, listing
from .formats import READABLE_SUFFIXES

__all__ = ["by_stem", "folders_in", "one_by_stem", "pictures_in"]


def pictures_in(folder: Path, *, recursive: bool = False, except_in: Path | None = None) -> Iterator[Path]:
    """Yield a folder's pictures by name, known by their endings; hidden files and folders are left out.

    With ``recursive`` those of the folders below follow, links to folders not; the folder ``except_in`` is passed by.

    Raises UsageError for a folder that cannot be looked into.
    """
    folders = []
    for name, has_more in _listed(folder):
        path = folder / name
        if name.startswith("."):
            continue
        if has_more:
            folders.append(path)
        elif path.suffix.lower() in READABLE_SUFFIXES and (is_remote(path) or not path.is_dir()):
            yield path
    for path in folders if recursive else ():
        if except_in is None or place(path) != place(except_in):
            yield from pictures_in(path, recursive=True, except_in=except_in)


def by_stem(paths: Iterable[Path], stem: Callable[[Path], str] = attrgetter("stem")) -> dict[str, list[Path]]:
    """Group files by their names without endings, or what ``stem`` makes of their paths."""
    groups = defaultdict(list)
    for path in paths:
        groups[stem(path)].append(path)
    return dict(groups)


def one_by_stem(paths: Iterable[Path], stem: Callable[[Path], str] = attrgetter("stem")) -> dict[str, Path]:
    """Return files by their stems as ``by_stem`` does; raises UsageError where two have the same."""
    groups = by_stem(paths, stem)
    for name, same in groups.items():
        if len(same) > 1:
            raise UsageError(f"{same[0]} and {same[1]} go by the same name, {name}: remove one")
    return {name: path for name, (path,) in groups.items()}


def folders_in(folder: Path) -> list[Path]:
    """Return a folder's folders by name, links to folders too; hidden ones are left out.

    Raises UsageError for a folder that cannot be looked into.
    """
    paths = ((folder / name, has_more) for name, has_more in _listed(folder) if not name.startswith("."))
    return [path for path, has_more in paths if has_more or (not is_remote(path) and path.is_dir())]


def _listed(folder: Path) -> list[tuple[str, bool]]:
    """Return the names in a folder, and which are folders and no links to some."""
    if is_remote(folder):
        return listing(folder)
    try:
        with os.scandir(folder) as entries:
            return sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    except OSError as error:
        raise UsageError(f"cannot look into the folder {folder}: {error.strerror}") from error
