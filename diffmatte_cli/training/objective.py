"""Algorithm 1: the noisy sample that the decoder is trained on, plain or self-aligned (Fig. 3)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..model.diffmatte import DiffMatte
from ..sampling import Diffusion
from .losses import matting_losses

__all__ = ["ALIGNMENTS", "Draws", "draw", "noisy_sample", "training_losses"]

# How x_t is made: from the true alpha; from a prediction out of pure noise, as DDP does; from a
# prediction at t + delta, the paper's uniform time intervals; from one to three predictions, each
# made from the one before and the first out of pure noise, as in use.
ALIGNMENTS = ("none", "white-noise", "uti", "iterated")
MOST_PASSES = 3

Decode = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Draws:
    """One training step's randomness: ``noise`` [B, 1, H, W], times ``t`` [B] and, if aligned, ``earlier`` ones [B]."""

    noise: Tensor
    t: Tensor
    earlier: tuple[Tensor, ...] = ()


def draw(alignment: str, shape: torch.Size, generator: torch.Generator, device: torch.device) -> Draws:
    """Draw noise, then for UTI the interval delta in U(0, 1), then t in U(0, 1 - delta), on the CPU.

    Iterated alignment draws the number of passes, then that many times, of which t is the last.
    """
    noise = torch.randn(shape, generator=generator).to(device)
    batch = shape[0]
    if alignment == "iterated":
        passes = int(torch.randint(1, MOST_PASSES + 1, (), generator=generator))
        times = torch.rand(passes, batch, generator=generator).sort(0, descending=True).values.to(device)
        return Draws(noise, times[-1], (torch.ones_like(times[0]), *times[:-1]))
    delta = torch.rand(batch, generator=generator).to(device) if alignment == "uti" else None
    t = torch.rand(batch, generator=generator).to(device)
    if delta is not None:
        t = t * (1 - delta)
        return Draws(noise, t, (t + delta,))
    return Draws(noise, t, (torch.ones_like(t),) if alignment == "white-noise" else ())


def noisy_sample(decode: Decode, diffusion: Diffusion, x_0: Tensor, draws: Draws, alignment: str) -> Tensor:
    """Return x_t, [B, 1, H, W], before variance normalisation.

    Self-aligned, the clean sample is replaced by the model's own prediction at an earlier time,
    t + delta for UTI, made from the same noise and without gradient; iterated, again at the
    next one. Where the first of them is 1 the sample is the noise itself.
    """
    with torch.no_grad():
        for number, earlier in enumerate(draws.earlier):
            from_noise = number == 0 and alignment != "uti"
            start = draws.noise if from_noise else diffusion.add_noise(x_0, draws.noise, earlier)
            x_0 = decode(diffusion.normalise(start), earlier)
    return diffusion.add_noise(x_0, draws.noise, draws.t)


def training_losses(
    model: DiffMatte,
    diffusion: Diffusion,
    image: Tensor,
    trimap: Tensor,
    alpha: Tensor,
    priors: Tensor | None,
    draws: Draws,
    alignment: str,
    autocast: torch.autocast,
) -> dict[str, Tensor]:
    """Run Algorithm 1 for one batch and return the terms of Eq. 7.

    Arguments: ``image`` [B, 3, H, W] in [0, 1]; ``trimap`` [B, 1, H, W] in {0, .5, 1}; ``alpha``
    [B, 1, H, W] in [0, 1], brought to [-1, 1] here; ``priors``, the planes of ``colour_priors``
    [B, 7, H, W], or None to compute what the model needs; ``autocast`` entered around the network.
    """
    condition = model.condition(image, trimap, priors)
    with autocast:
        features = model.encode(condition)

    def decode(x_in: Tensor, t: Tensor) -> Tensor:
        with autocast:
            return model.decode(x_in, t, condition, features)

    x_0 = 2 * alpha - 1
    x_t = noisy_sample(decode, diffusion, x_0, draws, alignment)
    prediction = decode(diffusion.normalise(x_t), draws.t)
    return matting_losses(prediction, x_0, (trimap == 0.5).float())
