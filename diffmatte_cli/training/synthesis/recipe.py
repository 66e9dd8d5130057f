"""The paper's own samples (Appendix C): a foreground of a set, augmented, over a background.

What Appendix C leaves to "the common practice" follows the papers that it goes back to: two foregrounds joined, a
random affine transformation, a crop around the unknown region, and a jitter of colours. A sample depends on
(seed, index) alone. Nothing is kept between samples: pictures may be large, and each is decoded when its turn comes.
"""

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from .camera import NEUTRAL
from .files import Sets
from .layers import Bytes, Floats, Layers
from .noise import log_uniform
from .pictures import cut_square, read_pixels
from .sets import read_foreground
from .trimaps import erode_known

__all__ = ["compose_paper", "pick_foreground"]

# Appendix C: sides of the kernels of dilation and erosion, in pixels, both included.
KERNELS = (1, 30)
# GCA-Matting (AAAI 2020), data augmentation: the shares of samples of two foregrounds, and of those resized as a
# whole, to 640 x 640 for crops of 512.
COMBINED_SHARE = 0.5
WHOLE_SHARE, WHOLE_SIDE = 0.25, 640 / 512
# The same paper names rotation, scaling, shearing and both flips, and jitter of hue, saturation and value, but no
# ranges: these are not given in the paper. In degrees either way, factors, and the share of either flip.
ROTATION, SHEAR = 30.0, 10.0
SCALES = (0.8, 1.25)
FLIP_SHARE = 0.5
HUE = 20.0
SATURATIONS = VALUES = (0.8, 1.25)
# The same paper: any method for every resizing. (A warp takes area for linear.)
INTERPOLATIONS = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA, cv2.INTER_LANCZOS4)
# Not given in the paper: smaller foregrounds are enlarged to cover the crop, but not beyond so many times its side.
LONGEST_ENLARGED = 4

# Composed around the crop, so that the trimap knows what lies outside.
MARGIN = KERNELS[1] // 2 + 1
# Crops without an unknown pixel are drawn again, so many times at most.
TRIES = 4
# Opaque white, premultiplied: half the product of two levels of 8 bits. In 16 bits that leaves room for what
# interpolation overshoots, by colours and alpha alike.
FULL = 255 * 255 // 2
# Pixels around the cut of a picture, for the widest interpolation.
SUPPORT = 4

# Straight colours [H, W, 3] and alpha [H, W].
Picture = tuple[Bytes, Bytes]
Deep = NDArray[np.uint16]
Doubles = NDArray[np.float64]
Level = TypeVar("Level", np.uint8, np.uint16)


def compose_paper(sets: Sets, seed: int, index: int, crop: int) -> Layers:
    """Compose the layers of sample ``index``, a crop with unknown pixels in it (Appendix C).

    Grain is none and settings are neutral: what ``finish`` makes of it is Eq. 1, rounded to 8 bits.
    """
    rng = np.random.default_rng([seed, index])
    window = np.s_[MARGIN : MARGIN + crop, MARGIN : MARGIN + crop]
    number = pick_foreground(len(sets.foregrounds), seed, index)
    first = read_foreground(sets.foregrounds[number])
    for _ in range(TRIES):
        pictures = [first, *_second(rng, sets, number)]
        layer = _scene(rng, pictures, crop)
        alpha = np.round(layer[..., 3] * 255).astype(np.uint8)
        sides = rng.integers(KERNELS[0], KERNELS[1] + 1, 2).tolist()
        masks = [(alpha == level).astype(np.uint8) for level in (255, 0)]
        trimap = np.ascontiguousarray(erode_known(masks[0], masks[1], (sides[0], sides[1]))[window])
        if (trimap == 128).any():
            break
    front = _jittered(rng, _straight(layer[window]))
    back = _background(rng, sets, crop)
    grain = np.zeros((crop, crop, 3), np.int8)
    return Layers(front, back, np.ascontiguousarray(alpha[window]), trimap, grain, NEUTRAL)


