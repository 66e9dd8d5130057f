"""Colour priors: what the colours of the known regions say about alpha, without any learning.

Known foreground and background colours are filled into the rest of the picture by
a pyramid; the alpha that they imply (Eq. 1 solved for alpha) is then made to follow
the picture's local colours by the matting Laplacian, from coarse to fine.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .laplacian import MattingLaplacian

__all__ = ["Priors", "colour_priors", "fill_colours"]

# Iterations at the picture's size, at 1/2 and at 1/4.
ITERATIONS = (30, 60, 120)
# Weight of the filled-in colours' alpha against the matting Laplacian, at its most certain.
COLOUR_WEIGHT = 3e-3


@dataclass(frozen=True)
class Priors:
    """Filled-in foreground and background [B, 3, H, W] and the alpha that follows [B, 1, H, W], in [0, 1]."""

    foreground: Tensor
    background: Tensor
    alpha: Tensor

    @property
    def planes(self) -> Tensor:
        """All seven planes, [B, 7, H, W]."""
        return torch.cat([self.foreground, self.background, self.alpha], dim=1)


@torch.no_grad()
def colour_priors(image: Tensor, trimap: Tensor) -> Priors:
    """Estimate colours and alpha from ``image`` [B, 3, H, W] in [0, 1] and ``trimap`` [B, 1, H, W] in {0, .5, 1}.

    Known pixels keep the trimap's alpha. Any size from 1x1 works.
    """
    foreground, background = (fill_colours(image, (trimap == known).float()) for known in (1.0, 0.0))
    return Priors(foreground, background, _solve(image, trimap, foreground, background, level=0))


def fill_colours(image: Tensor, known: Tensor) -> Tensor:
    """Fill colours known where ``known`` [B, 1, H, W] is 1 into the rest, from coarse to fine.

    Without any known pixel the result is mid grey.
    """
    if max(image.shape[-2:]) == 1:
        return torch.where(known > 0, image, 0.5)
    share = _halve(known)
    colours = _halve(image * known) / share.clamp(min=1e-6)
    coarse = fill_colours(colours, (4 * share).clamp(max=1))
    return known * image + (1 - known) * _double(coarse, image)


def _solve(image: Tensor, trimap: Tensor, foreground: Tensor, background: Tensor, level: int) -> Tensor:
    """Return alpha [B, 1, H, W] at this size, starting from the solution at half of it."""
    alpha, weight = _colour_alpha(image, foreground, background)
    start = alpha
    if level + 1 < len(ITERATIONS):
        smaller = _halve(image), _halve_trimap(trimap), _halve(foreground), _halve(background)
        start = _double(_solve(*smaller, level=level + 1), image)
    start = torch.where(trimap == 0.5, start, trimap)
    return MattingLaplacian(image, trimap).solve(start, alpha, weight, ITERATIONS[level])


def _colour_alpha(image: Tensor, foreground: Tensor, background: Tensor) -> tuple[Tensor, Tensor]:
    """Return the alpha that the colours imply and the weight it deserves, [B, 1, H, W] each.

    The weight falls where the colours do not explain the picture, or do not differ.
    """
    difference = foreground - background
    contrast = difference.square().sum(1, keepdim=True)
    alpha = (((image - background) * difference).sum(1, keepdim=True) / (contrast + 1e-3)).clamp(0, 1)
    residual = (image - background - alpha * difference).abs().sum(1, keepdim=True)
    return alpha, COLOUR_WEIGHT * torch.exp(-10 * residual) * contrast / (contrast + 0.05)


def _halve(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 2, 2, ceil_mode=True, count_include_pad=False)


def _halve_trimap(trimap: Tensor) -> Tensor:
    """Return a trimap of half the size; a pixel is known where all of its parts agree."""
    mean = _halve(trimap)
    return torch.where((mean == 0) | (mean == 1), mean, 0.5)


def _double(x: Tensor, like: Tensor) -> Tensor:
    """Return ``x`` at twice the size, cut to the size of ``like``."""
    doubled: Tensor = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    return doubled[..., : like.shape[-2], : like.shape[-1]]
