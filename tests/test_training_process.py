"""Training as processes: killed at any time, and several that share a run."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("cv2", reason="training needs the [train] extra")
pytest.importorskip("accelerate", reason="training needs the [train] extra")

from diffmatte_cli.training.loop import CHECKPOINT

pytest_plugins = ["training_fixtures"]

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
ACCELERATE = ("-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1")
LAUNCH = {
    "torchrun": TORCHRUN,
    # The precision is the configuration's, whatever the launcher says.
    "accelerate": (*ACCELERATE, "--mixed_precision", "bf16", "--dynamo_backend", "no"),
}


def _command(config: Path, run: Path, *options: str, launch: tuple[str, ...] = ()) -> list[str]:
    arguments = ["train", str(config), "-o", str(run), "--device", "cpu", "--quiet", *options]
    return [sys.executable, *launch, "-m", "diffmatte_cli", *arguments]


def _finish(command: list[str], timeout: int = 300) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment, check=False)
    assert done.returncode == 0, done.stderr


def _losses(run: Path) -> np.ndarray:
    """Return losses and the gradient's norm, a row a step."""
    rows = list(csv.DictReader((run / "losses.csv").read_text().splitlines()))
    return np.array([[float(row[key]) for key in row if key not in ("step", "seconds", "rate")] for row in rows])


def _weights(run: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(run / CHECKPOINT, weights_only=True)["average"]
    return state


def test_a_killed_run_goes_on_to_the_same_bytes(config_file: Path, tmp_path: Path) -> None:
    """Killed without warning between two checkpoints, with a worker; resumed, it ends as one that never stopped."""
    options = ["--set", "optimiser.epochs=14", "--set", "data.workers=1", "--set", "run.checkpoint_minutes=1e-6"]
    options += ["--set", "run.validate_every=1000", "--set", "run.threads=1", "--set", "self_align.start=5"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    _finish(_command(config_file, whole, *options))
    with subprocess.Popen(_command(config_file, killed, *options), start_new_session=True) as process:
        deadline = time.monotonic() + 240
        while not (killed / CHECKPOINT).exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, "it ended before it could be killed"
    assert torch.load(killed / CHECKPOINT, weights_only=True)["step"] < 14
    _finish(_command(config_file, killed, *options, "--resume"))
    assert _weights(whole).keys() == _weights(killed).keys()
    for name, expected in _weights(whole).items():
        assert torch.equal(_weights(killed)[name], expected), name
    assert (_losses(killed) == _losses(whole)).all()
    assert not list(killed.glob("*.part*"))


@pytest.mark.slow
def test_minutes_on_drawn_pictures_lower_the_error_through_a_kill(tmp_path: Path) -> None:
    """The shipped small configuration, killed half-way: the averaged weights matte drawn pictures better in the end."""
    config = Path(__file__).parents[1] / "docs" / "training" / "ablation.toml"
    run, options = tmp_path / "run", ["--set", "run.checkpoint_minutes=0.05"]
    with subprocess.Popen(_command(config, run, *options), start_new_session=True) as process:
        deadline = time.monotonic() + 900
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.2)
            if (run / "losses.csv").exists() and len(_losses(run)) >= 10:
                break
        os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    _finish(_command(config, run, *options, "--resume"), timeout=1800)
    rows = list(csv.DictReader((run / "validation.csv").read_text().splitlines()))
    errors = {int(row["step"]): float(row["sad"]) for row in rows if row["steps"] == "10"}
    assert list(errors) == [0, 200, 400]
    assert errors[400] < 0.95 * errors[0]


@pytest.mark.parametrize("launch", LAUNCH)
def test_two_processes_are_one_with_twice_the_batch(launch: str, config_file: Path, tmp_path: Path) -> None:
    """With batch normalisation frozen; in two processes of two parts each, four samples a step."""
    shared = ["--set", "data.batch=4", "--set", "run.frozen_batch_norm=true", "--set", "run.validation_steps=[1]"]
    one, two = tmp_path / "one", tmp_path / "two"
    _finish(_command(config_file, one, *shared))
    _finish(_command(config_file, two, *shared, "--set", "run.accumulate=2", launch=LAUNCH[launch]))
    np.testing.assert_allclose(_losses(two), _losses(one), rtol=2e-4)
    moved = 0.0
    for name, expected in _weights(one).items():
        if expected.is_floating_point():
            torch.testing.assert_close(_weights(two)[name], expected, rtol=0, atol=2e-5, msg=name)
            moved = max(moved, float((expected - expected.mean()).abs().max()))
    assert moved > 0.01
    assert (one / "validation.csv").read_text().splitlines()[0] == (two / "validation.csv").read_text().splitlines()[0]


def test_a_batch_that_cannot_be_shared_is_told(config_file: Path, tmp_path: Path) -> None:
    command = _command(config_file, tmp_path / "run", "--set", "data.batch=3", launch=TORCHRUN)
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode != 0
    assert "a batch of 3 cannot be divided among 2 processes" in done.stderr
