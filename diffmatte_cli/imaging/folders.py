"""List the images in folders, and match files by their stems. Standard library only."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from pathlib import Path

from ..errors import UsageError
from ..storage.paths import place
from ..storage.remotes import is_remote, listing
from .formats import READABLE_SUFFIXES

__all__ = ["by_stem", "folders_in", "images_in", "one_by_stem"]


def images_in(folder: Path, *, recursive: bool = False, except_in: Path | None = None) -> Iterator[Path]:
    """Yield a folder's images, recognised by their suffixes, by name; hidden files and folders are skipped.

    With ``recursive`` those of the folders below follow, but not of symlinked ones nor of ``except_in``.

    Raises UsageError for a folder that cannot be read.
    """
    folders = []
    for name, is_folder in _listed(folder):
        path = folder / name
        if is_folder:
            folders.append(path)
        elif path.suffix.lower() in READABLE_SUFFIXES and (is_remote(path) or not path.is_dir()):
            yield path
    for path in folders if recursive else ():
        if except_in is None or place(path) != place(except_in):
            yield from images_in(path, recursive=True, except_in=except_in)


def by_stem(paths: Iterable[Path], stem: Callable[[Path], str] = attrgetter("stem")) -> dict[str, list[Path]]:
    """Group files by their stems, or by what ``stem`` makes of their paths."""
    groups = defaultdict(list)
    for path in paths:
        groups[stem(path)].append(path)
    return dict(groups)


def one_by_stem(paths: Iterable[Path], stem: Callable[[Path], str] = attrgetter("stem")) -> dict[str, Path]:
    """Return files by their stems, as ``by_stem`` does; raises UsageError where two share one."""
    groups = by_stem(paths, stem)
    for name, same in groups.items():
        if len(same) > 1:
            raise UsageError(f"{same[0]} and {same[1]} go by the same name, {name}: remove one")
    return {name: path for name, (path,) in groups.items()}


def folders_in(folder: Path) -> list[Path]:
    """Return the folders in a folder, symlinked ones too, by name; hidden ones are skipped.

    Raises UsageError for a folder that cannot be read.
    """
    paths = ((folder / name, is_folder) for name, is_folder in _listed(folder))
    return [path for path, is_folder in paths if is_folder or (not is_remote(path) and path.is_dir())]


def _listed(folder: Path) -> list[tuple[str, bool]]:
    """Return the names in a folder that are not hidden, and which of them are folders and no symlinks."""
    try:
        if is_remote(folder):
            found = listing(folder)
        else:
            with os.scandir(folder) as entries:
                found = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    except OSError as error:
        raise UsageError(f"cannot look into the folder {folder}: {error.strerror}") from error
    return [(name, is_folder) for name, is_folder in found if not name.startswith(".")]
