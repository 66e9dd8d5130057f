"""Validation on the way: the averaged weights on pictures with ground truth, shared among the processes."""

from typing import TYPE_CHECKING

import numpy as np
import torch

from ..evaluation.metrics import mse, sad
from ..inference.iteration import Alpha
from ..inference.matter import Matter
from ..model.diffmatte import DiffMatte
from .data import Pair
from .logs import Log
from .synthesis.noise import Bytes

if TYPE_CHECKING:
    from .loop import Trainer

__all__ = ["validate"]


def validate(trainer: "Trainer", pairs: list[Pair], log: Log | None) -> None:
    """Score the averaged weights at each of the configuration's numbers of sampling steps, and show pictures.

    A run that is to stop ends it without scores.
    """
    processes, run = trainer.processes, trainer.config.run
    processes.copy_first(trainer.average)  # whose batch normalisation each process has seen otherwise
    # A model of its own: spectral norm, once folded in a copy, would be gone from the original as well.
    model = DiffMatte(trainer.config.model)
    model.load_state_dict(trainer.average.state_dict())
    matter = Matter(model.eval(), processes.device)
    sums = torch.zeros(len(run.validation_steps), 2)
    for number in range(processes.rank, len(pairs), processes.count):
        if trainer.stopping():
            break
        _, image, trimap, truth = pairs[number]
        alphas = [matter.matte(image, trimap, steps=steps, seed=number) for steps in run.validation_steps]
        sums += torch.tensor([(sad(alpha, truth, trimap), mse(alpha, truth, trimap)) for alpha in alphas])
        if log is not None and number // processes.count < run.previews:
            log.preview(trainer.step, pairs[number][0], _sheet(pairs[number], alphas[-1]))
    if processes.any(trainer.stopping()):
        return
    means = processes.sum(sums.to(processes.device)) / len(pairs)
    if log is not None:
        for steps, (mean_sad, mean_mse) in zip(run.validation_steps, means.tolist(), strict=True):
            log.validation(trainer.step, steps, {"sad": mean_sad, "mse": mean_mse})


def _sheet(pair: Pair, alpha: Alpha) -> Bytes:
    """Put photograph, trimap, alpha and truth side by side, uint8 [H, 4 W, 3]."""
    _, image, trimap, truth = pair
    greys = [trimap, *(np.round(matte * 255).astype(np.uint8) for matte in (alpha, truth))]
    return np.hstack([image, *(np.repeat(grey[..., None], 3, axis=2) for grey in greys)])
