"""Colour priors: what the colours of the known regions say about alpha, without any learning.

Known foreground and background colours are filled into the rest of the picture by
a pyramid; the alpha that they imply (Eq. 1 solved for alpha) is then made to follow
the picture's local colours by the matting Laplacian, from coarse to fine.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .laplacian import MattingLaplacian

__all__ = ["WHOLE", "Priors", "Window", "colour_priors", "fill_colours"]

# Iterations at the picture's size, at 1/2 and at 1/4.
ITERATIONS = (30, 60, 120)
# Weight of the filled-in colours' alpha against the matting Laplacian, at its most certain.
COLOUR_WEIGHT = 3e-3
# Pixels that are computed at a time, where pixels do not depend on each other.
STRIP = 2**22
# With more unknown pixels in a picture the last size is not iterated: its matrix has 200 bytes for each.
MOST_UNKNOWN = 6_000_000

# Rows and columns of a picture.
Window = tuple[slice, slice]
WHOLE = (slice(None), slice(None))


@dataclass(frozen=True)
class Priors:
    """Foreground and background colours filled in at half the size, and the alpha that follows at full size.

    Tensors are [B, 3, H/2, W/2] (rounded up), twice, and [B, 1, H, W]; values are in [0, 1].
    """

    foreground: Tensor
    background: Tensor
    alpha: Tensor

    def planes(self, image: Tensor, trimap: Tensor, window: Window = WHOLE) -> Tensor:
        """Return foreground, background and alpha as seven planes [B, 7, h, w] for a window of the picture.

        ``image`` [B, 3, h, w] and ``trimap`` [B, 1, h, w] are cut to the window, whose first row and column are even.
        """
        foreground = _filled(image, (trimap == 1).float(), self.foreground, window)
        background = _filled(image, (trimap == 0).float(), self.background, window)
        return torch.cat([foreground, background, self.alpha[..., window[0], window[1]]], dim=1)


@torch.no_grad()
def colour_priors(image: Tensor, trimap: Tensor) -> Priors:
    """Estimate colours and alpha from ``image`` [B, 3, H, W] in [0, 1] and ``trimap`` [B, 1, H, W] in {0, .5, 1}.

    Known pixels keep the trimap's alpha. Any size from 1x1 works.
    """
    fills = [_half_colours(image, trimap == known) for known in (1.0, 0.0)]

    def colours(rows: slice) -> tuple[Tensor, Tensor]:
        part, classes = image[..., rows, :], trimap[..., rows, :]
        window = (rows, slice(None))
        foreground = _filled(part, (classes == 1).float(), fills[0], window)
        return foreground, _filled(part, (classes == 0).float(), fills[1], window)

    return Priors(fills[0], fills[1], _solve(image, trimap, colours, level=0))


def fill_colours(image: Tensor, known: Tensor) -> Tensor:
    """Fill colours known where ``known`` [B, 1, H, W] is 1 into the rest, from coarse to fine.

    Without any known pixel the result is mid grey.
    """
    return _filled(image, known, _half_colours(image, known), WHOLE)


def _half_colours(image: Tensor, known: Tensor) -> Tensor:
    """Return the filled-in colours at half the size, [B, 3, H/2, W/2]."""
    if max(image.shape[-2:]) == 1:
        return torch.full_like(image, 0.5)
    strips = [
        (_halve(image[..., rows, :] * known[..., rows, :]), _halve(known[..., rows, :].float()))
        for rows in _strips(image)
    ]
    sums, share = (torch.cat(parts, dim=2) for parts in zip(*strips, strict=True))
    return fill_colours(sums / share.clamp(min=1e-6), (4 * share).clamp(max=1))


def _filled(image: Tensor, known: Tensor, half: Tensor, window: Window) -> Tensor:
    """Return a window's colours: the picture's own as far as ``known`` [B, 1, h, w] says, else those of ``half``."""
    return known * image + (1 - known) * _double(half, window)[..., : image.shape[-2], : image.shape[-1]]


def _solve(image: Tensor, trimap: Tensor, colours: Callable[[slice], tuple[Tensor, Tensor]], level: int) -> Tensor:
    """Return alpha [B, 1, H, W] at this size, starting from the solution at half of it.

    ``colours`` gives foreground and background for some of the rows.
    """
    alpha, weight, start = _without_windows(image, trimap, colours, level)
    start = torch.where(trimap == 0.5, start, trimap)
    if int((trimap == 0.5).flatten(1).sum(1).max()) > MOST_UNKNOWN:
        return start
    return MattingLaplacian(image, trimap).solve(start, alpha, weight, ITERATIONS[level])


def _without_windows(
    image: Tensor, trimap: Tensor, colours: Callable[[slice], tuple[Tensor, Tensor]], level: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the colours' own alpha, its weight and what the smaller sizes give to start from, [B, 1, H, W] each."""
    goes_on = level + 1 < len(ITERATIONS)
    strips = [
        _strip(image[..., rows, :], trimap[..., rows, :], *colours(rows), goes_on=goes_on) for rows in _strips(image)
    ]
    alpha, weight, *smaller = (torch.cat(parts, dim=2) for parts in zip(*strips, strict=True))
    del strips
    if not goes_on:
        return alpha, weight, alpha
    half_image, half_trimap, foreground, background = smaller

    def halves(rows: slice) -> tuple[Tensor, Tensor]:
        return foreground[..., rows, :], background[..., rows, :]

    coarse = _solve(half_image, half_trimap, halves, level + 1)
    return alpha, weight, _double(coarse, WHOLE)[..., : image.shape[-2], : image.shape[-1]]


def _strip(image: Tensor, trimap: Tensor, foreground: Tensor, background: Tensor, goes_on: bool) -> tuple[Tensor, ...]:
    """Return what some rows give: the colours' alpha and weight, and if it ``goes_on`` everything at half the size."""
    own = _colour_alpha(image, foreground, background)
    if not goes_on:
        return own
    return *own, _halve(image), _halve_trimap(trimap), _halve(foreground), _halve(background)


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


def _double(x: Tensor, window: Window) -> Tensor:
    """Return a window, even at its start, of ``x`` at twice the size; an odd end is rounded up."""
    cut: list[slice] = []
    ahead: list[slice] = []
    for place, length in zip(window, x.shape[-2:], strict=True):
        first, last = (place.start or 0) // 2, length if place.stop is None else -(-place.stop // 2)
        begin, end = max(0, first - 1), min(length, last + 1)
        cut.append(slice(begin, end))
        ahead.append(slice(2 * (first - begin), 2 * (last - begin)))
    doubled: Tensor = F.interpolate(x[..., cut[0], cut[1]], scale_factor=2, mode="bilinear", align_corners=False)
    return doubled[..., ahead[0], ahead[1]]


def _strips(x: Tensor) -> list[slice]:
    """Divide the rows of ``x`` [B, C, H, W] into even numbers of them that are computed at a time."""
    rows = max(2, STRIP // x.shape[-1] // 2 * 2)
    return [slice(start, min(start + rows, x.shape[-2])) for start in range(0, x.shape[-2], rows)]
