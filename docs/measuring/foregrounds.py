"""Measure the estimates of the subject's own colour against a known one, on drawn scenes.

    python docs/measuring/foregrounds.py BACKGROUNDS [--scenes 12] [--side 640]
    python docs/measuring/foregrounds.py BACKGROUNDS --cost blur-fusion [--side 1600]

BACKGROUNDS is a folder of photographs; the [train] and [ml] extras are needed. The first line prints, for each way of
`--foreground`, the mean error of the colour where alpha is between 2 % and 98 %, in levels of 255: with the true
alpha, and with the bundled model's; and the same weighed by alpha, which is what shows on a new background. The second
prints the seconds of the first call and the median of three more, and how much more memory than before the process
needs at most (on Linux), of one way. NUMBA_CACHE_DIR=$(mktemp -d) before it shows what ml's very first call takes.
"""

import argparse
import time
from pathlib import Path
from statistics import median

import numpy as np

from diffmatte_cli import load_model
from diffmatte_cli.composition.foreground import FOREGROUNDS
from diffmatte_cli.inference.peak import peak_memory
from diffmatte_cli.training.synthesis.composition import compose
from diffmatte_cli.training.synthesis.files import Assets, find_pictures
from diffmatte_cli.training.synthesis.layers import Layers

SEED = 515


def blended(layers: Layers) -> tuple[np.ndarray, np.ndarray]:
    """Return the photograph uint8 [S, S, 3] by Eq. 1, and its alpha float32 [S, S]."""
    alpha = layers.alpha.astype(np.float32) / 255
    mixed = alpha[..., None] * layers.front + (1 - alpha[..., None]) * layers.back
    return np.rint(mixed).astype(np.uint8), alpha


def compare(assets: Assets, scenes: int, side: int) -> None:
    """Print the errors of every way."""
    matter = load_model("tiny")
    errors: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for position in range(scenes):
        layers = compose(assets, SEED, position, side)
        image, true = blended(layers)
        soft = (true > 0.02) & (true < 0.98)
        for kind, alpha in (("true", true), ("tiny's", matter.matte(image, layers.trimap))):
            for name, estimate in FOREGROUNDS.items():
                off = np.abs(estimate(image, alpha) * 255 - layers.front)[soft].mean(axis=1)
                errors.setdefault((name, kind), []).append((off.mean(), (off * true[soft]).sum() / true[soft].sum()))
    for (name, kind), found in errors.items():
        plain, weighed = np.mean(found, axis=0)
        print(f"{name:12} {kind:7} alpha: {plain:5.1f}, weighed by alpha {weighed:5.1f}")


def cost(assets: Assets, name: str, side: int) -> None:
    """Print the time and memory of one way."""
    image, alpha = blended(compose(assets, SEED, 0, side))
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    before, seconds = peak_memory() or 0, []
    for _ in range(4):
        began = time.perf_counter()
        FOREGROUNDS[name](image, alpha)
        seconds.append(time.perf_counter() - began)
    grown = ((peak_memory() or 0) - before) / 2**20
    print(f"{name}: first {seconds[0]:.2f} s, then {median(seconds[1:]):.2f} s, {grown:.0f} MiB more than before")


def main() -> None:
    """Compare all, or measure one's cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backgrounds", type=Path)
    parser.add_argument("--scenes", type=int, default=12)
    parser.add_argument("--side", type=int, default=640)
    parser.add_argument("--cost", choices=tuple(FOREGROUNDS))
    options = parser.parse_args()
    assets = Assets(find_pictures(options.backgrounds), (), 1.0)
    if options.cost:
        cost(assets, options.cost, options.side)
    else:
        compare(assets, options.scenes, options.side)


if __name__ == "__main__":
    main()
