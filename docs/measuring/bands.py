"""Measure trimaps made from rough masks by the error of the mattes that come of them.

    python docs/measuring/bands.py FOLDER... [--steps 10] [--percent 0.75 1 1.5 2] [--every 3] [--cache SADS.json]

Each FOLDER holds image/, trimap/ and alpha/ with files of one stem. From every true alpha come six rough masks, as
segmentation leaves them: cut at one half, then blurred, rounded, dilated, eroded or shifted, by 0.3 % of the longer
side (rounded: twice that). A row for each way to make a trimap: one width after another, what `diffmatte trimap` does
if no width is given ("usual"), the same with all unknown that is soft in truth or wrongly known ("corrected", which
shows what could be gained), and the folder's own trimaps. A column for each kind of mask: the mean over the pictures
of the matte's SAD over the whole picture, / 1000. `--every 3` takes two masks of each picture, all kinds in turn.
`--cache` keeps what was computed, so that a run goes on where another ended.
"""

import argparse
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from diffmatte_cli import load_model
from diffmatte_cli.inference.matter import Matter
from diffmatte_cli.training.config import DataConfig
from diffmatte_cli.training.materials import read_validation
from diffmatte_cli.trimaps.band import Band
from diffmatte_cli.trimaps.masks import trimap_from_mask
from diffmatte_cli.trimaps.morphology import dilate, erode
from diffmatte_cli.trimaps.trimap import UNKNOWN

Array = np.ndarray
Way = Callable[[Array, Array], Array]  # a mask's levels and the true alpha to a trimap
ROUGHNESS = 0.003  # of the longer side


def blurred(mask: Array, radius: float) -> Array:
    """Return a mask's levels after Gaussian blur."""
    soft = Image.fromarray(np.uint8(255 * mask)).filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(soft) / np.float32(255)


def shifted(mask: Array, radius: int) -> Array:
    """Return a mask shifted in one of four diagonal directions, drawn from its size and area."""
    down, right = np.random.default_rng([*mask.shape, int(mask.sum())]).choice((-radius, radius), 2)
    padded = np.pad(mask, radius, mode="edge")
    height, width = mask.shape
    return padded[radius - down :, radius - right :][:height, :width]


ROUGH: dict[str, Callable[[Array, int], Array]] = {
    "cut": lambda mask, _: mask,
    "blurred": blurred,
    "rounded": lambda mask, radius: blurred(mask, 2 * radius) >= 0.5,
    "dilated": dilate,
    "eroded": erode,
    "shifted": shifted,
}


def corrected(levels: Array, truth: Array) -> Array:
    """Return the usual trimap of a mask, with all that is soft in truth, or wrongly known, made unknown."""
    trimap = trimap_from_mask(levels, Band())
    return np.where(np.abs(trimap / 255 - truth) > 0.02, np.uint8(UNKNOWN), trimap)


def of_width(band: Band) -> Way:
    """Return the way of a band."""
    return lambda levels, _: trimap_from_mask(levels, band)


class Sads:
    """Whole-picture SADs of mattes, kept in a file by photograph, trimap and steps."""

    def __init__(self, matter: Matter, steps: int, path: Path | None) -> None:
        self.matter, self.steps, self.path = matter, steps, path
        self.known: dict[str, float] = json.loads(path.read_text()) if path and path.exists() else {}

    def of(self, name: str, image: Array, trimap: Array, truth: Array) -> float:
        """Return the SAD, / 1000, of the matte of a photograph and trimap."""
        key = f"{name} {self.steps} {hashlib.sha256(trimap.tobytes()).hexdigest()[:16]}"
        if key not in self.known:
            alpha = self.matter.matte(image, trimap, steps=self.steps)
            self.known[key] = float(np.abs(alpha - truth).sum()) / 1000
            if self.path:
                self.path.write_text(json.dumps(self.known))
        return self.known[key]


def masks(truth: Array) -> Iterator[tuple[str, Array]]:
    """Yield the rough masks of a true alpha, levels [H, W] in [0, 1]."""
    radius = max(1, round(ROUGHNESS * max(truth.shape)))
    for kind, damage in ROUGH.items():
        yield kind, damage(truth >= 0.5, radius).astype(np.float32)


def main() -> None:
    """Print a row of mean SADs for each way to make a trimap."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--percent", type=float, nargs="*", default=[0.75, 1, 1.5, 2])
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--every", type=int, default=1, help="of each picture's masks take one in so many")
    parser.add_argument("--cache", type=Path)
    options = parser.parse_args()
    matter = load_model("tiny")
    sads = Sads(matter, options.steps, options.cache)
    print(f"{'':24}{'mean':>8}", *(f"{kind:>8}" for kind in ROUGH))
    for folder in options.folders:
        pictures = read_validation(DataConfig(validation=str(folder), validation_limit=10**6))
        ways = {f"{percent:g} %": of_width(Band(percent=percent)) for percent in options.percent}
        ways |= {"usual": of_width(Band()), "corrected": corrected}
        for label, way in ways.items():
            tell(f"{folder.name} {label}", sads_of(sads, pictures, way, options.every))
        own = np.mean([sads.of(name, image, trimap, truth) for name, image, trimap, truth in pictures])
        print(f"{folder.name + ' own':24}{own:8.2f}", flush=True)


def sads_of(sads: Sads, pictures: list, way: Way, every: int) -> dict[str, list[float]]:
    """Return the SADs over the pictures, by kind of mask."""
    found: dict[str, list[float]] = {kind: [] for kind in ROUGH}
    for number, (name, image, _, truth) in enumerate(pictures):
        for place, (kind, levels) in enumerate(masks(truth)):
            if (place + number) % every == 0:
                found[kind].append(sads.of(name, image, way(levels, truth), truth))
    return found


def tell(way: str, found: dict[str, list[float]]) -> None:
    """Print a row."""
    columns = [np.mean([sad for sads in found.values() for sad in sads]), *map(np.mean, found.values())]
    print(f"{way:24}", *(f"{value:8.2f}" for value in columns), flush=True)


if __name__ == "__main__":
    main()
