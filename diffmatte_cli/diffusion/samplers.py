"""Samplers: from pure noise to a clean sample in T steps (paper Algorithm 2, Eq. 3 and 4).

Both are generators over a callable ``predict(x_in, t) -> x_0``. They know neither
networks nor pictures, and yield every step, so that the caller owns progress,
previews and the decision to stop.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from .schedules import SCHEDULES, log_snr, signal_and_noise

__all__ = ["SAMPLERS", "Diffusion", "Step", "consistent", "ddim", "ddpm", "normalise_variance", "time_pairs"]

Predict = Callable[[Tensor, float], Tensor]
Draw = Callable[[], Tensor]


@dataclass(frozen=True)
class Diffusion:
    """The noise process of Eq. 2: a schedule's name and the input scale b in (0, 1].

    Without ``noise`` its last term is left out (the ablation of Sec. 4.4): x_t is the faded clean sample alone.
    """

    schedule: str = "linear"
    input_scale: float = 0.2
    noise: bool = True

    def gamma(self, t: Tensor) -> Tensor:
        """Return gamma(t), same shape and type as ``t``."""
        return SCHEDULES[self.schedule](t)

    def factors(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return what Eq. 2 multiplies the clean sample and the noise by, same shape and type as ``t``."""
        signal, sigma = signal_and_noise(self.gamma(t), self.input_scale)
        return signal, sigma if self.noise else torch.zeros_like(sigma)

    def start(self, noise: Tensor) -> Tensor:
        """Return x_T: the standard normal ``noise`` itself, or an empty picture where there is none."""
        return noise if self.noise else torch.zeros_like(noise)

    def add_noise(self, x_0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Return x_t of Eq. 2 for ``x_0`` in [-1, 1], [B, 1, H, W], and one time a sample, ``t`` [B]."""
        signal, sigma = self.factors(t.reshape(-1, 1, 1, 1))
        return signal * x_0 + sigma * noise

    def normalise(self, x_t: Tensor) -> Tensor:
        """Return what the decoder gets for ``x_t``: unit variance if b < 1, unchanged otherwise."""
        return normalise_variance(x_t) if self.input_scale < 1 else x_t


@dataclass(frozen=True)
class Step:
    """One iteration: times, the sample before, as the decoder got it, its prediction, the sample after.

    Tensors are [B, 1, H, W]; ``x_0`` is in [-1, 1], so that alpha is ``(x_0 + 1) / 2``.
    """

    t: float
    t_next: float
    x_t: Tensor
    x_in: Tensor
    x_0: Tensor
    x_next: Tensor


def normalise_variance(x: Tensor) -> Tensor:
    """Divide each sample by its population standard deviation (Algorithm 2); the mean stays."""
    return x / x.std(dim=(1, 2, 3), keepdim=True, correction=0).clamp(min=1e-5)


def time_pairs(steps: int) -> list[tuple[float, float]]:
    """Return ``steps`` consecutive (t, t_next) from 1 to 0, evenly spaced."""
    return list(pairwise(torch.linspace(1, 0, steps + 1).tolist()))


def ddim(predict: Predict, x_t: Tensor, diffusion: Diffusion, steps: int, draw: Draw | None = None) -> Iterator[Step]:
    """Iterate deterministically from ``x_t`` [B, 1, H, W], standard normal, to a clean sample.

    ``draw`` is not used; the noise of each step is the one that the prediction implies.
    """
    for t, t_next in time_pairs(steps):
        x_in = diffusion.normalise(x_t)
        x_0 = predict(x_in, t).clamp(-1, 1)
        (signal, sigma), (signal_next, sigma_next) = (_factors(diffusion, time) for time in (t, t_next))
        x_next = (x_t - signal * x_0).div_(max(sigma, 1e-10))  # the noise, so far
        x_next = x_next.mul_(sigma_next).add_(signal_next * x_0)
        yield Step(t, t_next, x_t, x_in, x_0, x_next)
        x_t = x_next
        del x_in, x_0, x_next  # whole pictures, during the next prediction


def consistent(predict: Predict, noise: Tensor, diffusion: Diffusion, steps: int, truth: Tensor) -> Iterator[Step]:
    """Iterate over samples made from the true x_0, ``truth`` [B, 1, H, W] in [-1, 1], at every step.

    No error of one prediction reaches the next (consistent sampling, Appendix A.2 and Fig. 9). ``noise``
    [B, 1, H, W], standard normal, is that of all steps.
    """
    for t, t_next in time_pairs(steps):
        x_t, x_next = (diffusion.add_noise(truth, noise, torch.full_like(noise[:, 0, 0, 0], at)) for at in (t, t_next))
        x_in = diffusion.normalise(x_t)
        yield Step(t, t_next, x_t, x_in, predict(x_in, t).clamp(-1, 1), x_next)


def ddpm(predict: Predict, x_t: Tensor, diffusion: Diffusion, steps: int, draw: Draw | None = None) -> Iterator[Step]:
    """Iterate with fresh noise in every step; ``draw()`` returns one standard normal [B, 1, H, W].

    One draw is made a step, after the prediction; the last one is drawn but not used, as in
    the published code, so that a stream of noise stays aligned with it.
    """
    draw = draw or (lambda: torch.randn_like(x_t))
    for t, t_next in time_pairs(steps):
        x_in = diffusion.normalise(x_t)
        x_0 = predict(x_in, t).clamp(-1, 1)
        fresh = draw()
        kept, share, spread = _posterior(diffusion, t, t_next)
        x_next = kept * x_t + share * x_0
        if t_next > 0:
            x_next = x_next + spread * fresh
        yield Step(t, t_next, x_t, x_in, x_0, x_next)
        x_t = x_next


SAMPLERS: dict[str, Callable[[Predict, Tensor, Diffusion, int, Draw | None], Iterator[Step]]] = {
    "ddim": ddim,
    "ddpm": ddpm,
}


def _scalar(t: float) -> Tensor:
    return torch.tensor(t, dtype=torch.float64)


def _factors(diffusion: Diffusion, t: float) -> tuple[float, float]:
    signal, sigma = diffusion.factors(_scalar(t))
    return signal.item(), sigma.item()


def _posterior(diffusion: Diffusion, t: float, t_next: float) -> tuple[float, float, float]:
    """Return the weights of x_t, of x_0 and of fresh noise in one ancestral step.

    In double precision: c is 1 minus the ratio of two signal-to-noise ratios and cancels badly.
    """
    signal, _ = _factors(diffusion, t)
    signal_next, sigma_next = _factors(diffusion, t_next)
    gamma, gamma_next = (diffusion.gamma(_scalar(time)) for time in (t, t_next))
    ratio = (log_snr(gamma) - log_snr(gamma_next)).exp().item()
    c = 1 - ratio
    spread = max(sigma_next**2 * c, 1e-20) ** 0.5
    return signal_next * ratio / signal, signal_next * c, spread
