"""Composition of whole batches on a device, in torch alone, from packed pictures that lie in its memory.

Samples are of the same kinds as those of ``composition``, and are finished alike. A batch depends on the seed, the
index of its first sample and its size alone.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .camera import draw_camera, draw_tint, pack
from .dice import Dice, blur, clouds, depth
from .files import Foreground, find_pictures
from .finishing import Stack
from .layers import BY_HAND, ECHOED, GRAIN_UNIT, MARGIN, MATCHED, ONE_PHOTO, SECOND, USUAL_WIDTH, WIDEST
from .painting import draw_coat, hued
from .textures import Textures, View, read_textures

__all__ = ["ALPHA", "COLOURS", "CUTOUTS", "PHOTOGRAPHS", "Pool", "compose_batch", "read_pool"]

# Folders of a packed folder: photographs, and three kinds of pictures with alpha, in files of one name in two folders.
# Those that were drawn fill their square, so that they go on as in a mirror beyond it.
PHOTOGRAPHS = "backgrounds"
CUTOUTS = ("rendered", "mattes", "drawn")
COLOURS, ALPHA = "colours", "alpha"
RENDERED, MATTE, DRAWN = range(len(CUTOUTS))
# How many of each kind take on new colours.
RECOLOURED = (0.25, 0.5, 0.6)
# What a batch's numbers are drawn for, beside the seed.
OF_BATCHES = 3
# Draws of the camera, of which each sample takes one.
SETTINGS = 4096
# Distances are exact up to the first, and found at half the size up to the second, for wide bands.
NEAR, FAR = 16, 64


@dataclass(frozen=True)
class Pool:
    """Packed pictures: ``cutouts`` are ``counts`` of each kind, one kind after another; ``settings`` [R, N]."""

    photographs: Textures
    cutouts: Textures
    counts: tuple[int, ...]
    settings: Tensor


def read_pool(folder: Path, device: torch.device) -> Pool:
    """Read a packed folder into a device's memory; a missing or empty folder in it is an error."""
    photographs = [Foreground(path) for path in find_pictures(folder / PHOTOGRAPHS)]
    kinds = [
        [Foreground(path, folder / kind / ALPHA / path.name) for path in find_pictures(folder / kind / COLOURS)]
        for kind in CUTOUTS
    ]
    rng = np.random.default_rng(0)
    settings = np.stack([pack(draw_tint(rng), draw_tint(rng), draw_camera(rng)) for _ in range(SETTINGS)])
    return Pool(
        read_textures(photographs, device),
        read_textures([picture for pictures in kinds for picture in pictures], device),
        tuple(len(pictures) for pictures in kinds),
        torch.from_numpy(settings).to(device),
    )


def compose_batch(pool: Pool, shares: tuple[float, float], seed: int, first: int, count: int, crop: int) -> Stack:
    """Compose the layers of ``count`` samples from index ``first`` on, crops with unknown pixels in them.

    ``shares`` are the rendered ones among the foregrounds, and the drawn ones among the others.
    """
    dice = Dice(pool.settings.device, count, seed, OF_BATCHES, first)
    front, back, cover = _scene(dice, pool, shares, crop + 2 * MARGIN)
    levels = (cover * 255).round().to(torch.uint8)
    trimap = make_trimaps(dice, levels)
    front, back, levels, trimap = (
        part[..., MARGIN : MARGIN + crop, MARGIN : MARGIN + crop] for part in (front, back, levels, trimap)
    )
    grain = (dice.normal(GRAIN_UNIT, crop, crop, 3).clamp(-127, 127)).to(torch.int8)
    colours, behind = ((part * 255).round().to(torch.uint8).permute(0, 2, 3, 1) for part in (front, back))
    layers = Stack(colours, behind, levels[:, 0], trimap[:, 0], grain, _settings(dice, pool))
    return _replaced(layers, (layers.trimap == 128).flatten(1).any(dim=1))


def _replaced(layers: Stack, good: Tensor) -> Stack:
    """Show in place of crops that are not ``good`` [B] others that are, if there are any."""
    order = torch.argsort((~good).int(), stable=True)
    lacking = torch.cumsum(~good, dim=0) - 1
    chosen = torch.where(good, torch.arange(len(good), device=good.device), order[lacking.clamp(min=0)])
    return Stack(*(part[chosen] for part in vars(layers).values()))


