"""Algorithm 1: the noisy sample that the decoder is trained on, plain or self-aligned (Fig. 3)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice

import torch
from torch import Tensor, nn

from ..diffusion.samplers import Diffusion, ddim, time_pairs
from ..model.diffmatte import DiffMatte
from .losses import Scales, matting_losses
from .synthesis.dice import seeded

__all__ = ["ALIGNMENTS", "Draws", "Objective", "draw", "noisy_sample"]

# How x_t is made: from the true alpha; from a prediction out of pure noise, as DDP does; from a
# prediction at t + delta, the paper's uniform time intervals; by the sampler, as in use; from a prediction out of
# the start, which is trained as well (the iterated one-step model of Table 5).
ALIGNMENTS = ("none", "white-noise", "uti", "iterated", "consecutive")
# The alignments whose first prediction starts where the sampler does.
FROM_START = ("white-noise", "consecutive")
# Numbers of steps T that the sampler is run with; it stops before one of them at random.
CHAINS = (1, 2, 3, 5, 10)
# What a number is drawn for, beside the seed and the sample's or step's index.
OF_SAMPLES, OF_STEPS = 1, 2

Decode = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Draws:
    """One micro-batch's randomness: ``noise`` [B, 1, H, W] and times ``t`` [B].

    ``earlier`` [B] is the time of the prediction that self-alignment starts from, if it does;
    iterated, ``t`` is the time that ``steps`` sampling steps have come to after ``done`` of them.
    ``drops`` [B, N] in [0, 1) decide which updates an encoder with stochastic depth leaves out.
    """

    noise: Tensor
    t: Tensor
    earlier: Tensor | None = None
    steps: int = 0
    done: int = 0
    drops: Tensor | None = None

    def to(self, device: torch.device) -> "Draws":
        """Move the tensors."""
        earlier, drops = (None if part is None else part.to(device) for part in (self.earlier, self.drops))
        return replace(self, noise=self.noise.to(device), t=self.t.to(device), earlier=earlier, drops=drops)


def draw(
    alignment: str,
    size: int,
    seed: int,
    step: int,
    indices: list[int],
    drops: int = 0,
    at_once: torch.device | None = None,
) -> Draws:
    """Draw what the samples ``indices`` of the run need at crops of ``size`` pixels, on the CPU.

    With ``at_once``, a device, all of them draw together on it, from (seed, the first one's index) alone. Otherwise
    each sample draws from (seed, its index) alone: noise, then for UTI the interval delta in U(0, 1), then t in
    U(0, 1 - delta), then ``drops`` numbers. Iterated alignment draws from (seed, step) the number of sampling steps
    and how many of them are done, for all samples of a step.
    """
    device = at_once or torch.device("cpu")
    alone = indices[:1] if at_once else indices
    generators, each = [seeded(device, seed, OF_SAMPLES, index) for index in alone], len(indices) // len(alone)
    noise = torch.cat([torch.randn((each, 1, size, size), generator=source, device=device) for source in generators])
    if alignment == "iterated":
        generator = seeded(torch.device("cpu"), seed, OF_STEPS, step)
        steps = CHAINS[int(torch.randint(len(CHAINS), (), generator=generator))]
        done = int(torch.randint(steps, (), generator=generator))
        t, earlier = torch.full((len(indices),), time_pairs(steps)[done][0], device=device), None
    else:
        steps = done = 0
        delta = _uniforms(generators, 1, each)[:, 0] if alignment == "uti" else torch.zeros(len(indices), device=device)
        t = _uniforms(generators, 1, each)[:, 0] * (1 - delta)
        earlier = torch.ones_like(t) if alignment in FROM_START else t + delta if alignment == "uti" else None
    return Draws(noise, t, earlier, steps, done, _uniforms(generators, drops, each) if drops else None)


def _uniforms(generators: list[torch.Generator], count: int, each: int) -> Tensor:
    return torch.cat([torch.rand((each, count), generator=source, device=source.device) for source in generators])


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

        start = diffusion.start(draws.noise)
        iteration = ddim(predict, start, diffusion, draws.steps)
        return [start, *(step.x_next for step in islice(iteration, draws.done))][-1]
    if draws.earlier is not None:
        is_start = alignment in FROM_START
        start = diffusion.start(draws.noise) if is_start else diffusion.add_noise(x_0, draws.noise, draws.earlier)
        x_0 = decode(diffusion.normalise(start), draws.earlier)
    return diffusion.add_noise(x_0, draws.noise, draws.t)


class Objective(nn.Module):
    """Algorithm 1 around a model, as one module, so that all of a step's work is one forward pass.

    ``autocast`` is entered around the network; losses stay in float32.
    """

    def __init__(self, model: DiffMatte, diffusion: Diffusion, autocast: torch.autocast) -> None:
        super().__init__()
        self.model, self.diffusion, self.autocast = model, diffusion, autocast

    def forward(
        self,
        image: Tensor,
        trimap: Tensor,
        alpha: Tensor,
        priors: Tensor | None,
        draws: Draws,
        alignment: str,
        scales: Scales,
    ) -> dict[str, Tensor]:
        """Return the terms of Eq. 7 for one micro-batch.

        Arguments: ``image`` [B, 3, H, W] in [0, 1]; ``trimap`` [B, 1, H, W] in {0, .5, 1}; ``alpha``
        [B, 1, H, W] in [0, 1], brought to [-1, 1] here; ``priors``, the planes of ``colour_priors``
        [B, 7, H, W], or None to compute what the model needs; ``scales`` as for ``matting_losses``.
        """
        model, diffusion = self.model, self.diffusion
        condition = model.condition(image, trimap, priors)
        with self.autocast:
            features = model.encode(condition, draws.drops)

        def decode(x_in: Tensor, t: Tensor) -> Tensor:
            with self.autocast:
                return model.decode(x_in, t, condition, features)

        x_0, unknown = 2 * alpha - 1, trimap == 0.5
        x_t = noisy_sample(decode, diffusion, x_0, unknown, draws, alignment)
        terms = matting_losses(decode(diffusion.normalise(x_t), draws.t), x_0, unknown.float(), scales)
        if alignment != "consecutive":
            return terms
        first = decode(diffusion.normalise(diffusion.start(draws.noise)), torch.ones_like(draws.t))
        before = matting_losses(first, x_0, unknown.float(), scales)
        return {name: (term + before[name]) / 2 for name, term in terms.items()}
