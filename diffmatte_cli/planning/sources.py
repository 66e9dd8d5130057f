"""Find the photographs to matte, in arguments, folders or a manifest, each with its trimap.

Standard library only; no image is opened. Problems are collected, to be reported together.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from ..errors import Problem, UsageError
from ..imaging.folders import by_stem, images_in
from ..storage.paths import Place, below
from .sequences import frame_path, frames, gaps, is_pattern

__all__ = ["ALPHA", "TRIMAP_SUFFIXES", "Source", "Sources", "gather", "paired", "unusable"]

# As a trimap: the photograph's own alpha channel.
ALPHA = "alpha"
# A trimap in a folder has its photograph's stem with one of these appended.
TRIMAP_SUFFIXES = ("", "_trimap", "-trimap", ".trimap", "_tri")
# Common marks of photographs beside their trimaps: bulb_rgb.png goes with bulb_trimap.png too.
PHOTO_SUFFIXES = ("_rgb", "_image", "_img")
STEM, FOLDER = "{stem}", "{folder}"

_NO_TRIMAP = (
    "no trimap given: a trimap is a grey image of the photograph's size, black where the background is"
    " sure, white where the subject (foreground) is sure and grey where it is unknown (hair, fur, blurred"
    " edges); paint a rough one over the photograph in any editor, or make one from a mask with"
    " `diffmatte trimap MASK -o TRIMAP`"
)


@dataclass(frozen=True)
class Source:
    """One photograph to matte.

    Attributes:
        image: where it is, or standard input.
        relative: the stem of results: its path below the folder it was found in, without suffix.
        trimap: its trimap, likewise; None for its own alpha channel.
        output, seed, steps: from a manifest; None for the request's.
        frame: its number in a sequence.
    """

    image: Place
    relative: Path
    trimap: Place | None = None
    output: Path | None = None
    seed: int | None = None
    steps: int | None = None
    frame: int | None = None


@dataclass
class Sources:
    """Photographs in order, the folders they were found in, problems and warnings."""

    found: list[Source] = field(default_factory=list)
    folders: list[Place] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def gather(
    inputs: Sequence[Place], *, recursive: bool = False, except_in: Place | None = None, role: str = "photograph"
) -> Sources:
    """List the photographs of ``inputs``: files, folders, patterns of frames, or ``-`` alone.

    Subfolders are included with ``recursive`` only, and never ``except_in``, the folder of results. ``role`` is what
    messages call an image.

    Raises:
        UsageError: there are no inputs, or ``-`` is not alone.
    """
    if not inputs:
        raise UsageError(
            "no input given: name a photograph, several, a folder, - for standard input, or a manifest", "manifest"
        )
    if any(place.is_stream for place in inputs) and len(inputs) > 1:
        raise UsageError("standard input (-) holds one photograph: give it alone")
    sources = Sources()
    for place in inputs:
        if is_pattern(place):
            _add_sequence(sources, place, role)
        elif place.kind == "folder":
            _add_folder(sources, place, recursive, except_in, role)
        elif place.is_stream:
            sources.found.append(Source(place, Path("stdin")))
        else:
            _add(sources, Source(place, Path(place.path.stem)), role)
    return sources


def _add(sources: Sources, source: Source, role: str) -> None:
    if problem := unusable(source.image, role):
        sources.problems.append(problem)
    else:
        sources.found.append(source)


def _add_folder(sources: Sources, folder: Place, recursive: bool, except_in: Place | None, role: str) -> None:
    sources.folders.append(folder)
    try:
        images = list(images_in(folder, recursive=recursive, except_in=except_in))
    except UsageError as error:
        sources.problems.append(error)
        return
    for place in images:
        _add(sources, Source(place, Path(place.path.relative_to(folder.path).parent) / place.path.stem), role)
    if not images:
        problem = f"the folder {folder} contains no images"
        sources.problems.append(
            problem if recursive else UsageError(f"{problem}; subfolders are not searched", "recursive")
        )


def _add_sequence(sources: Sources, pattern: Place, role: str) -> None:
    try:
        found = frames(pattern)
    except UsageError as error:
        sources.problems.append(error)
        return
    for number, place in found.items():
        _add(sources, Source(place, Path(place.path.stem), frame=number), role)
    if missing := gaps(found):
        sources.warnings.append(f"{pattern} is missing frames between the first and the last: {', '.join(missing)}")


def unusable(place: Place, role: str) -> str | None:
    """Say why a path is not an image file."""
    if place.kind is None:
        return f"the {role} {place} does not exist"
    if place.kind == "broken symlink":
        return f"the {role} {place} is a broken symlink"
    return None if place.kind == "file" else f"the {role} {place} is not a file: name an image file"


def paired(sources: Sources, trimap: Place | None) -> Sources:
    """Give every photograph its trimap.

    ``trimap`` is a file, a folder, a pattern of frames, a pattern with ``{stem}`` (and optionally ``{folder}``, the
    photograph's), ``alpha`` for the photographs' own alpha channel, or ``-``. Photographs that turn out to be trimaps
    of others, as in a folder of both, are dropped.

    Raises:
        UsageError: no trimap is given, or standard input is named twice.
    """
    if trimap is None:
        raise UsageError(_NO_TRIMAP, "trimap")
    if trimap.text == ALPHA:
        return sources
    if is_pattern(trimap):
        return _looked_up(sources, lambda source: _of_frame(trimap, source))
    if STEM in trimap.text:
        return _looked_up(sources, lambda source: _by_pattern(trimap, source))
    if trimap.kind == "folder":
        listed = cache(_by_stem)
        return _looked_up(sources, lambda source: _in_folder(trimap, source, listed))
    return _one_for_one(sources, trimap)


def _one_for_one(sources: Sources, trimap: Place) -> Sources:
    if trimap.is_stream and any(source.image.is_stream for source in sources.found):
        raise UsageError("standard input (-) cannot hold both the photograph and its trimap: name a file for one")
    problem: Problem | None = None if trimap.is_stream else unusable(trimap, "trimap")
    if problem is None and len(sources.found) > 1:
        problem = UsageError(
            f"one trimap, {trimap}, for {len(sources.found)} photographs: name a folder of trimaps, a pattern with"
            " {stem}, or a manifest",
            *("trimap", "manifest"),
        )
    if problem is None and any(source.image.identity == trimap.identity for source in sources.found):
        problem = f"{trimap} is given as both the photograph and its trimap"
    found = [replace(source, trimap=trimap) for source in sources.found]
    return replace(sources, found=found, problems=sources.problems + ([problem] if problem is not None else []))


def _looked_up(sources: Sources, find: Callable[[Source], Place]) -> Sources:
    found, failed = [], []
    for source in sources.found:
        try:
            found.append(replace(source, trimap=find(source)))
        except UsageError as error:
            failed.append((source, error))
    trimaps = {source.trimap.identity for source in found if source.trimap is not None}
    photographs = [source for source in found if source.image.identity not in trimaps]
    problems = [problem for source, problem in failed if source.image.identity not in trimaps]
    return replace(sources, found=photographs, problems=sources.problems + problems + _shared(photographs))


def _shared(sources: list[Source]) -> list[Problem]:
    users = defaultdict(list)
    for source in sources:
        users[(source.trimap or source.image).target].append(source)
    return [
        UsageError(
            f"{same[0].image} and {same[1].image} would share the trimap {same[0].trimap}: mirror the photographs'"
            " folders for trimaps, or use a manifest",
            "manifest",
        )
        for same in users.values()
        if len({source.relative for source in same}) > 1
    ]


def _by_pattern(pattern: Place, source: Source) -> Place:
    if source.image.is_stream:
        raise UsageError("a pattern needs the photograph's name, and standard input has none: name the trimap file")
    values = {STEM: source.image.path.stem, FOLDER: str(source.image.path.parent)}
    filled = re.sub("|".join(map(re.escape, values)), lambda found: values[found[0]], pattern.text)
    trimap = _usable(pattern.at(below(Path("."), filled)), source)
    if trimap.identity == source.image.identity:
        raise UsageError(f"{trimap} is both a photograph and its trimap by the pattern {pattern.text}")
    return trimap


def _of_frame(pattern: Place, source: Source) -> Place:
    if source.frame is None:
        raise UsageError(f"the trimaps {pattern} are a sequence, and {source.image} is not a frame of one")
    return _usable(pattern.at(frame_path(pattern.path, source.frame)), source)


def _usable(trimap: Place, source: Source) -> Place:
    if problem := unusable(trimap, "trimap"):
        raise UsageError(f"{problem}, and {source.image} needs it")
    return trimap


def _in_folder(folder: Place, source: Source, listed: Callable[[Place], dict[str, list[Place]] | None]) -> Place:
    if source.image.is_stream:
        raise UsageError(
            "a folder of trimaps needs the photograph's name, and standard input has none: name the trimap file"
        )
    mirrored = folder / source.relative.parent
    held = folder if listed(mirrored) is None else mirrored
    trimaps = listed(held) or {}
    stem, beside = source.image.path.stem, held.identity == source.image.parent.identity
    suffixes = TRIMAP_SUFFIXES[1:] if beside else TRIMAP_SUFFIXES
    bases = dict.fromkeys((stem, *(stem.removesuffix(mark) for mark in PHOTO_SUFFIXES)))
    fitting = [path for base in bases for suffix in suffixes for path in trimaps.get(base + suffix, ())]
    if not fitting:
        raise UsageError(f"no trimap for {source.image} in {held}: expected {stem}{suffixes[0]}.png or similar")
    if len(fitting) > 1:
        raise UsageError(f"{source.image} has two trimaps, {fitting[0]} and {fitting[1]}: keep one of them")
    return _usable(fitting[0], source)


def _by_stem(folder: Place) -> dict[str, list[Place]] | None:
    """Return a folder's images by stem; None if the folder does not exist."""
    return by_stem(images_in(folder)) if folder.kind == "folder" else None
