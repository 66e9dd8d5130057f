"""Pelts: strips of dense strands seen from the side, laid along an outline.

A strip is costly to draw and cheap to lay, so each worker keeps those it has
drawn. Strip ``number`` is the same in every process.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from .layers import Bytes, Floats
from .noise import log_uniform, smooth_noise
from .outlines import Outline
from .strands import ENLARGED, SHIFT, Coverage, flatten

__all__ = ["PELTS", "Pelt", "lay_pelt"]

# A strip, in pixels of the enlarged drawing: its width along the outline, its depth, and the room for its tips.
WIDTH, DEPTH, REACH = 1024, 256, 300
# Strips of one kind; more would repeat less, and take longer to draw and more memory (2.3 MB each).
STRIPS = 16
MOST_STRANDS = 9000


@dataclass(frozen=True)
class Pelt:
    """Ranges of strands: ``length`` and ``width`` in pixels, ``clump`` and ``faint`` as shares, the rest in radians."""

    length: tuple[float, float]
    width: tuple[float, float]
    spread: tuple[float, float]
    curl: tuple[float, float]
    clump: tuple[float, float]
    faint: tuple[float, float]


PELTS: dict[str, Pelt] = {
    "short": Pelt((3, 10), (0.5, 1.3), (0.2, 0.6), (0.0, 0.5), (0.0, 0.4), (0.2, 0.7)),
    "coat": Pelt((9, 28), (0.4, 1.3), (0.12, 0.4), (0.1, 0.7), (0.2, 0.8), (0.2, 0.7)),
    "shaggy": Pelt((28, 85), (0.4, 1.2), (0.08, 0.3), (0.2, 0.9), (0.4, 0.95), (0.2, 0.6)),
    "wool": Pelt((6, 20), (0.5, 1.2), (0.4, 1.2), (1.5, 5.0), (0.1, 0.7), (0.3, 0.7)),
    "down": Pelt((8, 30), (0.3, 0.8), (0.3, 0.8), (0.3, 1.5), (0.0, 0.6), (0.6, 1.0)),
    "plumage": Pelt((10, 32), (3.0, 9.0), (0.05, 0.25), (0.0, 0.4), (0.0, 0.2), (0.0, 0.2)),
    "grass": Pelt((25, 90), (1.0, 5.0), (0.1, 0.4), (0.1, 1.0), (0.0, 0.3), (0.0, 0.2)),
}


def lay_pelt(rng: np.random.Generator, outline: Outline, kind: str) -> Coverage:
    """Cover an outline with one of the strips of a kind, leaning and wandering, in a random scale."""
    size = len(outline.height)
    strip = _strip(kind, int(rng.integers(STRIPS)))
    scale = rng.uniform(0.6, 1.25)
    lean = rng.normal(0, 0.9) + rng.normal(0, 0.5) * (smooth_noise(rng, size, size / 1.5) - np.float32(0.5))
    # Strands that lean are sheared; they keep most of their length if they also stand lower.
    height = outline.height * (1 + lean**2) ** np.float32(0.4) / np.float32(scale)
    bent = np.tanh(height / 50) * 50
    along = outline.along * np.float32(rng.choice([-1, 1]) / scale) + lean.astype(np.float32) * bent
    ruffle = rng.uniform(0, 8) * (smooth_noise(rng, size, rng.uniform(8, 40)) - 0.5)
    x = ENLARGED * along + np.float32(rng.uniform(0, WIDTH))
    y = np.float32(REACH) - ENLARGED * (height + ruffle.astype(np.float32))
    # What lies deep repeats the strip's lower half back and forth.
    band = np.float32(DEPTH / 2)
    deep = y - (REACH + DEPTH - band)
    y = np.where(deep > 0, REACH + DEPTH - np.abs(deep % (2 * band) - band), y)
    places = cv2.resize(np.dstack([x, y]).astype(np.float32), None, fx=ENLARGED, fy=ENLARGED)
    fine = cv2.remap(strip, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    fine[places[..., 1] < 0] = 0
    return flatten(fine, size)


@lru_cache(maxsize=STRIPS * len(PELTS))
def _strip(kind: str, number: int) -> Bytes:
    """Draw a strip, [REACH + DEPTH, WIDTH, 4], premultiplied, opaque a little below its roots."""
    pelt = PELTS[kind]
    rng = np.random.default_rng([sorted(PELTS).index(kind), number])
    length = ENLARGED * log_uniform(rng, *pelt.length)
    width = ENLARGED * rng.uniform(*pelt.width)
    solid, faint = (np.zeros((REACH + DEPTH, WIDTH, 4), np.uint8) for _ in range(2))
    _underpaint(rng, solid, length)
    curves, order = _curves(rng, pelt, length, width)
    identity = rng.integers(0, 256, len(order))
    brightness = np.clip(128 + rng.uniform(12, 45) * rng.standard_normal(len(order)), 20, 250)
    see_through = rng.random(len(order)) < rng.uniform(*pelt.faint)
    thick = width * rng.uniform(0.5, 1.3, len(order))
    fixed = np.round(curves * (1 << SHIFT)).astype(np.int32)
    for strand in order:
        for piece, (first, last) in enumerate(((0, 3), (2, 5), (4, 6))):
            canvas = faint if piece == 2 and see_through[strand] else solid
            lit = min(255.0, brightness[strand] * (0.85 + 0.15 * piece))
            paint = (lit, int(identity[strand]), 50 + 85 * piece, 255)
            pixels = max(1, round(float(thick[strand]) * (1.0, 0.75, 0.4)[piece]))
            cv2.polylines(canvas, [fixed[strand, first:last]], False, paint, pixels, cv2.LINE_AA, SHIFT)
    veil = rng.uniform(0.25, 0.8) * faint.astype(np.float32)
    joined = veil + solid * (1 - veil[..., 3:] / 255)
    return np.round(joined).astype(np.uint8)


def _underpaint(rng: np.random.Generator, canvas: Bytes, length: float) -> None:
    """Fill what is below the strands' roots; its upper border is uneven and dark."""
    uneven = smooth_noise(rng, WIDTH, length * 2)[0] * length * rng.uniform(0, 0.5)
    rows = np.arange(REACH + DEPTH)[:, None]
    canvas[rows > REACH + uneven + 0.2 * length] = (105, 128, 25, 255)