def _settings(dice: Dice, pool: Pool) -> Tensor:
    """Draw either layer's tint and the camera, [B, N]."""
    return pool.settings[dice.below(len(pool.settings))]


def _scene(dice: Dice, pool: Pool, shares: tuple[float, float], side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return straight foreground colours, background [B, 3, S, S] and alpha [B, 1, S, S], in [0, 1]."""
    behind, other = (dice.below(len(pool.photographs.places)) for _ in range(2))
    textures = torch.where(dice.chance(ONE_PHOTO, 1)[:, 0], behind, other)
    back = _defocused(dice, _patch(dice, pool.photographs, behind, side))
    front, alpha = _foreground(dice, pool, textures, shares, side)
    if len(some := dice.some(SECOND)):
        second, cover = _foreground(dice.of(len(some)), pool, textures[some], shares, side)
        joined = _join(front[some], alpha[some], second, cover)
        front, alpha = front.index_copy(0, some, joined[0]), alpha.index_copy(0, some, joined[1])
    hard = dice.some(MATCHED + ECHOED)
    alike, echoed = hard.tensor_split([round(len(hard) * MATCHED / (MATCHED + ECHOED))])
    if len(alike):
        matched = _matched(dice.of(len(alike)), front[alike], back[alike], alpha[alike])
        front = front.index_copy(0, alike, matched)
    if len(echoed):
        back = back.index_copy(0, echoed, _echoed(dice.of(len(echoed)), front[echoed], back[echoed]))
    front, alpha = _optics(dice, front, alpha)
    return front.clamp(0, 1), back.clamp(0, 1), alpha


def _patch(dice: Dice, photographs: Textures, numbers: Tensor, side: int) -> Tensor:
    """Cut random squares out of photographs, scaled by 0.4 to 1.5, [B, 3, S, S]."""
    sizes = photographs.sizes(numbers)
    square = torch.minimum(sizes.amin(dim=1), side / dice.uniform(0.4, 1.5, 1)[:, 0])
    centre = square[:, None] / 2 + dice.uniform(0, 1, 2) * (sizes - square[:, None])
    matrix = _turned((dice.uniform(-1.5, 2.5, 1)[:, 0] > 1.5) * (torch.pi / 2), square / side, dice.chance(0.5, 1))
    return photographs.show(numbers, _aimed(matrix, centre, side / 2), side, torch.ones_like(numbers, dtype=torch.bool))


def _turned(angle: Tensor, scale: Tensor, flipped: Tensor) -> Tensor:
    """Return matrices [B, 2, 2] that turn by ``angle`` and scale by ``scale`` [B], and flip at times [B, 1]."""
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    matrix = torch.stack([torch.stack([cosine, -sine], dim=-1), torch.stack([sine, cosine], dim=-1)], dim=-2)
    return (
        matrix * torch.cat([torch.where(flipped, -1.0, 1.0), torch.ones_like(flipped, dtype=torch.float)], 1)[:, None]
    )


def _aimed(matrix: Tensor, point: Tensor, place: float | Tensor) -> View:
    """Return the view that shows ``point`` [B, 2] of the pictures at ``place``, a number or [B, 2], of the square."""
    target = torch.zeros_like(point) + place
    return View(matrix, point - (matrix @ target[..., None])[..., 0])


def _defocused(dice: Dice, patch: Tensor) -> Tensor:
    """Put backgrounds out of focus: often far, at times a little, else not at all."""
    choice = dice.uniform()
    far, little = dice.log_uniform(2.5, 25), dice.uniform(0.5, 2.5)
    deviation = torch.where(choice < 0.3, 0.0, torch.where(choice < 0.5, little, far)).flatten()
    return blur(patch, deviation, deviation)


def _foreground(
    dice: Dice, pool: Pool, textures: Tensor, shares: tuple[float, float], side: int
) -> tuple[Tensor, Tensor]:
    """Return straight colours [B, 3, S, S] and alpha [B, 1, S, S] of one foreground each.

    ``textures`` [B] are the photographs that some of them take on new colours from.
    """
    rendered, drawn = shares
    limits = torch.tensor([rendered, rendered + (1 - rendered) * (1 - drawn)], device=dice.device)
    kind = torch.bucketize(dice.uniform(0, 1, 1)[:, 0], limits, right=True)
    counts = torch.tensor(pool.counts, device=dice.device)
    numbers = (counts.cumsum(0) - counts)[kind] + dice.below(counts[kind])
    layer = pool.cutouts.show(numbers, _placed(dice, pool.cutouts, numbers, kind, side), side, kind == DRAWN)
    alpha = layer[:, 3:]
    colours = (layer[:, :3] / alpha.clamp(min=1 / 255)).clamp(max=1)
    if len(some := dice.some(0.3)):
        colours = colours.index_copy(0, some, hued(colours[some], dice.of(len(some)).normal(0.6)))
    if len(some := dice.some(max(RECOLOURED))):
        few, share = dice.of(len(some)), torch.tensor(RECOLOURED, device=dice.device)[kind[some], None, None, None]
        coat = draw_coat(few, _patch(few, pool.photographs, textures[some], side), colours[some], alpha[some])
        painted = torch.where(few.chance(share / max(RECOLOURED)), coat, colours[some])
        colours = colours.index_copy(0, some, painted)
    return colours, alpha


def _placed(dice: Dice, cutouts: Textures, numbers: Tensor, kind: Tensor, side: int) -> View:
    """Scale, turn and flip pictures so that a part of their edge is near the middle.

    Rendered ones become at most a tenth larger than they are, the longest side of mattes 0.7 to 3 times the square's
    but not larger than 1.3 times their own; drawn ones stay near their size, nearly upright or turned by quarters, and
    show as little as can be of what lies beyond their borders.
    """
    sizes = cutouts.sizes(numbers)
    whole = side / sizes.amax(dim=1)
    draw = dice.uniform(0, 1, 1)[:, 0]
    lowest = torch.where(kind == MATTE, 0.7 * whole, torch.where(kind == DRAWN, 0.75, whole.clamp(max=0.5)))
    highest = torch.where(kind == MATTE, 3 * whole, torch.where(kind == DRAWN, 1.2, 1.1))
    scale = (lowest * (highest / lowest) ** draw).clamp(max=1.3)
    quarters = dice.uniform(0, 4, 1)[:, 0].floor() * (torch.pi / 2) + dice.normal(0.1, 1)[:, 0]
    angle = torch.where(kind == DRAWN, quarters, dice.uniform(0, 2 * torch.pi, 1)[:, 0])
    picks = dice.below(cutouts.edges.shape[1])
    place = dice.uniform(0.25, 0.75, 2) * side
    view = _aimed(_turned(angle, 1 / scale, dice.chance(0.5, 1)), cutouts.edges[numbers, picks], place)
    middle = view.origin + view.matrix.sum(dim=-1) * side / 2
    reach = torch.minimum(view.matrix.abs().sum(dim=-1) * side / 2, sizes / 2)
    inside = torch.minimum(torch.maximum(middle, reach), sizes - reach)
    return View(view.matrix, view.origin + (inside - middle) * (kind == DRAWN)[:, None])


def _join(front: Tensor, alpha: Tensor, above: Tensor, cover: Tensor) -> tuple[Tensor, Tensor]:
    """Lay straight colours of some alpha over others, as straight colours and alpha."""
    mixed = torch.lerp(front * alpha, above, cover)
    alpha = alpha + cover * (1 - alpha)
    return _straight(mixed, alpha, front), alpha


def _straight(premultiplied: Tensor, alpha: Tensor, elsewhere: Tensor) -> Tensor:
    """Divide by alpha; ``elsewhere`` where it is almost 0."""
    return torch.where(alpha < 1e-3, elsewhere, (premultiplied / alpha.clamp(min=1e-3)).clamp(max=1))


def _matched(dice: Dice, front: Tensor, back: Tensor, alpha: Tensor) -> Tensor:
    """Shift foregrounds to the background's mean colour around the edge."""
    near = F.max_pool2d(((alpha > 0.02) & (alpha < 0.98)).float(), 9, 1, 4) + 1e-4
    shift = ((back - front) * near).sum(dim=(2, 3), keepdim=True) / near.sum(dim=(2, 3), keepdim=True)
    return (front + shift * dice.uniform(0.4, 0.9)).clamp(0, 1)


def _echoed(dice: Dice, front: Tensor, back: Tensor) -> Tensor:
    """Put patches of the foregrounds' surfaces into the backgrounds."""
    patches = clouds(dice, back.shape[-1], dice.uniform(40, 160), 2) - dice.uniform(0.45, 0.6)
    share = (patches * dice.uniform(4, 25) + 0.5).clamp(0, 1)
    surface = front.roll(back.shape[-1] // 3, dims=-1).flip(-2)
    return torch.lerp(back, _defocused(dice, surface), share)


def _optics(dice: Dice, front: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
    """Blur foregrounds as lenses do: mostly a little, at times out of focus or by motion."""
    choice = dice.uniform()
    little, much = dice.uniform(0.35, 1.1), dice.log_uniform(1.1, 6)
    deviation = torch.where(choice < 0.2, 0.0, torch.where(choice < 0.74, little, much))
    moved, upright = choice >= 0.93, dice.chance(0.5)
    length = dice.log_uniform(1, 6)
    rows = torch.where(moved, torch.where(upright, length, 0.3), deviation).flatten()
    columns = torch.where(moved, torch.where(upright, 0.3, length), deviation).flatten()
    layer = blur(torch.cat([front * alpha, alpha], dim=1), rows, columns)
    cover = layer[:, 3:].clamp(0, 1)
    return _straight(layer[:, :3], cover, front), cover


def make_trimaps(dice: Dice, alpha: Tensor) -> Tensor:
    """Make trimaps of alpha, both uint8 [B, 1, S, S], by the shares and widths of ``trimaps.make_trimap``.

    What is known is as far from what is not sure as an ellipse's radius, which for those by hand changes along the
    edge.
    """
    wide = dice.some(BY_HAND + 0.15)
    by_hand = wide[: round(len(wide) * BY_HAND / (BY_HAND + 0.15))]
    unsure = torch.stack([alpha < 250, alpha > 5])  # [2, B, 1, S, S]
    distance = depth(unsure, NEAR)
    widths = torch.stack([dice.uniform(1, 31), dice.uniform(1, 31)]).floor()
    bands = torch.stack([dice.log_uniform(USUAL_WIDTH, WIDEST), dice.log_uniform(USUAL_WIDTH, WIDEST)])
    usual = torch.full_like(widths, USUAL_WIDTH)
    is_wide = torch.zeros(dice.count, dtype=torch.bool, device=dice.device).index_fill(0, wide, True)
    is_hand = torch.zeros_like(is_wide).index_fill(0, by_hand, True)
    is_usual = dice.chance(0.35 / (1 - BY_HAND - 0.15), 1)[:, 0] & ~is_wide
    sides = torch.where(is_usual.view(-1, 1, 1, 1), usual, widths)
    sides = torch.where((is_wide & ~is_hand).view(-1, 1, 1, 1), bands, sides)
    sides = torch.where(dice.chance(0.5), sides[:1], sides)
    radius = (sides - 1) / 2
    if len(wide):
        apart = F.max_pool2d(unsure[:, wide].flatten(0, 1).float(), 2) > 0
        far = F.interpolate(2 * depth(apart, FAR // 2), scale_factor=2, mode="bilinear", align_corners=False)
        distance = distance.index_copy(1, wide, far.view(2, len(wide), *alpha.shape[1:]))
        wobble = torch.stack([_wobble(dice, alpha.shape[-1]) for _ in range(2)])
        radius = (radius + wobble * is_hand.view(-1, 1, 1, 1)).clamp(max=FAR - 2)
    foreground, background = ((distance > radius) & ~unsure).unbind(0)
    return torch.where(foreground, 255, torch.where(background, 0, 128)).to(torch.uint8)


def _wobble(dice: Dice, side: int) -> Tensor:
    """Return how far a hand leaves the edge open, [B, 1, S, S] in pixels."""
    return clouds(dice, side, dice.uniform(12, 60), 1) * dice.log_uniform(5, 70)
