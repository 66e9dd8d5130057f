"""What is to be matted: photographs out of arguments, folders or a manifest, each with its trimap.

Standard library only; no picture is opened. What is wrong is collected, so that it can be told all at once.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from ..errors import UsageError
from ..imaging.folders import by_stem, images_in
from ..storage.paths import STREAM, below, identity, is_folder, kind, location, place
from ..storage.remotes import is_remote
from .sequences import frame_path, frames, is_pattern

__all__ = ["ALPHA", "TRIMAP_SUFFIXES", "Source", "Sources", "gather", "paired", "unusable"]

# The word for --trimap that takes the photograph's own alpha channel.
ALPHA = "alpha"
# A trimap in a folder is named like its photograph, with one of these behind the stem.
TRIMAP_SUFFIXES = ("", "_trimap", "-trimap", ".trimap", "_tri")
# What photographs beside their trimaps are often marked with: bulb_rgb.png goes with bulb_trimap.png, too.
PHOTO_SUFFIXES = ("_rgb", "_image", "_img")
STEM, FOLDER = "{stem}", "{folder}"

_NO_TRIMAP = (
    "no --trimap given: a trimap is a grey picture of the photograph's size, black where the background is"
    " sure, white where the subject (foreground) is sure and grey where it is unknown (hair, fur, blurred"
    " edges); paint a rough one over the photograph in any editor, or make one from a mask with"
    " `diffmatte trimap MASK -o TRIMAP`"
)


@dataclass(frozen=True)
class Source:
    """Hold one photograph to matte.

    Attributes:
        image: its path, or ``STREAM``.
        relative: what results are named after: its place below the folder it was found in, without ending.
        trimap: its trimap, ``STREAM``, or None for its own alpha channel.
        output, seed, steps: what a manifest says; None for the run's own.
        frame: its number in a sequence.
    """

    image: Path
    relative: Path
    trimap: Path | None = None
    output: Path | None = None
    seed: int | None = None
    steps: int | None = None
    frame: int | None = None


@dataclass
class Sources:
    """Hold photographs in order, the folders they were found in, and what was wrong on the way."""

    found: list[Source] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def gather(
    inputs: Sequence[str], *, recursive: bool = False, except_in: Path | None = None, role: str = "photograph"
) -> Sources:
    """List the photographs of ``inputs``: files, folders, patterns of frames, or ``-`` alone.

    Folders below are taken with ``recursive`` only, and never ``except_in``, where results go. ``role`` is what
    messages call a picture.

    Raises:
        UsageError: there are no inputs, or ``-`` is not alone.
    """
    if not inputs:
        raise UsageError("no input given: name a photograph, several, a folder, - for standard input, or a --manifest")
    paths = [location(text) for text in inputs]
    if STREAM in paths and len(paths) > 1:
        raise UsageError("standard input (-) brings one photograph: give it alone")
    sources = Sources()
    for text, path in zip(inputs, paths, strict=True):
        if is_pattern(text):
            _add_sequence(sources, text, role)
        elif path != STREAM and is_folder(path):
            _add_folder(sources, path, recursive, except_in, role)
        elif path == STREAM:
            sources.found.append(Source(path, Path("stdin")))
        elif problem := unusable(path, role):
            sources.problems.append(problem)
        else:
            sources.found.append(Source(path, Path(path.stem)))
    return sources


def _add_folder(sources: Sources, folder: Path, recursive: bool, except_in: Path | None, role: str) -> None:
    sources.folders.append(folder)
    try:
        pictures = list(images_in(folder, recursive=recursive, except_in=except_in))
    except UsageError as error:
        sources.problems.append(str(error))
        return
    for path in pictures:
        # What a store has listed it has; asking for each would take a request each.
        if problem := None if is_remote(path) else unusable(path, role):
            sources.problems.append(problem)
        else:
            sources.found.append(Source(path, Path(path.relative_to(folder).parent) / path.stem))
    if not pictures:
        hint = "" if recursive else " (folders below it are looked into with --recursive)"
        sources.problems.append(f"the folder {folder} holds no pictures{hint}")


def _add_sequence(sources: Sources, pattern: str, role: str) -> None:
    try:
        found = frames(pattern)
    except UsageError as error:
        sources.problems.append(str(error))
        return
    for number, path in found.items():
        if problem := unusable(path, role):
            sources.problems.append(problem)
        else:
            sources.found.append(Source(path, Path(path.stem), frame=number))


def unusable(path: Path, role: str) -> str | None:
    """Say what is wrong with the path of a picture."""
    found = kind(path)
    if found is None:
        return f"the {role} {path} does not exist"
    if found == "dead link":
        return f"the {role} {path} is a link that leads nowhere"
    return None if found == "file" else f"the {role} {path} is not a file: give a picture's path"


def paired(sources: Sources, trimap: str | None) -> Sources:
    """Give every photograph its trimap.

    ``trimap`` is a file, a folder, a pattern of frames, a pattern with ``{stem}`` (and, if wanted, ``{folder}``, where
    the photograph lies), ``alpha`` for the photographs' own alpha channel, or ``-``. Where a photograph turns out to be
    another one's trimap, as in a folder that holds both, it is left out.

    Raises:
        UsageError: no trimap is given, or standard input is asked for two things.
    """
    if trimap is None:
        raise UsageError(_NO_TRIMAP)
    if trimap == ALPHA:
        return sources
    path = location(trimap)
    if is_pattern(trimap):
        return _looked_up(sources, lambda source: _of_frame(trimap, source))
    if path != STREAM and STEM in trimap:
        return _looked_up(sources, lambda source: _by_pattern(trimap, source))
    if path != STREAM and is_folder(path):
        listed = cache(_by_stem)
        return _looked_up(sources, lambda source: _in_folder(path, source, listed))
    return _one_for_one(sources, path)


def _one_for_one(sources: Sources, trimap: Path) -> Sources:
    if trimap == STREAM and any(source.image == STREAM for source in sources.found):
        raise UsageError("standard input (-) cannot bring both the photograph and its trimap: name one of them")
    problem = None if trimap == STREAM else unusable(trimap, "trimap")
    if problem is None and len(sources.found) > 1:
        problem = (
            f"one trimap, {trimap}, for {len(sources.found)} photographs: name a folder of trimaps, a pattern with"
            " {stem}, or a --manifest"
        )
    if problem is None and any(identity(source.image) == identity(trimap) for source in sources.found):
        problem = f"{trimap} is given both as the photograph and as its trimap"
    found = [replace(source, trimap=trimap) for source in sources.found]
    return Sources(found, sources.folders, sources.problems + ([problem] if problem is not None else []))


def _looked_up(sources: Sources, find: Callable[[Source], Path]) -> Sources:
    found, failed = [], []
    for source in sources.found:
        try:
            found.append(replace(source, trimap=find(source)))
        except UsageError as error:
            failed.append((source, str(error)))
    trimaps = {identity(source.trimap) for source in found if source.trimap is not None}
    photographs = [source for source in found if identity(source.image) not in trimaps]
    problems = [problem for source, problem in failed if identity(source.image) not in trimaps]
    return Sources(photographs, sources.folders, sources.problems + problems + _shared(photographs))


def _shared(sources: list[Source]) -> list[str]:
    users = defaultdict(list)
    for source in sources:
        users[place(source.trimap or source.image)].append(source)
    return [
        f"{same[0].image} and {same[1].image} would share the trimap {same[0].trimap}: keep trimaps in folders like"
        " the photographs', or use a --manifest"
        for same in users.values()
        if len({source.relative for source in same}) > 1
    ]


def _by_pattern(pattern: str, source: Source) -> Path:
    if source.image == STREAM:
        raise UsageError("a pattern needs the photograph's name, and standard input has none: name the trimap")
    values = {STEM: source.image.stem, FOLDER: str(source.image.parent)}
    filled = re.sub("|".join(map(re.escape, values)), lambda found: values[found[0]], pattern)
    path = below(Path("."), filled)
    if problem := unusable(path, "trimap"):
        raise UsageError(f"{problem}, and {source.image} needs it")
    if identity(path) == identity(source.image):
        raise UsageError(f"{path} is both a photograph and its trimap by the pattern {pattern}")
    return path


def _of_frame(pattern: str, source: Source) -> Path:
    if source.frame is None:
        raise UsageError(f"the trimaps {pattern} are of a sequence, and {source.image} is no frame of one")
    path = frame_path(pattern, source.frame)
    if problem := unusable(path, "trimap"):
        raise UsageError(f"{problem}, and {source.image} needs it")
    return path


def _in_folder(folder: Path, source: Source, listed: Callable[[Path], dict[str, list[Path]] | None]) -> Path:
    if source.image == STREAM:
        raise UsageError("a folder of trimaps needs a name to look for, and standard input has none: name the trimap")
    mirrored = folder / source.relative.parent
    held = folder if listed(mirrored) is None else mirrored
    there = listed(held) or {}
    stem, beside = source.image.stem, identity(held) == identity(source.image.parent)
    suffixes = TRIMAP_SUFFIXES[1:] if beside else TRIMAP_SUFFIXES
    bases = dict.fromkeys((stem, *(stem.removesuffix(mark) for mark in PHOTO_SUFFIXES)))
    fitting = [path for base in bases for suffix in suffixes for path in there.get(base + suffix, ())]
    if not fitting:
        raise UsageError(f"no trimap for {source.image} in {held}: {stem}{suffixes[0]}.png is looked for, and the like")
    if len(fitting) > 1:
        raise UsageError(f"{source.image} has two trimaps, {fitting[0]} and {fitting[1]}: keep one of them")
    if problem := None if is_remote(folder) else unusable(fitting[0], "trimap"):
        raise UsageError(f"{problem}, and {source.image} needs it")
    return fitting[0]


def _by_stem(folder: Path) -> dict[str, list[Path]] | None:
    """Return a folder's pictures by their names without endings; None where there is no such folder."""
    return by_stem(images_in(folder)) if is_folder(folder) else None
