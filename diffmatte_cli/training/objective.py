"""Algorithm 1: the noisy sample that the decoder is trained on, plain or self-aligned (Fig. 3)."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from ..model.diffmatte import DiffMatte
from ..sampling import Diffusion, ddim, time_pairs
from .losses import matting_losses

__all__ = ["ALIGNMENTS", "Draws", "draw", "noisy_sample", "training_losses"]

# How x_t is made: from the true alpha; from a prediction out of pure noise, as DDP does; from a
# prediction at t + delta, the paper's uniform time intervals; by the sampler, as in use.
ALIGNMENTS = ("none", "white-noise", "uti", "iterated")
# Numbers of steps T that the sampler is run with; it stops before one of them at random.
CHAINS = (1, 2, 3, 5, 10)

Decode = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Draws:
    """One training step's randomness: ``noise`` [B, 1, H, W] and times ``t`` [B].

    ``earlier`` [B] is the time of the prediction that self-alignment starts from, if it does;
    iterated, ``t`` is the time that ``steps`` sampling steps have come to after ``done`` of them.
    """

    noise: Tensor
    t: Tensor
    earlier: Tensor | None = None
    steps: int = 0
    done: int = 0


def draw(alignment: str, shape: torch.Size, generator: torch.Generator, device: torch.device) -> Draws:
    """Draw noise, then for UTI the interval delta in U(0, 1), then t in U(0, 1 - delta), on the CPU.

    Iterated alignment draws the number of steps, then how many of them are done.
    """
    noise = torch.randn(shape, generator=generator).to(device)
    batch = shape[0]
    if alignment == "iterated":
        steps = CHAINS[int(torch.randint(len(CHAINS), (), generator=generator))]
        done = int(torch.randint(steps, (), generator=generator))
        return Draws(noise, torch.full((batch,), time_pairs(steps)[done][0], device=device), None, steps, done)
    delta = torch.rand(batch, generator=generator).to(device) if alignment == "uti" else None
    t = torch.rand(batch, generator=generator).to(device)
    if delta is not None:
        t = t * (1 - delta)
        return Draws(noise, t, t + delta)
    return Draws(noise, t, torch.ones_like(t) if alignment == "white-noise" else None)


@torch.no_grad()
def noisy_sample(
    decode: Decode, diffusion: Diffusion, x_0: Tensor, unknown: Tensor, draws: Draws, alignment: str
) -> Tensor:
    """Return x_t, [B, 1, H, W], before variance normalisation; ``unknown`` [B, 1, H, W] is boolean.

    Self-aligned, the clean sample is replaced by the model's own prediction at an earlier time,
    t + delta for UTI, 1 and out of pure noise for white noise, made from the same noise. Iterated,
    x_t is what Algorithm 2 comes to, with known pixels held, as in use.
    """
    if alignment == "iterated":

        def predict(x_in: Tensor, t: float) -> Tensor:
            return torch.where(unknown, decode(x_in, torch.full_like(draws.t, t)), x_0)

        iteration = ddim(predict, draws.noise, diffusion, draws.steps)
        return [draws.noise, *(step.x_next for step in islice(iteration, draws.done))][-1]
    if draws.earlier is not None:
        start = draws.noise if alignment == "white-noise" else diffusion.add_noise(x_0, draws.noise, draws.earlier)
        x_0 = decode(diffusion.normalise(start), draws.earlier)
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

    x_0, unknown = 2 * alpha - 1, trimap == 0.5
    x_t = noisy_sample(decode, diffusion, x_0, unknown, draws, alignment)
    prediction = decode(diffusion.normalise(x_t), draws.t)
    return matting_losses(prediction, x_0, unknown.float())
