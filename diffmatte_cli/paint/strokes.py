"""Strokes of a brush, as the page tells them, laid on a trimap at the photograph's full size."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..errors import UsageError
from ..trimaps.trimap import BACKGROUND, FOREGROUND, UNKNOWN

__all__ = ["Stroke", "painted", "strokes_of"]

MOST_POINTS = 1_000_000  # of all strokes together: days of painting
_FARTHEST = 1e6  # pixels; no picture is larger
_BAD = "the strokes of the page cannot be read: reload it"


@dataclass(frozen=True)
class Stroke:
    """One stroke, or an area with an outline.

    Attributes:
        level: what it makes known: ``BACKGROUND``, ``UNKNOWN`` or ``FOREGROUND``.
        radius: of the brush, in the photograph's pixels; None for the area that the points go round.
        points: x and y of each, in the photograph's pixels, whose centres lie at halves.
    """

    level: int
    radius: float | None
    points: tuple[tuple[float, float], ...]


def strokes_of(values: Any) -> tuple[Stroke, ...]:
    """Read strokes ``[[level, radius or null, [x, y, x, y, ...]], ...]`` from the page's JSON.

    Raises UsageError for anything else.
    """
    try:
        if sum(len(points) for _, _, points in values) > 2 * MOST_POINTS:
            raise UsageError("there are too many strokes: save the trimap, and open it again to go on")
        return tuple(_stroke(*value) for value in values)
    except (TypeError, ValueError) as error:
        raise UsageError(_BAD) from error


def _stroke(level: Any, radius: Any, numbers: Sequence[Any]) -> Stroke:
    values = [float(number) for number in (*numbers, 0.5 if radius is None else radius)]
    is_sound = all(math.isfinite(value) and abs(value) < _FARTHEST for value in values) and values[-1] > 0
    if level not in (BACKGROUND, UNKNOWN, FOREGROUND) or not is_sound or not numbers:
        raise ValueError
    across, down = values[:-1:2], values[1:-1:2]
    return Stroke(int(level), None if radius is None else values[-1], tuple(zip(across, down, strict=True)))


def painted(trimap: NDArray[np.uint8], strokes: Iterable[Stroke]) -> NDArray[np.uint8]:
    """Return a ``trimap`` [H, W] in {0, 128, 255} with strokes on it, the later ones over the earlier."""
    image = Image.fromarray(trimap)  # a copy
    draw = ImageDraw.Draw(image)
    for stroke in strokes:
        points = [(x - 0.5, y - 0.5) for x, y in stroke.points]  # Pillow counts from the centre of the first pixel
        if stroke.radius is None:
            if len(points) > 1:
                draw.polygon(points, fill=stroke.level)
        else:
            _brush(draw, points, stroke.radius, stroke.level)
    return np.asarray(image)


def _brush(draw: ImageDraw.ImageDraw, points: list[tuple[float, float]], radius: float, level: int) -> None:
    """Draw discs, and bars between them."""
    reach = radius - 0.5  # Pillow's outlines belong to what they enclose
    for x, y in points:
        draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=level) if reach > 0 else draw.point(
            (round(x), round(y)), fill=level
        )
    for (x, y), (to_x, to_y) in pairwise(points):
        length = math.hypot(to_x - x, to_y - y)
        if length > 0:
            aside, ahead = -(to_y - y) / length * max(reach, 0), (to_x - x) / length * max(reach, 0)
            corners = [(x + aside, y + ahead), (to_x + aside, to_y + ahead)]
            corners += [(to_x - aside, to_y - ahead), (x - aside, y - ahead)]
            draw.polygon(corners, fill=level, outline=level)
