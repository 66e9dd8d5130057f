"""Measure what stopping early saves and costs: `--until-stable` against all ten steps.

    python docs/training/stable.py FOLDER [--levels 1 2 4 8]

FOLDER holds image/, trimap/ and alpha/ with files of one stem. A row for each limit: steps and SAD (/1000), both
means over the photographs, and how far unknown pixels are from ten steps' alpha, of 255.
"""

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np

from diffmatte_cli import load_model
from diffmatte_cli.evaluation.metrics import sad
from diffmatte_cli.training.config import DataConfig
from diffmatte_cli.training.materials import read_validation


def main() -> None:
    """Print one row for each limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--levels", type=float, nargs="+", default=[1, 2, 4, 8])
    options = parser.parse_args()
    matter, data = load_model("tiny"), DataConfig(validation=str(options.folder), validation_limit=10**6)
    rows: dict[float, list[tuple[float, ...]]] = {level: [] for level in options.levels}
    for _, image, trimap, truth in read_validation(data):
        encoding = matter.encode(image, trimap)
        alphas, unknown = list(matter.steps(encoding)), trimap == 128
        moves = [255 * np.abs(after - before)[unknown].max() for before, after in pairwise(alphas)]
        for level, found in rows.items():
            steps = next((number for number, move in enumerate(moves, 2) if move <= level), len(alphas))
            apart = 255 * np.abs(alphas[steps - 1] - alphas[-1])[unknown]
            scores = (sad(alpha, truth, trimap) for alpha in (alphas[steps - 1], alphas[-1]))
            found.append((steps, *scores, apart.mean(), apart.max()))
    for level, found in rows.items():
        steps, early, late, mean, _ = np.mean(found, axis=0)
        largest = max(row[-1] for row in found)
        print(f"{level:g}: {steps:.1f} steps, SAD {early:.3f} ({late:.3f}), apart {mean:.2f}, at most {largest:.1f}")


if __name__ == "__main__":
    main()
