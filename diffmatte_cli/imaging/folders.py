"""List the images in folders, and match files by their stems. Standard library only."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from pathlib import Path
from typing import TypeVar

from ..errors import UsageError
from ..storage.paths import Place
from .formats import READABLE_SUFFIXES

__all__ = ["by_stem", "folders_in", "images_in", "one_by_stem"]

F = TypeVar("F", Path, Place)
DEEPEST = 200  # folders within each other; a store or a hostile archive may have no end of them


def images_in(folder: Place, *, recursive: bool = False, except_in: Place | None = None) -> Iterator[Place]:
    """Yield a folder's images, recognised by their suffixes, by name; hidden files and folders are skipped.

    With ``recursive`` those of the folders below follow, but not of symlinked ones nor of ``except_in``.

    Raises UsageError for a folder that cannot be read, or that others hold too deeply.
    """
    yield from _images_in(folder, recursive, except_in, folder)


def _images_in(folder: Place, recursive: bool, except_in: Place | None, top: Place) -> Iterator[Place]:
    if len(folder.path.parts) > len(top.path.parts) + DEEPEST:
        raise UsageError(f"folders in {top} are nested more than {DEEPEST} deep: move what is needed out of them")
    shown = [place for place in folder.contents if not place.path.name.startswith(".")]
    for place in shown:
        if place.path.suffix.lower() in READABLE_SUFFIXES and place.kind != "folder":
            yield place
    for place in shown if recursive else ():
        if not place.is_link and place.kind == "folder" and (except_in is None or place.target != except_in.target):
            yield from _images_in(place, True, except_in, top)


def by_stem(files: Iterable[F], stem: Callable[[F], str] = attrgetter("stem")) -> dict[str, list[F]]:
    """Group files by their stems, or by what ``stem`` makes of them."""
    groups = defaultdict(list)
    for file in files:
        groups[stem(file)].append(file)
    return dict(groups)


def one_by_stem(files: Iterable[F], stem: Callable[[F], str] = attrgetter("stem")) -> dict[str, F]:
    """Return files by their stems, as ``by_stem`` does; raises UsageError where two share one."""
    groups = by_stem(files, stem)
    for name, same in groups.items():
        if len(same) > 1:
            raise UsageError(f"{same[0]} and {same[1]} go by the same name, {name}: remove one")
    return {name: file for name, (file,) in groups.items()}


def folders_in(folder: Place) -> list[Place]:
    """Return the folders in a folder, symlinked ones too, by name; hidden ones are skipped.

    Raises UsageError for a folder that cannot be read.
    """
    return [place for place in folder.contents if not place.path.name.startswith(".") and place.kind == "folder"]
