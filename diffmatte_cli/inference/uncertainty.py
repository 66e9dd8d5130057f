"""How sure a matte is: the spread of alpha over seeds and steps, and one score of it for a picture."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Spread", "risk_of"]

Floats = NDArray[np.float32]


@dataclass
class Spread:
    """Take alphas one after another and tell their standard deviation where ``where`` [H, W] is true.

    By Welford's recurrence: alphas are near each other, so that a difference of sums would lose what counts.
    """

    where: NDArray[np.bool_]
    count: int = 0
    mean: Floats | None = None
    squares: Floats | None = None

    def add(self, alpha: Floats) -> None:
        """Take in one alpha, float32 [H, W]."""
        values = alpha[self.where]
        if self.mean is None or self.squares is None:
            self.mean, self.squares = np.zeros_like(values), np.zeros_like(values)
        self.count += 1
        off = values - self.mean
        self.mean += off / np.float32(self.count)
        self.squares += off * (values - self.mean)

    def deviation(self) -> Floats:
        """Return the population standard deviation, float32 [H, W] in [0, 0.5]; 0 elsewhere."""
        picture = np.zeros(self.where.shape, np.float32)
        if self.squares is not None:
            picture[self.where] = np.sqrt(self.squares / np.float32(self.count))
        return picture


def risk_of(uncertainty: Floats, alpha: Floats, unknown: NDArray[np.bool_]) -> float:
    """Score a matte by what it says of itself; higher is worse.

    The mean over the unknown region of the geometric mean of uncertainty and alpha (1 - alpha), times 1000: pixels
    count that are both half transparent and differently so from seed to seed and step to step. 0 where nothing is
    unknown.
    """
    spread, opacity = uncertainty[unknown], np.clip(alpha[unknown], 0, 1)
    return float(np.sqrt(spread * opacity * (1 - opacity)).mean(dtype=np.float64) * 1000) if spread.size else 0.0
