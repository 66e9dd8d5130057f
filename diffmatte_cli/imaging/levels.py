"""Scale grey levels as files and arrays have them to shares of white."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .colour import as_shares

__all__ = ["USUAL_WHITES", "levels_of"]

USUAL_WHITES = {"I": (255.0, 65535.0, 2.0**31 - 1), "F": (1.0, 255.0, 65535.0)}  # of Pillow's 32-bit grey modes
_OVERSHOOT = {"I": 1, "F": 2}  # filters and renderers leave floats beyond white: up to so many times it, it is white


def levels_of(image: Image.Image) -> NDArray[np.float32]:
    """Scale a decoded image to grey levels, float32 [H, W] in [0, 1]."""
    if image.mode not in USUAL_WHITES:
        is_grey = image.mode == "L" or image.mode.startswith("I;16")
        return as_shares(np.asarray(image if is_grey else image.convert("RGB").convert("L")))
    # No file says what white is: it is the smallest usual white of the mode that fits all values.
    values, overshoot = np.asarray(image).astype(np.float64), _OVERSHOOT[image.mode]
    peak = float(values.max(initial=0.0))
    white = next((usual for usual in USUAL_WHITES[image.mode] if peak <= usual * overshoot), peak)
    return np.clip(values / white, 0, 1).astype(np.float32)
