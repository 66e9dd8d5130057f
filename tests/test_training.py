"""Synthesis, configuration and the loop of ``diffmatte train``, on data made here."""

import csv
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

pytest.importorskip("cv2", reason="training needs the [train] extra")

from diffmatte_cli.cli import app
from diffmatte_cli.errors import TrainingError, UsageError
from diffmatte_cli.matting import load_model
from diffmatte_cli.training import loop
from diffmatte_cli.training.composition import compose
from diffmatte_cli.training.config import OptimiserConfig, read_config
from diffmatte_cli.training.loop import CHECKPOINT, WEIGHTS, Trainer, learning_rate
from diffmatte_cli.training.pictures import Assets, find_pictures

ROOT = Path(__file__).parents[1]
pytest_plugins = ["training_fixtures"]


def test_an_interrupted_run_ends_as_an_uninterrupted_one(config_file: Path, tmp_path: Path) -> None:
    config = read_config(config_file)
    whole = Trainer(config, _folder(tmp_path / "whole"), progress=False)
    whole.run()
    part = Trainer(config, _folder(tmp_path / "part"), stopping=lambda: part.step == 4, progress=False)
    assert part.run().step == 4
    assert (tmp_path / "part" / CHECKPOINT).is_file()
    rest = Trainer(config, tmp_path / "part", progress=False)
    rest.resume()
    assert rest.run().step == 6
    for (key, ours), theirs in zip(rest.average.state_dict().items(), whole.average.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs), key
    assert [row["step"] for row in _rows(tmp_path / "part" / "losses.csv")] == ["1", "2", "3", "4", "5", "6"]


