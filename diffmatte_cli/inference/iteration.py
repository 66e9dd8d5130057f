"""The iteration over one encoded image: its settings, and the alpha of every step."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..diffusion.samplers import SAMPLERS, Diffusion, Step, consistent
from ..errors import ImageError, UsageError, WeightsError
from ..settings import Sampling

__all__ = ["Alpha", "Predict", "at_once", "iterate", "until_stable"]

Alpha = NDArray[np.float32]
Predict = Callable[[Tensor, float], Tensor]


def iterate(
    predict: Predict,
    size: tuple[int, int],
    device: torch.device,
    diffusion: Diffusion,
    sampling: Sampling,
    noise: Alpha | None = None,
    draws: Alpha | None = None,
    truth: Alpha | None = None,
) -> Iterator[Alpha]:
    """Return the alpha of every step, float32 ``size`` in [0, 1], of ``predict``: (x_in, t) -> x_0.

    ``noise``, ``draws`` and ``truth`` are those of ``Matter.steps``.

    Raises UsageError for a truth with another sampler than ddim, ImageError for an array that does not match the
    image's size, WeightsError while iterating.
    """
    steps = int(sampling.steps)
    generator = torch.Generator().manual_seed(int(sampling.seed))

    def draw() -> Tensor:
        return torch.randn((1, 1, *size), generator=generator).to(device)

    x_t = diffusion.start(draw() if noise is None else _given("noise", noise, size).to(device))
    if truth is not None:
        if sampling.sampler != "ddim":
            raise UsageError(f"consistent sampling requires the sampler ddim, not {sampling.sampler}")
        x_0 = 2 * _given("the true alpha", truth, size).to(device) - 1
        return _alphas(consistent(predict, x_t, diffusion, steps, x_0))
    fresh = draw if draws is None else _replay(_given("noise", draws, (steps, *size)).to(device))
    return _alphas(SAMPLERS[sampling.sampler](predict, x_t, diffusion, steps, fresh))


def at_once(predict: Predict, size: tuple[int, int], device: torch.device) -> Iterator[Alpha]:
    """Return the alpha of a model that does not iterate; raises WeightsError while iterating."""
    x_in = torch.zeros(1, 1, *size, device=device)
    yield _alpha(predict(x_in, 1.0))


def until_stable(alphas: Iterator[Alpha], unknown: Tensor, levels: float | None) -> Iterator[Alpha]:
    """Yield alphas until no pixel of ``unknown`` [1, 1, H, W] changes by over ``levels`` of 255; None never stops."""
    if levels is None:
        yield from alphas
        return
    region, before = unknown[0, 0].cpu().numpy(), None
    for alpha in alphas:
        yield alpha
        if before is not None and np.abs(alpha - before)[region].max(initial=0) * 255 <= levels:
            return
        before = alpha


def _alphas(steps: Iterator[Step]) -> Iterator[Alpha]:
    for step in steps:
        alpha = _alpha(step.x_0)
        del step  # and with it whole pictures, during the next prediction
        yield alpha


def _alpha(x_0: Tensor) -> Alpha:
    alpha: Alpha = (x_0 + 1).div_(2)[0, 0].cpu().numpy()
    if not np.isfinite(alpha).all():
        raise WeightsError(
            "the model computed NaN or infinity: its weights are unusable, or the precision is too low", "precision"
        )
    return alpha


def _given(what: str, values: Alpha, shape: tuple[int, ...]) -> Tensor:
    if values.shape != shape:
        raise ImageError(f"{what} has shape {list(values.shape)} but must have {list(shape)}")
    return torch.tensor(values.copy(), dtype=torch.float32)[None, None]


def _replay(draws: Tensor) -> Callable[[], Tensor]:
    """Return a function that gives ``draws`` [1, 1, steps, H, W] one by one."""
    return iter(draws.unbind(2)).__next__
