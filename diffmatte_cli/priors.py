"""Colour priors: what the colours of the known regions say about alpha, without any learning.

Known foreground and background colours are filled into the rest of the picture by
a pyramid; the alpha that they imply (Eq. 1 solved for alpha) is then made to follow
the picture's local colours by solving the matting Laplacian (Levin, Lischinski,
Weiss, "A Closed-Form Solution to Natural Image Matting", 2008) from coarse to fine.
With windows of any size, one product with that Laplacian is the identity minus a
guided filter (He, Sun, Tang, "Fast Matting Using Large Kernel Matting Laplacian
Matrices", 2010), and costs a few box filters.

Chebyshev iteration needs no sums over the picture, so every value depends on a
bounded neighbourhood only. The finest level is not solved: the local linear models
of half size, enlarged, are applied to the full picture.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["GuidedFilter", "Priors", "colour_priors", "fill_colours"]

WINDOW_RADIUS = 2
# Variance of colours, in [0, 1]^2, below which a window counts as flat.
FLATNESS = 1e-4
# Iterations at 1/2, 1/4 and 1/8 of the picture's size.
ITERATIONS = (6, 12, 24)
# Weight of the filled-in colours' alpha against the smoothness term, at its most certain.
COLOUR_WEIGHT = 0.01


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
    half_image, half_trimap = _halve(image), _halve_trimap(trimap)
    half_colours = _halve(foreground), _halve(background)
    half_alpha = _solve(half_image, half_trimap, *half_colours, level=0)
    models = GuidedFilter(half_image, WINDOW_RADIUS, FLATNESS).models(half_alpha)
    alpha = _apply_models(_double(models, image), image).clamp(0, 1)
    return Priors(foreground, background, torch.where(trimap == 0.5, alpha, trimap))


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


class GuidedFilter:
    """Local linear models of a signal in the colours of a guide (He, Sun, Tang, "Guided Image Filtering", 2010)."""

    def __init__(self, guide: Tensor, radius: int, flatness: float) -> None:
        """Prepare windows of side 2 * radius + 1 over ``guide`` [B, 3, H, W]."""
        self.guide, self.radius = guide, radius
        self.mean = _box(guide, radius)
        rows, columns = torch.triu_indices(3, 3, device=guide.device)
        moments = _box(guide[:, rows] * guide[:, columns], radius)
        rr, rg, rb, gg, gb, bb = (moments - self.mean[:, rows] * self.mean[:, columns]).chunk(6, dim=1)
        rr, gg, bb = rr + flatness, gg + flatness, bb + flatness
        minors = gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg
        others = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
        determinant = rr * minors[0] + rg * minors[1] + rb * minors[2]
        (a, b, c), (d, e, f) = minors, others
        self.inverse = [torch.cat(row, dim=1) / determinant for row in ((a, b, c), (b, d, e), (c, e, f))]

    def models(self, signal: Tensor) -> Tensor:
        """Return the averaged models of ``signal`` [B, 1, H, W]: three slopes and an offset, [B, 4, H, W]."""
        means = _box(torch.cat([signal, signal * self.guide], dim=1), self.radius)
        covariance = means[:, 1:] - means[:, :1] * self.mean
        slopes = torch.cat([(row * covariance).sum(1, keepdim=True) for row in self.inverse], dim=1)
        offset = means[:, :1] - (slopes * self.mean).sum(1, keepdim=True)
        return _box(torch.cat([slopes, offset], dim=1), self.radius)

    def __call__(self, signal: Tensor) -> Tensor:
        """Return ``signal`` [B, 1, H, W] as its local models explain it."""
        return _apply_models(self.models(signal), self.guide)


def _solve(image: Tensor, trimap: Tensor, foreground: Tensor, background: Tensor, level: int) -> Tensor:
    """Return alpha [B, 1, H, W] at this size, starting from the solution at half of it."""
    alpha, weight = _colour_alpha(image, foreground, background)
    start = alpha
    if level + 1 < len(ITERATIONS):
        smaller = _halve(image), _halve_trimap(trimap), _halve(foreground), _halve(background)
        start = _double(_solve(*smaller, level=level + 1), image)
    unknown = (trimap == 0.5).float()
    known = trimap * (1 - unknown)
    guided = GuidedFilter(image, WINDOW_RADIUS, FLATNESS)

    def system(x: Tensor) -> Tensor:
        return (x - guided(x) + weight * x) * unknown

    right_side = (guided(known) + weight * alpha) * unknown
    solution = _chebyshev(system, right_side, start * unknown, ITERATIONS[level])
    return (solution + known).clamp(0, 1)


def _colour_alpha(image: Tensor, foreground: Tensor, background: Tensor) -> tuple[Tensor, Tensor]:
    """Return the alpha that the colours imply and the weight it deserves, [B, 1, H, W] each.

    The weight falls where the colours do not explain the picture, or do not differ.
    """
    difference = foreground - background
    contrast = difference.square().sum(1, keepdim=True)
    alpha = (((image - background) * difference).sum(1, keepdim=True) / (contrast + 1e-3)).clamp(0, 1)
    residual = (image - background - alpha * difference).abs().sum(1, keepdim=True)
    return alpha, COLOUR_WEIGHT * torch.exp(-10 * residual) * contrast / (contrast + 0.05)


def _chebyshev(system: Callable[[Tensor], Tensor], right_side: Tensor, x: Tensor, iterations: int) -> Tensor:
    """Solve ``system(x) = right_side`` for a symmetric system with eigenvalues in (0, 1].

    The lower end of the interval that is damped evenly shrinks with the iterations allowed
    (Saad, "Iterative Methods for Sparse Linear Systems", Algorithm 12.1).
    """
    lowest: float = iterations**-1.5
    centre, radius = (1 + lowest) / 2, (1 - lowest) / 2
    ratio = radius / centre
    residual = right_side - system(x)
    move = residual / centre
    for _ in range(iterations - 1):
        x = x + move
        residual = residual - system(move)
        following = 1 / (2 * centre / radius - ratio)
        move = following * ratio * move + 2 * following / radius * residual
        ratio = following
    return x + move


def _apply_models(models: Tensor, guide: Tensor) -> Tensor:
    return (models[:, :3] * guide).sum(1, keepdim=True) + models[:, 3:]


def _box(x: Tensor, radius: int) -> Tensor:
    """Return window means, over the pixels that exist."""
    side = 2 * radius + 1
    x = F.avg_pool2d(x, (side, 1), 1, (radius, 0), count_include_pad=False)
    return F.avg_pool2d(x, (1, side), 1, (0, radius), count_include_pad=False)


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
