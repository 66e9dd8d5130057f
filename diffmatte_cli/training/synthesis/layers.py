"""What a sample consists of before it is blended, and what all drawing shares."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BY_HAND", "ECHOED", "GRAIN_UNIT", "MARGIN", "MATCHED", "NATURAL", "ONE_PHOTO", "SECOND", "USUAL_WIDTH"]
__all__ += ["WIDEST", "Bytes", "Floats", "Layers"]

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
# Grain is kept in bytes: this many steps for one standard deviation.
GRAIN_UNIT = 32
# Composed around the crop, so that trimaps and blurs know what lies outside.
MARGIN = 16
# Shares of samples: with a second foreground; whose coat is of the photograph behind it; of its colours at the edge;
# with patches of the foreground's surface in the background.
SECOND, ONE_PHOTO, MATCHED, ECHOED = 0.12, 0.12, 0.13, 0.12
# The trimaps of published test sets: what is known within 5 / 255, eroded by an ellipse this wide.
USUAL_WIDTH = 25
# The widest kernel, and the share of trimaps that are drawn by hand.
WIDEST, BY_HAND = 121, 0.17
# Animals, hair and earth, RGB: black, white, greys, browns, gold, ginger, cream.
NATURAL = (
    (0.06, 0.055, 0.05),
    (0.93, 0.92, 0.89),
    (0.45, 0.44, 0.43),
    (0.70, 0.69, 0.67),
    (0.23, 0.15, 0.10),
    (0.42, 0.29, 0.19),
    (0.62, 0.48, 0.34),
    (0.80, 0.66, 0.46),
    (0.72, 0.42, 0.20),
    (0.88, 0.82, 0.72),
)


@dataclass(frozen=True)
class Layers:
    """A sample before blending.

    ``front`` and ``back``: straight colours, uint8 [S, S, 3]; ``alpha``: uint8 [S, S]; ``trimap``: uint8 [S, S]
    in {0, 128, 255}; ``grain``: normal noise in steps of 1 / GRAIN_UNIT, int8 [S, S, 3]; ``settings``: float32
    [N], see ``camera.pack``.
    """

    front: Bytes
    back: Bytes
    alpha: Bytes
    trimap: Bytes
    grain: NDArray[np.int8]
    settings: Floats
