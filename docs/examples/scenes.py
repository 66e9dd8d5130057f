"""Show the bundled model on drawn scenes: docs/examples/scenes.jpg, a row of photograph, trimap, alpha and truth each.

The subjects come from the training's own drawing (never these very ones), the backgrounds are painted here.
Prints SAD and MSE of each. Needs the [train] extra.

    python docs/examples/scenes.py
"""

import tempfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from render import garden

from diffmatte_cli import load_model
from diffmatte_cli.evaluation.metrics import mse, sad
from diffmatte_cli.training.synthesis.composition import compose
from diffmatte_cli.training.synthesis.files import Assets
from diffmatte_cli.training.synthesis.finishing import finish, stack

HERE = Path(__file__).parent
SEED = 990
SHOWN = (1, 2, 4, 6, 8, 13)
SIDE = 352


def backgrounds(folder: Path) -> tuple[Path, ...]:
    """Paint gardens of several colours into a folder."""
    paths = []
    for number, order in enumerate(((0, 1, 2), (1, 0, 2), (2, 1, 0), (0, 2, 1))):
        path = folder / f"{number}.png"
        cv2.imwrite(str(path), garden(np.random.default_rng(number))[..., order].clip(0, 255).astype(np.uint8))
        paths.append(path)
    return tuple(paths)


def main() -> None:
    """Draw the scenes, matte them, and write the sheet."""
    matter = load_model("tiny")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        assets = Assets(backgrounds(Path(folder)), (), 1.0)
        for position in SHOWN:
            pixels, levels, opacity = finish(stack([compose(assets, SEED, position, SIDE)]))
            image = (pixels[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
            trimap = np.array([0, 128, 255], np.uint8)[(levels[0, 0] * 2).long().numpy()]
            truth = opacity[0, 0].numpy()
            alpha = matter.matte(image, trimap)
            print(f"scene {position}: SAD {sad(alpha, truth, trimap):.2f}  MSE {mse(alpha, truth, trimap):.2f}")
            grey = [trimap, *((np.clip(a, 0, 1) * 255).round().astype(np.uint8) for a in (alpha, truth))]
            rows.append(np.hstack([image, *(np.repeat(g[..., None], 3, axis=2) for g in grey)]))
    Image.fromarray(np.vstack(rows)).save(HERE / "scenes.jpg", quality=88)


if __name__ == "__main__":
    main()
