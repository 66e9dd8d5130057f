"""Colour as it is stored and as light: the sRGB curve both ways, and integers as numbers from 0 to 1."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import OutputError

__all__ = ["as_shares", "converted", "quantise", "to_linear", "to_srgb"]

Floats = NDArray[np.float32]


def to_linear(encoded: Floats) -> Floats:
    """Turn sRGB values in [0, 1] into linear light, any shape (IEC 61966-2-1)."""
    low, high = encoded / np.float32(12.92), ((encoded + np.float32(0.055)) / np.float32(1.055)).clip(0) ** 2.4
    return np.where(encoded <= 0.04045, low, high).astype(np.float32)


def to_srgb(light: Floats) -> Floats:
    """Turn linear light into sRGB values, any shape; values beyond white stay beyond 1."""
    low, high = light * np.float32(12.92), 1.055 * light.clip(0) ** (1 / 2.4) - 0.055
    return np.where(light <= 0.0031308, low, high).astype(np.float32)


def converted(values: Floats, linear: bool, wanted: bool) -> Floats:
    """Convert colour, which is ``linear`` light or sRGB, to linear light if that is ``wanted``, and else to sRGB."""
    if linear == wanted:
        return values
    return to_linear(values) if wanted else to_srgb(values)


def as_shares(pixels: NDArray[Any]) -> Floats:
    """Return uint8 or uint16 pixels as float32 in [0, 1]; floats as they are."""
    if pixels.dtype.kind == "f":
        return pixels.astype(np.float32, copy=False)
    return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)


def quantise(values: Floats, bits: int) -> NDArray[Any]:
    """Round values, clipped to [0, 1], any shape, to the nearest level of 8 or 16 bits: uint8 or uint16.

    Raises:
        OutputError: a value is not finite.
    """
    if not np.isfinite(values).all():
        raise OutputError("the computed alpha holds values that are not numbers, so nothing was written")
    levels: NDArray[Any] = np.rint(np.clip(values, 0, 1) * np.float32(2**bits - 1))
    return levels.astype(np.uint8 if bits == 8 else np.uint16)
