"""Measure how fast a model trains: samples a second of every part of making them, and of a training step.

    python docs/training/throughput.py CONFIG [--count 32]

The folders in CONFIG start where the command is run. Parts are measured in one thread, by processor time, and once
warm: photographs decoded, pelts drawn. So is the step, at the crop, batch and precision of CONFIG: encoder, the
decoder's passes of self-alignment and of learning, loss, backward pass, optimiser, averaged weights. Then come whole
batches by the clock, of other samples: with no worker, which still decodes and draws much for the first time, and with
as many as CONFIG says, which start from all that is cached by then.
"""

import argparse
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

from diffmatte_cli.priors.colours import colour_priors
from diffmatte_cli.training.config import DataConfig, TrainConfig, read_config
from diffmatte_cli.training.data import Batch, batches, read_materials
from diffmatte_cli.training.loop import Trainer
from diffmatte_cli.training.synthesis.composition import MARGIN, compose, draw_background
from diffmatte_cli.training.synthesis.finishing import finish, stack
from diffmatte_cli.training.synthesis.noise import Floats
from diffmatte_cli.training.synthesis.pictures import Assets, cut_patch, place_cutout
from diffmatte_cli.training.synthesis.scenery import draw_scenery
from diffmatte_cli.training.synthesis.subjects import PROCEDURAL
from diffmatte_cli.training.synthesis.trimaps import make_trimap

Part = Callable[[np.random.Generator], object]

CPU = torch.device("cpu")


def drawing_parts(data: DataConfig, assets: Assets) -> Iterable[tuple[str, Part]]:
    """Yield the name of every part of a sample's drawing, and the part."""
    size = data.crop + 2 * MARGIN
    for make, _ in PROCEDURAL:
        yield make.__name__, lambda rng, make=make: make(rng, size)
    if assets.mattes:
        yield "cutout", lambda rng: place_cutout(rng, _any(rng, assets.mattes), size)
    if assets.rendered:
        yield "rendered", lambda rng: place_cutout(rng, _any(rng, assets.rendered[:20]), size, own_size=True)
    yield "background", lambda rng: draw_background(rng, scene_behind(rng, assets.backgrounds[:20], size))
    ramp = np.tile(np.linspace(-1, 2, size, dtype=np.float32).clip(0, 1), (size, 1))
    yield "trimap", lambda rng: make_trimap(rng, ramp)
    yield "composition", lambda rng: compose(assets, 0, int(rng.integers(60)), data.crop)


def scene_behind(rng: np.random.Generator, photographs: tuple[Path, ...], size: int) -> Floats:
    """Cut a patch [S, S, 3] out of one of the photographs; where there are none, draw scenery."""
    if not photographs:
        return draw_scenery(rng, size)
    return cut_patch(rng, _any(rng, photographs), size)


def _any(rng: np.random.Generator, paths: tuple[Path, ...]) -> Path:
    return paths[int(rng.integers(len(paths)))]


def step_of(config: TrainConfig, batch: Batch) -> Callable[[int], object]:
    """Return what trains on a batch once more, aligned as the configuration has it later on."""
    config = replace(config, run=replace(config.run, threads=1), self_align=replace(config.self_align, start=0.0))
    trainer = Trainer(config, Path(), progress=False)

    def step(number: int) -> None:
        trainer.step = number
        trainer._train(trainer.objective, (batch,))

    return step


def rate_of(work: Callable[[int], object], count: int, clock: Callable[[], float] = time.process_time) -> float:
    """Return how many times a second by a clock ``work`` is done, called with 0 to ``count`` - 1."""
    began = clock()
    for number in range(count):
        work(number)
    return count / (clock() - began)


def warm_rate(work: Callable[[int], object], count: int) -> float:
    """Return the rate of doing all of it a second time."""
    rate_of(work, count)
    return rate_of(work, count)


def tell(name: str, rate: float) -> None:
    """Print a row."""
    print(f"{name:12} {rate:8.1f} a second", flush=True)


def main() -> None:
    """Print a row for each part, then for whole batches."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--count", type=int, default=32)
    options = parser.parse_args()
    config = read_config(options.config)
    data, priors = config.data, config.model.priors
    assets, threads = read_materials(data), torch.get_num_threads()
    if not isinstance(assets, Assets):
        parser.error('parts are those of recipe = "drawn"')
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    for name, part in drawing_parts(data, assets):
        tell(name, warm_rate(lambda number, part=part: part(np.random.default_rng(number)), options.count))
    layers = stack([compose(assets, 0, index, data.crop) for index in range(data.batch)])
    tell("finishing", data.batch * rate_of(lambda _: finish(layers), 6))
    image, trimap, _ = finish(layers)
    if priors:
        tell("priors", data.batch * rate_of(lambda _: colour_priors(image, trimap), 6))
    whole = replace(config, data=replace(data, workers=0), run=replace(config.run, seed=1, accumulate=1))
    step = step_of(whole, next(batches(whole, partial(compose, assets), 0, CPU)))
    tell("step", data.batch * warm_rate(step, max(3, options.count // data.batch)))
    torch.set_num_threads(threads)
    for workers in dict.fromkeys((0, data.workers)):
        settings = replace(whole, data=replace(data, workers=workers))
        source = batches(settings, partial(compose, assets), 0, CPU)
        next(source)
        count = max(1, options.count // data.batch)
        rate = rate_of(lambda _, source=source: next(source), count, time.perf_counter)
        tell(f"whole batches, {workers} workers", data.batch * rate)


if __name__ == "__main__":
    main()
