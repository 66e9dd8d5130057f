"""The processes that share a run, through Accelerate: one, unless ``accelerate launch`` or ``torchrun`` made more."""

import os
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..extras import require
from ..inference.matter import pick_device
from .config import TrainConfig
from .data import Share

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["Processes"]

# A process may be this long behind the others, by validation or a slow disk, before they give it up.
PATIENCE = timedelta(hours=2)


class Processes:
    """This process among those of the run; ``device`` is what it works on."""

    def __init__(self, device: str) -> None:
        self.device = pick_device(device)
        self.rank, self.count = 0, 1
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:  # as launchers say
            require("train", "training in several processes")
            self.accelerator = _accelerator(self.device)
            self.rank, self.count = self.accelerator.process_index, self.accelerator.num_processes
            self.device = self.accelerator.device

    @property
    def is_main(self) -> bool:
        """Tell whether this is the process that writes."""
        return self.rank == 0

    def share(self, config: TrainConfig) -> Share:
        """Return this process's share of each step; UsageError where batches cannot be divided."""
        parts = config.run.accumulate
        for batch in config.data.batches:
            if batch % (self.count * parts):
                raise UsageError(
                    f"a batch of {batch} cannot be divided among {self.count} processes in {parts} parts each:"
                    " change batch or accumulate"
                )
        return Share(self.rank, self.count, parts)

    def wrap(self, module: nn.Module) -> nn.Module:
        """Return the module to call in training, which averages gradients over the processes."""
        if self.count == 1:
            return module
        wrapped: nn.Module = self.accelerator.prepare_model(module)
        return wrapped

    def alone(self, module: nn.Module, wanted: bool) -> AbstractContextManager[None]:
        """Keep gradients to oneself for a while, if ``wanted``: more of the same step are to come."""
        if not wanted or self.count == 1:
            return nullcontext()
        alone: AbstractContextManager[None] = self.accelerator.no_sync(module)
        return alone

    def sum(self, values: Tensor) -> Tensor:
        """Add up over the processes."""
        total: Tensor = self.accelerator.reduce(values, "sum") if self.count > 1 else values
        return total

    def any(self, flag: bool) -> bool:
        """Tell whether the flag is up in any process."""
        return bool(self.sum(torch.tensor(float(flag), device=self.device)) > 0)

    def copy_first(self, module: nn.Module) -> None:
        """Give a module the first process's buffers in all."""
        if self.count > 1:
            from accelerate.utils import broadcast

            for buffer in module.buffers():
                broadcast(buffer, 0)

    def wait(self) -> None:
        """Wait until all processes come to this place."""
        if self.count > 1:
            self.accelerator.wait_for_everyone()


def _accelerator(device: torch.device) -> "Accelerator":
    from accelerate import Accelerator
    from accelerate.utils import InitProcessGroupKwargs

    return Accelerator(
        cpu=device.type == "cpu",
        device_placement=False,
        mixed_precision="no",  # the configuration says it, and what is autocast
        kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
    )
