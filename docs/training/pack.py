"""Pack what the recipe ``drawn`` is composed from into one folder of at most 40 MB for the recipe ``packed``.

    python docs/training/pack.py docs/training/tiny.toml -o packed [--seed 0]

The folders in the configuration start where the command is run. All pictures are written as WebP: ``backgrounds``;
``rendered``, ``mattes`` and ``drawn``, straight colours and alpha in files of their own, since alpha is to keep nearly
all of its levels; and ``validation``, the configuration's validation pictures without loss. What is ``drawn`` is drawn
here, as many as there is room for. With ``validation = "rendered"`` nothing of the held-out subjects is in
``rendered``. Each class has a budget, for which all of its pictures are made smaller or coarser until they fit. The
same seed and files give the same bytes.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from diffmatte_cli.errors import TrainingError
from diffmatte_cli.priors.colours import fill_colours
from diffmatte_cli.training.config import DataConfig, read_config
from diffmatte_cli.training.materials import VALIDATION, read_materials, read_validation
from diffmatte_cli.training.synthesis.composition import draw_foreground
from diffmatte_cli.training.synthesis.files import Assets
from diffmatte_cli.training.synthesis.layers import Bytes, Floats
from diffmatte_cli.training.synthesis.packed import ALPHA, COLOURS, CUTOUTS, DRAWN, MATTE, PHOTOGRAPHS, RENDERED
from diffmatte_cli.training.synthesis.pictures import cut_patch, read_cutout, read_photo

MB = 10**6
BUDGETS = {PHOTOGRAPHS: 16.5 * MB, "cutouts": 12 * MB, "drawn": 10 * MB, VALIDATION: 1.5 * MB}
# Longest sides and qualities, the best first.
PHOTO_RUNGS = ((576, 75), (576, 65), (576, 60), (576, 55), (576, 50), (512, 50), (448, 50), (384, 50), (320, 50))
CUTOUT_RUNGS = ((640, 75), (640, 60), (576, 60), (512, 75), (512, 60), (448, 60), (384, 60), (320, 60))
DRAWN_RUNG = (384, 60)
ALPHA_QUALITY = 95

Rung = tuple[int, int]


@dataclass(frozen=True)
class Packed:
    """A picture's files: its colours, and its alpha if it has one, which is off by ``error`` of 255 where partial."""

    colours: bytes
    alpha: bytes = b""
    error: float = 0.0

    @property
    def size(self) -> int:
        """Bytes of both."""
        return len(self.colours) + len(self.alpha)


# A picture to its files, at a longest side and a quality.
Pack = Callable[[Path, Rung], Packed]


