"""Random numbers, smooth fields and filters for whole batches, on any device."""

import copy
import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["Dice", "blur", "clouds", "depth", "seeded", "smooth"]

# Cells of a smooth field along a side, at most.
CELLS = 32


def seeded(device: torch.device, *entropy: int) -> torch.Generator:
    """Return a generator of ``entropy``; of its seed torch uses 32 bits, which a few samples in millions share."""
    (state,) = np.random.SeedSequence(entropy).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(state >> np.uint64(1)))


class Dice:
    """Draws for a batch of ``count`` samples on a device, from ``entropy`` alone; by default [B, 1, 1, 1] each."""

    def __init__(self, device: torch.device, count: int, *entropy: int) -> None:
        self.device, self.count = device, count
        self.generator, self.shares = seeded(device, *entropy), np.random.default_rng(entropy)

    def uniform(self, low: float = 0.0, high: float = 1.0, *shape: int) -> Tensor:
        """Draw evenly between two bounds."""
        draws = torch.rand((self.count, *(shape or (1, 1, 1))), generator=self.generator, device=self.device)
        return low + draws * (high - low)

    def log_uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Draw numbers whose logarithms are even."""
        return self.uniform(math.log(low), math.log(high), *shape).exp()

    def normal(self, deviation: float, *shape: int) -> Tensor:
        """Draw normally around 0."""
        size = (self.count, *(shape or (1, 1, 1)))
        return torch.randn(size, generator=self.generator, device=self.device) * deviation

    def chance(self, share: float | Tensor, *shape: int) -> Tensor:
        """Say yes to a share."""
        return self.uniform(0, 1, *shape) < share

    def below(self, bounds: int | Tensor) -> Tensor:
        """Draw whole numbers from 0 to below ``bounds``, one or [B], [B]."""
        number = (self.uniform(0, 1, 1)[:, 0] * bounds).long()
        return torch.clamp(number, max=bounds - 1)  # which rounding may pass

    def some(self, share: float) -> Tensor:
        """Pick a share of the batch, [K] of its indices; how many is drawn on the host, so that nothing waits."""
        count = int(self.count * share + self.shares.random())
        first = int(self.shares.integers(self.count))
        return (first + torch.arange(min(count, self.count), device=self.device)) % self.count

    def of(self, count: int) -> "Dice":
        """Return the same dice for another number of samples."""
        other = copy.copy(self)
        other.count = count
        return other


def blur(planes: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Blur [B, C, S, S] by Gaussians of deviations ``rows`` and ``columns`` [B], vertically and horizontally.

    Products with matrices, which cost the same whatever the deviation is.
    """
    places = torch.arange(planes.shape[-1], device=planes.device, dtype=planes.dtype)
    distances = (places - places[:, None]).square()
    across, along = (
        torch.softmax(-distances / (2 * deviation.clamp(min=0.1).square()[:, None, None]), dim=-1)
        for deviation in (rows, columns)
    )
    return _mixed(_mixed(planes, along).mT, across).mT


def _mixed(planes: Tensor, weights: Tensor) -> Tensor:
    """Replace the columns of [B, C, H, W] by sums of them, with weights [B, V, W]."""
    return (planes.flatten(1, 2) @ weights.mT).view(*planes.shape[:3], -1)


def smooth(dice: Dice, side: int, cell: Tensor) -> Tensor:
    """Return noise [B, 1, S, S] in [0, 1] whose features are about ``cell`` [B, 1, 1, 1] pixels wide, at least S/30."""
    count = min(CELLS, side)
    cell = cell.flatten()[:, None, None].clamp(min=side / (count - 2))
    places = torch.arange(side, device=dice.device)[:, None] / cell + dice.uniform(0, 1, 1, 1)
    weights = torch.softmax(-2.5 * (places - torch.arange(count, device=dice.device)).square(), dim=-1)
    noise = _mixed(_mixed(dice.uniform(0, 1, 1, count, count), weights).mT, weights)
    return ((noise - 0.5) * 1.25 + 0.5).clamp(0, 1)


def clouds(dice: Dice, side: int, widest: Tensor, octaves: int) -> Tensor:
    """Sum smooth noise over ``octaves`` scales, each half as wide as the one before: [B, 1, S, S] in [0, 1]."""
    total = sum((smooth(dice, side, widest / 2**octave) * 0.5**octave for octave in range(octaves)), torch.tensor(0.0))
    return total / (2 - 0.5 ** (octaves - 1))


def depth(marked: Tensor, reach: int) -> Tensor:
    """Return each pixel's distance from the nearest one that is ``marked`` [B, 1, S, S], where it is at most ``reach``.

    Exact up to there: first along rows, then over all rows within reach. Whatever is farther has a larger number.
    """
    far = reach + 1
    places = torch.arange(marked.shape[-1], device=marked.device, dtype=torch.int32).expand(marked.shape)
    nearest = [
        (line - torch.where(mask, line, -far).cummax(dim=-1).values).to(torch.int16)
        for line, mask in ((places, marked), (places, marked.flip(-1)))
    ]
    along = torch.minimum(nearest[0], nearest[1].flip(-1)).clamp(max=far).square()
    padded = F.pad(along, (0, 0, reach, reach), value=far * far)
    height, found = marked.shape[-2], along
    for step in range(1, reach + 1):
        above, below = padded[..., reach - step :, :], padded[..., reach + step :, :]
        found = torch.minimum(found, torch.minimum(above[..., :height, :], below[..., :height, :]) + step * step)
    return found.float().sqrt()
