"""Noise schedules: how much of the clean alpha is left at time t.

Each schedule maps t in [0, 1] to gamma in [0, 1], the share of the signal's
variance (paper Sec. 3.1, Eq. 2). Time runs backwards at inference: t = 1 is
pure noise, t = 0 the clean alpha.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["GAMMA_MIN", "SCHEDULES", "cosine", "linear", "log_snr", "power", "sigmoid", "signal_and_noise"]

# The published models were trained with gamma clipped here: at t = 1 a trace of signal remains.
GAMMA_MIN = 1e-9
# DDPM's log-SNR is clipped at another value than gamma itself, and its result depends on it.
SNR_MIN = 1e-5


def linear(t: Tensor) -> Tensor:
    """Return 1 - t (the paper's choice, Table 6a)."""
    return (1 - t).clamp(min=GAMMA_MIN)


def cosine(t: Tensor) -> Tensor:
    """Return cos^2(pi t / 2)."""
    return torch.cos(t * (math.pi / 2)).square().clamp(min=GAMMA_MIN)


def sigmoid(t: Tensor, start: float = -3.0, end: float = 3.0, tau: float = 1.0) -> Tensor:
    """Return a falling sigmoid over [start, end], rescaled to run from 1 to 0."""
    first, last = (1 / (1 + math.exp(-edge / tau)) for edge in (start, end))
    value = torch.sigmoid((t * (end - start) + start) / tau)
    return ((last - value) / (last - first)).clamp(GAMMA_MIN, 1.0)


def power(t: Tensor) -> Tensor:
    """Return 1 - t^2."""
    return (1 - t.square()).clamp(min=GAMMA_MIN)


SCHEDULES: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": linear,
    "cosine": cosine,
    "sigmoid": sigmoid,
    "power": power,
}


def signal_and_noise(gamma: Tensor, input_scale: float) -> tuple[Tensor, Tensor]:
    """Return the factors of Eq. 2: b * sqrt(gamma) for the clean sample, sqrt(1 - gamma) for the noise.

    For an input scale b below 1 their squares do not add up to 1; that is why samples are
    divided by their standard deviation before the decoder sees them.
    """
    return input_scale * gamma.sqrt(), (1 - gamma).sqrt()


def log_snr(gamma: Tensor) -> Tensor:
    """Return log(gamma / (1 - gamma)), clipped from below; the input scale does not enter."""
    return (gamma / (1 - gamma)).clamp(min=SNR_MIN).log()
