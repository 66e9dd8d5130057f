"""Compare the training samples of configurations, one column each.

    python docs/training/statistics.py CONFIG [CONFIG ...] [--count 256] [--crop 256] [--set TABLE.KEY=VALUE]

The folders in a configuration start where the command is run. Errors are of the colour prior, over the unknown region.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from diffmatte_cli.training.config import TrainConfig, read_config
from diffmatte_cli.training.data import Batch, recipe_batches

# Samples drawn at a time.
BATCH = 16


def samples(config: TrainConfig, count: int, crop: int) -> Iterator[Batch]:
    """Yield batches with colour priors."""
    data = replace(config.data, crop=crop, batch=BATCH, late_batch=0, late_crop=0, workers=0)
    config = replace(config, data=data, run=replace(config.run, accumulate=1, threads=1))
    config = replace(config, model=replace(config.model, priors=True))
    source = recipe_batches(config, 0, torch.device("cpu"))
    yield from (next(source) for _ in range(-(-count // BATCH)))


def measures(batch: Batch) -> dict[str, Tensor]:
    """Return one number a sample, [B] each; not a number where a sample has no such pixels."""
    image, trimap, alpha, priors = batch
    assert priors is not None
    unknown = trimap == 0.5
    inner, error = unknown[..., 1:, 1:], (priors[:, 6:] - alpha).abs()
    slopes = {
        name: (planes[..., 1:, 1:] - planes[..., :-1, :-1]).abs()
        for name, planes in (("alpha", alpha), ("light", image.mean(1, keepdim=True)))
    }
    squared = _mean(error.square(), unknown)
    contrast = (priors[:, :3] - priors[:, 3:6]).square().sum(1, keepdim=True).sqrt()
    return {
        "unknown share": unknown.flatten(1).float().mean(1),
        "prior, SAD / 1000": (error * unknown).flatten(1).sum(1) / 1000,
        "prior, MSE x 1000": 1000 * squared,
        "prior wrong (MSE > 0.1)": torch.where(squared.isfinite(), (squared > 0.1).float(), squared),
        "contrast of the colours": _mean(contrast, unknown),
        "partial alpha": _mean(((alpha > 0.02) & (alpha < 0.98)).float(), unknown),
        **{f"slope of {name}": _mean(slope, inner) for name, slope in slopes.items()},
    }


def _mean(values: Tensor, where: Tensor) -> Tensor:
    return (values * where).flatten(1).sum(1) / where.flatten(1).sum(1)


def main() -> None:
    """Print mean, and in brackets the 10th, 50th and 90th percentile."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("configs", type=Path, nargs="+")
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    torch.set_num_threads(1)
    columns: list[dict[str, Tensor]] = []
    for path in options.configs:
        rows = [measures(batch) for batch in samples(read_config(path, options.set), options.count, options.crop)]
        columns.append({name: torch.cat([row[name] for row in rows]) for name in rows[0]})
    print(f"{'':28}" + "".join(f"{path.stem:>36}" for path in options.configs))
    for name in columns[0]:
        print(f"{name:28}" + "".join(f"{_told(column[name]):>36}" for column in columns))


def _told(values: Tensor) -> str:
    known = values[values.isfinite()]
    low, middle, high = known.quantile(torch.tensor([0.1, 0.5, 0.9])).tolist()
    return f"{known.mean():8.3f} ({low:7.3f} {middle:7.3f} {high:7.3f})"


if __name__ == "__main__":
    main()
