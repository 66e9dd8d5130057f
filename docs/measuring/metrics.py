"""Measure how long the four metrics take: python docs/measuring/metrics.py [--size 2000 3000] [--unknown 0.1]

A subject is drawn whose edge is the unknown region, of random alpha; the prediction is wrong by noise there.
Printed are the median and the range of three runs, in seconds, over the unknown region and over the whole picture.
"""

import argparse
import time
from statistics import median

import numpy as np

from diffmatte_cli.benchmark.bench import scene
from diffmatte_cli.evaluation.options import DEFINITIONS, REGIONS, ScoreOptions
from diffmatte_cli.evaluation.scores import Trial, score


def trial(height: int, width: int, unknown: float) -> Trial:
    """Return a drawn matte and one that is wrong by noise."""
    _, trimap = scene(height, width, unknown)
    inside = trimap == 128
    rng = np.random.default_rng(0)
    soft = np.where(inside, rng.random(trimap.shape, np.float32), trimap / np.float32(255))
    wrong = soft + inside * rng.normal(0, 0.1, trimap.shape)
    gt, pred = (np.rint(alpha.clip(0, 1) * 255).astype(np.float32) / np.float32(255) for alpha in (soft, wrong))
    return Trial("drawn", pred, gt, trimap)


def main() -> None:
    """Print a row for each region and definition."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, nargs=2, default=(2000, 3000), metavar=("H", "W"))
    parser.add_argument("--unknown", type=float, default=0.1)
    options = parser.parse_args()
    drawn = trial(*options.size, options.unknown)
    for region in REGIONS:
        for definition in DEFINITIONS:
            seconds = []
            for _ in range(3):
                began = time.perf_counter()
                score(drawn, ScoreOptions(region=region, definition=definition))
                seconds.append(time.perf_counter() - began)
            print(f"{region:8} {definition:7} {median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})")


if __name__ == "__main__":
    main()
