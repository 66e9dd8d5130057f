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
    sobel = prediction.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    kernel = torch.stack([sobel, sobel.T])[:, None]
    ours, theirs = (F.conv2d(x, kernel, padding=1) for x in (prediction, target))
    # One mean for each direction: the mean over both planes is half of their sum.
    return 2 * (((ours - theirs).abs() * mask).mean() + 0.01 * (ours.abs() * mask).mean())


def _laplacian_loss(prediction: Tensor, target: Tensor) -> Tensor:
    pyramids = zip(_laplacian_pyramid(prediction), _laplacian_pyramid(target), strict=True)
    terms = [2**level * F.l1_loss(ours, theirs) for level, (ours, theirs) in enumerate(pyramids)]
    return torch.stack(terms).sum() / PYRAMID_LEVELS


def _laplacian_pyramid(x: Tensor) -> list[Tensor]:
    bands = []
    for _ in range(PYRAMID_LEVELS):
        smaller = _binomial(x)[..., ::2, ::2]
        enlarged = x.new_zeros(*smaller.shape[:2], 2 * smaller.shape[2], 2 * smaller.shape[3])
        enlarged[..., ::2, ::2] = smaller * 4
        bands.append(x - _binomial(enlarged)[..., : x.shape[2], : x.shape[3]])
        x = smaller
    return bands


def _binomial(x: Tensor) -> Tensor:
    """Blur with the 5x5 binomial kernel, borders reflected."""
    row = x.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0])
    kernel = (row[:, None] * row[None, :] / 256)[None, None]
    return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), kernel)
