"""Measure what starting the iteration from an existing matte gains over starting it from pure noise.

    python docs/measuring/refine.py stills FOLDER [--mattes DIR]
    python docs/measuring/refine.py sequences BACKGROUNDS [--scenes 4] [--frames 6]

The iteration starts at the time t0, the strength, from x_t0 = b sqrt(gamma) x_0 + sqrt(1 - gamma) noise (Eq. 2), where
x_0 is the old matte with the trimap's alpha at known pixels, and takes the same number of steps from there to 0.

``stills``: FOLDER holds image/, trimap/ and alpha/ with files of one stem, DIR mattes of the same names, such as
docs/training/baselines.py writes. Printed is the mean SAD of each old matte, its own first; after each mean comes the
mean difference from pure noise with its standard error over the pictures. Old mattes are those of DIR, true alphas
after a Gaussian blur, and, to tell what the matte gives from what the times alone do, 0.5 at every unknown pixel.

``sequences``: the drawn ones of flicker.py, each frame but the first from the matte of the one before. Printed is
dtSSD x 1000, and in brackets the mean absolute error over the unknown region x 1000. Needs the extras train and eval.
"""

import argparse
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from flicker import Frame, dtssd, frames
from scipy.ndimage import gaussian_filter

from diffmatte_cli import Matter, load_model
from diffmatte_cli.diffusion import samplers
from diffmatte_cli.evaluation.metrics import sad
from diffmatte_cli.imaging.grey import read_matte
from diffmatte_cli.inference.matter import Encoding
from diffmatte_cli.training.config import DataConfig
from diffmatte_cli.training.materials import read_validation
from diffmatte_cli.training.synthesis.files import Assets, find_pictures

BLUR = 4.0
Alpha = np.ndarray


def refine(matter: Matter, encoding: Encoding, old: Alpha | None, strength: float, steps: int) -> Alpha:
    """Return the alpha that ``steps`` steps from time ``strength`` make of ``old`` in [0, 1]; of pure noise if None."""
    if old is None:
        return matter.matte(encoding, steps=steps)
    canvas, noise = encoding.canvas, torch.randn((1, 1, *encoding.size), generator=torch.Generator().manual_seed(0))
    x_0 = 2 * torch.where(canvas.unknown.cpu(), torch.from_numpy(old)[None, None], canvas.decided.cpu()) - 1
    x_t = matter.diffusion.add_noise(x_0, noise, torch.tensor([strength]))[0, 0].numpy()
    times = list(pairwise(torch.linspace(strength, 0, steps + 1).tolist()))
    with mock.patch.object(samplers, "time_pairs", return_value=times):
        return matter.matte(encoding, steps=steps, noise=x_t)


def measure_stills(
    matter: Matter, folder: Path, mattes: Path | None, numbers: list[int], strengths: list[float]
) -> None:
    """Print a row for each number of steps and start."""
    scores: dict[tuple[str, int, float], list[float]] = {}
    for name, image, trimap, truth in read_validation(DataConfig(validation=str(folder), validation_limit=10**6)):
        olds = {"even grey": np.full_like(truth, 0.5), f"blurred, sigma {BLUR:g}": gaussian_filter(truth, BLUR)}
        if mattes:
            olds[mattes.name] = read_matte(mattes / f"{name}.png").levels
        encoding = matter.encode(image, trimap)
        for steps in numbers:
            starts = [("noise", None, 1.0)] + [(kind, old, s) for kind, old in olds.items() for s in strengths]
            for kind, old, strength in starts:
                alpha = refine(matter, encoding, old, strength, steps)
                scores.setdefault((kind, steps, strength), []).append(sad(alpha, truth, trimap))
        for kind, old in olds.items():
            scores.setdefault((kind, 0, 0.0), []).append(sad(old, truth, trimap))
        print(name, flush=True)
    for kind, steps, strength in sorted(scores):
        found = np.array(scores[kind, steps, strength])
        line = f"{kind:20} T={steps:<3} strength {strength:<4g}  SAD {found.mean():6.2f}"
        if steps and kind != "noise":
            gain = found - np.array(scores["noise", steps, 1.0])
            line += f"  from noise {gain.mean():+.2f} ± {gain.std(ddof=1) / len(gain) ** 0.5:.2f}"
        print(line)


def follow(matter: Matter, states: list[Encoding], strength: float | None, steps: int) -> Iterator[Alpha]:
    """Yield each frame's alpha, from the matte of the one before, or all from noise if ``strength`` is None."""
    old = None
    for state in states:
        alpha = refine(matter, state, old, strength or 1.0, steps)
        yield alpha
        old = None if strength is None else alpha


def error(alphas: list[Alpha], shot: list[Frame]) -> float:
    """Return the mean absolute error over the unknown region x 1000."""
    return 1000 * float(np.mean([np.abs(a - t)[m == 128].mean() for a, (_, m, t) in zip(alphas, shot, strict=True)]))


def measure_sequences(
    matter: Matter, assets: Assets, scenes: int, count: int, numbers: list[int], strengths: list[float]
) -> None:
    """Print a row for each motion, number of steps and strength."""
    for motion, speed in {"still": (0, 0), "moving": (3, 5)}.items():
        shots = [frames(assets, position, count, speed) for position in range(scenes)]
        encoded = [[matter.encode(image, trimap) for image, trimap, _ in shot] for shot in shots]
        for steps in numbers:
            for strength in (None, *strengths):
                found = [list(follow(matter, states, strength, steps)) for states in encoded]
                pairs = list(zip(found, shots, strict=True))
                flickers, errors = ([score(*pair) for pair in pairs] for score in (dtssd, error))
                label = "noise" if strength is None else f"{strength:g}"
                print(f"{motion:7} T={steps:<3} {label:6} {np.mean(flickers):6.2f} ({np.mean(errors):.2f})", flush=True)


def main() -> None:
    """Measure stills or sequences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("stills", "sequences"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mattes", type=Path)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--scenes", type=int, default=4)
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--steps", type=int, nargs="+", default=[3, 10])
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.2, 0.4, 0.6, 0.8])
    options = parser.parse_args()
    matter = load_model(options.model, device="cpu")
    if options.what == "stills":
        measure_stills(matter, options.folder, options.mattes, options.steps, options.strengths)
    else:
        assets = Assets(find_pictures(options.folder), (), 1.0)
        measure_sequences(matter, assets, options.scenes, options.frames, options.steps, options.strengths)


if __name__ == "__main__":
    main()
