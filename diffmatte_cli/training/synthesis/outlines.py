"""Outlines of large objects as coordinates: how far along the edge a pixel lies, and how high above it."""

from dataclasses import dataclass

import cv2
import numpy as np

from .layers import Floats
from .noise import log_uniform, smooth_noise

__all__ = ["Outline", "draw_outline"]


@dataclass(frozen=True)
class Outline:
    """Coordinates of every pixel against an edge that crosses the canvas, both [S, S], in pixels.

    ``along`` runs with the edge; ``height`` is the distance from it, negative inside the object.
    """

    along: Floats
    height: Floats

    def mask(self, softness: float = 1.0) -> Floats:
        """Return the object's opacity, [S, S], falling from 1 to 0 over ``softness`` pixels."""
        return np.asarray(np.clip(0.5 - self.height / max(softness, 1.0), 0, 1), np.float32)

    def edge_points(self, rng: np.random.Generator, count: int) -> tuple[Floats, Floats]:
        """Return points on the edge, [N, 2] as (x, y), and the outward direction there, [N]; N is 0 off the canvas."""
        rows, columns = np.nonzero(np.abs(self.height) < 1)
        if len(rows) == 0:
            return np.zeros((0, 2), np.float32), np.zeros(0, np.float32)
        picks = rng.integers(len(rows), size=count)
        down, right = np.gradient(self.height)
        rows, columns = rows[picks], columns[picks]
        angles = np.arctan2(np.asarray(down)[rows, columns], np.asarray(right)[rows, columns])
        points = np.stack([columns, rows], axis=1) + rng.uniform(-0.5, 0.5, (count, 2))
        return points.astype(np.float32), angles.astype(np.float32)


def draw_outline(rng: np.random.Generator, size: int) -> Outline:
    """Draw an arc of any curvature through the middle of the canvas, uneven, at times with ears or paws on it."""
    sign = -1 if rng.random() < 0.15 else 1
    radius = log_uniform(rng, 0.55 if sign > 0 else 1.0, 5) * size
    outward = rng.uniform(-np.pi, np.pi)
    edge = rng.uniform(0.3, 0.7, 2) * size
    centre = edge - sign * radius * np.array([np.cos(outward), np.sin(outward)])
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    x, y = columns - np.float32(centre[0]), rows - np.float32(centre[1])
    turn = np.float32(outward if sign > 0 else outward + np.pi)
    bearing = np.arctan2(y * np.cos(turn) - x * np.sin(turn), x * np.cos(turn) + y * np.sin(turn))
    along = np.float32(radius) * bearing
    height = np.float32(sign) * (np.hypot(x, y) - np.float32(radius))
    height -= _bumps(rng, along, size)
    along = along + np.float32(rng.uniform(0, 14)) * (smooth_noise(rng, size, rng.uniform(20, 90)) - np.float32(0.5))
    down, right = np.gradient(height)
    slope = cv2.blur(np.hypot(down, right).astype(np.float32), (9, 9))
    return Outline(along.astype(np.float32), (height / np.maximum(slope, 1)).astype(np.float32))


def _bumps(rng: np.random.Generator, along: Floats, size: int) -> Floats:
    """Return how far the edge stands out at each place along it, in pixels."""
    stands = np.zeros_like(along)
    for _ in range(int(rng.integers(2, 7))):
        wave = log_uniform(rng, 12, 2 * size)
        stands += np.float32(wave * rng.uniform(0, 0.04)) * np.sin(
            along * np.float32(2 * np.pi / wave) + rng.uniform(0, 7)
        )
    if rng.random() < 0.35:
        for _ in range(int(rng.integers(1, 4))):
            width, place = rng.uniform(10, 45), rng.uniform(-0.6, 0.6) * size
            shape = np.exp(-(((along - np.float32(place)) / np.float32(width)) ** 2))
            stands += np.float32(width * rng.uniform(0.5, 2.2)) * shape
    return stands
