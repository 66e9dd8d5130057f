"""Measure the colour prior: python docs/measuring/priors.py FOLDER [--save DIR] [--against DIR]

FOLDER holds image/ and trimap/ with files of one stem. Printed is the median processor time of a picture, in one
thread, and the bytes by which an unknown pixel raises the process's peak. ``--save`` keeps the alphas, ``--against``
compares with kept ones: with those of another version (PYTHONPATH), what a change of the code moves.
"""

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor

from diffmatte_cli.imaging.grey import read_grey
from diffmatte_cli.imaging.read import read_image
from diffmatte_cli.priors.colours import colour_priors
from diffmatte_cli.trimaps.trimap import parse_trimap

HEIGHT, WIDTH, FEW, MANY = 3000, 4000, 200, 1000  # of the picture for memory: rows of unknown pixels


def pictures(folder: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Return each picture [1, 3, H, W] in [0, 1] and its trimap [1, 1, H, W] in {0, .5, 1}."""
    found = {}
    for path in sorted((folder / "image").iterdir()):
        classes = parse_trimap(read_grey(next((folder / "trimap").glob(f"{path.stem}.*"))).levels)
        trimap = torch.from_numpy(np.float32([0, 0.5, 1])[classes // 127])[None, None]
        found[path.stem] = torch.from_numpy(read_image(path).pixels.copy()).permute(2, 0, 1)[None] / 255, trimap
    return found


def peak(rows: int) -> int:
    """Return the bytes that this process takes at most for a picture with so many unknown rows."""
    trimap = torch.zeros(1, 1, HEIGHT, WIDTH)
    trimap[..., :100, :], trimap[..., 100 : 100 + rows, :] = 1, 0.5
    colour_priors(torch.rand(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)), trimap)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Print the time, the memory, and what differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--save", type=Path)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.peak:
        print(peak(options.peak))
        return
    seconds, moved, unknown, largest = [], 0, 0, 0.0
    for name, (image, trimap) in pictures(options.folder).items():
        began = time.process_time()
        alpha = colour_priors(image, trimap).alpha.numpy()
        seconds.append(time.process_time() - began)
        unknown += int((trimap == 0.5).sum())
        if options.save:
            options.save.mkdir(parents=True, exist_ok=True)
            np.save(options.save / f"{name}.npy", alpha)
        if options.against:
            apart = np.abs(np.load(options.against / f"{name}.npy") - alpha)
            moved, largest = moved + int((apart > 1e-4).sum()), max(largest, float(apart.max()))
    print(f"{len(seconds)} pictures: {median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})")
    few, many = (
        int(subprocess.check_output([sys.executable, __file__, ".", "--peak", str(rows)])) for rows in (FEW, MANY)
    )
    print(f"{(many - few) / ((MANY - FEW) * WIDTH):.0f} bytes an unknown pixel")
    if options.against:
        print(f"apart by at most {largest:.1e}, {moved} of {unknown} unknown pixels by more than 1e-4")


if __name__ == "__main__":
    main()
