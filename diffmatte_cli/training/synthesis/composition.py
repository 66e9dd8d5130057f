"""Composition of one training sample's layers: a foreground, a background, their alpha and a trimap.

A sample depends on (seed, its index in the run) alone, so that any number of
workers and processes, and a resumed run, see the same data. Blending the layers and
the camera's traces are left to ``finishing``, which works on whole batches.
"""

from pathlib import Path

import cv2
import numpy as np

from .camera import draw_camera, draw_tint, pack
from .files import Assets
from .layers import ECHOED, GRAIN_UNIT, MARGIN, MATCHED, ONE_PHOTO, SECOND, Bytes, Floats, Layers
from .noise import clouds, log_uniform
from .pictures import cut_patch, place_cutout
from .scenery import draw_scenery
from .subjects import PROCEDURAL
from .surfaces import Matte, draw_coat, paint
from .trimaps import make_trimap

__all__ = ["compose", "draw_background", "draw_foreground"]

# Crops without an unknown pixel are drawn again, so many times at most.
TRIES = 4


def compose(assets: Assets, seed: int, index: int, crop: int) -> Layers:
    """Compose the layers of one sample: a crop with unknown pixels in it."""
    rng = np.random.default_rng([seed, 0, index])  # the 0 keeps the samples that the documents' figures come from
    size = crop + 2 * MARGIN
    window = np.s_[MARGIN : MARGIN + crop, MARGIN : MARGIN + crop]
    for _ in range(TRIES):
        front, back, cover = _scene(rng, assets, size)
        alpha = np.round(cover * 255).astype(np.uint8)
        trimap = make_trimap(rng, np.asarray(alpha / np.float32(255), np.float32))[window]
        if (trimap == 128).any():
            break
    grain = np.clip(rng.standard_normal((crop, crop, 3), np.float32) * GRAIN_UNIT, -127, 127)
    settings = pack(draw_tint(rng), draw_tint(rng), draw_camera(rng))
    layers = (_to_bytes(front[window]), _to_bytes(back[window]), np.ascontiguousarray(alpha[window]))
    return Layers(*layers, np.ascontiguousarray(trimap), grain.astype(np.int8), settings)


def _scene(rng: np.random.Generator, assets: Assets, size: int) -> tuple[Floats, Floats, Floats]:
    """Return straight foreground colours, background [S, S, 3] and alpha [S, S], in [0, 1]."""
    texture, back = _patches(rng, assets, size)
    back = draw_background(rng, back)
    front, alpha = draw_foreground(rng, assets, texture, size)
    if rng.random() < SECOND:
        second, cover = draw_foreground(rng, assets, texture[::-1], size)
        front, alpha = _join([(front, alpha), (second, cover)], front)
    hard = rng.random()
    if hard < MATCHED:
        front = _matched(rng, front, back, alpha)
    elif hard < MATCHED + ECHOED:
        back = _echoed(rng, front, back)
    front, alpha = _optics(rng, front, alpha)
    return front, back, alpha


def _patches(rng: np.random.Generator, assets: Assets, size: int) -> tuple[Floats, Floats]:
    """Return what colours the foreground, and what lies behind it: at times parts of one photograph."""
    if not assets.backgrounds:
        return draw_scenery(rng, size), draw_scenery(rng, size)
    paths = [assets.backgrounds[pick] for pick in rng.integers(len(assets.backgrounds), size=2)]
    texture = cut_patch(rng, paths[0 if rng.random() < ONE_PHOTO else 1], size)
    return texture, cut_patch(rng, paths[0], size)


def draw_foreground(rng: np.random.Generator, assets: Assets, texture: Floats, size: int) -> tuple[Floats, Floats]:
    """Return straight colours [S, S, 3] and alpha [S, S] of one foreground, both in [0, 1]."""
    if assets.rendered and rng.random() < assets.rendered_share:
        return _cutout(rng, assets.rendered, texture, size, recoloured=0.25, own_size=True)
    if assets.mattes and rng.random() >= assets.procedural_share:
        return _cutout(rng, assets.mattes, texture, size)
    shares = np.array([share for _, share in PROCEDURAL])
    make = PROCEDURAL[int(rng.choice(len(PROCEDURAL), p=shares / shares.sum()))][0]
    mattes = make(rng, size)
    coat = draw_coat(rng, texture, mattes[0])
    layers = [(paint(coat, matte), matte.alpha) for matte in mattes]
    if len(layers) == 1:
        return layers[0]
    return _join(layers, coat.base)


def draw_background(rng: np.random.Generator, patch: Floats) -> Floats:
    """Put a photograph's patch out of focus: often far, at times a little, else not at all."""
    choice = rng.random()
    if choice < 0.3:
        return patch
    return _blur(patch, rng.uniform(0.5, 2.5) if choice < 0.5 else log_uniform(rng, 2.5, 25))


