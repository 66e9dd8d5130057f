from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from diffmatte_cli.diffusion.samplers import SAMPLERS, Diffusion, consistent, ddim, ddpm, normalise_variance, time_pairs
from diffmatte_cli.diffusion.schedules import SCHEDULES


def replay(x_0: np.ndarray) -> Callable[[Tensor, float], Tensor]:
    """A predictor that gives recorded predictions one after another."""
    recorded = iter(torch.from_numpy(x_0)[:, None, None])
    return lambda x_in, t: next(recorded)


# The published ancestral step loses three digits of 1 - c in single precision, hence its wider tolerance.
@pytest.mark.parametrize(("sampler", "tolerance"), [("ddim", 2e-6), ("ddpm", 1e-3)])
def test_agrees_with_the_published_trajectory(sampler: str, tolerance: float, golden: Path) -> None:
    with np.load(golden / "sampling.npz") as arrays:
        run = {key.split("_", 2)[2]: arrays[key] for key in arrays if key.startswith(f"{sampler}3_sigmoid")}
        x_T, draws = arrays["x_T"], iter(torch.from_numpy(arrays["draws"])[:, None, None])  # noqa: N806
    steps = list(
        SAMPLERS[sampler](
            replay(run["x_0"]),
            torch.from_numpy(x_T)[None, None],
            Diffusion("sigmoid", 0.2),
            3,
            lambda: next(draws),
        )
    )
    for ours, theirs in zip(steps[1:], run["x_t"], strict=True):
        np.testing.assert_allclose(ours.x_t[0, 0], theirs, rtol=0, atol=tolerance)
    np.testing.assert_allclose(steps[-1].x_in[0, 0], run["x_in"], rtol=0, atol=10 * tolerance)
    np.testing.assert_allclose((steps[-1].x_next[0, 0] / 0.2 + 1) / 2, run["final"], rtol=0, atol=2e-6)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("input_scale", [0.2, 1.0])
def test_a_constant_prediction_is_the_result(sampler: str, schedule: str, input_scale: float) -> None:
    answer = torch.full((1, 1, 5, 7), 0.25)
    x_t = torch.randn(1, 1, 5, 7, generator=torch.Generator().manual_seed(3))
    *_, last = SAMPLERS[sampler](lambda x, t: answer, x_t, Diffusion(schedule, input_scale), 4, None)
    torch.testing.assert_close(last.x_next / input_scale, answer)
    torch.testing.assert_close(last.x_0, answer)


def test_ddim_keeps_the_noise_of_a_true_prediction() -> None:
    """With the clean sample predicted, every x_t is Eq. 2 with the noise that it started from."""
    generator = torch.Generator().manual_seed(0)
    x_0 = torch.rand(1, 1, 8, 8, generator=generator, dtype=torch.float64) * 2 - 1
    start = torch.randn(1, 1, 8, 8, generator=generator, dtype=torch.float64)
    diffusion = Diffusion("cosine", 0.2)
    signal_at_one = 0.2 * 1e-9**0.5
    for step in ddim(lambda x, t: x_0, start, diffusion, 5):
        noise = start - signal_at_one * x_0
        expected = diffusion.add_noise(x_0, noise, torch.tensor([step.t_next], dtype=torch.float64))
        torch.testing.assert_close(step.x_next, expected, rtol=0, atol=1e-7)


def test_consistent_sampling_forgets_every_prediction() -> None:
    """Whatever is predicted, the next x_t is Eq. 2 of the truth with the first noise."""
    truth, noise = (torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    diffusion, asked = Diffusion("linear", 0.2), []

    def predict(x_in: Tensor, t: float) -> Tensor:
        asked.append(x_in)
        return torch.full_like(x_in, -3.0 * t)

    steps = list(consistent(predict, noise, diffusion, 4, truth.clamp(-1, 1)))
    assert [(step.t, step.t_next) for step in steps] == time_pairs(4)
    for step, x_in in zip(steps, asked, strict=True):
        expected = diffusion.add_noise(truth.clamp(-1, 1), noise, torch.tensor([step.t]))
        torch.testing.assert_close(step.x_t, expected)
        torch.testing.assert_close(x_in, normalise_variance(expected))
        assert step.x_0.unique().tolist() == pytest.approx([max(-1.0, -3.0 * step.t)])
    torch.testing.assert_close(steps[-1].x_next / 0.2, truth.clamp(-1, 1))


def test_without_noise_the_sampler_iterates_over_its_own_predictions() -> None:
    """It starts with an empty picture; then x_t is the last prediction, faded."""
    diffusion, seen = Diffusion("cosine", 0.5, noise=False), []

    def predict(x_in: Tensor, t: float) -> Tensor:
        seen.append(x_in)
        return torch.linspace(-0.9, 0.9, 16).reshape(1, 1, 4, 4) * (1 - t / 2)

    start = diffusion.start(torch.randn(1, 1, 4, 4))
    steps = list(ddim(predict, start, diffusion, 3))
    assert (seen[0] == 0).all()
    for before, x_in in zip(steps, seen[1:], strict=False):
        torch.testing.assert_close(x_in, normalise_variance(before.x_0))
    torch.testing.assert_close(steps[-1].x_next / 0.5, steps[-1].x_0)


def test_ddpm_draws_once_a_step_after_the_prediction() -> None:
    events: list[str] = []

    def predict(x_in: Tensor, t: float) -> Tensor:
        events.append("predict")
        return torch.zeros_like(x_in)

    def draw() -> Tensor:
        events.append("draw")
        return torch.zeros(1, 1, 2, 2)

    list(ddpm(predict, torch.ones(1, 1, 2, 2), Diffusion(), 3, draw))
    assert events == ["predict", "draw"] * 3


def test_variance_is_normalised_sample_by_sample_and_only_below_scale_one() -> None:
    x = torch.randn(2, 1, 30, 30) * torch.tensor([3.0, 0.1]).reshape(2, 1, 1, 1) + 1
    torch.testing.assert_close(normalise_variance(x).var(dim=(1, 2, 3), correction=0), torch.ones(2))
    assert Diffusion(input_scale=1.0).normalise(x) is x
    assert torch.isfinite(normalise_variance(torch.zeros(1, 1, 1, 1))).all()


@pytest.mark.parametrize("steps", [1, 3, 10])
def test_time_runs_evenly_from_one_to_zero(steps: int) -> None:
    pairs = time_pairs(steps)
    assert len(pairs) == steps
    assert pairs[0][0] == 1
    assert pairs[-1][1] == 0
    assert all(t - t_next == pytest.approx(1 / steps, abs=1e-6) for t, t_next in pairs)
