"""Image sequences like ``shot.%04d.exr`` or ``shot.####.exr``, and their results' names. Standard library only."""

import re
from collections.abc import Iterable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from ..errors import UsageError
from ..imaging.folders import find_alike, images_in
from ..storage.paths import STREAM, Place, alike

__all__ = ["beside", "frame_path", "frames", "gaps", "is_pattern", "known_frames", "marked", "ranges"]
__all__ += ["off_background", "remarked", "unmarked"]

# %04d, %d, or one # per digit; the width is a minimum. More digits than a file's name could hold are letters.
_SLOT = re.compile(r"%0?([0-9]{0,2})d|(#{1,99})")
# A composite's stem: the photograph's, what it is laid on, and a frame's number.
_ON = re.compile(r"(.*)_on_[^\W_]+(?:-[^\W_]+)*?([._][0-9]+)?", re.DOTALL)


def is_pattern(place: Place) -> bool:
    """Tell whether an argument may name a sequence: a slot for the frame number, and no file of that name.

    Raises UsageError for a URL that cannot be looked up.
    """
    return _slot(place.text.rpartition("/")[2]) is not None and place.kind is None


def _slot(name: str) -> re.Match[str] | None:
    """Return the place of a frame's number: the last slot, since # may be a letter before it."""
    return next(reversed(list(_SLOT.finditer(name))), None)


def frame_path(pattern: Path, number: int) -> Path:
    """Return the path of one frame; a pattern without a slot names one file for all."""
    name = pattern.name
    if (slot := _slot(name)) is None:
        return pattern
    width = len(slot[2]) if slot[2] else int(slot[1] or 1)
    return pattern.with_name(f"{name[: slot.start()]}{number:0{width}d}{name[slot.end() :]}")


def frames(pattern: Place) -> dict[int, Place]:
    """Return the existing frames by number, in order.

    Raises UsageError if there are none, or the folder cannot be listed.
    """
    name = pattern.path.name
    slot = _slot(name)
    assert slot is not None
    there = {place.path.name: place for place in images_in(pattern.parent.found)}
    start, end = (re.escape(alike(part)) for part in (name[: slot.start()], name[slot.end() :]))
    shape = re.compile(f"{start}([0-9]+){end}", re.DOTALL)
    numbers = sorted({int(match[1]) for name in there if (match := shape.fullmatch(alike(name)))})
    # A number of another width does not belong to the sequence.
    names = {number: frame_path(pattern.path, number).name for number in numbers}
    places = find_alike(there, names.values())
    found = {number: places[name] for number, name in names.items() if name in places}
    if not found:
        raise UsageError(f"no frames match {pattern}, and no file has that very name")
    return found


def known_frames(pattern: Place) -> dict[int, Place]:
    """Return the existing frames as ``frames`` does, but none where it raises."""
    with suppress(UsageError):
        return frames(pattern)
    return {}


def gaps(numbers: Iterable[int]) -> list[str]:
    """Return the numbers that are missing between the first frame and the last, as in ``["7", "9-12"]``."""
    return [str(a + 1) if b == a + 2 else f"{a + 1}-{b - 1}" for a, b in pairwise(numbers) if b > a + 1]


def ranges(numbers: Iterable[int], among: Iterable[int]) -> list[str]:
    """Return some of a sequence's numbers, ``among`` all, in runs without gaps, as in ``["7", "9-12"]``."""
    chosen, runs = set(numbers), [list[int]()]
    for number in among:
        if number in chosen:
            runs[-1].append(number)
        elif runs[-1]:
            runs.append([])
    return [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs if run]


def marked(name: str, mark: str, frame: int | None) -> str:
    """Return a result's stem with a mark: before the frame number, or else at the end."""
    found = None if frame is None else re.fullmatch(rf"(.*?)([._-]?0*{frame})", name, re.DOTALL)
    return f"{found[1]}_{mark}{found[2]}" if found else f"{name}_{mark}"


def unmarked(name: str, marks: tuple[str, ...]) -> tuple[str, str | None]:
    """Undo ``marked``: return the name and the mark, in lower case; None for a name without one."""
    plain, mark, digits = _taken_apart(name, marks)
    return plain + digits, mark


def off_background(name: str) -> str | None:
    """Return a composite's stem without what it is laid on; None for a name that is not a composite's."""
    found = _ON.fullmatch(name)
    return f"{found[1]}{found[2] or ''}" if found else None


def remarked(name: str, mark: str, marks: tuple[str, ...]) -> str:
    """Replace one of ``marks`` in a result's name by another mark; append it if there is none."""
    plain, _, digits = _taken_apart(name, marks)
    return f"{plain}_{mark}{digits}"


def beside(output: Path, mark: str, frame: int | None) -> Path:
    """Return the path of an image written along with a result; raises UsageError for standard output."""
    if output == STREAM:
        setting = {"alpha": "with_alpha", "cutout": "cutout", "uncertainty": "uncertainty"}[mark]
        raise UsageError(
            f"standard output (-) holds one image: leave out the {mark} beside it, or name a file", setting, "output"
        )
    marks = ("alpha", "cutout")
    is_marked = unmarked(output.stem, marks)[1] is not None
    name = remarked(output.stem, mark, marks) if is_marked else marked(output.stem, mark, frame)
    return output.with_name(name + ".png")


def _taken_apart(name: str, marks: tuple[str, ...]) -> tuple[str, str | None, str]:
    found = re.fullmatch(rf"(.*)_((?ai:{'|'.join(marks)}))([._-]?[0-9]+)?", name, re.DOTALL)
    return (found[1], found[2].lower(), found[3] or "") if found else (name, None, "")
