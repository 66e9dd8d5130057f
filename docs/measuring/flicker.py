"""Measure how much mattes flicker over a sequence, with one seed for all frames and with a seed for each.

    python docs/measuring/flicker.py BACKGROUNDS [--scenes 4] [--frames 6] [--steps 1 10]

BACKGROUNDS is a folder of photographs; the [train] extra is needed. Drawn subjects move over them, or stand still, by
whole pixels and with a sensor's noise in every frame. Printed is dtSSD x 1000: the root of the mean squared difference
between alpha's change from frame to frame and its true change, over the unknown region of both frames.
"""

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np

from diffmatte_cli import load_model
from diffmatte_cli.training.synthesis.composition import compose
from diffmatte_cli.training.synthesis.files import Assets, find_pictures

SEED, SIDE, MARGIN, NOISE = 733, 480, 48, 1.5
Frame = tuple[np.ndarray, np.ndarray, np.ndarray]


def frames(assets: Assets, position: int, count: int, speed: tuple[int, int]) -> list[Frame]:
    """Return photograph, trimap and true alpha of each frame."""
    layers = compose(assets, SEED, position, SIDE + 2 * MARGIN)
    generator, found = np.random.default_rng(position), []
    back = layers.back[MARGIN:-MARGIN, MARGIN:-MARGIN]
    for number in range(count):
        top, left = (MARGIN + number * pixels for pixels in speed)
        window = np.s_[top : top + SIDE, left : left + SIDE]
        alpha = layers.alpha[window].astype(np.float32) / 255
        mixed = alpha[..., None] * layers.front[window] + (1 - alpha[..., None]) * back
        noisy = np.rint(mixed + generator.normal(0, NOISE, mixed.shape)).clip(0, 255).astype(np.uint8)
        found.append((noisy, np.ascontiguousarray(layers.trimap[window]), alpha))
    return found


def dtssd(alphas: list[np.ndarray], shot: list[Frame]) -> float:
    """Return dtSSD x 1000 over all pairs of neighbouring frames."""
    squares = []
    for (a, one), (b, other) in pairwise(zip(alphas, shot, strict=True)):
        where = (one[1] == 128) | (other[1] == 128)
        squares.append(np.square((b - a) - (other[2] - one[2]))[where].mean())
    return float(1000 * np.sqrt(np.mean(squares)))


def main() -> None:
    """Print a row for each motion and number of steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backgrounds", type=Path)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--scenes", type=int, default=4)
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 10])
    options = parser.parse_args()
    matter, assets = load_model(options.model), Assets(find_pictures(options.backgrounds), (), 1.0)
    for motion, speed in {"still": (0, 0), "moving": (3, 5)}.items():
        shots = [frames(assets, position, options.frames, speed) for position in range(options.scenes)]
        encoded = [[matter.encode(image, trimap) for image, trimap, _ in shot] for shot in shots]
        for steps in options.steps:
            found = {}
            for label, of in {"one seed": lambda _: 0, "a seed a frame": lambda number: number}.items():
                scores = [
                    dtssd([matter.matte(state, steps=steps, seed=of(n)) for n, state in enumerate(states)], shot)
                    for states, shot in zip(encoded, shots, strict=True)
                ]
                found[label] = float(np.mean(scores))
            print(f"{motion:7} T={steps:<3}", ", ".join(f"{label} {value:.2f}" for label, value in found.items()))


if __name__ == "__main__":
    main()
