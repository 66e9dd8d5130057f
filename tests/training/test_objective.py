"""Losses and Algorithm 1 against what the published code computes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from diffmatte_cli.diffusion.samplers import Diffusion, ddim
from diffmatte_cli.training import objective
from diffmatte_cli.training.losses import LossWeights, matting_losses, scales_of, total_loss
from diffmatte_cli.training.objective import ALIGNMENTS, CHAINS, Draws, draw, noisy_sample


@pytest.mark.parametrize("case", ["mixed", "all_unknown", "sparse_unknown"])
def test_losses_and_their_gradient_agree(case: str, golden: Path) -> None:
    with np.load(golden / "losses.npz") as file:
        arrays = {k.removeprefix(f"{case}_"): file[k] for k in file if k.startswith(f"{case}_")}
    prediction = torch.from_numpy(arrays["pred"]).requires_grad_()
    unknown = torch.from_numpy(arrays["trimap"] == 128).float()
    terms = _losses(prediction, torch.from_numpy(arrays["gt"]), unknown)
    for name, term in terms.items():
        assert term.item() == pytest.approx(float(arrays[name]), rel=1e-6), name
    total_loss(terms, LossWeights()).backward()
    np.testing.assert_allclose(prediction.grad, arrays["grad_total"], rtol=1e-4, atol=1e-6)


def _losses(prediction: Tensor, target: Tensor, unknown: Tensor) -> dict[str, Tensor]:
    scales = scales_of(len(unknown), unknown.sum(), (1 - unknown).sum())
    return matting_losses(prediction, target, unknown, scales)


def _blurred(x: Tensor) -> Tensor:
    row = x.new_tensor([1, 4, 6, 4, 1]) / 16
    return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), torch.outer(row, row)[None, None])


def _pyramid_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Compare Laplacian pyramids, each made by itself with the 5x5 kernel: five bands, the coarser the dearer."""
    total = prediction.new_zeros(())
    for level in range(5):
        bands = []
        for x in (prediction, target):
            smaller = _blurred(x)[..., ::2, ::2]
            spread = x.new_zeros(*x.shape[:2], 2 * smaller.shape[2], 2 * smaller.shape[3])
            spread[..., ::2, ::2] = 4 * smaller
            bands.append((smaller, x - _blurred(spread)[..., : x.shape[2], : x.shape[3]]))
        (prediction, ours), (target, theirs) = bands
        total = total + 2**level * F.l1_loss(ours, theirs)
    return total / 5


def _gradient_penalty(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Sum both directions' mean differences inside a mask, with 0.01 of our own slopes."""
    rows = prediction.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])[None, None]
    total = prediction.new_zeros(())
    for kernel in (rows, rows.mT):
        ours, theirs = (F.conv2d(x, kernel, padding=1) for x in (prediction, target))
        total = total + ((ours - theirs).abs() * mask).mean() + 0.01 * (ours * mask).abs().mean()
    return total


@pytest.mark.parametrize("size", [(64, 64), (64, 160), (65, 97), (75, 66), (63, 127)])
def test_pyramid_and_slopes_are_those_of_convolutions(size: tuple[int, int]) -> None:
    """In double precision, their gradients as well; of sides that are odd at every level, too."""
    generator = torch.Generator().manual_seed(size[1])
    prediction, target = (torch.randn(2, 1, *size, generator=generator, dtype=torch.float64) for _ in range(2))
    unknown = (torch.rand(2, 1, *size, generator=generator) < 0.4).double()
    prediction.requires_grad_()
    terms, scale = _losses(prediction, target, unknown), 2 * 512**2 / unknown.sum()
    expected = {
        "laplacian": _pyramid_loss(prediction, target),
        "gradient": scale * _gradient_penalty(prediction, target, unknown),
    }
    for name, value in expected.items():
        slopes = [torch.autograd.grad(term, prediction)[0] for term in (terms[name], value)]
        torch.testing.assert_close(terms[name], value, rtol=1e-12, atol=0)
        torch.testing.assert_close(*slopes, rtol=1e-9, atol=1e-14)


def test_an_empty_region_costs_nothing() -> None:
    prediction, target = torch.zeros(1, 1, 64, 64), torch.ones(1, 1, 64, 64)
    assert _losses(prediction, target, torch.zeros(1, 1, 64, 64))["unknown_l1"] == 0
    assert _losses(prediction, target, torch.ones(1, 1, 64, 64))["known_l1"] == 0


