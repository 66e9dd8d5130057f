from pathlib import Path

import numpy as np
import pytest
import torch

from diffmatte_cli.diffusion.samplers import SAMPLERS
from diffmatte_cli.diffusion.schedules import GAMMA_MIN, SCHEDULES, log_snr, signal_and_noise
from diffmatte_cli.settings import SAMPLER_NAMES, SCHEDULE_NAMES


def test_names_offered_are_those_implemented() -> None:
    assert tuple(SCHEDULES) == SCHEDULE_NAMES
    assert tuple(SAMPLERS) == SAMPLER_NAMES


@pytest.mark.parametrize("name", SCHEDULES)
def test_agrees_with_the_published_tables(name: str, golden: Path) -> None:
    with np.load(golden / "schedules.npz") as tables:
        gamma = SCHEDULES[name](torch.from_numpy(tables["t"]))
        signal, sigma = signal_and_noise(gamma, 0.2)
        for ours, theirs in (
            (gamma, tables[f"{name}_gamma"]),
            (signal, tables[f"{name}_alpha_b0.2"]),
            (sigma, tables[f"{name}_sigma"]),
        ):
            np.testing.assert_allclose(ours.numpy(), theirs, rtol=0, atol=2e-6)
        # A ratio near its poles: float32 keeps few digits of 1 - gamma there.
        np.testing.assert_allclose(log_snr(gamma).numpy(), tables[f"{name}_logsnr"], rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("name", SCHEDULES)
def test_falls_from_one_to_nothing(name: str) -> None:
    gamma = SCHEDULES[name](torch.linspace(0, 1, 101, dtype=torch.float64))
    assert gamma[0] == pytest.approx(1)
    assert gamma[-1] == pytest.approx(GAMMA_MIN)
    assert (gamma.diff() < 0).all()
