"""Make docs/examples/result.jpg: photograph, trimap, alpha, and the cutout on another colour.

python docs/examples/show.py
"""

from pathlib import Path

import numpy as np
from PIL import Image

from diffmatte_cli import load_model
from diffmatte_cli.composition.background import cutout
from diffmatte_cli.composition.foreground import estimate_foreground
from diffmatte_cli.imaging.grey import read_grey
from diffmatte_cli.imaging.read import read_image
from diffmatte_cli.trimaps.trimap import parse_trimap

HERE = Path(__file__).parent
PAPER = (214, 68, 110)


def main() -> None:
    """Compute the example's matte and lay the four pictures side by side."""
    image = read_image(HERE / "fluff.jpg").pixels
    trimap = parse_trimap(read_grey(HERE / "fluff_trimap.png").levels)
    alpha = load_model("tiny").matte(image, trimap)
    subject = Image.fromarray(cutout(estimate_foreground(image, alpha), alpha, 8, premultiplied=False))
    page = Image.new("RGBA", subject.size, PAPER)
    page.alpha_composite(subject)
    tiles = [Image.fromarray(image), Image.fromarray(trimap), Image.fromarray(np.uint8(np.rint(255 * alpha))), page]
    row = np.hstack([np.asarray(tile.convert("RGB").resize((480, 360), Image.Resampling.LANCZOS)) for tile in tiles])
    Image.fromarray(row).save(HERE / "result.jpg", quality=90)


if __name__ == "__main__":
    main()
