"""Estimate memory and seconds of an image before computing it."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..inference.capture import step_macs
from ..inference.memory import MemoryBudget
from ..inference.tiles import SPARSE
from ..model.diffmatte import pad
from ..settings import Sampling
from ..trimaps.trimap import UNKNOWN
from .bench import Case, encoder_macs, scene, timed

__all__ = ["Estimate", "Estimator"]

# Side of the timed scene, in pixels.
SIDE = 512


@dataclass(frozen=True)
class Estimate:
    """Peak of resident memory in bytes, and seconds of computing."""

    bytes: int
    seconds: float


class Estimator:
    """Estimates for one model on this machine, from one timed small scene."""

    def __init__(self, case: Case) -> None:
        matter = case.matter(plain=False)
        self.config, self.limit = matter.model.config, matter.limit
        image, trimap = scene(SIDE, SIDE, 0.1)
        timed(matter, image, trimap, Sampling(steps=1))  # warms up
        run = timed(matter, image, trimap, Sampling(steps=3))
        self.encoder_pace = run.encoder / encoder_macs(self.config, SIDE, SIDE)
        self.steps = case.sampling.steps if self.config.iterates else 1
        self.step_pace = (run.total - run.encoder) / (3 if self.config.iterates else 1) / self._step_macs(trimap)

    def of(self, trimap: NDArray[np.uint8]) -> Estimate:
        """Return the estimate for a trimap, uint8 [H, W] in {0, 128, 255}; 0 without an unknown region."""
        unknown = torch.from_numpy(trimap == UNKNOWN)
        if not bool(unknown.any()):
            return Estimate(0, 0.0)
        budget = MemoryBudget(self.config, self.limit, *trimap.shape)
        _, _, sampling = budget.plan(unknown)
        encoder = self.encoder_pace * encoder_macs(self.config, *trimap.shape)
        steps = self.steps * self.step_pace * self._step_macs(trimap)
        return Estimate(max(sampling, budget.encoding), encoder + steps)

    def _step_macs(self, trimap: NDArray[np.uint8]) -> int:
        unknown = pad(torch.from_numpy(trimap == UNKNOWN)[None, None], self.config.padded_size(*trimap.shape))[0, 0]
        return step_macs(self.config, unknown, SPARSE)
