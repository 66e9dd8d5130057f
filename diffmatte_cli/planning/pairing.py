"""Give each photograph its trimap: a file, one of a folder or of a sequence, or one by a pattern.

Standard library only; no image is decoded. Problems are collected, to be reported together.
"""

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

from ..errors import Problem, UsageError, listed
from ..imaging.folders import by_stem, images_in
from ..storage.paths import Place, alike, below
from .leftovers import named_like_results, results_among, without
from .sequences import frame_path, is_pattern, known_frames, ranges
from .sources import ALPHA, AUTO, MASK, TRIMAP, Source, Sources, unusable

__all__ = ["GUIDE_SUFFIXES", "PHOTO_SUFFIXES", "STEM", "paired"]

# A trimap or mask in a folder has its photograph's stem with one of these appended.
GUIDE_SUFFIXES = {
    TRIMAP: ("", "_trimap", "-trimap", ".trimap", "_tri"),
    MASK: ("", "_mask", "-mask", ".mask", "_seg"),
}
# Common marks of photographs beside their trimaps: bulb_rgb.png goes with bulb_trimap.png too.
PHOTO_SUFFIXES = ("_rgb", "_image", "_img")
STEM, FOLDER = "{stem}", "{folder}"

_NO_TRIMAP = (
    "no trimap given: a trimap is a grey image of the photograph's size, black where the background is"
    " sure, white where the subject (foreground) is sure and grey where it is unknown (hair, fur, blurred"
    " edges); paint a rough one over the photograph in any editor, or give a mask instead, white subject on black, of"
    " which a trimap is made, as `diffmatte trimap` does"
)


def paired(sources: Sources, trimap: Place | None, guide: str = TRIMAP) -> Sources:
    """Give every photograph its trimap or, as ``guide`` says, its mask.

    ``trimap`` is a file, a folder, a pattern of frames, a pattern with ``{stem}`` (and optionally ``{folder}``, the
    photograph's), ``alpha`` for the photographs' own alpha channel, or ``-``; of masks also ``auto`` for those that a
    model makes. One file serves a whole sequence, and a frame of trimaps all photographs up to the next. Photographs
    that turn out to be trimaps of others, as in a folder of both, are dropped, and so are results of an earlier run.

    Raises:
        UsageError: no trimap is given, or standard input is named twice.
    """
    if trimap is None:
        raise UsageError(_NO_TRIMAP, "trimap", "mask")
    made = guide == MASK and trimap.text == AUTO
    sources = replace(sources, found=[replace(source, guide=AUTO if made else guide) for source in sources.found])
    if made or trimap.text == ALPHA:
        return without(sources, named_like_results(sources.found))
    if STEM in trimap.text:
        return _looked_up(sources, lambda source: _by_pattern(trimap, source))
    named, listing = trimap.found, cache(_by_stem)
    if is_pattern(named) and (any(source.frame is not None for source in sources.found) or known_frames(named)):
        return _in_sequence(sources, named)
    if named.kind == "folder":
        return _looked_up(sources, lambda source: _in_folder(named, source, listing))
    return _one_for_one(sources, named, guide)


def _one_for_one(sources: Sources, trimap: Place, guide: str) -> Sources:
    if trimap.is_stream and any(source.image.is_stream for source in sources.found):
        raise UsageError(f"standard input (-) cannot hold both the photograph and its {guide}: name a file for one")
    problem: Problem | None = None if trimap.is_stream else unusable(trimap, guide)
    if problem is None and len(sources.found) > 1:
        sources = without(sources, named_like_results(sources.found))
        found = [source for source in sources.found if source.image.identity != trimap.identity]
        sources = replace(sources, found=found)
    count = len(sources.found)
    if problem is None and count > 1:
        if _are_frames(sources.found):
            sources.warnings.append(f"the {guide} {trimap} serves all {count} frames")
        else:
            named = f"name a folder of {guide}s, a pattern with {{stem}}, or a manifest"
            problem = UsageError(f"one {guide}, {trimap}, for {count} photographs: {named}", guide, "manifest")
    if problem is None and any(source.image.identity == trimap.identity for source in sources.found):
        problem = f"{trimap} is given as both the photograph and its {guide}"
    found = [replace(source, trimap=trimap) for source in sources.found]
    return replace(sources, found=found, problems=sources.problems + ([problem] if problem is not None else []))


def _are_frames(sources: list[Source]) -> bool:
    """Tell whether photographs are frames of one sequence."""
    return None not in (numbers := {source.frame for source in sources}) and len(numbers) == len(sources)


class _MissingError(UsageError):
    """A photograph without a trimap, which a run may pass by."""


