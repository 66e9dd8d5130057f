"""Read a training run's checkpoint, of which nothing is believed that does not fit the run."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import TrainingError, WeightsError
from ..model.checkpoint import differences, is_finite
from ..model.pickles import read_checkpoint

__all__ = ["RunState", "read_state"]

Tensors = dict[str, Tensor]
# What AdamW keeps of a parameter: two moments of its shape, and the number of its steps.
MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class RunState:
    """A checkpoint's parts: ``moments`` are what the optimiser keeps of each parameter, by number."""

    config: dict[str, Any]
    step: int
    model: Tensors
    average: Tensors
    moments: dict[int, Tensors]

    def check_fit(self, path: Path, model: nn.Module, optimiser: torch.optim.Optimizer, steps: int) -> None:
        """Raise TrainingError unless the parts fit a run of so many ``steps``, in finite numbers."""
        expected = model.state_dict()
        for part, found in (("model", self.model), ("average", self.average)):
            if problems := differences(expected, found):
                raise _damaged(path, f"{part}: {'; '.join(problems)}")
        shapes = [parameter for group in optimiser.param_groups for parameter in group["params"]]
        if self.moments.keys() - set(range(len(shapes))):
            raise _damaged(path, "optimiser: of other parameters")
        for number, kept in self.moments.items():
            wanted = dict.fromkeys(MOMENTS, shapes[number]) | {"step": torch.zeros(())}
            if problems := differences(wanted, kept):
                raise _damaged(path, f"optimiser: {'; '.join(problems)}")
        parts = (self.model, self.average, *self.moments.values())
        if not all(is_finite(tensor) for tensors in parts for tensor in tensors.values()):
            raise _damaged(path, "it holds NaN or infinity")
        if not 0 <= self.step <= steps:
            raise _damaged(path, f"step {self.step} of {steps}")


def _damaged(path: Path, why: str) -> TrainingError:
    return TrainingError(f"{path} is damaged ({why}): start the run again in another folder")


def read_state(path: Path) -> RunState:
    """Read a checkpoint; raises TrainingError for one that is damaged, or of another program."""
    try:
        content = read_checkpoint(path)
    except WeightsError as error:
        raise TrainingError(f"{error}; or start the run again in another folder") from error
    try:
        config, step, moments = content["config"], content["step"], content["optimiser"]["state"]
        state = RunState(config, step, content["model"], content["average"], moments)
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        raise _damaged(path, "it is not a run's checkpoint") from error
    if problem := _oddity(**vars(state)):
        raise _damaged(path, problem)
    return state


def _oddity(config: object, step: object, model: object, average: object, moments: object) -> str | None:
    """Say which part of a checkpoint is of another type than it was saved with, if any."""
    if not isinstance(config, dict) or not all(isinstance(table, dict) for table in config.values()):
        return "its configuration has no tables"
    try:
        json.dumps(config)
    except (TypeError, ValueError, RecursionError):
        return "its configuration holds more than numbers and texts"
    if not isinstance(moments, dict):
        return "its optimiser has no state"
    parts = (model, average, *moments.values())
    if not all(isinstance(part, dict) and all(isinstance(t, Tensor) for t in part.values()) for part in parts):
        return "it holds no tensors where they belong"
    texts = all(type(name) is str for part in (config, *config.values(), *parts) for name in part)
    if not texts or not all(type(number) is int for number in (step, *moments)):
        return "its names or numbers are of other types"
    return None