def _curves(rng: np.random.Generator, pelt: Pelt, length: float, width: float) -> tuple[Floats, list[int]]:
    """Return strands, [N, 6, 2] as (x, y) in enlarged pixels, and their order: outermost roots first."""
    count = int(np.clip(2.5 * WIDTH * (DEPTH + length) / (length * width), 1500, MOST_STRANDS))
    root = np.stack([rng.uniform(0, WIDTH, count), REACH + rng.random(count) ** 1.2 * (DEPTH + length)], axis=1)
    lock = max(4.0, length * rng.uniform(0.15, 0.5))
    cell = (root / (lock, 1.5 * lock)).astype(int)
    group = cell[:, 0] + 4096 * cell[:, 1]
    _, group = np.unique(group, return_inverse=True)
    members = int(group.max()) + 1
    tight = rng.uniform(*pelt.clump)
    spread, curl = rng.uniform(*pelt.spread), rng.uniform(*pelt.curl)
    angle = -np.pi / 2 + spread * (
        tight * rng.standard_normal(members)[group] + rng.standard_normal(count) * (1 - 0.7 * tight)
    )
    turn = curl * (tight * rng.standard_normal(members)[group] + (1 - tight) * rng.standard_normal(count))
    long = length * np.clip(rng.lognormal(0, 0.3, members)[group] * rng.lognormal(0, 0.25, count), 0.2, 2)
    long = np.minimum(long, REACH * 0.95)
    along = np.linspace(0, 1, 6)
    headings = angle[:, None] + turn[:, None] * along
    moves = np.stack([np.cos(headings), np.sin(headings)], axis=2) * (long / 5)[:, None, None]
    curves = root[:, None] + np.cumsum(moves, axis=1) - moves[:, :1]
    middle = (cell[:, 0] + 0.5) * lock
    gathered = middle + (curves[:, -1, 0].copy() - root[:, 0])
    curves[..., 0] += tight * along**1.5 * (gathered - curves[:, -1, 0])[:, None]
    return curves.astype(np.float32), np.argsort(root[:, 1]).tolist()
