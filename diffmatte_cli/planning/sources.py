"""Find the photographs to matte, in arguments and folders.

Standard library only; no image is opened. Problems are collected, to be reported together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import Problem, UsageError
from ..imaging.folders import images_in, is_clutter, told_unread
from ..imaging.formats import READABLE_SUFFIXES
from ..storage.paths import Place
from .sequences import frames, gaps, is_pattern

__all__ = ["ALPHA", "AUTO", "MASK", "TRIMAP", "Source", "Sources", "gather", "unusable"]

# As a trimap or a mask: the photograph's own alpha channel.
ALPHA = "alpha"
# What says where the subject is: a trimap, a mask to make one of, or a mask that is made of the photograph.
TRIMAP, MASK, AUTO = "trimap", "mask", "auto"


@dataclass(frozen=True)
class Source:
    """One photograph to matte.

    Attributes:
        image: where it is, or standard input.
        relative: the stem of results: its path below the folder it was found in, without suffix.
        trimap: its trimap or mask, likewise; None for its own alpha channel, or a mask that is made.
        output, seed, steps: from a manifest; None for the request's.
        frame: its number in a sequence.
        unpaired: why it has no trimap; None if it has one.
        guide: what ``trimap`` is: ``TRIMAP``, ``MASK`` or ``AUTO``.
    """

    image: Place
    relative: Path
    trimap: Place | None = None
    output: Path | None = None
    seed: int | None = None
    steps: int | None = None
    frame: int | None = None
    unpaired: str | None = None
    guide: str = TRIMAP


@dataclass
class Sources:
    """Photographs in order, and those without a trimap; the folders they were found in; problems and warnings."""

    found: list[Source] = field(default_factory=list)
    folders: list[Place] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    unpaired: list[Source] = field(default_factory=list)


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
    sources, passed = Sources(), [place for place in inputs if len(inputs) > 1 and _is_beside(place, except_in)]
    for place in [place for place in inputs if place not in passed] or inputs:
        if is_pattern(place):
            _add_sequence(sources, place, role)
        elif place.kind == "folder":
            _add_folder(sources, place, recursive, except_in, role)
        elif place.is_stream:
            sources.found.append(Source(place, Path("stdin")))
        else:
            _add(sources, Source(place.found, Path(place.path.stem)), role)
    if 0 < len(passed) < len(inputs):
        sources.warnings.append(told_unread(passed))
    return sources


def _is_beside(place: Place, results: Place | None) -> bool:
    """Tell whether one of several inputs comes of a shell's pattern only: no image, or the folder of results."""
    if place.is_stream or place.is_remote or is_pattern(place):
        return False
    is_other = place.path.suffix.lower() not in {*READABLE_SUFFIXES, ""} and place.kind == "file"
    is_results = place.kind == "folder" and results is not None and place.target == results.target
    return is_other or is_results or is_clutter(place.path.name)


def _add(sources: Sources, source: Source, role: str) -> None:
    if problem := unusable(source.image, role):
        sources.problems.append(problem)
    else:
        sources.found.append(source)


def _add_folder(sources: Sources, folder: Place, recursive: bool, except_in: Place | None, role: str) -> None:
    sources.folders.append(folder)
    others: list[Place] = []
    try:
        images = list(images_in(folder, recursive=recursive, except_in=except_in, others=others))
    except UsageError as error:
        sources.problems.append(error)
        return
    for place in images:
        _add(sources, Source(place, Path(place.path.relative_to(folder.path).parent) / place.path.stem), role)
    if others and images:
        sources.warnings.append(f"in {folder} {told_unread(others)}")
    if not images:
        left = f" ({told_unread(others)})" if others else ""
        problem = f"the folder {folder} contains no images{left}"
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
