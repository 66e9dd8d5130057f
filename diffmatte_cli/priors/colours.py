"""Colour priors: what the colours of the known regions say about alpha, without any learning.

Known foreground and background colours are filled into the rest of the picture by
a pyramid; the alpha that they imply (Eq. 1 solved for alpha) is then made to follow
the picture's local colours by the matting Laplacian, from coarse to fine.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .guess import guess_alpha, halve, mean, quarters
from .laplacian import MattingLaplacian

__all__ = ["WHOLE", "Priors", "Window", "colour_priors", "fill_colours"]

# Iterations at the picture's size, at 1/2 and at 1/4.
ITERATIONS = (30, 60, 120)
# Pixels that are computed at a time, where pixels do not depend on each other.
STRIP = 2**22
# With more unknown pixels in a picture the last size is not iterated: it takes 140 bytes for each.
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
    foreground, background = (_half_colours(image, trimap == known) for known in (1, 0))
    sizes = [(image.contiguous(), trimap.contiguous())]
    while len(sizes) < len(ITERATIONS):
        sizes.append((halve(sizes[-1][0]), _halve_trimap(sizes[-1][1])))
    guesses = guess_alpha(sizes, foreground, background)
    alpha = guesses[-1][0]
    for iterations in reversed(ITERATIONS):
        (image, trimap), (guess, weight) = sizes.pop(), guesses.pop()
        start = alpha if alpha is guess else _double(alpha, WHOLE)[..., : image.shape[-2], : image.shape[-1]]
        alpha = torch.where(trimap == 0.5, start, trimap)
        if int((trimap == 0.5).flatten(1).sum(1).max()) <= MOST_UNKNOWN:
            alpha = MattingLaplacian(image, trimap).solve(alpha, guess, weight, iterations)
    return Priors(foreground, background, alpha)


def fill_colours(image: Tensor, known: Tensor) -> Tensor:
    """Fill colours known where ``known`` [B, 1, H, W] is 1 into the rest, from coarse to fine.

    Without any known pixel the result is mid grey.
    """
    return _filled(image, known, _half_colours(image, known), WHOLE)


def _half_colours(image: Tensor, known: Tensor) -> Tensor:
    """Return the filled-in colours at half the size, [B, 3, H/2, W/2]."""
    if max(image.shape[-2:]) == 1:
        return torch.full_like(image, 0.5)
    strips = []
    for rows in _strips(image):
        share = known[..., rows, :].to(image.dtype)
        pairs = zip(quarters(image[..., rows, :]), quarters(share), strict=True)
        strips.append((mean(part * own for part, own in pairs), halve(share)))
    sums, share = (torch.cat(parts, dim=2) for parts in zip(*strips, strict=True))
    return fill_colours(sums / share.clamp(min=1e-6), (4 * share).clamp(max=1))


def _filled(image: Tensor, known: Tensor, half: Tensor, window: Window) -> Tensor:
    """Return a window's colours: the picture's own as far as ``known`` [B, 1, h, w] says, else those of ``half``."""
    return torch.lerp(_double(half, window)[..., : image.shape[-2], : image.shape[-1]], image, known)


def _halve_trimap(trimap: Tensor) -> Tensor:
    """Return a trimap of half the size; a pixel is known where all of its parts agree."""
    share = halve(trimap)
    return torch.where((share == 0) | (share == 1), share, 0.5)


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