def pick_foreground(count: int, seed: int, index: int) -> int:
    """Return the number of sample ``index``'s foreground: every ``count`` samples hold each once, in a new order."""
    epoch, place = divmod(index, count)
    return int(np.random.default_rng([seed, count, epoch]).permutation(count)[place])


def _second(rng: np.random.Generator, sets: Sets, number: int) -> list[Picture]:
    """Read a foreground other than ``number`` to lie below it, in half of the cases."""
    count = len(sets.foregrounds)
    if count == 1 or rng.random() >= COMBINED_SHARE:
        return []
    other = (number + 1 + int(rng.integers(count - 1))) % count
    return [read_foreground(sets.foregrounds[other])]


def _scene(rng: np.random.Generator, pictures: list[Picture], crop: int) -> Floats:
    """Place pictures, the first on top: premultiplied RGBA [S, S, 4] in [0, 1], S the crop and its margins.

    All are taken for pictures of one shape, joined, moved and cut; in fact each is moved by itself, once, and only
    where it is seen.
    """
    shape = _working_shape(rng, pictures[0][1].shape, crop)
    pixel = _unknown_pixel(rng, [alpha for _, alpha in pictures], shape)
    linear, offset = _affine(rng, pixel, shape, crop)
    joined = np.zeros((crop + 2 * MARGIN, crop + 2 * MARGIN, 4), np.float32)
    for picture in pictures:
        layer = _placed(rng, picture, shape, linear, offset, len(joined)) / np.float32(FULL)
        layer /= np.maximum(layer[..., 3:], 1)
        joined += (1 - joined[..., 3:]) * np.minimum(layer, layer[..., 3:])
    return joined


def _working_shape(rng: np.random.Generator, shape: tuple[int, ...], crop: int) -> tuple[int, int]:
    """Return the height and width to take a foreground for: at times little more than the crop, else at least it."""
    if rng.random() < WHOLE_SHARE:
        return (round(WHOLE_SIDE * crop),) * 2
    enlarged = min(crop / min(shape), LONGEST_ENLARGED * crop / max(shape))
    height, width = (round(side * max(1.0, enlarged)) for side in shape)
    return height, width


def _unknown_pixel(rng: np.random.Generator, alphas: list[Bytes], shape: tuple[int, int]) -> Doubles:
    """Pick a pixel (x, y) that is, or borders on, part foreground and part background; the middle if there is none."""
    clear = np.full(shape, 255, np.uint8)
    for alpha in alphas:
        clear = cv2.multiply(clear, 255 - _resized(alpha, shape, cv2.INTER_AREA), scale=1 / 255)
    around = np.ones((3, 3), np.uint8)
    unknown = (cv2.dilate(clear, around) > 0) & (cv2.erode(clear, around) < 255)
    found = np.flatnonzero(unknown)
    if not len(found):
        return (np.array(shape[::-1]) - 1) / 2
    row, column = divmod(int(found[rng.integers(len(found))]), shape[1])
    return np.array([column, row], np.float64)


def _affine(rng: np.random.Generator, pixel: Doubles, shape: tuple[int, int], crop: int) -> tuple[Doubles, Doubles]:
    """Draw how a picture is moved into the window, (x, y) to ``linear @ (x, y) + offset``.

    The pixel comes to the middle, or as near as the picture's borders let it: beyond them are reflections.
    """
    turn, shear = np.radians([rng.uniform(-ROTATION, ROTATION), rng.uniform(-SHEAR, SHEAR)])
    scale = log_uniform(rng, *SCALES)
    rotated = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    linear = rotated @ [[1, np.tan(shear)], [0, 1]] @ np.diag(np.where(rng.random(2) < FLIP_SHARE, -1, 1))
    sides = np.array(shape[::-1])
    reach = np.minimum(crop / scale, sides) / 2
    middle = np.clip(pixel, reach - 0.5, sides - reach - 0.5)
    return linear, (crop + 2 * MARGIN - 1) / 2 - linear @ middle


