"""Image sequences: frames by a pattern like ``shot.%04d.exr`` or ``shot.####.exr``. Standard library only."""

import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from ..errors import UsageError
from ..imaging.folders import images_in
from ..storage.paths import STREAM, Place

__all__ = ["beside", "frame_path", "frames", "gaps", "is_pattern", "marked", "remarked", "unmarked"]

# %04d, %d, or one # a digit; the number's width is the least that it has.
_SLOT = re.compile(r"%0?([0-9]*)d|(#+)")


def is_pattern(place: Place) -> bool:
    """Tell whether an argument names a sequence: a slot for the frame's number, and no file of that very name.

    Raises UsageError for a URL at which it cannot be told.
    """
    return len(_SLOT.findall(place.text.rpartition("/")[2])) == 1 and place.kind is None


def frame_path(pattern: Path, number: int) -> Path:
    """Return the path of one frame; a pattern without a slot names one file for all."""
    return pattern.with_name(_SLOT.sub(lambda found: f"{number:0{_width(found)}d}", pattern.name))


def _width(found: re.Match[str]) -> int:
    return len(found[2]) if found[2] else int(found[1] or 1)


def frames(pattern: Place) -> dict[int, Place]:
    """Return the frames that are there, by number and in its order.

    Raises UsageError where there is none, or the folder cannot be looked into.
    """
    start, _, _, end = _SLOT.split(pattern.path.name)
    shape = re.compile(f"{re.escape(start)}([0-9]+){re.escape(end)}", re.DOTALL)
    there = {place.path: place for place in images_in(pattern.parent)}
    numbers = sorted(int(match[1]) for path in there if (match := shape.fullmatch(path.name)))
    # A number that is written in another width is none of the sequence's.
    found = {number: there[path] for number in numbers if (path := frame_path(pattern.path, number)) in there}
    if not found:
        raise UsageError(f"there is no frame {pattern}")
    return found


def gaps(numbers: Iterable[int]) -> list[str]:
    """Return the numbers that are missing between the first frame and the last, as in ``["7", "9-12"]``."""
    return [str(a + 1) if b == a + 2 else f"{a + 1}-{b - 1}" for a, b in pairwise(numbers) if b > a + 1]


def marked(name: str, mark: str, frame: int | None) -> str:
    """Return a result's name without ending, with what it is: before the number of a frame, at the end otherwise."""
    found = None if frame is None else re.fullmatch(rf"(.*?)([._-]?0*{frame})", name, re.DOTALL)
    return f"{found[1]}_{mark}{found[2]}" if found else f"{name}_{mark}"


def unmarked(name: str, marks: tuple[str, ...]) -> tuple[str, str | None]:
    """Return what ``marked`` made a result's name of, and the mark; the name itself and None where it bears none."""
    plain, mark, digits = _taken_apart(name, marks)
    return plain + digits, mark


def remarked(name: str, mark: str, marks: tuple[str, ...]) -> str:
    """Return a result's name with another mark than one of ``marks``, at the end where it bears none of them."""
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
