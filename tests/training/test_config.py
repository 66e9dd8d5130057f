"""The configuration of ``diffmatte train``: its rules, the shipped files, and the paper's Tables 7 and 8."""

from pathlib import Path

import pytest
from support import ROOT

pytest.importorskip("cv2", reason="training needs the [train] extra")
pytest.importorskip("accelerate", reason="training needs the [train] extra")

from diffmatte_cli.errors import UsageError
from diffmatte_cli.training.config import OptimiserConfig, read_config
from diffmatte_cli.training.loop import learning_rate

TRAINING = ROOT / "docs" / "training"


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
        ("crop = 64", "crop = 64\n        late_crop = 100", "late_crop = 100, which must be a multiple of 32"),
        ("crop = 64", "crop = 64\n        late_start = -2", "late_start = -2, which must be at least 0"),
        ("crop = 64", 'crop = 64\n        recipe = "own"', "which must be one of drawn, paper"),
        ("crop = 64", 'crop = 64\n        recipe = "paper"', "needs foregrounds and backgrounds"),
        ("crop = 64", 'crop = 64\n        foregrounds = "fg"', 'for recipe = "paper"'),
        ("crop = 64", "crop = 64\n        rendered_share = 1.1", "rendered_share = 1.1, which must be from 0 to 1"),
        (
            "crop = 64",
            "crop = 64\n        procedural_share = -0.1",
            "procedural_share = -0.1, which must be from 0",
        ),
        ("log_every = 1", "accumulate = 3", "divide batch"),
        ("log_every = 1", "tensorboard = 1", "[run] has tensorboard = 1, which must be true or false"),
        ("warmup = 2", "layer_decay = 0.0", "layer_decay = 0.0, which must be above 0 and at most 1"),
        ("warmup = 2", "encoder_rate = -0.1", "which must be from 0 to 1"),
        ("warmup = 2", "encoder_rate = 1.5", "which must be from 0 to 1"),
        ("warmup = 2", "encoder_rate = true", "encoder_rate = True, which must be from 0 to 1"),
        ("warmup = 2", "learning_rate = nan", "[optimiser] has learning_rate = nan, which must be above 0"),
        ("warmup = 2", "warmup = -1", "warmup = -1, which must be at least 0"),
        ("warmup = 2", "layer_decay = 0.5", "layer_decay is for the blocks of a ViT"),
        ("warmup = 2", "milestones = [1]\n        factors = [-1]", "factors = -1, which must be at least 0"),
        ("warmup = 2", "weight_decay = inf", "weight_decay = inf, which must be"),
        ("[run]", "[loss]\n        mse = -1\n        [run]", "weights of [loss]"),
        ("epochs = 6", "epochs = 1e300", "at most 100000000"),
        ("epoch_steps = 1", "epoch_steps = 100000000000000000000", "at most 100000000"),
        ("log_every = 1", "threads = 100000", "threads = 100000, which must be from 0 to 512"),
        ("validation_steps = [1, 2]", "validation_steps = [20000]", "from 1 to 10000"),
        ("[notes]", '[notes]\n        schedule = "cosine"', "[notes] cannot have schedule"),
        ("crop = 64", "cropp = 64", "[data] has an unknown key 'cropp'"),
        ("[run]", "[running]", "unknown table [running]"),
        ("warmup = 2", "milestones = [0.5]", "one length"),
        ("[model]", '[initial]\nweights = "tiny"\nencoder = "x.pth"\n[model]', "weights and encoder in"),
        ('alignment = "uti"', 'alignment = "full"', "none, white-noise, uti"),
        ("epochs = 6", "epochs = ", "is not TOML"),
        ("epochs = 6", "epochs = inf", "at least one step"),
        ("[model]", "[model]\nwidth = 3", "[model] has an unknown key 'width'"),
        ("log_every = 1", "log_every = 0", "at least 1"),
        ("decoder_width = 4", 'decoder_width = "4"', "decoder_width = '4', which must be"),
        ("decoder_width = 4", "decoder_width = 5000", "decoder_width = 5000, which must be from 2 to 256"),
        ("[notes]\n        licence", "[[notes]]\n        licence", "[notes] must be a table"),
        ("validation_steps = [1, 2]", "validation_steps = []", "validation_steps must list"),
        ("warmup = 2", "ema_decay = 2.0", "ema_decay = 2.0, which must be"),
        ("epochs = 6", 'epochs = "six"', "epochs = 'six', which must be a number"),
    ],
)
def test_configuration_mistakes_are_told(old: str, new: str, words: str, config_file: Path) -> None:
    config_file.write_text(config_file.read_text().replace(old, new, 1))
    with pytest.raises(UsageError) as caught:
        read_config(config_file)
    assert words in str(caught.value)


