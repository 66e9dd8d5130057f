"""Image sequences like ``shot.%04d.exr`` or ``shot.####.exr``, and their results' names. Standard library only."""

import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from ..errors import UsageError
from ..imaging.folders import images_in
from ..storage.paths import STREAM, Place

__all__ = ["beside", "frame_path", "frames", "gaps", "is_pattern", "marked", "remarked", "unmarked"]

# %04d, %d, or one # per digit; the width is a minimum.
_SLOT = re.compile(r"%0?([0-9]*)d|(#+)")


def is_pattern(place: Place) -> bool:
    """Tell whether an argument names a sequence: a slot for the frame number, and no file of that exact name.

    Raises UsageError for a URL that cannot be looked up.
    """
    return len(_SLOT.findall(place.text.rpartition("/")[2])) == 1 and place.kind is None


def frame_path(pattern: Path, number: int) -> Path:
    """Return the path of one frame; a pattern without a slot names one file for all."""
    return pattern.with_name(_SLOT.sub(lambda found: f"{number:0{_width(found)}d}", pattern.name))


def _width(found: re.Match[str]) -> int:
    return len(found[2]) if found[2] else int(found[1] or 1)


def frames(pattern: Place) -> dict[int, Place]:
    """Return the existing frames by number, in order.

    Raises UsageError if there are none, or the folder cannot be listed.
    """
    start, _, _, end = _SLOT.split(pattern.path.name)
    shape = re.compile(f"{re.escape(start)}([0-9]+){re.escape(end)}", re.DOTALL)
    there = {place.path: place for place in images_in(pattern.parent)}
    numbers = sorted(int(match[1]) for path in there if (match := shape.fullmatch(path.name)))
    # A number of another width does not belong to the sequence.
    found = {number: there[path] for number in numbers if (path := frame_path(pattern.path, number)) in there}
    if not found:
        raise UsageError(f"no frames match {pattern}")
    return found


def gaps(numbers: Iterable[int]) -> list[str]:
    """Return the numbers that are missing between the first frame and the last, as in ``["7", "9-12"]``."""
    return [str(a + 1) if b == a + 2 else f"{a + 1}-{b - 1}" for a, b in pairwise(numbers) if b > a + 1]


def marked(name: str, mark: str, frame: int | None) -> str:
    """Return a result's stem with a mark: before the frame number, or else at the end."""
    found = None if frame is None else re.fullmatch(rf"(.*?)([._-]?0*{frame})", name, re.DOTALL)
    return f"{found[1]}_{mark}{found[2]}" if found else f"{name}_{mark}"


def unmarked(name: str, marks: tuple[str, ...]) -> tuple[str, str | None]:
    """Undo ``marked``: return the name and the mark; None for a name without one."""
    plain, mark, digits = _taken_apart(name, marks)
    return plain + digits, mark


def remarked(name: str, mark: str, marks: tuple[str, ...]) -> str:
    """Replace one of ``marks`` in a result's name by another mark; append it if there is none."""
    plain, _, digits = _taken_apart(name, marks)
    return f"{plain}_{mark}{digits}"


def beside(output: Path, mark: str, frame: int | None) -> Path:
    """Return the path of an image written along with a result; raises UsageError for standard output."""
    if output == STREAM:
        setting = {"alpha": "with_alpha", "uncertainty": "uncertainty"}[mark]
        raise UsageError(
            f"standard output (-) holds one image: leave out the {mark} beside it, or name a file", setting, "output"
        )
    marks = ("alpha", "cutout")
    is_marked = unmarked(output.stem, marks)[1] is not None
    name = remarked(output.stem, mark, marks) if is_marked else marked(output.stem, mark, frame)
    return output.with_name(name + ".png")


def _taken_apart(name: str, marks: tuple[str, ...]) -> tuple[str, str | None, str]:
    found = re.fullmatch(rf"(.*)_({'|'.join(marks)})([._-]?[0-9]+)?", name, re.DOTALL)
    return (found[1], found[2], found[3] or "") if found else (name, None, "")
