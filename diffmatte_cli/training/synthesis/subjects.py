"""Procedural foregrounds with exact alpha: animals, hair, plush, feathers, plants, solids, lace, glass, smoke.

Every function takes a random generator and a size in pixels and returns layers
from back to front, which together are one object of one coat of colours.
"""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from .noise import log_uniform, smooth_noise
from .outlines import Outline, draw_outline
from .pelts import lay_pelt
from .shapes import feather, glass, lace, plant, smoke, solid
from .strands import Coverage, bend, draw_strand, empty_canvas, flatten
from .surfaces import Matte

__all__ = ["PROCEDURAL", "Matte"]

Draw = Callable[[np.random.Generator, int], list[Matte]]


def animal(rng: np.random.Generator, size: int) -> list[Matte]:
    """Draw one or two furred bodies; at times flyaway hairs or whiskers stand out of the front one."""
    layers = []
    for _ in range(2 if rng.random() < 0.25 else 1):
        outline = draw_outline(rng, size)
        kind = rng.choice(
            ["short", "coat", "shaggy", "wool", "down", "plumage"], p=[0.33, 0.37, 0.13, 0.04, 0.06, 0.07]
        )
        if rng.random() < 0.35:
            layers.append(_fuzz(rng, outline))
        layers.append(_shaded(rng, lay_pelt(rng, outline, str(kind)), outline))
    if rng.random() < 0.4:
        layers.append(_loose_hairs(rng, outline, size))
    if rng.random() < 0.15:
        layers.append(_whiskers(rng, outline, size))
    return layers


def muzzle(rng: np.random.Generator, size: int) -> list[Matte]:
    """Draw short fur with whiskers far out of it."""
    outline = draw_outline(rng, size)
    fur = _shaded(rng, lay_pelt(rng, outline, "short" if rng.random() < 0.6 else "coat"), outline)
    return [fur, _whiskers(rng, outline, size)]


def hair(rng: np.random.Generator, size: int) -> list[Matte]:
    """Draw locks of long hair, lying along the edge of a head and hanging out of it."""
    outline = draw_outline(rng, size)
    layers = [_shaded(rng, lay_pelt(rng, outline, "shaggy" if rng.random() < 0.7 else "coat"), outline)]
    canvas = empty_canvas(size)
    lean, length = rng.choice([-1, 1]) * rng.uniform(0, 1.4), log_uniform(rng, 30, size * 0.9)
    width, sway = rng.uniform(0.35, 1.4), rng.normal(0, 0.7)
    points, angles = outline.edge_points(rng, int(log_uniform(rng, 5, 36)))
    for root, angle in zip(points, angles, strict=True):
        heading, turn = angle + lean + rng.normal(0, 0.25), sway + rng.normal(0, 0.4)
        reach, shade, thickness = length * rng.lognormal(0, 0.3), rng.normal(128, 25), rng.uniform(1, 9)
        for _ in range(int(rng.integers(2, 16))):
            start = root + rng.normal(0, thickness / 2, 2).astype(np.float32)
            curve = bend(
                rng, start, heading + rng.normal(0, 0.06), reach * rng.uniform(0.6, 1.1), turn, rng.uniform(0, 0.2)
            )
            draw_strand(canvas, curve, width * rng.uniform(0.6, 1.3), *_paint(rng, shade))
    return [*layers, _sheer(rng, flatten(canvas, size), 0.6, 1.0)]


def plush(rng: np.random.Generator, size: int) -> list[Matte]:
    """Draw a toy of wool or plush, in one colour, with loose fibres."""
    outline = draw_outline(rng, size)
    body = _shaded(rng, lay_pelt(rng, outline, "wool" if rng.random() < 0.6 else "short"), outline)
    return [replace(body, dyed=True), replace(_loose_hairs(rng, outline, size), dyed=True)]


def meadow(rng: np.random.Generator, size: int) -> list[Matte]:
    """Draw blades of grass."""
    outline = draw_outline(rng, size)
    return [_shaded(rng, lay_pelt(rng, outline, "grass"), outline)]


# Function, and its share of the procedural samples.
PROCEDURAL: tuple[tuple[Draw, float], ...] = (
    (animal, 0.38),
    (muzzle, 0.14),
    (hair, 0.12),
    (plush, 0.06),
    (meadow, 0.04),
    (feather, 0.05),
    (plant, 0.05),
    (solid, 0.09),
    (lace, 0.02),
    (glass, 0.03),
    (smoke, 0.02),
)


