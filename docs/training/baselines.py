"""Write the mattes that `tiny` is compared with, to be scored by `diffmatte evaluate`: no learning in either.

    python docs/training/baselines.py FOLDER -o DIR [--closed-form]

FOLDER holds image/ and trimap/ with files of one stem. DIR/prior gets what the model's colour prior alone implies,
DIR/closed-form what pymatting's closed-form matting gives (extra ml).
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from diffmatte_cli.imaging.encoding import Result
from diffmatte_cli.imaging.folders import images_in
from diffmatte_cli.imaging.grey import read_grey
from diffmatte_cli.imaging.read import read_image
from diffmatte_cli.imaging.write import write_images
from diffmatte_cli.priors.colours import colour_priors
from diffmatte_cli.storage.paths import Place
from diffmatte_cli.trimaps.trimap import parse_trimap


def prior(image: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """Return the alpha that colours alone imply, float32 [H, W]; ``image`` and ``trimap`` as ``Matter`` takes them."""
    pixels = torch.tensor(image).permute(2, 0, 1)[None] / 255
    levels = torch.where(torch.tensor(trimap) == 128, 0.5, (torch.tensor(trimap) > 128).float())
    return colour_priors(pixels, levels[None, None]).alpha[0, 0].numpy()


def closed_form(image: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """Return the alpha of closed-form matting likewise."""
    from pymatting import estimate_alpha_cf

    levels = np.where(trimap == 128, 0.5, trimap / 255)
    return estimate_alpha_cf(image / 255, levels).astype(np.float32)


def main() -> None:
    """Write a matte of each kind for each picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--closed-form", action="store_true")
    options = parser.parse_args()
    kinds = {"prior": prior} | ({"closed-form": closed_form} if options.closed_form else {})
    folder = Place(options.folder)
    trimaps = {place.path.stem: place.path for place in images_in(folder / "trimap")}
    for path in (place.path for place in images_in(folder / "image")):
        image, trimap = read_image(path).pixels, parse_trimap(read_grey(trimaps[path.stem]).levels)
        results = [
            Result(options.output / kind / f"{path.stem}.png", make(image, trimap)) for kind, make in kinds.items()
        ]
        write_images(results)


if __name__ == "__main__":
    main()
