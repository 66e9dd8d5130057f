"""Smooth random fields and the generator's everyday draws, shared by all that is drawn."""

import cv2
import numpy as np

from .layers import Floats

__all__ = ["clouds", "log_uniform", "smooth_noise"]


def smooth_noise(rng: np.random.Generator, size: int, cell: float) -> Floats:
    """Return noise [size, size] in [0, 1] whose features are about ``cell`` pixels wide."""
    grid = max(2, round(size / cell) + 1)
    noise = rng.random((grid, grid), dtype=np.float32)
    enlarged: Floats = cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.clip(enlarged, 0, 1)


def clouds(rng: np.random.Generator, size: int, widest: float, octaves: int) -> Floats:
    """Sum smooth noise over ``octaves`` scales, each half as wide as the one before: [size, size] in [0, 1]."""
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        total += smooth_noise(rng, size, widest / 2**octave) * np.float32(0.5**octave)
    return total / np.float32(2 - 0.5 ** (octaves - 1))


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
