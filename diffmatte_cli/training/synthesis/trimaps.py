"""Trimaps as people and programs make them out of an alpha."""

import cv2
import numpy as np

from ...trimaps.trimap import trimap_of
from .layers import BY_HAND, USUAL_WIDTH, WIDEST, Bytes, Floats
from .noise import log_uniform, smooth_noise

__all__ = ["erode_known", "make_trimap"]


def make_trimap(rng: np.random.Generator, alpha: Floats) -> Bytes:
    """Make a trimap, [S, S] in {0, 128, 255}, of alpha [S, S] in [0, 1].

    Mostly by eroding what is known: by 25 pixels as test sets do, by 1 to 30 pixels (Appendix C), one in seven
    by up to 120, as bands around rough masks are. One in six is drawn by hand: a wobbling brush or a polygon along the
    edge. What is known is within 5 / 255 of the truth.
    """
    sure = [(alpha > 249.5 / 255).astype(np.uint8), (alpha < 5.5 / 255).astype(np.uint8)]
    choice = rng.random()
    if choice < BY_HAND:
        sure = [_by_hand(rng, mask) for mask in sure]
    return erode_known(sure[0], sure[1], _sides(rng, choice))


def erode_known(opaque: Bytes, empty: Bytes, sides: tuple[int, int]) -> Bytes:
    """Erode masks [S, S] of what is opaque and what is empty by ellipses of two sides, in pixels, into a trimap."""
    ellipses = (cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)) for side in sides)
    pairs = zip((opaque, empty), ellipses, strict=True)
    return trimap_of(*(cv2.erode(mask, kernel, borderType=cv2.BORDER_REPLICATE) > 0 for mask, kernel in pairs))


def _sides(rng: np.random.Generator, choice: float) -> tuple[int, int]:
    """Return the kernels' sides for the known foreground and the known background, in pixels."""
    if choice > 0.65:
        return USUAL_WIDTH, USUAL_WIDTH
    if choice > 0.5:
        first, second = (round(log_uniform(rng, 25, WIDEST)) for _ in range(2))
    else:
        first, second = rng.integers(1, 31, 2).tolist()
    return first, first if rng.random() < 0.5 else second


def _by_hand(rng: np.random.Generator, mask: Bytes) -> Bytes:
    """Take away what a hand leaves open: strokes of changing width along the mask's border."""
    size = len(mask)
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    wobble = smooth_noise(rng, size, rng.uniform(12, 60))
    if rng.random() < 0.4:
        # Straight pieces: the wobble in steps, as from corner to corner.
        wobble = cv2.resize(cv2.resize(wobble, (9, 9)), (size, size), interpolation=cv2.INTER_LINEAR)
    return np.asarray(depth > wobble * log_uniform(rng, 5, 70), np.uint8)
