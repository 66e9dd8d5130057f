"""Training as processes: killed at any time, and several that share a run."""

import csv
import os
import shutil
import signal
import time
from pathlib import Path
from subprocess import PIPE

import numpy as np
import pytest
import torch
from support import ROOT
from support.processes import PATIENCE, finish, start, wait_for

pytest.importorskip("cv2", reason="training needs the [train] extra")
pytest.importorskip("accelerate", reason="training needs the [train] extra")

from diffmatte_cli.evaluation.metrics import sad
from diffmatte_cli.inference.loading import load_model
from diffmatte_cli.training.config import DataConfig
from diffmatte_cli.training.loop import CHECKPOINT
from diffmatte_cli.training.materials import read_validation

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "diffmatte_cli")


# The whole program, but that the eighth step never ends.
STUCK = """
import threading
from diffmatte_cli.commands.app import main
from diffmatte_cli.training.loop import Trainer

train = Trainer._train

def train_or_hang(trainer, *rest):
    if trainer.step == 7:
        (trainer.folder / "stuck").touch()
        threading.Event().wait()
    return train(trainer, *rest)

Trainer._train = train_or_hang
main()
"""


def _command(
    config: Path, run: Path, *options: str, program: tuple[str, ...] = ("-m", "diffmatte_cli"), quiet: bool = True
) -> list[str]:
    arguments = ["train", str(config), "-o", str(run), "--device", "cpu", *["--quiet"] * quiet, *options]
    return [*program, *arguments]


