"""Measure how fast training samples are made: samples a second of every part, and of the whole.

    python docs/training/throughput.py CONFIG [--count 32]

The folders in CONFIG start where the command is run. Parts are measured on one core and once warm: photographs
decoded, pelts drawn. Then come whole batches, of other samples: with no worker, which still decodes and draws much
for the first time, and with as many as CONFIG says, which start from all that is cached by then.
"""

import argparse
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

from diffmatte_cli.priors.colours import colour_priors
from diffmatte_cli.training.config import DataConfig, read_config
from diffmatte_cli.training.data import batches, read_materials
from diffmatte_cli.training.synthesis.composition import MARGIN, compose, draw_background
from diffmatte_cli.training.synthesis.finishing import finish, stack
from diffmatte_cli.training.synthesis.mattes import PROCEDURAL
from diffmatte_cli.training.synthesis.noise import Floats
from diffmatte_cli.training.synthesis.pictures import Assets, cut_patch, place_cutout
from diffmatte_cli.training.synthesis.scenery import draw_scenery
from diffmatte_cli.training.synthesis.trimaps import make_trimap

Part = Callable[[np.random.Generator], object]

CPU = torch.device("cpu")


def drawing_parts(data: DataConfig, assets: Assets) -> Iterable[tuple[str, Part]]:
    """Yield the name of every part of a sample's drawing, and the part."""
    size = data.crop + 2 * MARGIN
    for make, _ in PROCEDURAL:
        yield make.__name__, lambda rng, make=make: make(rng, size)
    if assets.mattes:
        yield "cutout", lambda rng: place_cutout(rng, assets.mattes[rng.integers(len(assets.mattes))], size)
    yield "background", lambda rng: draw_background(rng, scene_behind(rng, assets.backgrounds[:20], size))
    ramp = np.tile(np.linspace(-1, 2, size, dtype=np.float32).clip(0, 1), (size, 1))
    yield "trimap", lambda rng: make_trimap(rng, ramp)
    yield "composition", lambda rng: compose(assets, 0, int(rng.integers(60)), data.crop)


def scene_behind(rng: np.random.Generator, photographs: Sequence[Path], size: int) -> Floats:
    """Cut a patch [S, S, 3] out of one of the photographs; where there are none, draw scenery."""
    if not photographs:
        return draw_scenery(rng, size)
    return cut_patch(rng, photographs[rng.integers(len(photographs))], size)


def rate_of(work: Callable[[int], object], count: int) -> float:
    """Return how many times a second ``work`` is done, called with 0 to ``count`` - 1."""
    began = time.perf_counter()
    for number in range(count):
        work(number)
    return count / (time.perf_counter() - began)


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
        for warming in (True, False):
            rate = rate_of(lambda number, part=part: part(np.random.default_rng(number)), options.count)
            if not warming:
                print(f"{name:12} {rate:8.1f} a second")
    layers = stack([compose(assets, 0, index, data.crop) for index in range(data.batch)])
    print(f"{'finishing':12} {data.batch * rate_of(lambda _: finish(layers), 6):8.1f} a second")
    image, trimap, _ = finish(layers)
    if priors:
        print(f"{'priors':12} {data.batch * rate_of(lambda _: colour_priors(image, trimap), 6):8.1f} a second")
    torch.set_num_threads(threads)
    for workers in dict.fromkeys((0, data.workers)):
        settings = replace(config, data=replace(data, workers=workers), run=replace(config.run, seed=1, accumulate=1))
        source = batches(settings, partial(compose, assets), 0, CPU)
        next(source)
        rate = data.batch * rate_of(lambda _, source=source: next(source), max(1, options.count // data.batch))
        print(f"whole batches, {workers} workers {rate:8.1f} a second")


if __name__ == "__main__":
    main()
