"""Subjects on a plain colour."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffmatte_cli.errors import ImageError
from diffmatte_cli.imaging.grey import BY_PLAIN, decode_mask, decode_matte

HEIGHT, WIDTH = 50, 70


def _cutout(background: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return a cutout on a plain colour, with a spot of that colour inside, and its mask."""
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[10:, 20:55] = True  # down to the border
    pixels = np.random.default_rng(0).integers(60, 200, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    pixels[..., 2] //= 2
    pixels[~mask] = background
    pixels[30:35, 30:35] = background
    return pixels, mask


def _encoded(pixels: np.ndarray, form: str = "PNG", **settings: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **settings)
    return file.getvalue()


@pytest.mark.parametrize("background", [(255, 255, 255), (0, 0, 0), (0, 177, 64), (128, 128, 128)])
def test_a_cutout_on_a_plain_colour(background: tuple[int, int, int]) -> None:
    pixels, mask = _cutout(background)
    grey = decode_mask(_encoded(pixels), Path("cut.png"))
    np.testing.assert_array_equal(grey.levels, mask)
    assert grey.notes == (BY_PLAIN,)


def test_as_jpeg_it_is_nearly_the_same() -> None:
    pixels, mask = _cutout((255, 255, 255))
    grey = decode_mask(_encoded(pixels, "JPEG", quality=90, subsampling=0), Path("cut.jpg"))
    assert (grey.levels != mask).mean() < 0.06


def test_the_background_is_followed_around_corners() -> None:
    walls = np.zeros((41, 41), np.bool_)
    for column in range(4, 40, 4):  # a way that winds up and down between them, closed at its end
        walls[2:-2, column] = True
        walls[2 if column % 8 else -3, column - 4 : column] = True
    walls[2:-2, [4, 36]] = True
    pixels = np.full((41, 41, 3), (0, 0, 255), np.uint8)
    pixels[walls] = (200, 180, 0)
    levels = decode_mask(_encoded(pixels), Path("maze.png")).levels
    np.testing.assert_array_equal(levels[:, 5:36], walls[:, 5:36])


def test_a_photograph_is_no_mask() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    with pytest.raises(ImageError, match="its colours are"):
        decode_mask(_encoded(pixels), Path("cat.png"))


def test_of_mattes_a_plain_colour_is_an_error_as_before() -> None:
    with pytest.raises(ImageError, match="its colours are"):
        decode_matte(_encoded(_cutout((255, 255, 255))[0]), Path("cut.png"))
