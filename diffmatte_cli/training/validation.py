"""Validation on the way: the averaged weights on pictures with ground truth, shared among the processes."""

from collections.abc import Callable

import numpy as np
import torch

from ..evaluation.metrics import mse, sad
from ..inference.iteration import Alpha
from ..inference.matter import Matter
from ..model.diffmatte import DiffMatte
from .config import RunConfig
from .materials import Pair
from .processes import Processes
from .synthesis.layers import Bytes

__all__ = ["validate"]

# SAD and MSE by the number of sampling steps, and what previews show by the picture's name.
Scores = dict[int, dict[str, float]]
Sheets = dict[str, Bytes]


def validate(
    average: DiffMatte, pairs: list[Pair], run: RunConfig, processes: Processes, stopping: Callable[[], bool]
) -> tuple[Scores, Sheets]:
    """Score averaged weights at each of the configuration's numbers of sampling steps; show some of this process's.

    A run that is to stop ends it without scores.
    """
    processes.copy_first(average)  # whose batch normalisation each process has seen otherwise
    # A model of its own: spectral norm, once folded in a copy, would be gone from the original as well.
    model = DiffMatte(average.config)
    model.load_state_dict(average.state_dict())
    matter = Matter(model.eval(), processes.device)
    sums, sheets = torch.zeros(len(run.validation_steps), 2), Sheets()
    for number in range(processes.rank, len(pairs), processes.count):
        if stopping():
            break
        name, image, trimap, truth = pairs[number]
        encoding = matter.encode(image, trimap)
        alphas = [matter.matte(encoding, steps=steps, seed=number) for steps in run.validation_steps]
        sums += torch.tensor([(sad(alpha, truth, trimap), mse(alpha, truth, trimap)) for alpha in alphas])
        if len(sheets) < run.previews:
            sheets[name] = _sheet(pairs[number], alphas[-1])
    if processes.any(stopping()):
        return {}, sheets
    means = (processes.sum(sums.to(processes.device)) / len(pairs)).tolist()
    return {steps: {"sad": s, "mse": m} for steps, (s, m) in zip(run.validation_steps, means, strict=True)}, sheets


def _sheet(pair: Pair, alpha: Alpha) -> Bytes:
    """Put photograph, trimap, alpha and truth side by side, uint8 [H, 4 W, 3]."""
    _, image, trimap, truth = pair
    greys = [trimap, *(np.round(matte * 255).astype(np.uint8) for matte in (alpha, truth))]
    return np.hstack([image, *(np.repeat(grey[..., None], 3, axis=2) for grey in greys)])
