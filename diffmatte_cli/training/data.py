"""Micro-batches for the loop."""

import signal
import threading
from collections.abc import Generator
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import takewhile
from multiprocessing import get_context
from multiprocessing.synchronize import Event as SharedEvent
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..priors.colours import colour_priors
from ..process.signals import SIGNALS, signals_handled
from ..process.threads import local_threads
from .config import TrainConfig
from .materials import Compose, composer
from .synthesis.finishing import Stack, finish, stack
from .synthesis.packed import compose_batch, read_pool

__all__ = ["Batch", "Share", "batches", "recipe_batches"]

Flag = threading.Event | SharedEvent


class Batch(NamedTuple):
    """Samples ready for the network.

    ``image`` [B, 3, S, S] in [0, 1], ``trimap`` [B, 1, S, S] in {0, .5, 1}, ``alpha`` [B, 1, S, S] in [0, 1],
    ``priors``, if they were asked for, the planes of ``colour_priors`` [B, 7, S, S].
    """

    image: Tensor
    trimap: Tensor
    alpha: Tensor
    priors: Tensor | None


@dataclass(frozen=True)
class Share:
    """Which samples of each step are one process's own: those of ``rank`` among ``processes``, in ``parts`` parts."""

    rank: int = 0
    processes: int = 1
    parts: int = 1

    def indices(self, first: int, batch: int, part: int) -> list[int]:
        """Return the samples of micro-batch ``part`` in the step of ``batch`` samples that begins with ``first``."""
        size = batch // (self.processes * self.parts)
        begin = first + (part * self.processes + self.rank) * size
        return list(range(begin, begin + size))


def recipe_batches(
    config: TrainConfig, first: int, device: torch.device, share: Share | None = None
) -> Generator[Batch]:
    """Yield this process's micro-batches from step ``first`` to the run's last, by the configuration's recipe."""
    if config.data.recipe == "packed":
        return _packed_batches(config, first, device, share or Share())
    return batches(config, composer(config.data), first, device, share)


def _packed_batches(config: TrainConfig, first: int, device: torch.device, share: Share) -> Generator[Batch]:
    """Compose and finish on the device itself, in this process; on one device a step's samples are always the same."""
    data = config.data
    pool = read_pool(Path(data.packed), device)
    shares = (data.rendered_share, data.procedural_share)
    for step in range(first, config.optimiser.steps):
        stage = config.stage(step)
        for part in range(share.parts):
            begin, *rest = share.indices(stage.first_sample, stage.batch, part)
            layers = compose_batch(pool, shares, config.run.seed, begin, 1 + len(rest), stage.crop)
            yield _finished(layers, config.model.priors)


def batches(
    config: TrainConfig, source: Compose, first: int, device: torch.device, share: Share | None = None
) -> Generator[Batch]:
    """Yield this process's micro-batches from step ``first`` to the run's last, on a device.

    On the CPU a step's samples are the same however the run was interrupted before it, and however many
    workers, processes and parts there are. Workers draw; they also finish what is for the CPU, whereas another
    device finishes its batches itself.
    """
    priors, workers = config.model.priors, config.data.workers
    ended: Flag = get_context("spawn").Event() if workers else threading.Event()
    samples = _MicroBatches(config, source, first, share or Share(), device.type == "cpu", ended)
    loader = DataLoader(
        samples,
        sampler=takewhile(lambda _: not ended.is_set(), range(len(samples))),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=2 if workers else None,
        multiprocessing_context="spawn" if workers else None,
        worker_init_fn=_ignore_endings,
    )
    with signals_handled(signal.SIG_IGN):  # which workers begin with
        made = _collected(iter(loader), ended)
    with closing(made):
        for batch in made:
            if isinstance(batch, Exception):
                raise batch
            yield _finished(batch.to(device), priors) if isinstance(batch, Stack) else batch


def _collected(loading: Any, ended: Flag) -> Generator[Any]:
    """Yield what a loader makes; closed before its end, take what it was asked for already, and ask for no more.

    Otherwise a worker might end while a thread of its own sends a batch: Python stops that thread within torch's code,
    which then aborts the process.
    """
    try:
        for item in loading:
            try:
                yield item
            except GeneratorExit:
                ended.set()
                with suppress(RuntimeError):  # a worker was killed
                    for _ in loading:
                        pass
                raise
    finally:
        del loading  # sends the workers home, however long a traceback holds on to this frame


def _ignore_endings(_: int = 0) -> None:
    """Ignore what ends a run in order, as a worker: its parent still needs it, and sends it home in the end."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class _MicroBatches(Dataset["Stack | Batch | Exception | None"]):
    """A process's micro-batches for the steps that are left; once ``ended`` is set, nothing.

    What goes wrong is returned, to be raised by the parent: raised in a worker it would be a traceback's text, and its
    frames would keep the workers from being sent home.
    """

    def __init__(
        self, config: TrainConfig, source: Compose, first: int, share: Share, finished: bool, ended: Flag
    ) -> None:
        self.config, self.source, self.first, self.share, self.finished = config, source, first, share, finished
        self.ended = ended

    def __len__(self) -> int:
        return (self.config.optimiser.steps - self.first) * self.share.parts

    def __getitem__(self, item: int) -> Stack | Batch | Exception | None:
        try:
            return None if self.ended.is_set() else self._made(item)
        except Exception as error:
            return error

    def _made(self, item: int) -> Stack | Batch:
        config, (step, part) = self.config, divmod(item, self.share.parts)
        stage = config.stage(self.first + step)
        with local_threads(1):  # workers share the cores, and sums may depend on how they are split
            indices = self.share.indices(stage.first_sample, stage.batch, part)
            samples = stack([self.source(config.run.seed, index, stage.crop) for index in indices])
            return _finished(samples, config.model.priors) if self.finished else samples


def _finished(samples: Stack, priors: bool) -> Batch:
    image, trimap, alpha = finish(samples)
    if not priors:
        return Batch(image, trimap, alpha, None)
    # One by one on the CPU: the solver makes rounding larger, which may not depend on who else is in the batch.
    size = 1 if image.device.type == "cpu" else len(image)
    pairs = zip(torch.split(image, size), torch.split(trimap, size), strict=True)
    return Batch(image, trimap, alpha, torch.cat([colour_priors(*pair).planes(*pair) for pair in pairs]))
