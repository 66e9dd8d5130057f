"""Recognise what an earlier run has left among photographs. Standard library only; no image is decoded."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import listed
from ..imaging.formats import EXACT_SUFFIXES, WRITTEN_SUFFIXES
from ..storage.paths import Place, alike
from .dumps import TRAJECTORY, is_dumped
from .sequences import off_background, unmarked
from .sources import Source, Sources

__all__ = ["has_receipt", "named_like_results", "results_among", "without"]

_MARKS = ("alpha", "cutout", "uncertainty")
_RECEIPT = b"diffmatte"  # the key of every receipt, which stands before or behind the pixels
_PART = 2**16


def named_like_results(sources: Sequence[Source]) -> list[Source]:
    """Return the images that are named like results of others in their folder."""
    return _named_like_results(sources, sources)


def results_among(unpaired: Sequence[Source], photographs: Sequence[Source]) -> list[Source]:
    """Return what an earlier run has written, by its name beside one of ``photographs`` or by its receipt."""
    named = set(_named_like_results(unpaired, photographs))
    return [source for source in unpaired if source in named or _is_step(source) or has_receipt(source.image)]


def without(sources: Sources, results: Sequence[Source]) -> Sources:
    """Return the sources without an earlier run's results, and a warning that tells of them."""
    if not results:
        return sources
    names = listed([str(source.image) for source in results])
    count = "1 image is" if len(results) == 1 else f"{len(results)} images are"
    warnings = [*sources.warnings, f"{count} taken for results of an earlier run, and left out: {names}"]
    groups, left = (sources.found, sources.unpaired), set(results)
    found, unpaired = ([source for source in group if source not in left] for group in groups)
    return replace(sources, found=found, unpaired=unpaired, warnings=warnings)


def _named_like_results(sources: Sequence[Source], photographs: Sequence[Source]) -> list[Source]:
    names = {(source.image.path.parent, alike(source.image.stem)) for source in photographs}

    def is_result(source: Source) -> bool:
        path, (name, mark) = source.image.path, unmarked(source.image.stem, _MARKS)
        if mark is not None and path.suffix.lower() in EXACT_SUFFIXES:
            return (path.parent, alike(name)) in names
        # A composite; but photographs may be called so, too.
        subject = off_background(path.stem)
        return subject is not None and (path.parent, alike(subject)) in names and has_receipt(source.image)

    return [source for source in sources if is_result(source)]


def _is_step(source: Source) -> bool:
    return is_dumped(source.image.path.name) and (source.image.parent / TRAJECTORY).kind == "file"


def has_receipt(image: Place) -> bool:
    """Look for a receipt's key at both ends of a file, without decoding it."""
    path: Path = image.path
    if image.is_remote or image.is_stream or path.suffix.lower() not in WRITTEN_SUFFIXES:
        return False
    try:
        with path.open("rb") as file:
            head = file.read(_PART)
            file.seek(max(0, os.fstat(file.fileno()).st_size - _PART))
            return _RECEIPT in head or _RECEIPT in file.read(_PART)
    except OSError:
        return False
