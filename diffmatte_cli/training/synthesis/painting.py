"""New colours for whole batches of foregrounds, on any device."""

import torch
from torch import Tensor

from .dice import Dice, blur, clouds, smooth
from .layers import NATURAL

__all__ = ["draw_coat", "hued"]


def hued(colours: Tensor, angle: Tensor) -> Tensor:
    """Turn the hue of [B, 3, S, S] in [0, 1] by ``angle`` [B, 1, 1, 1], around the axis of greys."""
    mean = colours.mean(dim=1, keepdim=True)
    across = (colours.roll(1, 1) - colours.roll(2, 1)) / 3**0.5
    return (mean + (colours - mean) * angle.cos() + across * angle.sin()).clamp(0, 1)


def draw_coat(dice: Dice, texture: Tensor, colours: Tensor, alpha: Tensor) -> Tensor:
    """Paint foregrounds anew, [B, 3, S, S] in [0, 1]: their light stays, their colours become those of a coat.

    A coat is a photograph's ``texture``, soft or as it is, often in natural or dyed colours, at times with spots or
    printed on. What is many times as light as the rest, whiskers and highlights, stays as light.
    """
    light = colours.mean(dim=1, keepdim=True)
    usual = (light * alpha).sum(dim=(2, 3), keepdim=True) / alpha.sum(dim=(2, 3), keepdim=True).clamp(min=1e-3)
    ratio = light / usual.clamp(min=0.05)
    shade = (0.4 + 0.6 * ratio).clamp(0.3, 2)
    painted = _coat(dice, texture) * shade
    return torch.lerp(painted, colours, ((ratio - 2.5) / 2).clamp(0, 0.9)).clamp(0, 1)


def _coat(dice: Dice, texture: Tensor) -> Tensor:
    """Draw a coat [B, 3, S, S]."""
    side = texture.shape[-1]
    softness = torch.where(dice.chance(0.2), 0.0, dice.log_uniform(2, 40)).flatten()
    base = blur(texture, softness, softness)
    mean = _mean(base)
    base = mean + (base - mean) * dice.uniform(0.25, 1)
    base = torch.lerp(base, base.mean(dim=1, keepdim=True), dice.uniform(0, 0.7))
    choice, natural = dice.uniform(), _natural(dice)
    light = (base - mean).mean(dim=1, keepdim=True)
    grown = natural + light * (0.5 + natural) + dice.uniform(0, 0.4) * (base - mean - light)
    base = torch.where(choice < 0.55, grown, torch.where(choice < 0.75, base - mean + _dye(dice), base))
    spots = 8 * (clouds(dice, side, dice.uniform(30, 200), 3) - dice.uniform(0.4, 0.6)) + 0.5
    base = torch.lerp(base, _natural(dice), spots.clamp(0, 1) * dice.uniform(0.5, 1) * dice.chance(0.25))
    base = torch.lerp(base, _dye(dice), _print(dice, side) * dice.uniform(0.6, 1) * dice.chance(0.25))
    slope = 1 + torch.linspace(-1, 1, side, device=dice.device)[:, None] * dice.normal(0.18)
    uneven = 1 + dice.normal(0.2) * (smooth(dice, side, torch.full_like(choice, side / 2)) - 0.5)
    return (base * slope * uneven).clamp(0.01, 1)


def _print(dice: Dice, side: int) -> Tensor:
    """Return the share of a printed colour [B, 1, S, S]: stripes or patches with hard edges."""
    places = torch.arange(side, device=dice.device, dtype=torch.float32)
    angle, period = dice.uniform(0, torch.pi), dice.log_uniform(8, 120)
    along = (places * angle.cos() + places[:, None] * angle.sin()) / period + dice.uniform()
    stripes = ((along % 1 - 0.5).abs() - dice.uniform(0.1, 0.4)) * period * dice.uniform(0.5, 2)
    patches = (clouds(dice, side, dice.log_uniform(10, 120), 2) - dice.uniform(0.45, 0.6)) * dice.uniform(20, 80)
    return (torch.where(dice.chance(0.5), stripes, patches) + 0.5).clamp(0, 1)


def _natural(dice: Dice) -> Tensor:
    """Draw the colour of an animal, of hair or earth, [B, 3, 1, 1]."""
    palette = torch.tensor(NATURAL, device=dice.device)
    return palette[dice.below(len(palette))][:, :, None, None] * dice.uniform(0.75, 1.15) + dice.normal(0.02, 3, 1, 1)


def _dye(dice: Dice) -> Tensor:
    """Draw any colour, [B, 3, 1, 1], more often a strong one."""
    return (dice.uniform(0, 1, 3, 1, 1) * (torch.pi / 2)).sin().square()


def _mean(planes: Tensor) -> Tensor:
    return planes.mean(dim=(2, 3), keepdim=True)
