"""Pictures that samples are made of: photographs, and pictures with alpha."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import TrainingError
from .layers import Bytes, Floats
from .noise import log_uniform

__all__ = ["cut_patch", "cut_square", "opacity_of", "place_cutout", "read_cutout", "read_deep", "read_photo"]
__all__ += ["read_pixels"]

# Larger pictures are scaled down to this, which bounds the caches at about 2 GB a worker.
LONGEST_PHOTO, LONGEST_CUTOUT = 1600, 1024
# Decoded pictures kept by each worker: decoding is half of the work otherwise.
CACHED_PICTURES = 384


def cut_patch(rng: np.random.Generator, path: Path, size: int) -> Floats:
    """Cut a random square out of a photograph, scaled by 0.4 to 1.5, [S, S, 3] in [0, 1]."""
    photo = read_photo(path)
    side = min(*photo.shape[:2], int(size / rng.uniform(0.4, 1.5)))
    patch = cut_square(rng, photo, side)
    if rng.random() < 0.5:
        patch = patch[:, ::-1]
    patch = cv2.resize(patch, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_CUBIC)
    return np.asarray(patch / np.float32(255), np.float32)


def cut_square(rng: np.random.Generator, photo: Bytes, side: int) -> Bytes:
    """Cut a random square of ``side`` pixels out of a photograph [H, W, 3]."""
    top, left = (int(rng.integers(full - side + 1)) for full in photo.shape[:2])
    return photo[top : top + side, left : left + side]


def place_cutout(rng: np.random.Generator, path: Path, size: int, own_size: bool = False) -> tuple[Floats, Floats]:
    """Place a picture with alpha, scaled and turned, so that a part of its edge is near the middle.

    Its longest side becomes 0.7 to 3 times ``size``; with ``own_size`` it is up to a tenth larger than it is.
    Returns straight colours [S, S, 3] and alpha [S, S], in [0, 1].
    """
    rgba = read_cutout(path)
    height, width = rgba.shape[:2]
    whole = size / max(height, width)
    scale = log_uniform(rng, min(whole, 0.5), 1.1) if own_size else whole * log_uniform(rng, 0.7, 3)
    if scale < 0.6:
        rgba = cv2.resize(rgba, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        (height, width), scale = rgba.shape[:2], 1.0
    rows, columns = np.nonzero((rgba[::4, ::4, 3] > 12) & (rgba[::4, ::4, 3] < 243))
    pick = int(rng.integers(max(1, len(rows))))
    edge = (4.0 * columns[pick], 4.0 * rows[pick]) if len(rows) else (width / 2, height / 2)
    matrix = cv2.getRotationMatrix2D(edge, rng.uniform(0, 360), scale)
    matrix[:, 2] += rng.uniform(0.25, 0.75, 2) * size - edge
    placed = cv2.warpAffine(rgba, matrix, (size, size), flags=cv2.INTER_LINEAR).astype(np.float32) / 255
    alpha = placed[..., 3]
    colours = placed[..., :3] / np.maximum(alpha, 1 / 255)[..., None]
    return np.minimum(colours, 1), alpha


@lru_cache(maxsize=CACHED_PICTURES)
def read_photo(path: Path) -> Bytes:
    """Read a photograph, RGB [H, W, 3]."""
    return np.ascontiguousarray(_limited(read_pixels(path, cv2.IMREAD_COLOR), LONGEST_PHOTO)[..., ::-1])


@lru_cache(maxsize=CACHED_PICTURES)
def read_cutout(path: Path) -> Bytes:
    """Read premultiplied RGBA [H, W, 4]; without an alpha channel the brightest channel is the opacity."""
    pixels = read_pixels(path, cv2.IMREAD_UNCHANGED)
    alpha = opacity_of(pixels)[..., None]
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    if pixels.shape[2] == 3:
        # Density: the glow's own colour at full strength, which premultiplied is the picture itself.
        return _limited(np.concatenate([pixels[..., ::-1], alpha], axis=2), LONGEST_CUTOUT)
    premultiplied = (pixels[..., 2::-1] * alpha.astype(np.uint16) + 127) // 255
    return _limited(np.concatenate([premultiplied, alpha], axis=2).astype(np.uint8), LONGEST_CUTOUT)


def opacity_of(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return the alpha channel [H, W] of a picture with or without channels, or else its brightest channel."""
    if pixels.ndim == 2:
        return pixels
    return pixels[..., 3] if pixels.shape[2] == 4 else np.asarray(pixels.max(axis=2))


def read_pixels(path: Path, flags: int) -> Bytes:
    """Read a picture through OpenCV, colours as BGR, 16 bits cut to 8; what cannot be read is an error."""
    pixels = read_deep(path, flags)
    return np.asarray(pixels >> 8 if pixels.dtype == np.uint16 else pixels, np.uint8)


def read_deep(path: Path, flags: int) -> NDArray[Any]:
    """Read a picture as ``read_pixels`` does, but with all its bits, uint8 or uint16."""
    pixels = cv2.imread(str(path), flags | cv2.IMREAD_ANYDEPTH)
    if pixels is None or pixels.dtype not in (np.uint8, np.uint16):
        raise TrainingError(f"{path} cannot be read as a picture of 8 or 16 bits: remove it or replace it")
    return np.asarray(pixels)


def _limited(pixels: Bytes, longest: int) -> Bytes:
    scale = longest / max(pixels.shape[:2])
    if scale >= 1:
        return pixels
    return np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
