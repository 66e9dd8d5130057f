"""Measure how fast a model trains: samples a second of every part of making them, and of a training step.

    python docs/training/throughput.py CONFIG [--count 32] [--device cpu] [--set TABLE.KEY=VALUE]

The folders in CONFIG start where the command is run. Parts are measured in one thread, by processor time, and once
warm: photographs decoded, pelts drawn. So is the step, at the crop, batch and precision of CONFIG: encoder, the
decoder's passes of self-alignment and of learning, loss, backward pass, optimiser, averaged weights. Then come whole
batches by the clock, of other samples: with no worker, which still decodes and draws much for the first time, and with
as many as CONFIG says, which start from all that is cached by then.

With ``recipe = "packed"`` parts are whole batches, composed, finished, given priors and learned from on ``--device``,
after a warm-up; on a GPU by the clock. GFLOP of the network's products and convolutions are counted, too; on the CPU
also the operations of a batch, and the MB a sample that they read and write, if nothing is fused or stays in a cache.
"""

import argparse
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from diffmatte_cli.inference.matter import pick_device
from diffmatte_cli.model.diffmatte import DiffMatte
from diffmatte_cli.priors.colours import colour_priors
from diffmatte_cli.training.config import DataConfig, TrainConfig, read_config
from diffmatte_cli.training.data import Batch, batches, recipe_batches
from diffmatte_cli.training.loop import Trainer
from diffmatte_cli.training.materials import read_materials
from diffmatte_cli.training.processes import Processes
from diffmatte_cli.training.synthesis.files import Assets
from diffmatte_cli.training.synthesis.finishing import finish, stack
from diffmatte_cli.training.synthesis.layers import MARGIN, Floats
from diffmatte_cli.training.synthesis.packed import compose_batch, read_pool

Part = Callable[[np.random.Generator], object]

CPU = torch.device("cpu")


def drawing_parts(data: DataConfig, assets: Assets) -> Iterable[tuple[str, Part]]:
    """Yield the name of every part of a sample's drawing, and the part."""
    # Here and below, since they need OpenCV, which packed pictures do without.
    from diffmatte_cli.training.synthesis.composition import compose, draw_background
    from diffmatte_cli.training.synthesis.pictures import place_cutout
    from diffmatte_cli.training.synthesis.subjects import PROCEDURAL
    from diffmatte_cli.training.synthesis.trimaps import make_trimap

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
    from diffmatte_cli.training.synthesis.pictures import cut_patch
    from diffmatte_cli.training.synthesis.scenery import draw_scenery

    if not photographs:
        return draw_scenery(rng, size)
    return cut_patch(rng, _any(rng, photographs), size)


def _any(rng: np.random.Generator, paths: tuple[Path, ...]) -> Path:
    return paths[int(rng.integers(len(paths)))]


def step_of(config: TrainConfig, source: Iterator[Batch], device: str = "cpu") -> Callable[[int], object]:
    """Return what trains on the next batch, aligned as the configuration has it later on."""
    config = replace(config, run=replace(config.run, threads=1), self_align=replace(config.self_align, start=0.0))
    trainer = Trainer(config, Path(), Processes(device), progress=False)

    def step(number: int) -> None:
        trainer.step = number
        trainer._train(trainer.objective, (next(source),))

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


class Traffic(TorchDispatchMode):
    """Count operations that compute something, and the bytes that they read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.operations, self.bytes = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.operations += 1
            rows = "index" in str(func)  # which read no more of a table than they write
            seen = [result, result] if rows else [args, kwargs, result]
            self.bytes += sum(_size(part) for part in tree_leaves(seen) if isinstance(part, Tensor))
        return result


def _size(part: Tensor) -> int:
    if part.layout != torch.strided:
        return 8 * part._nnz()  # a number and its column
    return min(part.numel() * part.element_size(), part.untyped_storage().nbytes())


def tell_packed(config: TrainConfig, device: str, count: int) -> None:
    """Print a row for each part of a whole batch's making, and for learning from it."""
    where, data = pick_device(device), config.data
    pool, shares = read_pool(Path(data.packed), where), (data.rendered_share, data.procedural_share)
    layers = compose_batch(pool, shares, 0, 0, data.batch, data.crop)
    image, trimap, _ = finish(layers)
    whole = replace(config, run=replace(config.run, accumulate=1))
    source = recipe_batches(whole, 0, where)
    parts: dict[str, Callable[[int], object]] = {
        "composition": lambda number: compose_batch(pool, shares, 0, number * data.batch, data.batch, data.crop),
        "finishing": lambda _: finish(layers),
        "priors": lambda _: colour_priors(image, trimap),
        "step": step_of(whole, repeat(next(source)), device),
        "all of it": step_of(whole, source, device),
    }
    for name, flops in flops_of(config, image[:1], trimap[:1]).items():
        print(f"{name:12} {flops / 1e9:8.2f} GFLOP forward", flush=True)
    for name, part in parts.items():
        if where.type == "cpu":
            with Traffic() as traffic:
                part(0)
            print(f"{name:12} {traffic.operations:8} operations {traffic.bytes / 1e6 / data.batch:8.0f} MB", flush=True)
        tell(name, data.batch * timed(part, count, where))


@torch.no_grad()
def flops_of(config: TrainConfig, image: Tensor, trimap: Tensor) -> dict[str, int]:
    """Return the operations of a forward pass of either part of the network over one sample [1, C, S, S]."""
    model = DiffMatte(config.model).on(image.device).eval()
    condition = model.condition(image, trimap)
    with FlopCounterMode(display=False) as encoding:
        features = model.encode(condition)
    with FlopCounterMode(display=False) as decoding:
        model.decode(trimap, trimap.new_ones(1), condition, features)
    return {"encoder": encoding.get_total_flops(), "decoder": decoding.get_total_flops()}


def timed(work: Callable[[int], object], count: int, device: torch.device) -> float:
    """Return how many times a second ``work`` is done on a device, once it is warm; of a CPU's by processor time."""
    on_gpu = device.type == "cuda"

    def clock() -> float:
        """Wait for the device, and read the time."""
        if on_gpu:
            torch.cuda.synchronize(device)
        return time.perf_counter() if on_gpu else time.process_time()

    work(0)
    return rate_of(work, count, clock)


def main() -> None:
    """Print a row for each part, then for whole batches."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--count", type=int, default=32)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    config = read_config(options.config, options.set)
    if config.data.recipe == "packed":
        tell_packed(config, options.device, max(1, options.count // config.data.batch))
        return
    data, priors = config.data, config.model.priors
    assets, threads = read_materials(data), torch.get_num_threads()
    if not isinstance(assets, Assets):
        parser.error('parts are those of recipe = "drawn"')
    import cv2

    from diffmatte_cli.training.synthesis.composition import compose

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
    step = step_of(whole, repeat(next(batches(whole, partial(compose, assets), 0, CPU))))
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
