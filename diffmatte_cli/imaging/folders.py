"""List the images in folders, and match files by their stems. Standard library only."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import TypeVar

from ..errors import UsageError, listed
from ..storage.paths import Place, alike
from .formats import READABLE_SUFFIXES

__all__ = ["by_stem", "find_alike", "folders_in", "images_in", "is_clutter", "one_by_stem", "respelled", "told_unread"]

F = TypeVar("F", Path, Place)
V = TypeVar("V")

DEEPEST = 200  # folders within each other; a store or a hostile archive may have no end of them
# What systems, network drives and archives leave beside photographs, in lower case; hidden files aside.
CLUTTER = frozenset(
    {".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "lost+found", "$recycle.bin"}
    | {"system volume information", "@eadir", "@recycle", "@recently-snapshot", "#recycle", "#snapshot"}
)


def is_clutter(name: str) -> bool:
    """Tell whether a file or folder is one that a system keeps for itself, and no user's."""
    return name.startswith("._") or name.lower() in CLUTTER


def images_in(
    folder: Place,
    *,
    recursive: bool = False,
    except_in: Place | None = None,
    suffixes: Collection[str] = READABLE_SUFFIXES,
    others: list[Place] | None = None,
) -> Iterator[Place]:
    """Yield a folder's images, recognised by their suffixes, by name; hidden files, folders and clutter are skipped.

    With ``recursive`` those of the folders below follow, but not of symlinked ones nor of ``except_in``. ``others``
    gets the files of other suffixes.

    Raises UsageError for a folder that cannot be read, or that others hold too deeply.
    """
    yield from _images_in(folder, recursive, except_in, suffixes, others, len(folder.path.parts) + DEEPEST)


def _images_in(
    folder: Place,
    recursive: bool,
    except_in: Place | None,
    suffixes: Collection[str],
    others: list[Place] | None,
    deepest: int,
) -> Iterator[Place]:
    if len(folder.path.parts) > deepest:
        top = Path(*folder.path.parts[: deepest - DEEPEST])
        raise UsageError(f"folders in {top} are nested more than {DEEPEST} deep: move what is needed out of them")
    shown = _shown(folder)
    for place in shown:
        is_image = place.path.suffix.lower() in suffixes
        if (is_image or others is not None) and place.kind != "folder":
            if is_image:
                yield place
            elif others is not None:
                others.append(place)
    for place in shown if recursive else ():
        if not place.is_link and place.kind == "folder" and (except_in is None or place.target != except_in.target):
            yield from _images_in(place, True, except_in, suffixes, others, deepest)


def told_unread(places: Sequence[Place]) -> str:
    """Say how many files are left out, and of what kinds they are."""
    kinds = sorted({place.path.suffix.lower() or place.path.name for place in places})
    count = "1 file is" if len(places) == 1 else f"{len(places)} files are"
    return f"{count} of no readable kind, and left out: {listed(kinds, 8)}"


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


def find_alike(found: Mapping[str, V], names: Iterable[str]) -> dict[str, V]:
    """Return what goes by each of ``names`` or, without that, by a single name alike; the others are left out."""
    near = _by_alikeness(found)
    same = {name: [name] if name in found else near.get(alike(name), []) for name in names}
    return {name: found[others[0]] for name, others in same.items() if len(others) == 1}


def respelled(found: Mapping[str, V], names: Collection[str]) -> dict[str, V]:
    """Return files by their names, in the spelling of ``names`` where one of these alone is alike and unmatched."""
    free = _by_alikeness(name for name in names if name not in found)
    own = _by_alikeness(name for name in found if name not in names)
    pairs = {same[0]: free[key][0] for key, same in own.items() if len(same) == len(free.get(key, ())) == 1}
    return {pairs.get(name, name): file for name, file in found.items()}


def _by_alikeness(names: Iterable[str]) -> dict[str, list[str]]:
    groups = defaultdict(list)
    for name in names:
        groups[alike(name)].append(name)
    return dict(groups)


def folders_in(folder: Place) -> list[Place]:
    """Return the folders in a folder, symlinked ones too, by name; hidden ones and clutter are skipped.

    Raises UsageError for a folder that cannot be read.
    """
    return [place for place in _shown(folder) if place.kind == "folder"]


def _shown(folder: Place) -> list[Place]:
    return [place for place in folder.contents if not (place.path.name.startswith(".") or is_clutter(place.path.name))]
