"""Composition of training samples: foreground over background (Eq. 1), then the camera's traces.

A sample depends on (seed, index) alone, so that any number of worker processes,
and a resumed run, see the same data.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import TrainingError
from .mattes import PROCEDURAL, Floats, Matte, smooth_noise

__all__ = ["Assets", "Sample", "compose", "find_pictures", "make_trimap"]

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"}
# Composed around the crop, so that the outline may leave and enter it again.
CANVAS_MARGIN = 1.5
# Larger pictures are scaled down to this, which bounds the cache at about 2 GB a worker.
LONGEST_SIDE = 1600
# Decoded pictures kept by each worker: decoding is half of the work otherwise.
CACHED_PICTURES = 384


@dataclass(frozen=True)
class Sample:
    """One training pair: ``image`` uint8 [S, S, 3], ``trimap`` uint8 [S, S] in {0, 128, 255}, ``alpha`` in [0, 1]."""

    image: NDArray[np.uint8]
    trimap: NDArray[np.uint8]
    alpha: Floats


@dataclass(frozen=True)
class Assets:
    """Files to compose from: opaque photographs, and pictures with alpha (or grey level as density)."""

    backgrounds: tuple[Path, ...]
    mattes: tuple[Path, ...]
    procedural_share: float = 0.6


def find_pictures(folder: Path) -> tuple[Path, ...]:
    """List the pictures below a folder in a stable order; an empty folder is an error."""
    found = tuple(sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES))
    if not found:
        raise TrainingError(f"{folder} holds no pictures: check the path in the configuration's [data] table")
    return found


def compose(assets: Assets, seed: int, index: int, crop: int) -> Sample:
    """Compose sample ``index``: a crop with unknown pixels in it whenever its foreground has any."""
    rng = np.random.default_rng([seed, index])
    size = int(crop * CANVAS_MARGIN)
    paths = rng.choice(len(assets.backgrounds), 2)
    same = rng.random() < 0.25
    behind = _patch(rng, assets.backgrounds[paths[0]], size)
    texture = _patch(rng, assets.backgrounds[paths[0] if same else paths[1]], size)
    colour, alpha = _foreground(rng, assets, texture, size)
    if rng.random() < 0.2:
        second, cover = _foreground(rng, assets, np.roll(texture, size // 2, axis=0), size)
        both = 1 - (1 - alpha) * (1 - cover)
        mix = np.divide(cover, both, out=np.zeros_like(both), where=both > 0)[..., None]
        colour, alpha = mix * second + (1 - mix) * colour, both
    colour, alpha = _defocus(rng, colour, alpha)
    if rng.random() < 0.5:
        behind = cv2.GaussianBlur(behind, (0, 0), rng.uniform(0.5, 8))
    alpha = np.clip(alpha, 0, 1)
    image = _blend(rng, _jitter(rng, colour), _jitter(rng, behind), alpha)
    trimap = make_trimap(rng, alpha)
    top, left = _crop_at(rng, trimap, crop)
    window = np.s_[top : top + crop, left : left + crop]
    sample = Sample(_camera(rng, image[window]), trimap[window], alpha[window])
    return _flip(rng, sample)


def make_trimap(rng: np.random.Generator, alpha: Floats) -> NDArray[np.uint8]:
    """Make a trimap by eroding what is known with kernels of 1 to 30 pixels (Appendix C), at times wider or rough."""
    widest = 60 if rng.random() < 0.15 else 30
    sure = [(alpha > 0.98).astype(np.uint8), (alpha < 0.02).astype(np.uint8)]
    if rng.random() < 0.15:
        rough = smooth_noise(rng, alpha.shape[0], rng.uniform(10, 40))
        sure = [mask * (rough > rng.uniform(0, 0.3)).astype(np.uint8) for mask in sure]
    alike = int(rng.integers(1, widest + 1))
    for number, mask in enumerate(sure):
        side = alike if rng.random() < 0.6 else int(rng.integers(1, widest + 1))
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        sure[number] = cv2.erode(mask, kernel, borderType=cv2.BORDER_REPLICATE)
    trimap = np.full(alpha.shape, 128, np.uint8)
    trimap[sure[0] > 0] = 255
    trimap[sure[1] > 0] = 0
    return trimap


def _foreground(rng: np.random.Generator, assets: Assets, texture: Floats, size: int) -> tuple[Floats, Floats]:
    """Return straight colour [S, S, 3] and alpha [S, S] of one foreground, both in [0, 1]."""
    if not assets.mattes or rng.random() < assets.procedural_share:
        shares = np.array([share for _, share in PROCEDURAL])
        make = PROCEDURAL[int(rng.choice(len(PROCEDURAL), p=shares / shares.sum()))][0]
        matte = make(rng, size)
        return _dress(rng, texture, matte), matte.alpha
    layer = _layer(rng, assets.mattes[int(rng.integers(len(assets.mattes)))], size)
    if rng.random() < 0.5:
        light = layer[..., :3].mean(axis=2)
        matte = Matte(layer[..., 3], np.clip(0.5 + light / max(float(light.max()), 0.1), 0.3, 2), fine=True)
        return _dress(rng, texture, matte), matte.alpha
    return layer[..., :3], layer[..., 3]


def _dress(rng: np.random.Generator, texture: Floats, matte: Matte) -> Floats:
    """Colour a matte: a photograph's texture, smoothed where strands are drawn, times the matte's shading."""
    colours = texture
    if matte.fine or rng.random() < 0.3:
        colours = cv2.GaussianBlur(texture, (0, 0), rng.uniform(2, 40))
    mean = colours.mean(axis=(0, 1))
    colours = mean + (colours - mean) * rng.uniform(0.3, 1.0)
    if rng.random() < 0.4:
        colours = colours - mean + rng.beta(0.7, 0.7) + rng.normal(0, 0.06, 3)
    strength = rng.uniform(0.3, 1.2)
    shaded = colours * (1 + strength * (matte.shade[..., None] - 1))
    return np.asarray(np.clip(shaded, 0, 1), np.float32)


def _layer(rng: np.random.Generator, path: Path, size: int) -> Floats:
    """Load a matte, place it at a random scale and angle, and return straight RGBA [S, S, 4] in [0, 1]."""
    rgba = _load_matte(path)
    height, width = rgba.shape[:2]
    scale = size / max(height, width) * float(np.exp(rng.uniform(-0.6, 0.9)))
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(0, 360), scale)
    matrix[:, 2] += rng.uniform(0.2, 0.8, 2) * size - (width / 2, height / 2)
    rgba[..., :3] *= rgba[..., 3:]
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    placed = cv2.warpAffine(rgba, matrix, (size, size), flags=flags)
    alpha = placed[..., 3:]
    placed[..., :3] = np.divide(placed[..., :3], alpha, out=np.zeros_like(placed[..., :3]), where=alpha > 1e-3)
    return np.asarray(np.clip(placed, 0, 1))


def _load_matte(path: Path) -> Floats:
    """Read RGBA [H, W, 4] in [0, 1]; without an alpha channel the brightest channel is the opacity."""
    pixels = _read(path, cv2.IMREAD_UNCHANGED)
    pixels = pixels.astype(np.float32) / (65535 if pixels.dtype == np.uint16 else 255)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    if pixels.shape[2] == 3:
        return np.dstack([pixels[..., ::-1], pixels.max(axis=2)])
    return np.ascontiguousarray(pixels[..., [2, 1, 0, 3]])


def _patch(rng: np.random.Generator, path: Path, size: int) -> Floats:
    """Cut a random square out of a photograph, scaled by 0.4 to 1.5, [S, S, 3] in [0, 1]."""
    photo = _read(path, cv2.IMREAD_COLOR)
    side = min(*photo.shape[:2], int(size / rng.uniform(0.4, 1.5)))
    top, left = (int(rng.integers(full - side + 1)) for full in photo.shape[:2])
    patch = cv2.resize(photo[top : top + side, left : left + side], (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(patch[..., ::-1] / 255, np.float32)


@lru_cache(maxsize=CACHED_PICTURES)
def _read(path: Path, flags: int) -> NDArray[Any]:
    pixels: NDArray[Any] | None = cv2.imread(str(path), flags)
    if pixels is None:
        raise TrainingError(f"{path} cannot be read as a picture: remove it or replace it")
    scale = LONGEST_SIDE / max(pixels.shape[:2])
    return (
        np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)) if scale < 1 else pixels
    )


def _jitter(rng: np.random.Generator, colour: Floats) -> Floats:
    """Change contrast, brightness, saturation and tint a little."""
    grey = colour.mean(axis=2, keepdims=True)
    colour = grey + (colour - grey) * rng.uniform(0.6, 1.4)
    colour = (colour - 0.5) * rng.uniform(0.7, 1.25) + 0.5 + rng.normal(0, 0.08)
    return np.clip(colour * (1 + rng.normal(0, 0.04, 3)), 0, 1).astype(np.float32)


def _defocus(rng: np.random.Generator, colour: Floats, alpha: Floats) -> tuple[Floats, Floats]:
    """Blur the premultiplied foreground at times, as depth of field and motion do."""
    if rng.random() < 0.65:
        return colour, alpha
    sigma = float(np.exp(rng.uniform(-1, 1.3)))
    blurred = cv2.GaussianBlur(alpha, (0, 0), sigma)
    spread = cv2.GaussianBlur(colour * alpha[..., None], (0, 0), sigma)
    colour = np.where(blurred[..., None] > 1e-3, spread / np.maximum(blurred, 1e-3)[..., None], colour)
    return np.clip(colour, 0, 1), blurred


def _blend(rng: np.random.Generator, colour: Floats, behind: Floats, alpha: Floats) -> Floats:
    """Apply Eq. 1, one time in five in linear light."""
    gamma = 2.2 if rng.random() < 0.2 else 1.0
    mixed = alpha[..., None] * colour**gamma + (1 - alpha[..., None]) * behind**gamma
    return np.asarray(mixed ** (1 / gamma), dtype=np.float32)


def _camera(rng: np.random.Generator, image: Floats) -> NDArray[np.uint8]:
    """Add what cameras leave: gamma, a little blur or sharpening, noise, JPEG."""
    image = np.clip(image, 0, 1) ** rng.uniform(0.8, 1.25)
    choice = rng.random()
    if choice < 0.4:
        soft = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.0))
        image = soft if choice < 0.2 else image + rng.uniform(0.2, 0.8) * (image - soft)
    if rng.random() < 0.7:
        grain = rng.normal(0, rng.uniform(0, 0.03), image.shape).astype(np.float32)
        image = image + (cv2.GaussianBlur(grain, (0, 0), 0.8) if rng.random() < 0.4 else grain)
    pixels: NDArray[np.uint8] = np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.7:
        quality = int(rng.uniform(60, 99))
        _, packed = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        pixels = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))[..., ::-1]
    return pixels


def _crop_at(rng: np.random.Generator, trimap: NDArray[np.uint8], crop: int) -> tuple[int, int]:
    """Return the corner of a crop around a random unknown pixel."""
    rows, columns = np.nonzero(trimap == 128)
    limit = trimap.shape[0] - crop
    if len(rows) == 0:
        return limit // 2, limit // 2
    pick = int(rng.integers(len(rows)))
    top, left = (int(np.clip(c[pick] - rng.integers(crop), 0, limit)) for c in (rows, columns))
    return top, left


def _flip(rng: np.random.Generator, sample: Sample) -> Sample:
    """Turn by a multiple of 90 degrees and mirror half of the samples."""
    turns, mirror = int(rng.integers(4)), rng.random() < 0.5

    def turn(x: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(np.rot90(x[:, ::-1] if mirror else x, turns))

    return Sample(turn(sample.image), turn(sample.trimap), turn(sample.alpha))