# Tables 7 and 8: variant, initial rate, epochs, batch, factors, milestones, crop; training samples of an epoch.
PAPER = {
    "aim_res34": ("res34", 4e-4, 150, 20, (0.1, 0.05, 0.01), (30, 90, 140), 512, 43_100),
    "aim_swint": ("swint", 4e-4, 150, 20, (0.1, 0.05, 0.01), (30, 90, 140), 512, 43_100),
    "aim_vits": ("vits", 5e-5, 150, 16, (0.1, 0.05), (30, 90), 512, 43_100),
    "aim_vits_1024": ("vits-1024", 5e-5, 200, 8, (0.1, 0.05, 0.01), (60, 110, 170), 1024, 43_100),
    "aim_vitb": ("vitb", 2.5e-4, 170, 16, (0.1, 0.05, 0.01), (30, 90, 140), 512, 43_100),
    "d646_vits": ("vits", 5e-5, 150, 16, (0.1, 0.05), (30, 90), 512, 59_600),
    "d646_vitb": ("vitb", 2.5e-4, 200, 16, (0.1, 0.05, 0.01), (30, 90, 140), 512, 59_600),
}


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_rows_are_as_printed(name: str) -> None:
    variant, rate, epochs, batch, factors, milestones, crop, samples = PAPER[name]
    config = read_config(TRAINING / "paper" / f"{name}.toml")
    options = config.optimiser
    assert (config.model.variant, config.data.batch, config.data.crop) == (variant, batch, crop)
    assert (options.learning_rate, options.epochs) == (rate, epochs)
    assert (options.factors, options.milestones) == (factors, milestones)
    assert options.epoch_steps == -(-samples // batch)
    assert (config.self_align.alignment, config.model.schedule, config.model.input_scale) == ("uti", "linear", 0.2)
    assert config.model.decoder_width == 32
    rates = [learning_rate(options, int(epoch * options.epoch_steps) + 10) / rate for epoch in (1, *milestones)]
    assert rates == pytest.approx([1, *factors])


def test_every_shipped_configuration_is_known() -> None:
    shipped = {path.relative_to(TRAINING).as_posix() for path in TRAINING.rglob("*.toml")}
    assert shipped == {
        *("tiny.toml", "tiny_gpu.toml", "on_vitmatte.toml", "ablation.toml"),
        *(f"paper/{name}.toml" for name in PAPER),
    }
    for name in shipped:
        read_config(TRAINING / name)


def test_rendered_validation_needs_rendered_pictures(config_file: Path) -> None:
    with pytest.raises(UsageError, match='validation = "rendered" needs rendered'):
        read_config(config_file, ["data.validation=rendered"])
    assert read_config(config_file, ["data.validation=rendered", "data.rendered=r"]).data.rendered == "r"


def test_what_does_not_iterate_is_not_trained(config_file: Path) -> None:
    with pytest.raises(UsageError, match="vitmatte-s does not iterate, and Algorithm 1 trains what does"):
        read_config(config_file, ["model.variant=vitmatte-s"])


def test_the_papers_recipe_has_no_rendered_pictures(config_file: Path) -> None:
    paper = ["data.recipe=paper", "data.foregrounds=fg", "data.mattes="]
    assert read_config(config_file, paper).data.recipe == "paper"
    with pytest.raises(UsageError, match="neither mattes nor rendered"):
        read_config(config_file, [*paper, "data.rendered=r"])


def test_times_of_an_epoch_are_rounded_once() -> None:
    """Though 0.55 x 100 is a hair above 55."""
    config = OptimiserConfig(learning_rate=1.0, epochs=1, epoch_steps=100, warmup=0, milestones=(0.55,), factors=(0.5,))
    assert [learning_rate(config, step) for step in (54, 55)] == [1, 0.5]
    assert config.step_of(float("inf")) == 100


def test_late_crops_alone_leave_the_batch(config_file: Path) -> None:
    config = read_config(config_file, ["data.late_start=2", "data.late_crop=96"])
    assert [(config.stage(step).crop, config.stage(step).batch) for step in (1, 2)] == [(64, 2), (96, 2)]


def test_a_change_on_the_command_line_is_a_change_of_the_file(config_file: Path) -> None:
    changes = ["model.schedule=cosine", "model.noise=false", "self_align.alignment='none'", "run.validation_steps=[3]"]
    config = read_config(config_file, changes)
    assert (config.model.schedule, config.model.noise) == ("cosine", False)
    assert (config.self_align.alignment, config.run.validation_steps) == ("none", (3,))
    for wrong in ("model.schedule", "schedule=cosine", "=3", "model.=3"):
        with pytest.raises(UsageError, match=r"TABLE\.KEY=VALUE"):
            read_config(config_file, [wrong])
    with pytest.raises(UsageError, match="unknown key 'shedule'"):
        read_config(config_file, ["model.shedule=cosine"])