def _looked_up(sources: Sources, find: Callable[[Source], Place]) -> Sources:
    found, unpaired, failed = [], [], []
    for source in sources.found:
        try:
            found.append(replace(source, trimap=find(source)))
        except _MissingError as error:
            unpaired.append(replace(source, unpaired=str(error)))
        except UsageError as error:
            failed.append((source, error))
    trimaps = {source.trimap.identity for source in found if source.trimap is not None}
    photographs = [source for source in found if source.image.identity not in trimaps]
    unpaired = [source for source in unpaired if source.image.identity not in trimaps]
    failures = [problem for source, problem in failed if source.image.identity not in trimaps]
    problems = [*sources.problems, *failures, *_shared(photographs)]
    left = results_among(unpaired, sources.found) if photographs else []
    return without(replace(sources, found=photographs, unpaired=unpaired, problems=problems), left)


def _shared(sources: list[Source]) -> list[Problem]:
    users = defaultdict(list)
    for source in sources:
        users[(source.trimap or source.image).target].append(source)
    return [
        UsageError(
            f"{same[0].image} and {same[1].image} would share the {same[0].guide} {same[0].trimap}: mirror the"
            f" photographs' folders for {same[0].guide}s, or use a manifest",
            "manifest",
        )
        for same in users.values()
        if len({source.relative for source in same}) > 1 and not _are_frames(same)
    ]


def _by_pattern(pattern: Place, source: Source) -> Place:
    if source.image.is_stream:
        raise UsageError(
            f"a pattern needs the photograph's name, and standard input has none: name the {source.guide} file"
        )
    values = {STEM: source.image.path.stem, FOLDER: str(source.image.path.parent)}
    filled = re.sub("|".join(map(re.escape, values)), lambda found: values[found[0]], pattern.text)
    trimap = _usable(pattern.at(below(Path("."), filled)).found, source)
    if trimap.identity == source.image.identity:
        raise UsageError(f"{trimap} is both a photograph and its {source.guide} by the pattern {pattern.text}")
    return trimap


def _in_sequence(sources: Sources, pattern: Place) -> Sources:
    known, held = known_frames(pattern), list[int]()
    numbers = list(known)

    def find(source: Source) -> Place:
        if source.frame is None:
            raise UsageError(f"the {source.guide}s {pattern} are a sequence, and {source.image} is not a frame of one")
        trimap = pattern.at(frame_path(pattern.path, source.frame)).found
        if trimap.kind is None and (before := bisect_right(numbers, source.frame)):
            trimap = known[numbers[before - 1]]
            held.append(source.frame)
        return _usable(trimap, source)

    matched = _looked_up(sources, find)
    if held:
        runs = listed(ranges(held, (source.frame for source in sources.found if source.frame is not None)), 8)
        guide = sources.found[0].guide
        matched.warnings.append(f"frames without a {guide} of their own take the last one before them: {runs}")
    return matched


def _usable(trimap: Place, source: Source) -> Place:
    if problem := unusable(trimap, source.guide):
        kind = _MissingError if trimap.kind is None else UsageError
        raise kind(f"{problem}, and {source.image} needs it")
    return trimap


_Listing = tuple[dict[str, list[Place]], dict[str, list[Place]]]


def _in_folder(folder: Place, source: Source, listing: Callable[[Place], _Listing | None]) -> Place:
    if source.image.is_stream:
        raise UsageError(
            f"a folder of {source.guide}s needs the photograph's name, and standard input has none:"
            f" name the {source.guide} file"
        )
    mirrored = (folder / source.relative.parent).found
    held = folder if listing(mirrored) is None else mirrored
    exact, near = listing(held) or ({}, {})
    stem, beside = source.image.path.stem, held.identity == source.image.parent.identity
    suffixes = GUIDE_SUFFIXES[source.guide][beside:]
    bases = (stem, *(stem[: -len(mark)] for mark in PHOTO_SUFFIXES if stem.lower().endswith(mark)))
    names = [base + suffix for base in bases for suffix in suffixes]
    fitting = [path for name in names for path in exact.get(name, ())]
    fitting = fitting or [path for name in dict.fromkeys(map(alike, names)) for path in near.get(name, ())]
    if not fitting:
        expected = f"expected {stem}{suffixes[0]}.png or similar"
        raise _MissingError(f"no {source.guide} for {source.image} in {held}: {expected}")
    if len(fitting) > 1:
        raise UsageError(f"{source.image} has two {source.guide}s, {fitting[0]} and {fitting[1]}: keep one of them")
    return _usable(fitting[0], source)


def _by_stem(folder: Place) -> _Listing | None:
    """Return a folder's images by stem, and by what is alike in stems; None if the folder does not exist."""
    if folder.kind != "folder":
        return None
    images = list(images_in(folder))
    return by_stem(images), by_stem(images, lambda place: alike(place.stem))
