"""The iteration over one encoded picture: what may be asked of it, and the alpha of every step."""

from collections.abc import Callable, Iterator
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..diffusion.samplers import SAMPLERS, Diffusion, Step, consistent
from ..errors import ImageError, UsageError, WeightsError
from ..model.config import check_stable, check_steps

__all__ = ["Alpha", "Predict", "Sampling", "check_sampling", "iterate", "until_stable"]

Alpha = NDArray[np.float32]
Predict = Callable[[Tensor, float], Tensor]


class Sampling(TypedDict, total=False):
    """How alpha is sampled, by keyword.

    Keys:
        steps: T of Algorithm 2, default 10.
        seed: of the noise, default 0.
        noise: float32 [H, W], x_T instead of the one drawn from ``seed``.
        draws: float32 [steps, H, W], the fresh noise of each step of ddpm likewise.
        truth: float32 [H, W] in [0, 1], the true alpha that every x_t is made from instead of predictions (consistent
            sampling, Fig. 9), which shows what errors of earlier steps cost; with ddim only.
        sampler: "ddim" (default) or "ddpm".
        schedule, input_scale: default to what the weights were trained with.
        keep_known: True (default) holds the trimap's alpha at known pixels in every step; False computes the whole
            picture, as the paper does.
        whole: True computes the whole picture where only the unknown region counts; the same numbers, but for rounding.
        until_stable: stop after a step in which no unknown pixel moved by more than so many of 255 levels.
    """

    steps: int
    seed: int
    noise: Alpha | None
    draws: Alpha | None
    truth: Alpha | None
    sampler: str
    schedule: str | None
    input_scale: float | None
    keep_known: bool
    whole: bool
    until_stable: float | None


def check_sampling(sampling: Sampling) -> None:
    """Raise UsageError for what no iteration can do; shapes are checked with the picture."""
    sampler = sampling.get("sampler", "ddim")
    check_steps(sampling.get("steps", 10))
    check_stable(sampling.get("until_stable"))
    if sampler not in SAMPLERS:
        raise UsageError(f"there is no sampler {sampler!r}: use one of {', '.join(SAMPLERS)}")
    if sampling.get("truth") is not None and sampler != "ddim":
        raise UsageError(f"consistent sampling has no fresh noise: use the sampler ddim, not {sampler}")


def iterate(
    predict: Predict, size: tuple[int, int], device: torch.device, diffusion: Diffusion, sampling: Sampling
) -> Iterator[Alpha]:
    """Return the alpha of every step, float32 ``size`` in [0, 1], of ``predict``: (x_in, t) -> x_0.

    Raises ImageError for noise, draws or a truth of another size than the picture's, WeightsError while iterating.
    """
    steps = int(sampling.get("steps", 10))
    generator = torch.Generator().manual_seed(int(sampling.get("seed", 0)))

    def draw() -> Tensor:
        return torch.randn((1, 1, *size), generator=generator).to(device)

    noise, draws, truth = sampling.get("noise"), sampling.get("draws"), sampling.get("truth")
    x_t = diffusion.start(draw() if noise is None else _given("noise", noise, size).to(device))
    if truth is not None:
        x_0 = 2 * _given("the true alpha", truth, size).to(device) - 1
        return _alphas(consistent(predict, x_t, diffusion, steps, x_0))
    fresh = draw if draws is None else _replay(_given("noise", draws, (steps, *size)).to(device))
    return _alphas(SAMPLERS[sampling.get("sampler", "ddim")](predict, x_t, diffusion, steps, fresh))


def until_stable(alphas: Iterator[Alpha], unknown: Tensor, levels: float | None) -> Iterator[Alpha]:
    """Pass on alphas until no pixel of ``unknown`` [1, 1, H, W] moves by over ``levels`` of 255; None never stops."""
    if levels is None:
        yield from alphas
        return
    moving, before = unknown[0, 0].cpu().numpy(), None
    for alpha in alphas:
        yield alpha
        if before is not None and np.abs(alpha - before)[moving].max(initial=0) * 255 <= levels:
            return
        before = alpha


def _alphas(iteration: Iterator[Step]) -> Iterator[Alpha]:
    for step in iteration:
        alpha = ((step.x_0 + 1) / 2)[0, 0].cpu().numpy()
        if not np.isfinite(alpha).all():
            raise WeightsError(
                "the model computed values that are not numbers: its weights are unusable, or --precision is too low"
            )
        yield alpha


def _given(what: str, values: Alpha, shape: tuple[int, ...]) -> Tensor:
    if values.shape != shape:
        raise ImageError(f"{what} has shape {list(values.shape)} but must have {list(shape)}")
    return torch.tensor(values.copy(), dtype=torch.float32)[None, None]


def _replay(draws: Tensor) -> Callable[[], Tensor]:
    """Return what gives ``draws`` [1, 1, steps, H, W] one after another."""
    return iter(draws.unbind(2)).__next__
