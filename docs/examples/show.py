"""Make docs/examples/result.jpg: photographs, their trimaps, mattes of `tiny`, and cutouts on another colour.

python docs/examples/show.py
"""

from pathlib import Path

import numpy as np
from PIL import Image

from diffmatte_cli import Matter, load_model
from diffmatte_cli.composition.background import cutout
from diffmatte_cli.composition.foreground import estimate_foreground
from diffmatte_cli.imaging.grey import read_grey
from diffmatte_cli.imaging.read import read_image
from diffmatte_cli.trimaps.trimap import parse_trimap

HERE = Path(__file__).parent
COLOURS = {"cat": (38, 110, 150), "astronaut": (250, 250, 250)}
WIDTH = 400


def main() -> None:
    """Matte each photograph and lay its four pictures side by side."""
    matter = load_model("tiny")
    rows = [row(matter, name, colour) for name, colour in COLOURS.items()]
    Image.fromarray(np.vstack(rows)).save(HERE / "result.jpg", quality=90)


def row(matter: Matter, name: str, colour: tuple[int, int, int]) -> np.ndarray:
    """Return photograph, trimap, alpha and cutout beside each other, uint8 [H, 4 * WIDTH, 3]."""
    image = read_image(HERE / f"{name}.jpg").pixels
    trimap = parse_trimap(read_grey(HERE / f"{name}_trimap.png").levels)
    alpha = matter.matte(image, trimap)
    subject = Image.fromarray(cutout(estimate_foreground(image, alpha), alpha, 8, premultiplied=False))
    page = Image.new("RGBA", subject.size, colour)
    page.alpha_composite(subject)
    tiles = [Image.fromarray(image), Image.fromarray(trimap), Image.fromarray(np.uint8(np.rint(255 * alpha))), page]
    size = (WIDTH, WIDTH * image.shape[0] // image.shape[1])
    return np.hstack([np.asarray(tile.convert("RGB").resize(size, Image.Resampling.LANCZOS)) for tile in tiles])


if __name__ == "__main__":
    main()