def _finish(command: list[str], timeout: int = PATIENCE) -> str:
    """Run a command to its end and return what it said."""
    done = finish(*command, timeout=timeout, env={"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return done.stderr


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
    with start(*_command(config_file, killed, *options, program=("-c", STUCK))) as process:
        wait_for((killed / "stuck").exists, process)
    assert process.returncode == -signal.SIGKILL
    assert torch.load(killed / CHECKPOINT, weights_only=True)["step"] == 7
    _finish(_command(config_file, killed, *options, "--resume"))
    assert _weights(whole).keys() == _weights(killed).keys()
    for name, expected in _weights(whole).items():
        assert torch.equal(_weights(killed)[name], expected), name
    assert (_losses(killed) == _losses(whole)).all()
    assert not list(killed.glob("*.part*"))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_minutes_on_drawn_pictures_lower_the_error_through_a_kill(tmp_path: Path) -> None:
    """The shipped small configuration, killed half-way: the averaged weights matte drawn pictures better in the end."""
    config = ROOT / "docs" / "training" / "ablation.toml"
    run, options = tmp_path / "run", ["--set", "run.checkpoint_minutes=0.05"]
    with start(*_command(config, run, *options)) as process:
        wait_for(lambda: (run / "losses.csv").exists() and len(_losses(run)) >= 10, process, timeout=1800)
    assert process.returncode == -signal.SIGKILL
    _finish(_command(config, run, *options, "--resume"), timeout=1800)
    rows = list(csv.DictReader((run / "validation.csv").read_text().splitlines()))
    errors = {int(row["step"]): float(row["sad"]) for row in rows if row["steps"] == "10"}
    assert list(errors) == [0, 200, 400]
    assert errors[400] < 0.95 * errors[0]


def test_two_processes_are_one_with_twice_the_batch(
    config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With batch normalisation frozen; in two processes of two parts each, four samples a step.

    Accelerate's launcher names a precision of its own, which the configuration overrules.
    """
    shared = ["--set", "data.batch=4", "--set", "run.frozen_batch_norm=true", "--set", "run.validation_steps=[1]"]
    shared += ["--set", "optimiser.epochs=3", "--set", "self_align.start=1"]
    one, two = tmp_path / "one", tmp_path / "two"
    _finish(_command(config_file, one, *shared))
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    text = _finish(_command(config_file, two, *shared, "--set", "run.accumulate=2", program=TORCHRUN, quiet=False))
    assert ", 2 processes" in text
    np.testing.assert_allclose(_losses(two), _losses(one), rtol=2e-4)
    moved = 0.0
    for name, expected in _weights(one).items():
        if expected.is_floating_point():
            torch.testing.assert_close(_weights(two)[name], expected, rtol=0, atol=2e-5, msg=name)
            moved = max(moved, float((expected - expected.mean()).abs().max()))
    assert moved > 0.01
    ours, theirs = (np.loadtxt(run / "validation.csv", delimiter=",", skiprows=1) for run in (two, one))
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)


def test_processes_validate_what_is_saved(config_file: Path, data: Path, tmp_path: Path) -> None:
    """Each has seen other samples by batch normalisation; both pictures are scored as by the first."""
    options = ["--set", "data.validation=drawn", "--set", "data.validation_limit=2", "--set", "optimiser.epochs=3"]
    _finish(_command(config_file, tmp_path / "run", *options, program=TORCHRUN))
    rows = list(csv.DictReader((tmp_path / "run" / "validation.csv").read_text().splitlines()))
    matter = load_model(tmp_path / "run" / "weights.safetensors")
    pairs = read_validation(DataConfig(validation="drawn", validation_limit=2))
    scores = [
        sad(matter.matte(image, trimap, steps=2, seed=number), truth, trimap)
        for number, (_, image, trimap, truth) in enumerate(pairs)
    ]
    # The saved matrices are rounded to half precision.
    assert np.mean(scores) == pytest.approx(float(rows[-1]["sad"]), rel=2e-3)


@pytest.mark.skipif(os.name == "nt", reason="no hangups there")
def test_nohup_protects_a_run(config_file: Path, tmp_path: Path) -> None:
    """What the caller has set to be ignored is ignored."""
    run = tmp_path / "run"
    options = ["--set", "optimiser.epochs=40", "--set", "data.validation=", "--set", "run.log_every=1"]
    with start(*_command(config_file, run, *options), ignoring=(signal.SIGHUP,), stderr=PIPE) as process:
        wait_for((run / "losses.csv").exists, process)
        process.send_signal(signal.SIGHUP)
        _, text = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, text
    assert len(_losses(run)) == 40


@pytest.mark.skipif(os.name == "nt", reason="no process groups there")
def test_a_stopped_run_ends_its_worker_quietly(config_file: Path, tmp_path: Path) -> None:
    """In the middle of the drawing, which takes longer than a step: what is begun is taken from the worker first."""
    run = tmp_path / "run"
    options = ["--set", "data.workers=1", "--set", "data.crop=96", "--set", "data.batch=8"]
    options += ["--set", "optimiser.epochs=100000", "--set", "data.validation="]
    command = _command(config_file, run, *options)
    with start(*command, stderr=PIPE) as process:
        wait_for((run / "losses.csv").exists, process)
        process.send_signal(signal.SIGINT)
        _, text = process.communicate(timeout=PATIENCE)
        _wait_for_the_end(process.pid)
    assert process.returncode == 128 + signal.SIGINT
    assert text.splitlines() == ["", "stopping once files in progress are written; again to stop at once"]


def _wait_for_the_end(group: int) -> None:
    """Wait until the last process of a group is gone."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError("some process of the run is still there")


def test_an_error_in_a_worker_is_one_sentence_and_ends_the_run(config_file: Path, data: Path, tmp_path: Path) -> None:
    """A picture that was there when the data were looked through and is not when it is drawn from."""
    folder = tmp_path / "photos"
    shutil.copytree(data / "backgrounds", folder)
    run = tmp_path / "run"
    options = ["--set", f"data.backgrounds={folder}", "--set", "data.workers=1", "--set", "optimiser.epochs=100000"]
    with start(*_command(config_file, run, *options), stderr=PIPE) as process:
        wait_for((run / "checked.json").exists, process)
        for path in folder.iterdir():
            path.write_text("no picture")
        _, text = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert text.count("\n") == 1
    assert "cannot be read" in text
    assert "Traceback" not in text


def test_throughput_is_measured_without_data(tmp_path: Path) -> None:
    """By the script beside the documents, where everything is drawn."""
    config = tmp_path / "drawn.toml"
    config.write_text('[model]\nvariant = "tiny"\n[data]\ncrop = 64\nbatch = 2\nworkers = 1\n')
    script = ROOT / "docs" / "training" / "throughput.py"
    assert _finish([str(script), str(config), "--count", "2"]) == ""


def test_a_batch_that_cannot_be_shared_is_told(config_file: Path, tmp_path: Path) -> None:
    command = _command(config_file, tmp_path / "run", "--set", "data.batch=3", program=TORCHRUN)
    done = finish(*command)
    assert done.returncode != 0
    assert "a batch of 3 cannot be divided among 2 processes" in done.stderr
