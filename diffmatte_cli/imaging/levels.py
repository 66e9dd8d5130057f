"""Find what white is, and scale grey levels, as files and arrays hold them, to shares of it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError, joined
from .colour import as_shares

__all__ = ["FEW", "shares_of", "usual_shares", "usual_white"]

Floats = NDArray[np.float32]

FEW = 3  # levels of at most this are numbers of classes, never greys
_USUAL_WHITES = (255.0, 65535.0, 2.0**31 - 1)
_OVERSHOOT = 2  # filters and renderers leave floats beyond white: up to so many times it, it is white
_DARK, _DIM = 3.01 / 255, 25.5  # floats: at most the one is nearly black, up to the other white may be 1 or 255
# By whose largest values readers divide integers, the largest integers that are then next to nothing, and the rounding.
_DIVISORS = {"uint8": FEW, "int16": 255, "uint16": 255, "int32": 65535, "uint32": 65535}
_ROUNDING = 0.01
_INFINITE = 65504.0  # what is read for infinity: the largest half float
_WIDER = 257  # by which 8 bits become 16


def usual_white(dtype: np.dtype[Any], peak: float) -> float:
    """Return the smallest usual white of an array's type that fits a ``peak``: no file says what white is."""
    if dtype.kind == "f":
        return next((white for white in (1.0, *_USUAL_WHITES[:2]) if peak <= white * _OVERSHOOT), peak)
    largest = float(np.iinfo(dtype).max)
    return next((white for white in _USUAL_WHITES if peak <= white < largest), largest)


def usual_shares(values: NDArray[Any]) -> Floats:
    """Return levels, any shape, as shares of their usual white, float32 in [0, 1]."""
    return _scaled(values, usual_white(values.dtype, float(values.max(initial=0))))


def shares_of(values: NDArray[Any]) -> tuple[Floats, str]:
    """Return grey levels as shares of white, float32 in [0, 1], and what is to be said of that, as a predicate.

    ``values`` are booleans, integers or floats, any shape but empty. Full levels leave nothing to be said. Those of at
    most 3 are numbers of classes: 0 and another one, black and white; 0, 1 and 2 or -1, 0 and 1, black, grey and white.
    Integers of 16 bits and more that are at most 255, and floats beyond 2, have the smallest usual white that fits.

    Raises:
        ImageError: what is white, or black, cannot be told; the text says why and names no file.
    """
    if values.dtype == bool:
        return values.astype(np.float32), ""
    if values.dtype == np.uint16 and FEW < values.max() <= FEW * _WIDER and not (values % _WIDER).any():
        values = (values // _WIDER).astype(np.uint8)
    return _shares_of_floats(values) if values.dtype.kind == "f" else _shares_of_integers(values)


def _shares_of_integers(values: NDArray[Any]) -> tuple[Floats, str]:
    low, high, largest = int(values.min()), int(values.max()), int(np.iinfo(values.dtype).max)
    if low >= -1 and high <= FEW:
        return _classes(values, [level for level in range(low, high + 1) if (values == level).any()], f" of {largest}")
    if low < 0:
        raise _below(low, high)
    if (white := usual_white(values.dtype, high)) == largest:
        return as_shares(values) if largest < _USUAL_WHITES[-1] else _scaled(values, white), ""
    return _scaled(values, white), f"has levels up to {high} of {largest}, and {white:.0f} is taken as white"


def _shares_of_floats(values: NDArray[Any]) -> tuple[Floats, str]:
    low, high = float(values.min()), float(values.max())
    if high == _INFINITE:
        high = float(values[values < high].max(initial=0))
    if (1 < high <= FEW or (low == -1 and high == 1)) and (values == np.rint(values)).all():
        return _classes(values, [level for level in range(int(low), int(high) + 1) if (values == level).any()])
    white = usual_white(values.dtype, high)
    if low < -white / 2:
        raise _below(low, high)
    if 0 < high <= _DARK:
        return _dark(values, high)
    if low < 0 == high:
        return np.zeros(values.shape, np.float32), f"has no level above black: they go from {low:.2g} to 0"
    if _OVERSHOOT < high <= _DIM and (values != np.rint(values)).any():
        text = f"its levels go up to {high:.3g}, so that white may be 1 or 255: save it with levels from 0 to 1"
        raise ImageError(text)
    told = "" if white == 1 else f"has levels up to {high:.5g}, and {white:.5g} is taken as white"
    return _scaled(values, white), told


def _dark(values: NDArray[Any], high: float) -> tuple[Floats, str]:
    """Return floats of at most ``high``, next to nothing: stretched only where they are classes or integers divided."""
    units = values / values.dtype.type(high)
    present = [level for level in (-1, 0, 1) if (units == level).any()]
    if len(present) > 1 and np.isin(units, present).all():
        return _classes(units, present, unit=high)
    for kind, most in _DIVISORS.items():
        numbers = values * np.float64(np.iinfo(kind).max)
        whole = np.rint(numbers)
        if 1 <= whole.max() <= most and np.abs(numbers - whole).max() < _ROUNDING and whole.min() >= np.iinfo(kind).min:
            return _shares_of_integers(whole.astype(kind))
    return _scaled(values, 1), f"is nearly black: its brightest level is {high:.2g}, and white is 1"


def _classes(values: NDArray[Any], present: Sequence[int], of: str = "", unit: float = 1) -> tuple[Floats, str]:
    """Return the shares of numbers of classes, of which these are ``present``."""
    low, high = present[0], present[-1]
    if low == high == 0:
        return np.zeros(values.shape, np.float32), ""
    names = joined([f"{level * unit:.2g}" for level in present]) + of
    if list(present) not in ([0, high], [1], [0, 1, 2], [-1, 1], [-1, 0, 1]):
        save = "save it with 0, 128 and 255"
        raise ImageError(f"its levels are {names}, and which is black, grey or white cannot be told: {save}")
    meanings = ("black", "grey", "white") if len(present) == 3 else ("black", "white")[-len(present) :]
    bottom, plural = min(low, 0), "s" * (len(present) > 1)
    shares = _scaled(values.astype(np.float32) - bottom if bottom else values, high - bottom)
    return shares, f"holds the level{plural} {names} alone, taken as {joined(meanings)}"


def _below(low: float, high: float) -> ImageError:
    return ImageError(
        f"its levels go from {low:.5g} to {high:.5g}, and black is 0: save it with levels from 0 to 255, or to 1 in"
        " floating point"
    )


def _scaled(values: NDArray[Any], white: float) -> Floats:
    if white == 1 and values.dtype == np.float32:
        return values.clip(0, 1)
    if values.dtype.itemsize < 4:
        return (values.astype(np.float32) / np.float32(white)).clip(0, 1)
    return (values.astype(np.float64) / white).clip(0, 1).astype(np.float32)