def _rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_the_command_trains_logs_and_previews(config_file: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    result = CliRunner().invoke(app, ["train", str(config_file), "-o", str(run), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert "done, 6 steps" in result.stderr
    rows = _rows(run / "validation.csv")
    assert [(row["step"], row["steps"]) for row in rows] == [(step, steps) for step in "036" for steps in "12"]
    assert len(list(run.glob("preview_*_one.png"))) == 3
    metadata = load_model(run / WEIGHTS).metadata
    assert (metadata["licence"], metadata["decoder_width"]) == ("MIT", "4")
    again = CliRunner().invoke(app, ["train", str(config_file), "-o", str(run)])
    assert again.exit_code == 2
    assert "--resume" in again.stderr


def test_the_time_limit_ends_a_run_that_can_go_on(config_file: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = ["train", str(config_file), "-o", str(run), "--device", "cpu"]
    first = CliRunner().invoke(app, [*command, "--max-minutes", "0"])
    assert first.exit_code == 0
    assert "stopped at step 1 of 6" in first.stderr
    second = CliRunner().invoke(app, [*command, "--resume"])
    assert "done, 6 steps" in second.stderr


def test_training_starts_from_given_weights(config_file: Path, tmp_path: Path) -> None:
    config = read_config(config_file)
    first = Trainer(config, _folder(tmp_path / "first"), progress=False)
    weights = first.run().weights
    second = Trainer(config, tmp_path)
    second.start_from(weights)
    torch.testing.assert_close(second.model.state_dict(), load_model(weights).model.state_dict())


def test_training_learns_what_it_is_shown(config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One pair of samples, again and again."""
    samples = [compose(Assets((), ()), 4, index, 64) for index in range(2)]
    monkeypatch.setattr(loop, "composer", lambda _: lambda seed, index, crop: samples[index % 2])
    changes = [
        "optimiser.epochs=60",
        "self_align.alignment=none",
        "run.validate_every=100",
        "optimiser.learning_rate=0.03",
    ]
    trainer = Trainer(read_config(config_file, changes), _folder(tmp_path / "run"), progress=False)
    trainer.run()
    losses = [float(row["unknown_l1"]) for row in _rows(tmp_path / "run" / "losses.csv")]
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:5])


def test_the_rate_warms_up_and_falls_in_stages() -> None:
    stages = {"milestones": (5, 9), "factors": (0.1, 0.01)}
    config = OptimiserConfig(learning_rate=1.0, epochs=10, epoch_steps=10, warmup=4, **stages)
    rates = [learning_rate(config, step) for step in (0, 3, 49, 50, 89, 90, 99)]
    assert rates == pytest.approx([0.25, 1, 1, 0.1, 0.1, 0.01, 0.01])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('variant = "tiny"', 'variant = "huge"', "one of tiny"),
        ("crop = 64", "crop = 100", "multiple of 32"),
        ("crop = 64", "crop = 64\n        late_crop = 100", "late_crop must be a multiple of 32"),
        ("crop = 64", "crop = 64\n        late_start = -2", "late_start must be at least 0"),
        ("crop = 64", 'crop = 64\n        recipe = "own"', "recipe must be one of drawn, paper"),
        ("crop = 64", 'crop = 64\n        recipe = "paper"', "needs foregrounds and backgrounds"),
        ("crop = 64", 'crop = 64\n        foregrounds = "fg"', 'for recipe = "paper"'),
        ("log_every = 1", "accumulate = 3", "divide batch"),
        ("log_every = 1", "tensorboard = 1", "tensorboard in [run] cannot be"),
        ("warmup = 2", "layer_decay = 0.0", "layer_decay must be in (0, 1]"),
        ("warmup = 2", "learning_rate = nan", "learning_rate in [optimiser] cannot be"),
        ("crop = 64", "cropp = 64", "unknown key cropp in [data]"),
        ("[run]", "[running]", "unknown table [running]"),
        ("warmup = 2", "milestones = [0.5]", "one length"),
        ('alignment = "uti"', 'alignment = "full"', "none, white-noise, uti"),
        ("epochs = 6", "epochs = ", "not valid TOML"),
        ("epochs = 6", "epochs = inf", "at least one step"),
        ("[model]", "[model]\nwidth = 3", "unknown key width in [model]"),
        ("log_every = 1", "log_every = 0", "at least 1"),
        ("decoder_width = 4", 'decoder_width = "4"', "decoder_width in [model] cannot be"),
        ("decoder_width = 4", "decoder_width = 5000", "decoder_width must be in"),
        ("[notes]\n        licence", "[[notes]]\n        licence", "notes must be a table"),
        ("validation_steps = [1, 2]", "validation_steps = []", "validation_steps must list"),
        ("warmup = 2", "ema_decay = 2.0", "ema_decay must be in"),
        ("epochs = 6", 'epochs = "six"', "epochs in [optimiser] cannot be"),
    ],
)
def test_configuration_mistakes_are_told(old: str, new: str, words: str, config_file: Path) -> None:
    config_file.write_text(config_file.read_text().replace(old, new, 1))
    with pytest.raises(UsageError) as caught:
        read_config(config_file)
    assert words in str(caught.value)


def test_bad_data_are_told(config_file: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="holds no pictures"):
        find_pictures(tmp_path / "nowhere")
    (tmp_path / "bad.jpg").write_text("no picture")
    with pytest.raises(TrainingError, match=r"bad\.jpg cannot be read"):
        compose(Assets((tmp_path / "bad.jpg",), ()), 0, 0, 64)


def test_missing_folders_are_told_before_anything_is_made(config_file: Path, tmp_path: Path) -> None:
    config_file.write_text(config_file.read_text().replace("/mattes", "/nowhere"))
    result = CliRunner().invoke(app, ["train", str(config_file), "-o", str(tmp_path / "run"), "--device", "cpu"])
    assert result.exit_code == 2
    assert "there is no folder" in result.stderr
    assert not (tmp_path / "run").exists()


def test_a_damaged_checkpoint_is_told(config_file: Path, tmp_path: Path) -> None:
    (_folder(tmp_path / "run") / CHECKPOINT).write_bytes(b"junk")
    with pytest.raises(TrainingError, match="is damaged"):
        Trainer(read_config(config_file), tmp_path / "run").resume()


def test_ctrl_c_leaves_a_checkpoint_and_exits_130(config_file: Path, tmp_path: Path) -> None:
    config_file.write_text(config_file.read_text().replace("epochs = 6", "epochs = 100000", 1))
    run = tmp_path / "run"
    command = [sys.executable, "-m", "diffmatte_cli", "train", str(config_file), "-o", str(run), "--device", "cpu"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not (run / "losses.csv").exists() and process.poll() is None:
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, text = process.communicate(timeout=120)
    assert process.returncode == 130, text
    assert "--resume goes on" in text
    assert (run / CHECKPOINT).is_file()


def test_a_loss_that_is_not_finite_ends_the_run(config_file: Path, tmp_path: Path) -> None:
    trainer = Trainer(read_config(config_file), _folder(tmp_path / "run"), progress=False)
    with torch.no_grad():
        trainer.model.decoder.matting_head.matting_convs[-1].bias.fill_(float("nan"))
    with pytest.raises(TrainingError, match="not finite"):
        trainer.run()


def test_the_shipped_configuration_is_valid() -> None:
    assert read_config(ROOT / "docs" / "training" / "tiny.toml").model.variant == "tiny"


@pytest.mark.parametrize("variant", ["res34", "swint", "vits"])
def test_every_encoder_trains(variant: str, config_file: Path, tmp_path: Path) -> None:
    """Loss, averaged weights, validation with folded weights, and a file that loads."""
    text = config_file.read_text().replace('"tiny"', f'"{variant}"').replace("epochs = 6", "epochs = 3")
    config_file.write_text(text)
    trainer = Trainer(read_config(config_file), tmp_path / "run", progress=False)
    (tmp_path / "run").mkdir()
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    outcome = trainer.run()
    assert all(
        not torch.equal(value, before[name]) for name, value in trainer.model.named_parameters() if value.ndim > 1
    )
    assert load_model(outcome.weights).model.config.variant == variant
    current = trainer.model.state_dict()
    for name, value in trainer.average.state_dict().items():
        if name.endswith(".weight.0.u"):
            assert value.norm() == pytest.approx(1, abs=1e-5)
            assert torch.equal(value, current[name])
