"""Strokes on a trimap: where they paint, and what is no stroke."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffmatte_cli.errors import UsageError
from diffmatte_cli.paint import strokes
from diffmatte_cli.paint.strokes import Stroke, painted, strokes_of

SIDE = 60
EMPTY = np.zeros((SIDE, SIDE), np.uint8)
PLACES = st.tuples(st.floats(-20, SIDE + 20), st.floats(-20, SIDE + 20))


def distance(points: list[tuple[float, float]]) -> np.ndarray:
    """Return how far each pixel's centre is from a line through points."""
    down, across = np.mgrid[:SIDE, :SIDE] + 0.5
    nearest = np.full((SIDE, SIDE), np.inf)
    for (x, y), (to_x, to_y) in pairwise([*points, points[-1]]):
        square = (to_x - x) ** 2 + (to_y - y) ** 2
        along = ((across - x) * (to_x - x) + (down - y) * (to_y - y)) / (square or 1)
        along = np.clip(along, 0, 1)
        nearest = np.minimum(nearest, np.hypot(across - x - along * (to_x - x), down - y - along * (to_y - y)))
    return nearest


@given(points=st.lists(PLACES, min_size=1, max_size=6), radius=st.floats(0.5, 30))
def test_a_brush_paints_what_is_within_its_radius(points: list[tuple[float, float]], radius: float) -> None:
    """But for the pixels that its edge runs through, which the page shows half covered."""
    found, far = painted(EMPTY, [Stroke(255, radius, tuple(points))]) == 255, distance(points)
    assert found[far < radius - 1.5].all()
    assert not found[far > radius + 1.5].any()


def test_a_lasso_fills_what_it_goes_round() -> None:
    square = ((10.0, 10.0), (30.0, 10.0), (30.0, 40.0), (10.0, 40.0))
    found = painted(EMPTY, [Stroke(128, None, square)])
    assert (found[11:39, 11:29] == 128).all()
    assert not found[:, 32:].any()
    assert not found[:9].any()
    assert not painted(EMPTY, [Stroke(128, None, square[:1])]).any()


def test_later_strokes_lie_over_earlier_ones_and_the_trimap_is_kept() -> None:
    over = [Stroke(255, 10, ((30, 30),)), Stroke(128, 5, ((30, 30),)), Stroke(0, 2, ((30, 30),))]
    before = np.full((SIDE, SIDE), 128, np.uint8)
    found = painted(before, over)
    assert [int(found[30, x]) for x in (30, 34, 38, 45)] == [0, 128, 255, 128]
    assert (before == 128).all()


def test_strokes_of_the_page_are_read() -> None:
    values = [[255, 2.5, [1, 2, 3, 4]], [0, None, [0.5, 0.5]]]
    assert strokes_of(values) == (Stroke(255, 2.5, ((1, 2), (3, 4))), Stroke(0, None, ((0.5, 0.5),)))
    assert strokes_of([]) == ()


@pytest.mark.parametrize(
    "values",
    [
        *(None, 3, "abc", {"abc": 1}, [[]], [[255, 2]], [[255, 2, []]], [[255, 2, [1]]], [[7, 2, [1, 1]]]),
        *([[255, 0, [1, 1]]], [[255, -1, [1, 1]]], [[255, math.nan, [1, 1]]], [[255, 2, [math.inf, 1]]]),
        *([[255, 2, [1e9, 1]]], [[255, 2, ["x", 1]]], [[255, 2, [[1], 1]]], [[[], 2, [1, 1]]]),
    ],
)
def test_what_is_no_stroke_is_refused(values: Any) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        strokes_of(values)


def test_points_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strokes, "MOST_POINTS", 2)
    assert strokes_of([[255, 1, [1, 1, 2, 2]]])
    with pytest.raises(UsageError, match="too many strokes"):
        strokes_of([[255, 1, [1, 1, 2, 2]], [255, 1, [1, 1]]])
