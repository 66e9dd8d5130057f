"""Settings of a sample's blending and of the camera: a few numbers, drawn with it and applied in batches."""

from dataclasses import astuple, dataclass, fields
from typing import Generic, TypeVar

import numpy as np
from torch import Tensor

from .layers import Floats

__all__ = ["AS_IS", "NEUTRAL", "NO_CAMERA", "Camera", "Tint", "draw_camera", "draw_tint", "pack", "unpack"]

# A number of one sample, or a batch's numbers [B, 1, 1, 1].
Number = TypeVar("Number", float, Tensor)


@dataclass(frozen=True)
class Tint(Generic[Number]):
    """A layer's change of colours: factors around 1, except ``brightness``, which is added."""

    saturation: Number
    contrast: Number
    brightness: Number
    red: Number
    blue: Number


@dataclass(frozen=True)
class Camera(Generic[Number]):
    """How layers become a photograph.

    ``linear``: 1 to blend in linear light, else 0. ``spill``: share of the background's colour that the edge
    takes on. ``gamma``: exponent of the tone curve. ``sharpness``: above 0 sharpened, below 0 softened, at
    least -1. ``read_noise`` and ``shot_noise``: standard deviation in black, and what white adds (variances add
    up). ``noise_width``: share of the grain that demosaicing spread over neighbours. ``quality``: of JPEG, 1 to
    100, or 0 for none. ``subsampled``: 1 for colours at half the resolution, else 0.
    """

    linear: Number
    spill: Number
    gamma: Number
    sharpness: Number
    read_noise: Number
    shot_noise: Number
    noise_width: Number
    quality: Number
    subsampled: Number


def draw_camera(rng: np.random.Generator) -> "Camera[float]":
    """Draw settings as photographs have them, most of them mild."""
    return Camera(
        linear=float(rng.random() < 0.2),
        spill=rng.uniform(0, 0.5) if rng.random() < 0.25 else 0.0,
        gamma=rng.uniform(0.8, 1.25),
        sharpness=rng.choice([0.0, rng.uniform(-1, 0), rng.uniform(0.2, 1.0)], p=[0.5, 0.2, 0.3]),
        read_noise=rng.exponential(0.006) if rng.random() < 0.8 else 0.0,
        shot_noise=rng.exponential(0.012) if rng.random() < 0.8 else 0.0,
        noise_width=rng.uniform(0, 1),
        quality=round(rng.uniform(60, 99)) if rng.random() < 0.7 else 0.0,
        subsampled=float(rng.random() < 0.6),
    )


def draw_tint(rng: np.random.Generator) -> "Tint[float]":
    """Draw a mild change of colours."""
    return Tint(
        saturation=rng.uniform(0.6, 1.35),
        contrast=rng.uniform(0.75, 1.2),
        brightness=rng.normal(0, 0.06),
        red=1 + rng.normal(0, 0.04),
        blue=1 + rng.normal(0, 0.04),
    )


def pack(front: "Tint[float]", back: "Tint[float]", camera: "Camera[float]") -> Floats:
    """Write the settings of one sample as a row of numbers."""
    return np.array([*astuple(front), *astuple(back), *astuple(camera)], np.float32)


AS_IS = Tint(saturation=1.0, contrast=1.0, brightness=0.0, red=1.0, blue=1.0)
NO_CAMERA = Camera(
    linear=0.0,
    spill=0.0,
    gamma=1.0,
    sharpness=0.0,
    read_noise=0.0,
    shot_noise=0.0,
    noise_width=0.0,
    quality=0.0,
    subsampled=0.0,
)
# The settings that leave Eq. 1 as it is, but for rounding to whole levels.
NEUTRAL = pack(AS_IS, AS_IS, NO_CAMERA)


def unpack(settings: Tensor) -> "tuple[Tint[Tensor], Tint[Tensor], Camera[Tensor]]":
    """Read a batch of rows [B, N] that ``pack`` wrote: the foreground's tint, the background's, and the camera."""
    columns = settings[:, :, None, None, None].unbind(1)
    tint = len(fields(Tint))
    return Tint(*columns[:tint]), Tint(*columns[tint : 2 * tint]), Camera(*columns[2 * tint :])
