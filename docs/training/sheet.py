"""Draw a sheet of training samples: image, trimap and alpha above each other.

    python docs/training/sheet.py CONFIG -o OUT.png [--count 24] [--seed 0] [--set TABLE.KEY=VALUE]

The folders in CONFIG start where the command is run.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from diffmatte_cli.training.config import read_config
from diffmatte_cli.training.data import recipe_batches

# Samples side by side.
COLUMNS = 8


def main() -> None:
    """Write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    config = read_config(options.config, options.set)
    data = replace(config.data, batch=options.count, late_batch=0, workers=0)
    config = replace(config, data=data, run=replace(config.run, seed=options.seed, accumulate=1))
    batch = next(recipe_batches(replace(config, model=replace(config.model, priors=False)), 0, torch.device("cpu")))
    tiles = list(torch.cat([part.expand(-1, 3, -1, -1) for part in batch[:3] if part is not None], dim=2))
    tiles += [torch.zeros_like(tiles[0])] * (-len(tiles) % COLUMNS)
    rows = [torch.cat(tiles[first : first + COLUMNS], dim=2) for first in range(0, len(tiles), COLUMNS)]
    pixels = (torch.cat(rows, dim=1).permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    Image.fromarray(pixels).save(options.output)


if __name__ == "__main__":
    main()
