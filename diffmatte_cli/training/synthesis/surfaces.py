"""Surfaces: what a drawn layer leaves open, and the coat of colours that fills it."""

from dataclasses import dataclass

import cv2
import numpy as np

from .layers import NATURAL, Floats
from .noise import clouds, log_uniform, smooth_noise

__all__ = ["Coat", "Matte", "draw_coat", "paint"]


@dataclass(frozen=True)
class Matte:
    """One layer without its colours, all maps [S, S].

    ``alpha`` in [0, 1]; ``shade``, around 1, multiplies the colours; ``tone``, around 0, is the share of the
    coat's second colour. ``fine``: strands or veins are drawn already, so the colours below should be smooth.
    ``dyed``: one artificial colour. ``colour``: RGB in [0, 1] in place of the coat.
    """

    alpha: Floats
    shade: Floats
    tone: Floats
    fine: bool = False
    dyed: bool = False
    colour: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Coat:
    """Colours of an object: ``base`` [S, S, 3] in [0, 1], and a ``second`` one [3] for tips or single strands."""

    base: Floats
    second: Floats


def draw_coat(rng: np.random.Generator, texture: Floats, matte: Matte) -> Coat:
    """Draw a coat for a layer out of a photograph's ``texture`` [S, S, 3], often in natural or dyed colours."""
    size = len(texture)
    base = texture
    if matte.fine:
        base = _soften(texture, rng.uniform(2, 6) if rng.random() < 0.15 else rng.uniform(6, 40))
    mean = _mean(base)
    base = np.asarray(mean + (base - mean) * np.float32(rng.uniform(0.25, 1.0)), np.float32)
    if matte.fine:
        # Nothing that grows is as colourful as what people paint.
        base = _greyer(base, rng.uniform(0, 0.7))
    if matte.dyed:
        base = base - mean + np.asarray(rng.beta(0.8, 0.8, 3), np.float32)
    elif rng.random() < (0.75 if matte.fine else 0.2):
        hue = _natural(rng)
        light = _grey(base - mean)
        tints = np.float32(rng.uniform(0, 0.4)) * (base - mean - light)
        base = np.asarray(hue + light * (0.5 + hue) + tints, np.float32)
    second = np.clip(_mean(base) * rng.uniform(0.3, 1.8) + rng.normal(0, 0.05, 3), 0, 1)
    if rng.random() < 0.25:
        spots = clouds(rng, size, rng.uniform(30, 200), 3) - np.float32(rng.uniform(0.4, 0.6))
        share = np.clip(8 * spots + np.float32(0.5), 0, 1) * np.float32(rng.uniform(0.5, 1))
        base = base + share[..., None] * (_natural(rng) - base)
    if rng.random() < (0.12 if matte.fine else 0.3):
        base = _printed(rng, base)
    slope = 1 + np.linspace(-1, 1, size, dtype=np.float32)[:, None] * np.float32(rng.normal(0, 0.18))
    slope = slope * (1 + np.float32(rng.normal(0, 0.2)) * (smooth_noise(rng, size, size / 2) - np.float32(0.5)))
    base = base * slope[..., None]
    return Coat(np.clip(base, 0.01, 1).astype(np.float32), second.astype(np.float32))


def paint(coat: Coat, matte: Matte) -> Floats:
    """Return the colours [S, S, 3] in [0, 1] of a layer in its coat."""
    base, second = coat.base, coat.second
    if matte.colour is not None:
        base = np.broadcast_to(np.array(matte.colour, np.float32), base.shape)
        second = base[0, 0]
    mixed = base + matte.tone[..., None] * (second - base)
    return np.asarray(np.clip(mixed * matte.shade[..., None], 0, 1), np.float32)


def _printed(rng: np.random.Generator, base: Floats) -> Floats:
    """Print stripes or patches with hard edges on a surface, in one colour that may differ as much as it likes."""
    size = len(base)
    if rng.random() < 0.5:
        angle, period = rng.uniform(0, np.pi), log_uniform(rng, 8, 120)
        rows, columns = np.mgrid[:size, :size].astype(np.float32)
        along = (columns * np.cos(angle) + rows * np.sin(angle)) / period + rng.uniform(0, 1)
        wave = np.abs(along % 1 - 0.5) - rng.uniform(0.1, 0.4)
        share = np.clip(wave * period * rng.uniform(0.5, 2) + 0.5, 0, 1)
    else:
        patches = clouds(rng, size, log_uniform(rng, 10, 120), 2) - np.float32(rng.uniform(0.45, 0.6))
        share = np.clip(patches * rng.uniform(20, 80) + 0.5, 0, 1)
    colour = rng.beta(0.6, 0.6, 3).astype(np.float32)
    share = share.astype(np.float32)[..., None] * np.float32(rng.uniform(0.6, 1))
    return np.asarray(base + share * (colour - base), np.float32)


def _greyer(picture: Floats, share: float) -> Floats:
    """Take a share of the colour out of a picture [S, S, 3]."""
    return np.asarray(picture + np.float32(share) * (_grey(picture) - picture), np.float32)


def _grey(picture: Floats) -> Floats:
    """Return the mean of the channels, [S, S, 1]."""
    return np.asarray(cv2.transform(picture, np.full((1, 3), 1 / 3)), np.float32)[..., None]


def _mean(picture: Floats) -> Floats:
    """Return the mean colour, [3]."""
    return np.array(cv2.mean(picture)[:3], np.float32)


def _natural(rng: np.random.Generator) -> Floats:
    colour = np.array(NATURAL[int(rng.integers(len(NATURAL)))])
    return (colour * rng.uniform(0.75, 1.15) + rng.normal(0, 0.02, 3)).astype(np.float32)


def _soften(picture: Floats, sigma: float) -> Floats:
    """Blur strongly by way of a smaller picture."""
    size = len(picture)
    small = cv2.resize(picture, (max(4, int(2 * size / sigma)),) * 2, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(cv2.GaussianBlur(small, (3, 3), 0), (size, size), interpolation=cv2.INTER_CUBIC))
