"""Batches for the loop, and pictures with ground truth for validation."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..errors import TrainingError
from ..images import read_grey, read_image
from ..priors import colour_priors
from ..trimap import parse_trimap
from .composition import compose
from .config import DataConfig
from .finishing import Finished, Stack, finish, stack
from .pictures import Assets, find_pictures

__all__ = ["Batch", "Pair", "batches", "read_assets", "read_validation"]

Batch = tuple[Tensor, Tensor, Tensor, Tensor | None]
Pair = tuple[str, NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]


def read_assets(config: DataConfig) -> Assets:
    """List the files that samples are composed from; a missing or empty folder is an error."""
    mattes = find_pictures(Path(config.mattes)) if config.mattes else ()
    return Assets(find_pictures(Path(config.backgrounds)), mattes, config.procedural_share)


def batches(
    config: DataConfig, assets: Assets, seed: int, first: int, steps: int, device: torch.device, priors: bool
) -> Iterator[Batch]:
    """Yield the batches of steps ``first`` to ``steps`` - 1, the last of the run, on a device.

    Each is image [B, 3, S, S] in [0, 1], trimap [B, 1, S, S] in {0, .5, 1}, alpha [B, 1, S, S]
    in [0, 1] and, with ``priors``, their planes [B, 7, S, S]. On the CPU batch k is the same
    however the run was interrupted before it and however many workers there are. Workers draw;
    they also finish what is for the CPU, whereas another device finishes its batches itself.
    """
    samples = _Steps(config, assets, seed, first, steps, priors, device.type == "cpu")
    loader = DataLoader(
        samples, batch_size=None, num_workers=config.workers, prefetch_factor=2 if config.workers else None
    )
    for batch in loader:
        yield _with_priors(finish(batch.to(device)), priors) if isinstance(batch, Stack) else batch


class _Steps(Dataset["Stack | Batch"]):
    """The batches of a run, one for each step that is left."""

    def __init__(
        self, config: DataConfig, assets: Assets, seed: int, first: int, steps: int, priors: bool, finished: bool
    ) -> None:
        self.config, self.assets, self.seed, self.priors = config, assets, seed, priors
        self.first, self.steps, self.finished = first, steps, finished

    def __len__(self) -> int:
        return self.steps - self.first

    def __getitem__(self, item: int) -> Stack | Batch:
        step = self.first + item
        crop, batch = self.config.stage(step, self.steps)
        with _one_thread():
            samples = stack([compose(self.assets, self.seed, step, position, crop) for position in range(batch)])
            return _with_priors(finish(samples), self.priors) if self.finished else samples


def _with_priors(samples: Finished, wanted: bool) -> Batch:
    image, trimap, alpha = samples
    return image, trimap, alpha, colour_priors(image, trimap).planes(image, trimap) if wanted else None


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep to one thread for a while: workers share the cores, and sums may depend on how they are split."""
    threads = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads[0])
        torch.set_num_threads(threads[1])


def read_validation(folder: str, limit: int) -> list[Pair]:
    """Read up to ``limit`` pictures of a folder that holds ``image/``, ``trimap/`` and ``alpha/`` by one stem.

    Returns name, image uint8 [H, W, 3], trimap uint8 [H, W], alpha float32 [H, W] in [0, 1].
    """
    if not folder:
        return []
    found = {part: {p.stem: p for p in find_pictures(Path(folder) / part)} for part in ("image", "trimap", "alpha")}
    stems = sorted(set.intersection(*(set(paths) for paths in found.values())))[:limit]
    if not stems:
        raise TrainingError(f"{folder} has no picture that is in image/, trimap/ and alpha/ alike: check the names")
    pairs = [
        (
            stem,
            read_image(found["image"][stem]).pixels,
            parse_trimap(read_grey(found["trimap"][stem]).levels),
            read_grey(found["alpha"][stem]).levels,
        )
        for stem in stems
    ]
    for stem, image, trimap, alpha in pairs:
        if not image.shape[:2] == trimap.shape == alpha.shape:
            raise TrainingError(
                f"{stem} of {folder} has picture, trimap and alpha of different sizes: scale them alike"
            )
    return pairs