@pytest.mark.parametrize(("alignment", "recorded"), [("none", "plain"), ("white-noise", "stage1"), ("uti", "stage2")])
def test_noisy_samples_agree(alignment: str, recorded: str, golden: Path) -> None:
    """The model's own first prediction is replayed; what it was asked, and what came of it, must agree."""
    with np.load(golden / "objective.npz") as file:
        run = {k.split("_", 1)[1]: torch.from_numpy(file[k]) for k in file if k.startswith(recorded)}
        x_0 = 2 * torch.from_numpy(file["alpha"]) - 1
    diffusion, asked = Diffusion("linear", 0.2), []

    def decode(x_in: Tensor, t: Tensor) -> Tensor:
        asked.append((x_in, t))
        return run["pred_temp"]

    draws = Draws(run["eps"], run["t"], run.get("t_temp"))
    x_t = noisy_sample(decode, diffusion, x_0, torch.ones_like(x_0, dtype=torch.bool), draws, alignment)
    torch.testing.assert_close(x_t, run["xt_raw"], rtol=0, atol=1e-6)
    torch.testing.assert_close(diffusion.normalise(x_t), run["xt_in"], rtol=0, atol=1e-5)
    for x_in, t in asked:
        torch.testing.assert_close(x_in, run["xt_temp_in"], rtol=0, atol=1e-5)
        torch.testing.assert_close(t, run["t_temp"])
    assert len(asked) == (alignment != "none")


def test_times_follow_the_published_draws(golden: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """delta is drawn first, then the uniform that is multiplied by 1 - delta."""
    with np.load(golden / "objective.npz") as file:
        run = {k.removeprefix("stage2_"): torch.from_numpy(file[k]) for k in file if k.startswith("stage2_")}
    uniforms = iter(run["uniform_draws"])
    monkeypatch.setattr(objective, "_uniforms", lambda generators, count, each: next(uniforms)[:, None])
    draws = draw("uti", 64, 0, 0, [0, 1])
    torch.testing.assert_close(draws.t, run["t"])
    torch.testing.assert_close(draws.earlier, run["t_temp"])


def test_each_sample_draws_for_itself() -> None:
    """What a sample draws depends on seed and index alone, whoever works on it beside which others."""
    together = draw("uti", 8, 5, 3, [6, 7, 8], drops=4)
    for number, index in enumerate((6, 7, 8)):
        alone = draw("uti", 8, 5, 9, [index], drops=4)
        for name in ("noise", "t", "earlier", "drops"):
            assert torch.equal(getattr(together, name)[number], getattr(alone, name)[0]), name
    assert len(set(together.t.tolist())) == 3
    assert not torch.equal(together.noise[0], together.noise[1])
    assert not torch.equal(together.noise, draw("uti", 8, 6, 3, [6, 7, 8]).noise)


def test_samples_that_draw_at_once_depend_on_the_first_alone() -> None:
    """On the device that is named."""
    first, again, other = (
        draw("uti", 8, 5, step, indices, drops=4, at_once=torch.device("cpu"))
        for step, indices in ((3, [6, 7, 8]), (9, [6, 7, 8]), (3, [9, 10, 11]))
    )
    for name, shape in (("noise", (3, 1, 8, 8)), ("t", (3,)), ("earlier", (3,)), ("drops", (3, 4))):
        ours = getattr(first, name)
        assert ours.shape == shape
        assert torch.equal(ours, getattr(again, name)), name
        assert len({*ours.flatten().tolist(), *getattr(other, name).flatten().tolist()}) == 2 * ours.numel(), name


def test_noise_is_standard_normal() -> None:
    noise = draw("none", 64, 0, 0, list(range(20))).noise
    assert noise.mean().abs() < 0.02
    assert noise.std() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_times_stay_in_range_and_in_order(alignment: str) -> None:
    draws = draw(alignment, 1, 0, 0, list(range(500)))
    assert ((draws.t >= 0) & (draws.t <= 1)).all()
    if draws.earlier is not None:
        assert ((draws.earlier >= draws.t) & (draws.earlier <= 1)).all()


def test_iterated_alignment_is_the_sampler_stopped_on_its_way() -> None:
    """With known pixels held, as in use; every number of steps comes up, and every place in them."""
    diffusion, unknown = Diffusion("linear", 0.2), torch.rand(2, 1, 8, 8) < 0.5
    truth, seen = torch.ones(2, 1, 8, 8), set()

    def decode(x_in: Tensor, t: Tensor) -> Tensor:
        assert not torch.is_grad_enabled()
        return torch.tanh(x_in + t.reshape(-1, 1, 1, 1))

    for seed in range(400):
        draws = draw("iterated", 8, 0, seed, [2 * seed, 2 * seed + 1])
        x_t = noisy_sample(decode, diffusion, truth, unknown, draws, "iterated")

        def predict(x_in: Tensor, t: float) -> Tensor:
            return torch.where(unknown, torch.tanh(x_in + t), truth)

        *_, stopped = list(ddim(predict, draws.noise, diffusion, draws.steps))[: draws.done + 1]
        torch.testing.assert_close(x_t, stopped.x_t)
        torch.testing.assert_close(draws.t, torch.full((2,), stopped.t))
        seen.add((draws.steps, draws.done))
    assert seen == {(steps, done) for steps in CHAINS for done in range(steps)}