def _placed(
    rng: np.random.Generator, picture: Picture, shape: tuple[int, int], linear: Doubles, offset: Doubles, size: int
) -> Deep:
    """Move a picture, taken for one of ``shape``, into a window: premultiplied RGBA [S, S, 4], 0 to FULL.

    It is shrunk first if it is larger; enlarged it is by the movement itself.
    """
    colours, alpha = picture
    if alpha.shape[0] > shape[0] or alpha.shape[1] > shape[1]:
        layer = _resized(_premultiplied(colours, alpha), shape, _any_method(rng))
    else:
        sides = np.array(alpha.shape[::-1])
        ratio = np.array(shape[::-1]) / sides
        linear, offset = linear * ratio, offset + linear @ (ratio - 1) / 2
        inverse = np.linalg.inv(linear)
        middle, reach = inverse @ ((size - 1) / 2 - offset), np.abs(inverse).sum(axis=1) * size / 2 + SUPPORT
        first, last = (np.clip(np.round(middle + way * reach), 0, sides).astype(int) for way in (-1, 1))
        cut = np.s_[first[1] : last[1], first[0] : last[0]]
        layer, offset = _premultiplied(colours[cut], alpha[cut]), offset + linear @ first
    matrix = np.column_stack([linear, offset])
    method = _any_method(rng)
    placed = cv2.warpAffine(layer, matrix, (size, size), flags=method, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(placed, np.uint16)


def _premultiplied(colours: Bytes, alpha: Bytes) -> Deep:
    """Weight colours by alpha, so that what is mixed of neighbours never has colours from where alpha is 0."""
    opaque = cv2.cvtColor(colours, cv2.COLOR_RGB2RGBA)
    return np.asarray(cv2.multiply(opaque, cv2.merge([alpha] * 4), scale=0.5, dtype=cv2.CV_16U), np.uint16)


def _straight(layer: Floats) -> Floats:
    """Divide premultiplied RGBA [S, S, 4] by alpha into RGB [S, S, 3], both in [0, 1]."""
    return np.asarray(layer[..., :3] / np.maximum(layer[..., 3:], 1e-6), np.float32)


def _jittered(rng: np.random.Generator, colours: Floats) -> Bytes:
    """Shift the hue, and multiply saturation and value, of RGB [S, S, 3] in [0, 1]."""
    hue, saturation, value = cv2.split(cv2.cvtColor(colours, cv2.COLOR_RGB2HSV))
    hue = (hue + np.float32(rng.uniform(-HUE, HUE))) % 360
    saturation = np.minimum(saturation * np.float32(log_uniform(rng, *SATURATIONS)), 1)
    value = np.minimum(value * np.float32(log_uniform(rng, *VALUES)), 1)
    jittered = cv2.cvtColor(cv2.merge([hue, saturation, value]), cv2.COLOR_HSV2RGB)
    return np.asarray(np.round(jittered * 255), np.uint8)


def _background(rng: np.random.Generator, sets: Sets, crop: int) -> Bytes:
    """Resize one of the backgrounds until it just covers the crop, and cut there at random: RGB [S, S, 3]."""
    photo = read_pixels(sets.backgrounds[int(rng.integers(len(sets.backgrounds)))], cv2.IMREAD_COLOR)
    square = cut_square(rng, photo, min(photo.shape[:2]))
    return np.ascontiguousarray(_resized(square, (crop, crop), _any_method(rng))[..., ::-1])


def _resized(picture: NDArray[Level], shape: tuple[int, int], method: int) -> NDArray[Level]:
    if picture.shape[:2] == shape:
        return picture
    return np.asarray(cv2.resize(picture, shape[::-1], interpolation=method), picture.dtype)


def _any_method(rng: np.random.Generator) -> int:
    chosen: int = INTERPOLATIONS[int(rng.integers(len(INTERPOLATIONS)))]
    return chosen
