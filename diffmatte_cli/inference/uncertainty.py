"""The uncertainty of a matte: the spread of alpha over seeds and steps, and one score per image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Spread", "risk_of"]

Floats = NDArray[np.float32]


@dataclass
class Spread:
    """The running standard deviation of alphas where ``where`` [H, W] is true.

    By Welford's recurrence: alphas are close together, so that a difference of sums would cancel.
    """

    where: NDArray[np.bool_]
    count: int = 0
    mean: Floats | None = None
    squares: Floats | None = None

    def add(self, alpha: Floats) -> None:
        """Add one alpha, float32 [H, W]."""
        values = alpha[self.where]
        if self.mean is None or self.squares is None:
            self.mean, self.squares = np.zeros_like(values), np.zeros_like(values)
        self.count += 1
        off = values - self.mean
        self.mean += off / np.float32(self.count)
        self.squares += off * (values - self.mean)

    def deviation(self) -> Floats:
        """Return the population standard deviation, float32 [H, W] in [0, 0.5]; 0 elsewhere."""
        deviation = np.zeros(self.where.shape, np.float32)
        if self.squares is not None:
            deviation[self.where] = np.sqrt(self.squares / np.float32(self.count))
        return deviation


def risk_of(uncertainty: Floats, alpha: Floats, unknown: NDArray[np.bool_]) -> float:
    """Score a matte's risk from its uncertainty; higher is worse.

    The mean over the unknown region of the geometric mean of uncertainty and alpha (1 - alpha), times 1000: high
    for translucent pixels that vary between seeds and steps. 0 without an unknown region.
    """
    spread, opacity = uncertainty[unknown], np.clip(alpha[unknown], 0, 1)
    return float(np.sqrt(spread * opacity * (1 - opacity)).mean(dtype=np.float64) * 1000) if spread.size else 0.0
