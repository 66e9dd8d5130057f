"""Measure how well `--uncertainty` and the risk score foretell a matte's true error.

    python docs/measuring/uncertainty.py FOLDER [--seeds 5] [--steps 10]

FOLDER holds image/, trimap/ and alpha/ with files of one stem. A row for each photograph; then, for the spread over
seeds and steps, for alpha (1 - alpha) for the mean of both that the risk is made of, and for numbers drawn at
random: the rank correlation with the
error over a photograph's unknown pixels, what part of the error the worst tenth by each holds (of what the truly worst
tenth holds), and the rank correlation of its mean with the mean error over the photographs.
"""

import argparse
from pathlib import Path

import numpy as np

from diffmatte_cli import load_model
from diffmatte_cli.inference.uncertainty import Spread, risk_of
from diffmatte_cli.training.config import DataConfig
from diffmatte_cli.training.materials import read_validation

Floats = np.ndarray


def ranks(values: Floats) -> Floats:
    """Return each value's rank; equal ones share theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def correlation(first: Floats, second: Floats) -> float:
    """Return Spearman's rank correlation."""
    return float(np.corrcoef(ranks(first), ranks(second))[0, 1])


def share_found(score: Floats, error: Floats) -> float:
    """Return the error within the worst tenth by ``score``, of that within the truly worst tenth."""
    tenth = max(1, error.size // 10)
    by_score = np.argsort(-score, kind="stable")[:tenth]
    return float(error[by_score].sum() / np.sort(error)[-tenth:].sum())


def main() -> None:
    """Print a row for each photograph and one for each score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10)
    options = parser.parse_args()
    matter, data = load_model(options.model), DataConfig(validation=str(options.folder), validation_limit=10**6)
    names, errors, pixels, means = [], [], [], []
    for name, image, trimap, truth in read_validation(data):
        unknown = trimap == 128
        spread, encoding = Spread(unknown), matter.encode(image, trimap)
        first = matter.matte(encoding, steps=options.steps, seed=0)
        for seed in range(options.seeds):
            for alpha in matter.steps(encoding, steps=options.steps, seed=seed):
                spread.add(alpha)
        deviation, opacity = spread.deviation()[unknown], first[unknown]
        error, half = np.abs(first - truth)[unknown], opacity * (1 - opacity)
        scores = {"spread": deviation, "alpha (1 - alpha)": half, "risk": np.sqrt(deviation * half)}
        scores["chance"] = np.random.default_rng(0).random(error.size)
        pixels.append([(correlation(score, error), share_found(score, error)) for score in scores.values()])
        means.append([score.mean() for score in scores.values()] + [unknown.mean()])
        errors.append((error.mean(), np.square(error).mean(), error.sum() / 1000))
        names.append(name)
        risk = risk_of(spread.deviation(), first, unknown)
        print(f"{name:10} risk {risk:5.2f}  mean error {error.mean():.4f}  SAD {errors[-1][2]:5.2f}")
    by_error, by_square, by_sad = np.array(errors).T
    print("over pixels: rank correlation, share of the error; over photographs: with the mean error, MSE, SAD")
    for index, label in enumerate([*scores, "share unknown"]):
        inside = np.mean(pixels, axis=0)[index] if label in scores else ()
        mean = np.array(means)[:, index]
        over = (correlation(mean, other) for other in (by_error, by_square, by_sad))
        print(f"{label:18}", *(f"{value:5.2f}" for value in inside), "|", *(f"{value:5.2f}" for value in over))


if __name__ == "__main__":
    main()
