"""Foregrounds that are not fur: feathers, plants, hard-edged solids, lace, glass and smoke."""

import cv2
import numpy as np

from .layers import Bytes, Floats
from .noise import clouds, log_uniform, smooth_noise
from .outlines import draw_outline
from .strands import ENLARGED, Coverage, bend, draw_blade, draw_strand, empty_canvas, flatten
from .surfaces import Matte

__all__ = ["feather", "glass", "lace", "plant", "smoke", "solid"]


def feather(rng: np.random.Generator, size: int) -> list[Matte]:
    """Draw feathers: a rachis with barbs that hook together, split here and there, and down at the root."""
    canvas = empty_canvas(size)
    for _ in range(int(rng.integers(1, 3))):
        heading, length = rng.uniform(-np.pi, np.pi), size * rng.uniform(0.5, 1.3)
        root = rng.uniform(0.3, 0.7, 2) * size - length / 2 * np.array([np.cos(heading), np.sin(heading)])
        spine = bend(rng, root.astype(np.float32), heading, length, rng.normal(0, 0.5), 0.02)
        _barbs(rng, canvas, spine, length * rng.uniform(0.08, 0.28), rng.uniform(0.5, 1.5))
        draw_strand(canvas, spine, rng.uniform(1.5, 4), rng.uniform(120, 240), 128)
    return [_from_coverage(rng, flatten(canvas, size))]


def plant(rng: np.random.Generator, size: int) -> list[Matte]:
    """Draw thin stems with sharp-edged leaves."""
    canvas = empty_canvas(size)
    slim = rng.uniform(0.12, 0.6)
    for _ in range(int(rng.integers(1, 5))):
        heading, length = rng.uniform(-np.pi, np.pi), size * rng.uniform(0.5, 1.4)
        root = rng.uniform(0.2, 0.8, 2) * size - length / 2 * np.array([np.cos(heading), np.sin(heading)])
        stem = bend(rng, root.astype(np.float32), heading, length, rng.normal(0, 0.7), 0.1)
        draw_strand(canvas, stem, rng.uniform(0.8, 5), rng.uniform(80, 170), 40)
        for number in range(int(rng.integers(2, 12))):
            place = stem[int(rng.integers(len(stem)))]
            side = heading + (-1) ** number * rng.uniform(0.4, 1.3)
            reach = size * log_uniform(rng, 0.06, 0.5)
            leaf = bend(rng, place, side, reach, rng.normal(0, 0.6), 0.05)
            tint = float(rng.integers(256))
            draw_blade(
                canvas, leaf, reach * slim, float(np.clip(rng.normal(128, 30), 40, 220)), tint, rng.uniform(0.25, 0.55)
            )
    return [_from_coverage(rng, flatten(canvas, size))]