def _cutout(
    rng: np.random.Generator,
    paths: tuple[Path, ...],
    texture: Floats,
    size: int,
    recoloured: float = 0.5,
    own_size: bool = False,
) -> tuple[Floats, Floats]:
    """Place one of the pictures with alpha; a share of them takes on new colours."""
    colours, alpha = place_cutout(rng, paths[int(rng.integers(len(paths)))], size, own_size)
    if rng.random() < recoloured:
        light = colours.mean(axis=2)
        usual = float((light * alpha).sum() / max(float(alpha.sum()), 1e-3))
        shade = np.clip(0.4 + 0.6 * light / max(usual, 0.05), 0.3, 2).astype(np.float32)
        matte = Matte(alpha, shade, np.zeros_like(alpha), fine=True)
        colours = paint(draw_coat(rng, texture, matte), matte)
    return colours, alpha


def _join(layers: list[tuple[Floats, Floats]], elsewhere: Floats) -> tuple[Floats, Floats]:
    """Lay straight colours [S, S, 3] of some alpha [S, S] over each other, the last on top, as straight colours."""
    colours, alpha = layers[0]
    mixed = colours * alpha[..., None]
    for colours, cover in layers[1:]:
        mixed += cover[..., None] * (colours - mixed)
        alpha = alpha + cover * (1 - alpha)
    return _straight(mixed, alpha, elsewhere), alpha


def _straight(premultiplied: Floats, alpha: Floats, elsewhere: Floats) -> Floats:
    """Divide by alpha; ``elsewhere`` where it is almost 0."""
    colours = np.minimum(premultiplied / np.maximum(alpha, np.float32(1e-3))[..., None], 1)
    empty = alpha < 1e-3
    colours[empty] = elsewhere[empty]
    return np.asarray(colours, np.float32)


def _matched(rng: np.random.Generator, front: Floats, back: Floats, alpha: Floats) -> Floats:
    """Shift the foreground to the background's mean colour around the edge."""
    near = ((alpha > 0.02) & (alpha < 0.98)).astype(np.float32)
    near = cv2.dilate(near, np.ones((9, 9), np.uint8))[..., None] + np.float32(1e-4)
    shift = ((back - front) * near).sum(axis=(0, 1)) / near.sum()
    return np.asarray(np.clip(front + shift * np.float32(rng.uniform(0.4, 0.9)), 0, 1), np.float32)


def _echoed(rng: np.random.Generator, front: Floats, back: Floats) -> Floats:
    """Put patches of the foreground's surface into the background."""
    size = len(back)
    patches = clouds(rng, size, rng.uniform(40, 160), 2) - np.float32(rng.uniform(0.45, 0.6))
    share = np.clip(patches * np.float32(rng.uniform(4, 25)) + 0.5, 0, 1)[..., None]
    surface = np.roll(front, int(rng.integers(size)), axis=int(rng.integers(2)))
    return np.asarray(back + share * (draw_background(rng, surface) - back), np.float32)


def _optics(rng: np.random.Generator, front: Floats, alpha: Floats) -> tuple[Floats, Floats]:
    """Blur the foreground as lenses do: mostly a little, at times out of focus or by motion."""
    choice = rng.random()
    if choice < 0.2:
        return front, alpha
    layer = np.dstack([front * alpha[..., None], alpha])
    if choice < 0.74:
        layer = cv2.GaussianBlur(layer, (0, 0), rng.uniform(0.35, 1.1))
    elif choice < 0.93:
        layer = _blur(layer, log_uniform(rng, 1.1, 6))
    else:
        layer = cv2.filter2D(layer, -1, _motion(rng), borderType=cv2.BORDER_REPLICATE)
    return _straight(layer[..., :3], layer[..., 3], front), np.clip(layer[..., 3], 0, 1)


def _motion(rng: np.random.Generator) -> Floats:
    """Return the kernel of a straight movement by 3 to 20 pixels, which sums to 1."""
    length, angle = log_uniform(rng, 3, 20), rng.uniform(0, np.pi)
    kernel = np.zeros((23, 23), np.float32)
    reach = length / 2 * np.array([np.cos(angle), np.sin(angle)])
    ends = [tuple(int(v) for v in np.round((11.5 + way * reach) * 16)) for way in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_8, 4)
    return np.asarray(kernel / kernel.sum(), np.float32)


def _blur(picture: Floats, sigma: float) -> Floats:
    """Blur by a Gaussian; by way of a smaller picture where that makes no difference."""
    factor = max(1, int(sigma / 2))
    if factor == 1:
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.float32)
    side = len(picture)
    small = cv2.resize(picture, (max(2, side // factor),) * 2, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / factor)
    return np.asarray(np.clip(cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC), 0, 1), np.float32)


def _to_bytes(picture: Floats) -> Bytes:
    return np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)
