"""Single strands: curves that bend and taper, drawn enlarged so that they may be thinner than a pixel.

A strand's paint has four channels: brightness, identity (differs from strand to
strand), reach (from root to tip) and opacity, each 0 to 255. Drawn on an empty
canvas they come out premultiplied by the opacity.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from .layers import Bytes, Floats

__all__ = ["ENLARGED", "SHIFT", "Coverage", "bend", "draw_blade", "draw_strand", "empty_canvas", "flatten"]

# Strands are drawn this many times larger than they are seen.
ENLARGED = 2
# Fraction bits of OpenCV's fixed-point coordinates.
SHIFT = 4
# How far along a strand its points lie.
ALONG = np.linspace(0, 1, 9)
# Points of a strand between which one piece is drawn, its width and its reach.
PIECES = ((0, 4, 1.0, 40), (3, 6, 0.75, 120), (5, 8, 0.5, 190), (7, 9, 0.25, 240))


@dataclass(frozen=True)
class Coverage:
    """What strands cover: ``alpha``, and ``brightness``, ``identity`` and ``reach`` where it is not 0; all [S, S].

    All lie in [0, 1]; a brightness of 0.5 leaves colours as they are.
    """

    alpha: Floats
    brightness: Floats
    identity: Floats
    reach: Floats


def empty_canvas(size: int) -> Bytes:
    """Return a canvas for strands, [S * ENLARGED, S * ENLARGED, 4]."""
    return np.zeros((size * ENLARGED, size * ENLARGED, 4), np.uint8)


def bend(rng: np.random.Generator, root: Floats, angle: float, length: float, curl: float, wave: float) -> Floats:
    """Return a curve, [9, 2] as (x, y), that turns by about ``curl`` radians in all and swings by ``wave``."""
    headings = angle + curl * ALONG + wave * np.sin(ALONG * rng.uniform(4, 12) + rng.uniform(0, 6))
    moves = np.stack([np.cos(headings), np.sin(headings)], axis=1) * (length / 8)
    return np.asarray(root + np.cumsum(moves, axis=0) - moves[0], np.float32)


def draw_strand(canvas: Bytes, curve: Floats, width: float, brightness: float, identity: float) -> None:
    """Draw a curve that tapers to its tip; ``width`` in pixels as seen, brightness and identity 0 to 255."""
    points = _fixed(curve)
    for first, last, share, reach in PIECES:
        pixels = max(1, round(width * ENLARGED * share))
        paint = (brightness, identity, reach, 255)
        cv2.polylines(canvas, [points[first:last]], False, paint, pixels, cv2.LINE_AA, SHIFT)


def draw_blade(canvas: Bytes, curve: Floats, width: float, brightness: float, identity: float, full: float) -> None:
    """Draw a leaf along a curve, widest ``full`` (0 to 1) of the way, its halves and midrib lit differently."""
    along = np.linspace(0, 1, len(curve))
    profile = (along / full) * np.exp(1 - along / full) * (1 - along**6)
    step = np.gradient(curve, axis=0)
    across = np.stack([-step[:, 1], step[:, 0]], axis=1) / np.maximum(np.linalg.norm(step, axis=1), 1e-3)[:, None]
    side = across * (profile * width / 2)[:, None]
    for way, lit in ((1, 1.0), (-1, 0.82)):
        half = np.concatenate([curve, (curve + way * side)[::-1]]).astype(np.float32)
        cv2.fillPoly(canvas, [_fixed(half)], (brightness * lit, identity, 128, 255), cv2.LINE_AA, SHIFT)
    rib = (min(255, brightness * 1.25), identity, 220, 255)
    cv2.polylines(canvas, [_fixed(curve)], False, rib, max(1, round(width / 6)), cv2.LINE_AA, SHIFT)


def flatten(canvas: Bytes, size: int) -> Coverage:
    """Average a canvas of premultiplied paint down to [size, size]."""
    small = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)
    alpha = small[..., 3]
    rest = small[..., :3] / np.maximum(alpha, 1)[..., None]
    return Coverage(alpha / 255, *(np.ascontiguousarray(np.minimum(rest[..., k], 1)) for k in range(3)))


def _fixed(points: Floats) -> "np.ndarray[tuple[int, ...], np.dtype[np.int32]]":
    return np.round(points * (ENLARGED << SHIFT)).astype(np.int32)
