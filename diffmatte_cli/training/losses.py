"""The matting loss of Eq. 7, on maps in [-1, 1] as the published code has it."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["LossWeights", "Scales", "matting_losses", "scales_of", "total_loss"]

# The published code scales its masked terms by the area of its 512x512 crops, whatever the crop is.
REFERENCE_AREA = 512 * 512
PYRAMID_LEVELS = 5

Scales = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class LossWeights:
    """Factors of the terms of Eq. 7; all 1 in the released code."""

    mse: float = 1.0
    unknown_l1: float = 1.0
    known_l1: float = 1.0
    gradient: float = 1.0
    laplacian: float = 1.0


def total_loss(terms: dict[str, Tensor], weights: LossWeights) -> Tensor:
    """Return the weighted sum of ``matting_losses``."""
    return sum((getattr(weights, name) * term for name, term in terms.items()), torch.tensor(0.0))


def scales_of(samples: int, unknown: Tensor, known: Tensor) -> Scales:
    """Return the factors of the terms over unknown and over known pixels for a batch of ``samples``.

    ``unknown`` and ``known`` count the whole batch's pixels, in however many parts and processes it is worked on.
    A batch without such pixels gets 0, where the published code gives NaN for the first.
    """
    unknown_scale, known_scale = (
        torch.where(count > 0, samples * REFERENCE_AREA / count.clamp(min=1), 0.0) for count in (unknown, known)
    )
    return unknown_scale, known_scale


def matting_losses(prediction: Tensor, target: Tensor, unknown: Tensor, scales: Scales) -> dict[str, Tensor]:
    """Compute the terms of Eq. 7.

    Arguments: ``prediction`` and ``target`` [B, 1, H, W] in [-1, 1]; ``unknown`` [B, 1, H, W], 1
    where the trimap is undecided, else 0; ``scales`` of the whole batch, whose parts' terms are to be averaged.

    Returns mean squared error over all pixels; separate l1 for unknown and known pixels;
    gradient penalty; Laplacian pyramid loss (Hou and Liu, "Context-Aware Image Matting").
    """
    unknown_scale, known_scale = scales
    difference = (prediction - target).abs()
    return {
        "mse": F.mse_loss(prediction, target),
        "unknown_l1": (difference * unknown).mean() * unknown_scale,
        "known_l1": (difference * (1 - unknown)).mean() * known_scale,
        "gradient": _gradient_penalty(prediction, target, unknown) * unknown_scale,
        "laplacian": _laplacian_loss(prediction, target),
    }


def _gradient_penalty(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Compare Sobel gradients inside ``mask``, with a small push towards flatness."""
    ours, theirs = _sobel(prediction), _sobel(target)
    # One mean for each direction: the mean over both planes is half of their sum.
    return 2 * (((ours - theirs).abs() * mask).mean() + 0.01 * (ours.abs() * mask).mean())


def _sobel(x: Tensor) -> Tensor:
    """Return Sobel's derivatives along rows and columns, [B, 2, H, W], zeros around the borders."""
    x = F.pad(x, (1, 1, 1, 1))
    smooth_rows, smooth_columns = (
        x[..., :-2] + 2 * x[..., 1:-1] + x[..., 2:],
        x[..., :-2, :] + 2 * x[..., 1:-1, :] + x[..., 2:, :],
    )
    along_rows = smooth_columns[..., 2:] - smooth_columns[..., :-2]
    return torch.cat([along_rows, smooth_rows[..., 2:, :] - smooth_rows[..., :-2, :]], dim=1)


def _laplacian_loss(prediction: Tensor, target: Tensor) -> Tensor:
    # The pyramid is linear: that of the difference is the difference of both.
    terms = [2**level * band.abs().mean() for level, band in enumerate(_laplacian_pyramid(prediction - target))]
    return torch.stack(terms).sum() / PYRAMID_LEVELS


def _laplacian_pyramid(x: Tensor) -> list[Tensor]:
    """Return the bands of [B, 1, H, W]: what each halving by the 5x5 binomial kernel loses.

    Products with small matrices, since the CPU is slow to differentiate a convolution of one channel.
    """
    bands = []
    for _ in range(PYRAMID_LEVELS):
        (down_rows, up_rows), (down_columns, up_columns) = (_resampling(x, side) for side in x.shape[-2:])
        smaller = down_rows @ x @ down_columns.T
        bands.append(x - up_rows @ smaller @ up_columns.T)
        x = smaller
    return bands


def _resampling(x: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Return what halves a side of ``length``, rounded up, [L/2, L], and what doubles it again, [L, L/2]."""
    half = -(-length // 2)
    return _binomial(x, length)[::2], 2 * _binomial(x, 2 * half)[:length, ::2]


def _binomial(x: Tensor, length: int) -> Tensor:
    """Return the matrix [L, L] that blurs a side by (1, 4, 6, 4, 1) / 16, borders reflected."""
    identity = torch.eye(length, dtype=x.dtype, device=x.device)[None]
    rows = F.pad(identity, (2, 2), mode="reflect")[0].unfold(1, 5, 1)
    return (rows @ x.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16).T.contiguous()
