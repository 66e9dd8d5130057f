"""Measure a model on photographs with ground truth: SAD (/1000) and MSE (x 1000) over the unknown region.

    python docs/training/measure.py FOLDER [--model tiny] [--steps 1 3 5 10]

FOLDER holds image/, trimap/ and alpha/ with files of one stem. The first row is the colour prior alone,
before any learning.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from diffmatte_cli import load_model
from diffmatte_cli.metrics import mse, sad
from diffmatte_cli.priors import colour_priors
from diffmatte_cli.training.data import read_validation


def prior_alpha(image: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """Return the alpha that colours alone imply, float32 [H, W]."""
    pixels = torch.tensor(image).permute(2, 0, 1)[None] / 255
    levels = torch.where(torch.tensor(trimap) == 128, 0.5, (torch.tensor(trimap) > 128).float())
    return colour_priors(pixels, levels[None, None]).alpha[0, 0].numpy()


def main() -> None:
    """Print one row for the prior and one for each number of steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 3, 5, 10])
    options = parser.parse_args()
    matter = load_model(options.model)
    scores: dict[str, list[tuple[float, float]]] = {}
    names = []
    for name, image, trimap, truth in read_validation(str(options.folder), 10**6):
        names.append(name)
        encoding = matter.encode(image, trimap)
        alphas = {"prior": prior_alpha(image, trimap)}
        alphas |= {f"T={steps}": matter.matte(encoding, steps=steps) for steps in options.steps}
        for row, alpha in alphas.items():
            scores.setdefault(row, []).append((sad(alpha, truth, trimap), mse(alpha, truth, trimap)))
    print("SAD of each:", *names)
    for row, found in scores.items():
        mean = np.mean(found, axis=0)
        print(f"{row:6} SAD {mean[0]:6.2f}  MSE {mean[1]:6.2f}  ", *(f"{value:.1f}" for value, _ in found))


if __name__ == "__main__":
    main()
