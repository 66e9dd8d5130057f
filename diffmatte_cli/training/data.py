"""Batches for the loop, and pictures with ground truth for validation."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..errors import TrainingError
from ..images import read_grey, read_image
from ..trimap import parse_trimap
from .composition import Assets, compose, find_pictures
from .config import DataConfig

__all__ = ["batches", "read_assets", "read_validation"]

Pair = tuple[str, NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]


def read_assets(config: DataConfig) -> Assets:
    """List the files that samples are composed from; a missing or empty folder is an error."""
    mattes = find_pictures(Path(config.mattes)) if config.mattes else ()
    return Assets(find_pictures(Path(config.backgrounds)), mattes, config.procedural_share)


def batches(config: DataConfig, assets: Assets, seed: int, first: int, last: int) -> Iterator[tuple[Tensor, ...]]:
    """Yield the batches of steps ``first`` to ``last`` - 1.

    Each is image [B, 3, S, S] in [0, 1], trimap [B, 1, S, S] in {0, .5, 1} and alpha
    [B, 1, S, S] in [0, 1]. Batch k is the same however the run was interrupted before it.
    """
    samples = _Samples(config, assets, seed, first, last)
    loader = DataLoader(
        samples,
        batch_size=config.batch,
        num_workers=config.workers,
        worker_init_fn=_one_thread,
        prefetch_factor=4 if config.workers else None,
    )
    yield from loader


class _Samples(Dataset[tuple[Tensor, ...]]):
    def __init__(self, config: DataConfig, assets: Assets, seed: int, first: int, last: int) -> None:
        self.config, self.assets, self.seed = config, assets, seed
        self.start = first * config.batch
        self.count = (last - first) * config.batch

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, item: int) -> tuple[Tensor, ...]:
        sample = compose(self.assets, self.seed, self.start + item, self.config.crop)
        image = torch.from_numpy(sample.image).permute(2, 0, 1).float() / 255
        trimap = torch.from_numpy(np.round(sample.trimap / 127.5) / 2).float()[None]
        return image, trimap, torch.from_numpy(sample.alpha).float()[None]


def _one_thread(_: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


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
