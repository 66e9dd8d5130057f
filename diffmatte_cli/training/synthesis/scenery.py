"""Drawn scenery, in place of photographs where there are none."""

import cv2
import numpy as np

from .layers import Floats
from .noise import clouds, log_uniform, smooth_noise

__all__ = ["draw_scenery"]


def draw_scenery(rng: np.random.Generator, size: int) -> Floats:
    """Draw a picture [S, S, 3] in [0, 1]: clouds of two colours, things with edges before them, and a fine texture."""
    first, second = (_colour(rng) for _ in range(2))
    share = clouds(rng, size, rng.uniform(0.3, 1.5) * size, int(rng.integers(1, 6)))[..., None]
    picture = first + share * (second - first)
    for _ in range(int(rng.integers(0, 9))):
        colour = _colour(rng) + np.float32(0.3) * (smooth_noise(rng, size, size / 4)[..., None] - np.float32(0.5))
        picture += _thing(rng, size)[..., None] * (colour - picture)
    texture = clouds(rng, size, log_uniform(rng, 2, 16), 2)[..., None] - np.float32(0.5)
    picture *= 1 + np.float32(rng.exponential(0.25)) * texture
    return np.clip(picture, 0, 1).astype(np.float32)


def _colour(rng: np.random.Generator) -> Floats:
    """Draw a colour [3], most often a dull one."""
    grey, dull = rng.beta(1.2, 1.2), rng.beta(2, 1)
    return np.asarray(dull * grey + (1 - dull) * rng.random(3), np.float32)


def _thing(rng: np.random.Generator, size: int) -> Floats:
    """Draw the cover [S, S] in [0, 1] of a polygon, an ellipse or a row of stripes, sharp or not."""
    cover = np.zeros((size, size), np.float32)
    kind = rng.random()
    if kind < 0.4:
        corners = rng.uniform(-0.2, 1.2, (int(rng.integers(3, 7)), 2)) * size
        cv2.fillPoly(cover, [corners.astype(np.int32)], 1.0, cv2.LINE_AA)
    elif kind < 0.75:
        centre, axes = (rng.uniform(low, high, 2) * size for low, high in ((0, 1), (0.02, 0.5)))
        shape = (tuple(centre.tolist()), tuple((2 * axes).tolist()), rng.uniform(0, 360))
        cv2.ellipse(cover, shape, 1.0, -1, cv2.LINE_AA)
    else:
        angle, period = rng.uniform(0, np.pi), log_uniform(rng, 6, size)
        places = np.arange(size, dtype=np.float32)
        phase = (np.cos(angle) * places[:, None] + np.sin(angle) * places) * (2 * np.pi / period)
        cover = np.clip(4 * np.sin(phase + rng.uniform(0, 6)) + 0.5, 0, 1).astype(np.float32)
    if rng.random() < 0.4:
        cover = cv2.GaussianBlur(cover, (0, 0), log_uniform(rng, 0.7, 12))
    return np.asarray(cover * np.float32(rng.uniform(0.3, 1)), np.float32)
