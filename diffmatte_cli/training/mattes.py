"""Procedural foregrounds: fur, whiskers, soft shapes, nets, glass and smoke with exact alpha.

Every function takes a random generator and a size in pixels and returns a
``Matte``. Strands are drawn three times enlarged and averaged down, so that they
may be thinner than a pixel.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["PROCEDURAL", "Matte", "smooth_noise"]

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
SUPERSAMPLING = 3
# Fraction bits of OpenCV's fixed-point coordinates.
SHIFT = 4


@dataclass(frozen=True)
class Matte:
    """Opacity ``alpha`` [S, S] in [0, 1] and brightness ``shade`` [S, S], around 1, to multiply colours with.

    ``fine`` says that the colours below should be smooth, since ``shade`` already draws strands.
    """

    alpha: Floats
    shade: Floats
    fine: bool = False


def smooth_noise(rng: np.random.Generator, size: int, cell: float) -> Floats:
    """Return noise [size, size] in [0, 1] whose features are about ``cell`` pixels wide."""
    grid = max(2, round(size / cell) + 1)
    noise = rng.random((grid, grid), dtype=np.float32)
    enlarged: Floats = cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.clip(enlarged, 0, 1)


def fur(rng: np.random.Generator, size: int) -> Matte:
    """Draw a body with strands growing over its outline, clumped, curved and tapered."""
    outline = _outline(rng, size)
    large = size * SUPERSAMPLING
    opaque, faint = np.zeros((large, large), np.uint8), np.zeros((large, large), np.uint8)
    shade = np.full((large, large), 128, np.uint8)
    cv2.fillPoly(opaque, [_fixed(outline)], 255, cv2.LINE_AA, SHIFT)
    length, lean = np.exp(rng.uniform(1.4, np.log(size / 4))), rng.normal(0, 0.7)
    width = rng.uniform(0.4, 2.2)
    _comb(rng, shade, outline, length, lean)
    for _ in range(int(np.exp(rng.uniform(3.2, 6.1)))):
        root, normal = _root(rng, outline)
        angle = normal + lean + rng.normal(0, 0.3)
        clump = int(rng.integers(1, 6))
        brightness = int(np.clip(rng.normal(128, 40), 30, 250))
        for _ in range(clump):
            start = (root + rng.normal(0, 1.5, 2)).astype(np.float32)
            strand = _strand(rng, start, angle + rng.normal(0, 0.12), length * rng.lognormal(0, 0.4))
            canvas = opaque if rng.random() < 0.7 else faint
            _draw_strand(canvas, strand, width * rng.uniform(0.5, 1.2), 255)
            _draw_strand(shade, strand, width * 1.5, brightness)
    alpha = 1 - (1 - _shrink(opaque, size)) * (1 - rng.uniform(0.25, 0.85) * _shrink(faint, size))
    return Matte(alpha.astype(np.float32), 2 * _shrink(shade, size), fine=True)


def whiskers(rng: np.random.Generator, size: int) -> Matte:
    """Draw a soft body with a few long, thin, bright or dark lines far out of it."""
    outline = _outline(rng, size)
    large = size * SUPERSAMPLING
    canvas, lines = np.zeros((large, large), np.uint8), np.zeros((large, large), np.uint8)
    shade = np.full((large, large), 128, np.uint8)
    cv2.fillPoly(canvas, [_fixed(outline)], 255, cv2.LINE_AA, SHIFT)
    brightness = int(rng.choice([40, 220, 250]))
    for _ in range(int(rng.integers(3, 25))):
        root, normal = _root(rng, outline)
        strand = _strand(rng, root, normal + rng.normal(0, 0.5), size * rng.uniform(0.2, 0.8))
        width = rng.uniform(0.4, 1.6)
        _draw_strand(lines, strand, width, 255)
        _draw_strand(shade, strand, width + 1, brightness)
    body = cv2.GaussianBlur(_shrink(canvas, size), (0, 0), rng.uniform(0.5, 4))
    alpha = 1 - (1 - body) * (1 - rng.uniform(0.5, 1) * _shrink(lines, size))
    return Matte(alpha.astype(np.float32), 2 * _shrink(shade, size))


def soft_shape(rng: np.random.Generator, size: int) -> Matte:
    """Draw one to three shapes with edges from sharp to far out of focus."""
    alpha = np.zeros((size, size), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        canvas = np.zeros((size, size), np.uint8)
        cv2.fillPoly(canvas, [_fixed(_outline(rng, size), 1)], 255, cv2.LINE_AA, SHIFT)
        sigma = float(np.exp(rng.uniform(-1, 2.3)))
        alpha = np.maximum(alpha, cv2.GaussianBlur(canvas.astype(np.float32) / 255, (0, 0), sigma))
    return Matte(alpha, np.ones_like(alpha))


def net(rng: np.random.Generator, size: int) -> Matte:
    """Draw lace, nets and thin leaves: a warped periodic pattern inside a shape."""
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    warp = rng.uniform(0, 25)
    columns = columns + warp * smooth_noise(rng, size, 60)
    rows = rows + warp * smooth_noise(rng, size, 60)
    angle, period = rng.uniform(0, np.pi), rng.uniform(5, 30)
    u = (columns * np.cos(angle) + rows * np.sin(angle)) * 2 * np.pi / period
    v = (rows * np.cos(angle) - columns * np.sin(angle)) * 2 * np.pi / (period * rng.uniform(0.6, 3))
    pattern = np.maximum(np.sin(u), np.sin(v)) if rng.random() < 0.6 else np.sin(u + 2 * np.sin(v / 3))
    sharpness = period * rng.uniform(0.1, 0.35)
    threads = np.clip((pattern - rng.uniform(0.2, 0.85)) * sharpness + 0.5, 0, 1)
    alpha = threads * soft_shape(rng, size).alpha
    return Matte(alpha.astype(np.float32), np.ones((size, size), np.float32))


def glass(rng: np.random.Generator, size: int) -> Matte:
    """Draw a shape that lets light through, with a denser rim and opaque highlights."""
    shape = soft_shape(rng, size).alpha
    sheer = rng.uniform(0.05, 0.8) + 0.4 * (smooth_noise(rng, size, rng.uniform(20, 90)) - 0.5)
    rim = np.clip(4 * shape * (1 - cv2.GaussianBlur(shape, (0, 0), rng.uniform(3, 12))), 0, 1)
    spots = np.clip(8 * (smooth_noise(rng, size, 25) - rng.uniform(0.75, 1)), 0, 1)
    alpha = shape * np.clip(np.maximum(np.maximum(sheer, rim), spots), 0, 1)
    return Matte(alpha.astype(np.float32), (1 + spots).astype(np.float32))


def smoke(rng: np.random.Generator, size: int) -> Matte:
    """Sum noise over several scales into clouds that fade out."""
    cells = [size / 2**k for k in range(1, 6)]
    density = sum(smooth_noise(rng, size, cell) * cell for cell in cells) / sum(cells)
    density = np.clip((density - rng.uniform(0.3, 0.5)) * rng.uniform(2, 5), 0, 1)
    fade = cv2.GaussianBlur(soft_shape(rng, size).alpha, (0, 0), size / 16)
    return Matte((density * fade).astype(np.float32), np.ones((size, size), np.float32))


# Function, and its share of the procedural samples.
PROCEDURAL: tuple[tuple[Callable[[np.random.Generator, int], Matte], float], ...] = (
    (fur, 0.56),
    (whiskers, 0.14),
    (soft_shape, 0.12),
    (net, 0.06),
    (glass, 0.06),
    (smoke, 0.06),
)


def _outline(rng: np.random.Generator, size: int) -> Floats:
    """Return a smooth closed curve, [N, 2] as (x, y), that usually crosses the canvas."""
    angles = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    radius = np.ones_like(angles)
    for wave in range(1, 9):
        radius += rng.normal(0, 0.25 / wave) * np.cos(wave * angles + rng.uniform(0, 2 * np.pi))
    radius = np.maximum(radius, 0.2) * rng.uniform(0.2, 0.75) * size
    centre = rng.uniform(-0.1, 1.1, 2) * size
    stretch = rng.uniform(0.6, 1.4)
    points = np.stack([np.cos(angles) * radius * stretch, np.sin(angles) * radius], axis=1)
    return np.asarray(points + centre, np.float32)


def _root(rng: np.random.Generator, outline: Floats) -> tuple[Floats, float]:
    """Return a point a little inside the outline and the outward direction there."""
    index = int(rng.integers(len(outline)))
    tangent = outline[(index + 1) % len(outline)] - outline[index - 1]
    normal = float(np.arctan2(-tangent[0], tangent[1]))
    inside = rng.uniform(0, 6)
    return outline[index] - inside * np.array([np.cos(normal), np.sin(normal)], np.float32), normal


def _strand(rng: np.random.Generator, root: Floats, angle: float, length: float) -> Floats:
    """Return points of a curve, [9, 2], that bends evenly with a little waviness."""
    bend, wave = rng.normal(0, 0.9), rng.normal(0, 0.15)
    along = np.linspace(0, 1, 9)
    headings = angle + bend * along + wave * np.sin(along * 7)
    moves = np.stack([np.cos(headings), np.sin(headings)], axis=1) * (length / 8)
    return np.asarray(root + np.cumsum(moves, axis=0) - moves[0], np.float32)


def _draw_strand(canvas: Bytes, strand: Floats, width: float, value: int) -> None:
    """Draw a strand that tapers to its tip; ``width`` in pixels of the final size."""
    thick = width * SUPERSAMPLING
    for first, last, share in ((0, 4, 1.0), (3, 7, 0.7), (6, 9, 0.4)):
        pixels = max(1, round(thick * share))
        cv2.polylines(canvas, [_fixed(strand[first:last])], False, value, pixels, cv2.LINE_AA, SHIFT)


def _comb(rng: np.random.Generator, shade: Bytes, outline: Floats, length: float, lean: float) -> None:
    """Draw the fur that lies on the body: strands of varied brightness along one slowly turning direction."""
    spread = rng.uniform(5, 45)
    size = shade.shape[0] / SUPERSAMPLING
    turn = rng.normal(0, 1.0)
    heading = rng.uniform(0, 2 * np.pi)
    for _ in range(int(rng.uniform(40, 250))):
        root = rng.uniform(0, size, 2).astype(np.float32)
        angle = heading + lean + turn * (root[0] / size) + rng.normal(0, 0.15)
        brightness = int(np.clip(rng.normal(128, spread), 20, 250))
        _draw_strand(shade, _strand(rng, root, angle, length), rng.uniform(0.5, 3), brightness)


def _fixed(points: Floats, scale: int = SUPERSAMPLING) -> NDArray[np.int32]:
    return np.round(points * (scale << SHIFT)).astype(np.int32)


def _shrink(canvas: Bytes, size: int) -> Floats:
    small: Bytes = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(small / 255, np.float32)
