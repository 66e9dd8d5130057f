"""Write a test set of drawn pictures: image/, trimap/ and alpha/, for `diffmatte evaluate --layout plain`.

    python docs/measuring/drawn.py FOLDER [--count 40]

They are those that `validation = "drawn"` begins with, and no training run's samples.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from diffmatte_cli.training.config import DataConfig
from diffmatte_cli.training.materials import read_validation


def main() -> None:
    """Write the set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=40)
    options = parser.parse_args()
    for name, image, trimap, alpha in read_validation(DataConfig(validation="drawn", validation_limit=options.count)):
        for part, pixels in (("image", image), ("trimap", trimap), ("alpha", np.round(alpha * 255).astype(np.uint8))):
            (options.folder / part).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(options.folder / part / f"{name}.png")


if __name__ == "__main__":
    main()
