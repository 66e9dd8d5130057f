"""Micro-batches for the loop, and pictures with ground truth for validation."""

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from multiprocessing import get_context
from multiprocessing.synchronize import Event as SharedEvent
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..errors import TrainingError
from ..imaging.grey import read_grey, read_matte
from ..imaging.read import read_image
from ..priors.colours import colour_priors
from ..process.signals import SIGNALS, signals_handled
from ..process.threads import one_thread
from ..trimaps.trimap import UNKNOWN, parse_trimap
from .checking import check_data, list_materials, list_validation
from .config import MADE, DataConfig, TrainConfig
from .synthesis.composition import Layers, compose
from .synthesis.finishing import Stack, finish, stack
from .synthesis.pictures import Assets, find_pictures, left_out
from .synthesis.recipe import compose_paper
from .synthesis.sets import Sets, read_sets

__all__ = [
    "Batch",
    "Compose",
    "Pair",
    "Share",
    "batches",
    "check_materials",
    "composer",
    "left_out_of",
    "read_materials",
    "read_validation",
]

# (seed, index, crop) -> one sample's layers.
Compose = Callable[[int, int, int], Layers]
Pair = tuple[str, NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]
Flag = threading.Event | SharedEvent
# Validation pictures that are made: drawn, or of rendered subjects, of which every twelfth is held out.
DRAWN, RENDERED = MADE
HELD_OUT = 12
# They come from this seed, which no run can have, and are so large.
MADE_SEED, MADE_SIZE = 2**32, 320


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


def read_materials(config: DataConfig) -> Assets | Sets:
    """List the files that samples are composed from; a missing or empty folder is an error."""
    if config.recipe == "paper":
        alphas = Path(config.alphas) if config.alphas else None
        return read_sets(Path(config.foregrounds), alphas, Path(config.backgrounds))
    mattes = find_pictures(Path(config.mattes)) if config.mattes else ()
    photographs = find_pictures(Path(config.backgrounds)) if config.backgrounds else ()
    shown, _ = _rendered(config)
    return Assets(photographs, mattes, config.procedural_share, shown, config.rendered_share)


def _rendered(config: DataConfig) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """List the rendered pictures to train on, and those held out for validation."""
    found = find_pictures(Path(config.rendered)) if config.rendered else ()
    if config.validation != RENDERED:
        return found, ()
    return tuple(path for number, path in enumerate(found) if number % HELD_OUT), found[::HELD_OUT]


def composer(config: DataConfig) -> Compose:
    """Return what composes samples by the configuration's recipe."""
    materials = read_materials(config)
    return partial(compose, materials) if isinstance(materials, Assets) else partial(compose_paper, materials)


def left_out_of(config: DataConfig) -> list[str]:
    """Say of each folder that the configuration names how many files training cannot read, if there are any."""
    named = (config.backgrounds, config.mattes, config.rendered, config.foregrounds, config.alphas, config.validation)
    told = [left_out(Path(folder)) for folder in dict.fromkeys(named) if folder not in ("", *MADE)]
    return [text for text in told if text is not None]


def check_materials(config: DataConfig, remembered: Path, progress: bool) -> list[str]:
    """Raise TrainingError if a picture that the configuration names cannot be used; see ``check_data``.

    Returns sentences on how pictures for validation are read, and on those that are left out.
    """
    materials = read_materials(config)
    foregrounds = materials.foregrounds if isinstance(materials, Sets) else ()
    mattes = materials.mattes if isinstance(materials, Assets) else ()
    shown, held_out = _rendered(config)
    checked = list_materials(materials.backgrounds, foregrounds, mattes + shown + held_out)
    has_folder = config.validation not in ("", *MADE)
    check_data(checked + (list_validation(Path(config.validation)) if has_folder else []), remembered, progress)
    return _read_folder(config)[1] if has_folder else []


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
        with one_thread():  # workers share the cores, and sums may depend on how they are split
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


def read_validation(config: DataConfig) -> list[Pair]:
    """Read up to ``validation_limit`` pictures of a folder with ``image/``, ``trimap/`` and ``alpha/`` by one stem.

    For ``drawn`` and ``rendered`` there is no folder: pictures are drawn, or composed of subjects that are held out,
    like no sample of any run. Pictures without an unknown region, which would be scored over nothing, are left out.
    Returns name, image uint8 [H, W, 3], trimap uint8 [H, W], alpha float32 [H, W] in [0, 1].
    """
    folder, limit = config.validation, config.validation_limit
    if not folder:
        return []
    if folder == DRAWN:
        return [_made_pair(Assets((), ()), f"drawn{number}", number) for number in range(limit)]
    if folder == RENDERED:
        materials, (_, held_out) = read_materials(config), _rendered(config)
        return [
            _made_pair(Assets(materials.backgrounds, (), 1, (path,), 1), path.stem, number)
            for number, path in enumerate(held_out[:limit])
        ]
    return _read_folder(config)[0]


def _read_folder(config: DataConfig) -> tuple[list[Pair], list[str]]:
    """Read the pictures of a folder; return what is to be told of them, too."""
    folder = Path(config.validation)
    found = sorted((material.files for material in list_validation(folder)), key=lambda files: files[0].stem)
    if not found:
        raise TrainingError(f"{folder} has no picture that is in image/, trimap/ and alpha/ alike: check the names")
    pairs: list[Pair] = []
    told: list[str] = []
    for image, trimap, alpha in found[: config.validation_limit]:
        greys = {trimap: read_grey(trimap), alpha: read_matte(alpha)}
        told += [f"{path} {note}" for path, grey in greys.items() for note in grey.notes]
        pixels, classes, truth = read_image(image).pixels, parse_trimap(greys[trimap].levels), greys[alpha].levels
        if not pixels.shape[:2] == classes.shape == truth.shape:
            raise TrainingError(f"{image}, its trimap and its alpha have different sizes: scale them alike")
        if (classes == UNKNOWN).any():
            pairs.append((image.stem, pixels, classes, truth))
        else:
            told.append(f"{trimap} has no unknown region, and its picture is left out of validation")
    if found[: config.validation_limit] and not pairs:
        raise TrainingError(f"no trimap of {folder} has an unknown region to validate on: correct them")
    return pairs, told


def _made_pair(assets: Assets, name: str, number: int) -> Pair:
    with one_thread():
        image, trimap, alpha = finish(stack([compose(assets, MADE_SEED, number, MADE_SIZE)]))
    levels = (trimap[0, 0] * 255).ceil().to(torch.uint8).numpy()
    pixels = (image[0] * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    return name, pixels, levels, alpha[0, 0].numpy()