def solid(rng: np.random.Generator, size: int) -> list[Matte]:
    """Draw a hard-edged object, at times with holes or thin rods, its surface from a photograph."""
    outline = draw_outline(rng, size)
    body = outline.mask(rng.uniform(1, 2.5))
    canvas = np.zeros((size * ENLARGED, size * ENLARGED), np.uint8)
    for _ in range(int(rng.integers(0, 5))):
        corners = rng.uniform(-0.2, 1.2, (2, 2)) * size * ENLARGED
        ends = [tuple(int(v) for v in corner) for corner in corners]
        cv2.line(canvas, ends[0], ends[1], 255, int(ENLARGED * log_uniform(rng, 0.7, 14)), cv2.LINE_AA)
    holes = np.zeros_like(canvas)
    for _ in range(int(rng.integers(1, 7)) if rng.random() < 0.3 else 0):
        centre = tuple(int(v) for v in rng.uniform(0, size * ENLARGED, 2))
        axes = tuple(int(ENLARGED * log_uniform(rng, 3, 35)) for _ in range(2))
        cv2.ellipse(holes, centre, axes, rng.uniform(0, 180), 0, 360, 255, -1, cv2.LINE_AA)
    rods, gaps = (
        cv2.resize(c, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255 for c in (canvas, holes)
    )
    alpha = np.maximum(body * (1 - gaps), rods)
    round_off = 1 + np.float32(rng.normal(0, 0.4)) * np.clip(1 + outline.height / np.float32(rng.uniform(5, 40)), 0, 1)
    shade = np.clip(np.where(rods > body, 1.0, round_off), 0.2, 2).astype(np.float32)
    return [Matte(alpha, shade, np.zeros_like(alpha), dyed=bool(rng.random() < 0.3))]


def lace(rng: np.random.Generator, size: int) -> list[Matte]:
    """Draw lace and nets: threads of a warped periodic pattern inside a shape, with a hem."""
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    warp = np.float32(rng.uniform(0, 25))
    columns = columns + warp * smooth_noise(rng, size, 60)
    rows = rows + warp * smooth_noise(rng, size, 60)
    angle, period = rng.uniform(0, np.pi), rng.uniform(5, 30)
    u = (columns * np.cos(angle) + rows * np.sin(angle)) * 2 * np.pi / period
    v = (rows * np.cos(angle) - columns * np.sin(angle)) * 2 * np.pi / (period * rng.uniform(0.6, 3))
    pattern = np.maximum(np.sin(u), np.sin(v)) if rng.random() < 0.6 else np.sin(u + 2 * np.sin(v / 3))
    sharpness = period * rng.uniform(0.1, 0.35)
    threads = np.clip((pattern - rng.uniform(0.2, 0.8)) * sharpness + 0.5, 0, 1).astype(np.float32)
    outline = draw_outline(rng, size)
    hem = np.clip(1.5 - np.abs(outline.height + 3) / 2, 0, 1)
    alpha = np.maximum(threads * outline.mask(1.5), hem).astype(np.float32)
    shade = (0.7 + 0.5 * threads) * (1 + 0.2 * np.sin(u * 6).astype(np.float32))
    return [Matte(alpha, shade.astype(np.float32), np.zeros_like(alpha), fine=True)]


def glass(rng: np.random.Generator, size: int) -> list[Matte]:
    """Draw a body that lets light through: tinted, with a denser rim, and opaque white highlights."""
    outline = draw_outline(rng, size)
    shape = outline.mask(rng.uniform(1, 2))
    sheer = np.float32(rng.uniform(0.05, 0.7)) + np.float32(0.4) * (
        smooth_noise(rng, size, rng.uniform(20, 90)) - np.float32(0.5)
    )
    rim = np.exp(np.minimum(outline.height, 0) / np.float32(rng.uniform(2, 10))) * np.float32(rng.uniform(0.3, 1))
    body = shape * np.clip(np.maximum(sheer, rim), 0, 1)
    streak = clouds(rng, size, rng.uniform(30, 120), 2) - np.float32(rng.uniform(0.6, 0.75))
    light = shape * np.clip(streak * np.float32(rng.uniform(8, 30)), 0, 1) * np.float32(rng.uniform(0.5, 1))
    plain, zero = np.ones_like(body), np.zeros_like(body)
    tint = Matte(
        body.astype(np.float32), (plain - np.float32(rng.uniform(-0.3, 0.6)) * rim * shape).astype(np.float32), zero
    )
    return [tint, Matte(light.astype(np.float32), plain, zero, colour=(0.97, 0.98, 1.0))]


def smoke(rng: np.random.Generator, size: int) -> list[Matte]:
    """Sum noise over several scales into clouds that fade out."""
    density = np.clip((clouds(rng, size, size / 2, 5) - rng.uniform(0.3, 0.5)) * rng.uniform(2, 5), 0, 1)
    alpha = (density * draw_outline(rng, size).mask(size / 3)).astype(np.float32)
    grey = rng.uniform(0.3, 1)
    return [
        Matte(alpha, 0.8 + 0.3 * clouds(rng, size, 40, 2), np.zeros_like(alpha), fine=True, colour=(grey, grey, grey))
    ]


def _barbs(rng: np.random.Generator, canvas: Bytes, spine: Floats, length: float, width: float) -> None:
    """Draw barbs on both sides of a spine: shorter towards its ends, in groups that lean alike."""
    count = int(np.clip(np.linalg.norm(spine[-1] - spine[0]) / 2, 40, 100))
    fine = cv2.resize(spine, (2, count), interpolation=cv2.INTER_LINEAR)
    steps = np.gradient(fine, axis=0)
    headings = np.arctan2(steps[:, 1], steps[:, 0])
    rake, group = rng.uniform(0.4, 1.0), np.zeros((2, count))
    for side in range(2):
        splits = np.cumsum(rng.random(count) < 0.06)
        group[side] = rng.normal(0, 0.16, splits.max() + 1)[splits]
    envelope = np.sin(np.pi * np.linspace(0.06, 0.97, count)) ** 0.6
    for number in range(count):
        fluff = max(0.0, 0.25 - number / count) * 4
        for side, way in enumerate((1, -1)):
            angle = headings[number] + way * (rake + group[side, number] + rng.normal(0, 0.02 + 0.5 * fluff))
            reach = length * envelope[number] * rng.uniform(0.9, 1.05)
            barb = bend(rng, fine[number], angle, reach, -way * 0.4 + rng.normal(0, 0.1 + fluff), 0.02)
            draw_strand(canvas, barb, width * (1 - 0.5 * fluff), float(rng.normal(128, 18)), float(rng.integers(256)))


def _from_coverage(rng: np.random.Generator, cover: Coverage) -> Matte:
    """Take brightness as shading, and identity as a shift of colour."""
    shade = 1 + np.float32(rng.uniform(0.4, 1.2)) * (2 * cover.brightness - 1)
    tone = np.float32(rng.normal(0, 0.4)) * (cover.identity - np.float32(0.5))
    return Matte(cover.alpha, np.maximum(shade, 0.05).astype(np.float32), tone.astype(np.float32), fine=True)
