"""Interpret where results are to go: one file, a sequence, or a folder. Standard library only."""

import re
from collections.abc import Sequence
from pathlib import Path

from ..errors import UsageError
from ..imaging.formats import WRITERS, check_format, names_picture, writer_for
from ..storage.paths import STREAM, Place
from .sequences import is_pattern, known_frames

__all__ = ["check_folder", "composite_mark", "format_of", "results_folder"]


def results_folder(output: Place | None, inputs: Sequence[Place], *, several: bool = False) -> Place | None:
    """Return the folder of the results of ``inputs``, or of ``several``; None for a single file, stream or sequence.

    Raises UsageError if the results need a folder, and ``output`` is none.
    """
    several = several or len(inputs) > 1 or any(place.names_folder for place in inputs)
    named_folder = output is not None and output.names_folder
    into_frames = output is not None and is_pattern(output) and names_picture(output.path)
    of_frames = any(is_pattern(place) and known_frames(place) for place in inputs)
    if not (several or named_folder) and (into_frames or not of_frames):
        return None
    if output is None:
        raise UsageError("several photographs need a folder for their results: name one", "output")
    if output.is_stream:
        raise UsageError("standard output (-) holds one image: name a folder", "output")
    check_folder(output, "the results of several photographs need a folder", "output")
    return output


def check_folder(folder: Place, need: str, setting: str) -> None:
    """Raise UsageError for what is no folder, or would be one that is called like an image."""
    if folder.kind not in (None, "folder"):
        raise UsageError(f"{need}, and {folder} is not one: name a folder", setting)
    if not folder.names_folder and names_picture(folder.path):
        raise UsageError(f"{need}, and {folder} names a single image: name a folder, or {folder}/ to mean one", setting)


def format_of(output: Path, wanted: str | None, bits: int | None, *, opaque: bool = False) -> str:
    """Return the key of the format for a result's suffix; raises UsageError for another than ``wanted``.

    ``opaque`` is whether the result has no transparency.
    """
    if output == STREAM:
        form = wanted or "png"
        check_format(form, bits, opaque=opaque)
        return form
    writer = writer_for(output, bits, opaque=opaque)
    form = next(key for key, other in WRITERS.items() if other is writer)
    if wanted not in (None, form):
        raise UsageError(
            f"the suffix of the result {output} means {form}, but the format is {wanted}: change one", "format"
        )
    return form


def composite_mark(background: str) -> str:
    """Return the mark of composites on a background in their names, as in on_white, on_ff8800 or on_room."""
    path = Path(background)
    return "on_" + "-".join(re.findall(r"[^\W_]+", path.stem if names_picture(path) else background))