def webp(pixels: Bytes, quality: int) -> bytes:
    """Encode a picture."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=quality, method=4)
    return buffer.getvalue()


def photograph(path: Path, rung: Rung) -> Packed:
    """Pack a photograph."""
    return Packed(webp(limited(read_photo(path), rung[0]), rung[1]))


def cutout(path: Path, rung: Rung) -> Packed:
    """Pack a picture with alpha, or with its brightest channel as opacity."""
    layer = limited(read_cutout(path), rung[0]).astype(np.float32) / 255
    return layered(layer[..., :3] / np.maximum(layer[..., 3:], 1 / 255), layer[..., 3], rung[1])


def layered(colours: Floats, alpha: Floats, quality: int) -> Packed:
    """Pack straight colours [H, W, 3], which are continued to where there is no alpha, and alpha [H, W], in [0, 1]."""
    image, cover = torch.from_numpy(colours.clip(0, 1)).permute(2, 0, 1)[None], torch.from_numpy(alpha.clip(0, 1))
    filled = fill_colours(image, (cover > 0.02)[None, None].float())[0].permute(1, 2, 0).numpy()
    levels = (cover.numpy() * 255).round().astype(np.uint8)
    file = webp(levels, ALPHA_QUALITY)
    partial = (levels > 5) & (levels < 250)
    with Image.open(BytesIO(file)) as kept:
        errors = np.abs(np.asarray(kept.convert("L")).astype(int) - levels)[partial]
    return Packed(
        webp((filled * 255).round().astype(np.uint8), quality), file, float(errors.mean()) if errors.size else 0
    )


def limited(pixels: Bytes, longest: int) -> Bytes:
    """Scale a picture down to a longest side."""
    scale = longest / max(pixels.shape[:2])
    if scale >= 1:
        return pixels
    return np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def fitted(pack: Pack, paths: Sequence[Path], budget: float, rungs: Sequence[Rung]) -> tuple[Rung, list[Packed]]:
    """Return the first rung at which all pictures fit a budget of bytes, and what they are packed to."""
    for rung in rungs:
        files = [pack(path, rung) for path in paths]
        if sum(file.size for file in files) <= budget:
            return rung, files
    raise TrainingError(f"{len(paths)} pictures do not fit {budget:.0f} bytes at any size: leave some out")


def drawn(assets: Assets, seed: int, budget: float) -> Iterator[Packed]:
    """Draw foregrounds until the budget of bytes is spent."""
    side, quality = DRAWN_RUNG
    alone, number = Assets(assets.backgrounds, (), 1.0), 0
    while True:
        rng = np.random.default_rng([seed, number])
        texture = cut_patch(rng, assets.backgrounds[int(rng.integers(len(assets.backgrounds)))], side)
        packed = layered(*draw_foreground(rng, alone, texture, side), quality)
        budget, number = budget - packed.size, number + 1
        if budget < 0:
            return
        yield packed


def write(folder: Path, paths: Sequence[Path], pictures: Sequence[Packed], rung: Rung) -> str:
    """Write files, which keep their order, and say what they are."""
    cutouts = bool(pictures and pictures[0].alpha)
    for number, picture in enumerate(pictures):
        name = f"{number:04d}{f'_{paths[number].stem}' if paths else ''}.webp"
        parts = {COLOURS: picture.colours, ALPHA: picture.alpha} if cutouts else {"": picture.colours}
        for part, content in parts.items():
            (folder / part).mkdir(parents=True, exist_ok=True)
            (folder / part / name).write_bytes(content)
    line = f"{folder.name}: {len(pictures)} pictures, {sum(picture.size for picture in pictures) / MB:.2f} MB"
    line += f", longest side {rung[0]}, quality {rung[1]}"
    error = float(np.mean([picture.error for picture in pictures]))
    return f"{line}, alpha of quality {ALPHA_QUALITY}, off by {error:.2f} of 255" if cutouts else line


def write_validation(folder: Path, data: DataConfig) -> str:
    """Write validation pictures, trimaps and alphas without loss."""
    pairs, total = read_validation(data), 0
    for name, image, trimap, alpha in pairs:
        for part, pixels in (("image", image), ("trimap", trimap), ("alpha", (alpha * 255).round().astype(np.uint8))):
            (folder / part).mkdir(parents=True, exist_ok=True)
            path = folder / part / f"{name}.webp"
            Image.fromarray(pixels).save(path, lossless=True, method=6)
            total += path.stat().st_size
    if total > BUDGETS[VALIDATION]:
        raise TrainingError(f"{len(pairs)} validation pictures need {total} bytes: lower validation_limit")
    return f"{folder.name}: {len(pairs)} pictures, {total / MB:.2f} MB, without loss"


def contents(folder: Path, data: DataConfig, assets: Assets, seed: int) -> Iterator[str]:
    """Write class after class, and say of each what it holds."""
    rung, pictures = fitted(photograph, assets.backgrounds, BUDGETS[PHOTOGRAPHS], PHOTO_RUNGS)
    yield write(folder / PHOTOGRAPHS, assets.backgrounds, pictures, rung)
    rung, pictures = fitted(cutout, assets.rendered + assets.mattes, BUDGETS["cutouts"], CUTOUT_RUNGS)
    yield write(folder / CUTOUTS[RENDERED], assets.rendered, pictures[: len(assets.rendered)], rung)
    yield write(folder / CUTOUTS[MATTE], assets.mattes, pictures[len(assets.rendered) :], rung)
    yield write(folder / CUTOUTS[DRAWN], (), list(drawn(assets, seed, BUDGETS["drawn"])), DRAWN_RUNG)
    if data.validation:
        yield write_validation(folder / VALIDATION, data)


def main() -> None:
    """Write the folder, and into it what it holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    data = read_config(options.config).data
    assets = read_materials(data)
    if not isinstance(assets, Assets) or not (assets.backgrounds and assets.mattes and assets.rendered):
        parser.error('the configuration must be of recipe = "drawn", with backgrounds, mattes and rendered')
    if options.output.exists():
        parser.error(f"{options.output} exists already: choose another folder")
    cv2.setNumThreads(1)
    options.output.mkdir(parents=True)
    lines = []
    for line in contents(options.output, data, assets, options.seed):
        print(line, flush=True)
        lines.append(f"{line}\n")
    (options.output / "contents.txt").write_text("".join(lines))


if __name__ == "__main__":
    main()