def _fuzz(rng: np.random.Generator, outline: Outline) -> Matte:
    """Draw a haze of hairs too fine to be told apart, to stand out from behind a fur."""
    wider = Outline(outline.along, outline.height - np.float32(rng.uniform(-3, 3)))
    kind = rng.choice(["down", "coat", "shaggy"])
    haze = _sheer(rng, lay_pelt(rng, wider, str(kind)), 0.15, 0.6)
    sigma = rng.uniform(0.3, 2.5)
    return replace(haze, alpha=np.asarray(cv2.GaussianBlur(haze.alpha, (0, 0), sigma), np.float32))


def _loose_hairs(rng: np.random.Generator, outline: Outline, size: int) -> Matte:
    """Draw single hairs, some lying over the body and some flying away from it."""
    canvas = empty_canvas(size)
    length, width = log_uniform(rng, 10, 90), rng.uniform(0.25, 0.8)
    lean = rng.normal(0, 0.6)
    for root, angle in zip(*outline.edge_points(rng, int(log_uniform(rng, 5, 90))), strict=True):
        heading = angle + lean + rng.normal(0, 0.5)
        curve = bend(rng, root, heading, length * rng.lognormal(0, 0.4), rng.normal(0, 0.9), rng.uniform(0, 0.4))
        draw_strand(canvas, curve, width * rng.uniform(0.6, 1.5), *_paint(rng, 135))
    return _sheer(rng, flatten(canvas, size), 0.3, 0.9)


def _whiskers(rng: np.random.Generator, outline: Outline, size: int) -> Matte:
    """Draw long thin lines out of a patch of the edge, mostly white, at times dark."""
    canvas = empty_canvas(size)
    points, angles = outline.edge_points(rng, 200)
    if len(points):
        near = np.argsort(np.linalg.norm(points - points[0], axis=1))[: int(rng.integers(20, 200))]
        fan, sag = rng.normal(0, 0.5), rng.normal(0, 0.5)
        for pick in rng.choice(near, int(log_uniform(rng, 3, 40))):
            heading = angles[pick] + fan + rng.normal(0, 0.3)
            root = points[pick] - rng.uniform(0, 25) * np.array([np.cos(heading), np.sin(heading)], np.float32)
            curve = bend(rng, root, heading, size * rng.uniform(0.2, 0.9), sag + rng.normal(0, 0.3), 0.0)
            draw_strand(canvas, curve, rng.uniform(0.4, 1.5), *_paint(rng, 128))
    bright = rng.uniform(0.75, 1.0) if rng.random() < 0.8 else rng.uniform(0, 0.2)
    return replace(_sheer(rng, flatten(canvas, size), 0.5, 1.0), colour=(bright, bright * 0.99, bright * 0.96))


def _shaded(rng: np.random.Generator, cover: Coverage, outline: Outline) -> Matte:
    """Turn a pelt's strands into shading: darker roots, a band of sheen, a rim of light, and two colours."""
    matte = _strand_matte(rng, cover)
    inside = np.clip(-outline.height / rng.uniform(15, 70), 0, 1)
    light = rng.normal(0, 0.3) * (1 - inside) + rng.normal(0, 0.25) * (smooth_noise(rng, len(inside), 70) - 0.5)
    return replace(matte, shade=matte.shade * (1 + light.astype(np.float32)))


def _sheer(rng: np.random.Generator, cover: Coverage, low: float, high: float) -> Matte:
    """Turn single strands into a matte of one opacity drawn between ``low`` and ``high``."""
    matte = _strand_matte(rng, cover)
    return replace(matte, alpha=matte.alpha * np.float32(rng.uniform(low, high)))


def _strand_matte(rng: np.random.Generator, cover: Coverage) -> Matte:
    contrast = np.float32(rng.uniform(0.3, 1.3))
    shade = 1 + contrast * (2 * cover.brightness - 1)
    shade *= 1 - np.float32(rng.uniform(0, 0.35)) * (1 - cover.reach)
    band = np.exp(-(((cover.reach - np.float32(rng.uniform(0.2, 0.8))) / np.float32(0.15)) ** 2))
    shade *= 1 + np.float32(max(0, rng.normal(0.05, 0.2))) * band
    tone = np.float32(rng.normal(0, 0.35)) * (cover.identity - 0.5) + np.float32(rng.normal(0, 0.4)) * (
        cover.reach - 0.4
    )
    return Matte(cover.alpha, np.maximum(shade, 0.05).astype(np.float32), tone.astype(np.float32), fine=True)


def _paint(rng: np.random.Generator, brightness: float) -> tuple[float, float]:
    """Draw brightness and identity of one strand, 0 to 255."""
    return float(np.clip(rng.normal(brightness, 30), 20, 250)), float(rng.integers(256))
