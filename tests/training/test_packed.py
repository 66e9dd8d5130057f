"""Packed pictures in a device's memory, what is composed of them there, and runs that need nothing else."""

import csv
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support import ROOT
from support.processes import finish as finish_process
from torch import Tensor

from diffmatte_cli.errors import TrainingError, UsageError
from diffmatte_cli.priors import colours
from diffmatte_cli.process.threads import local_threads
from diffmatte_cli.training.config import OptimiserConfig, TrainConfig, read_config
from diffmatte_cli.training.data import recipe_batches
from diffmatte_cli.training.loop import CHECKPOINT, Trainer, learning_rate
from diffmatte_cli.training.materials import read_validation
from diffmatte_cli.training.synthesis import dice as dice_module
from diffmatte_cli.training.synthesis.dice import Dice, blur, clouds, depth
from diffmatte_cli.training.synthesis.files import Foreground
from diffmatte_cli.training.synthesis.finishing import Stack, finish
from diffmatte_cli.training.synthesis.packed import CUTOUTS, Pool, compose_batch, make_trimaps, read_pool
from diffmatte_cli.training.synthesis.painting import hued
from diffmatte_cli.training.synthesis.textures import Textures, View, read_textures

CPU = torch.device("cpu")
TRAINING = ROOT / "docs" / "training"
SHARES = (0.35, 0.75)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three backgrounds of noise, two discs of every kind, one validation picture."""
    folder = tmp_path_factory.mktemp("packed")
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:120, :96]
    disc = np.clip(40 - np.hypot(rows - 60, columns - 48), 0, 4) / 4 * 255
    for part in ("backgrounds", *(f"{kind}/{half}" for kind in CUTOUTS for half in ("colours", "alpha"))):
        (folder / part).mkdir(parents=True)
        for name in "ab":
            noise = rng.integers(0, 256, (120, 96, 3), dtype=np.uint8)
            pixels = disc.astype(np.uint8) if part.endswith("alpha") else noise
            Image.fromarray(pixels).save(folder / part / f"{name}.webp", lossless=True)
    for part, pixels in (("image", noise), ("trimap", np.where(disc == 0, 0, 128)), ("alpha", disc)):
        (folder / "validation" / part).mkdir(parents=True)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "validation" / part / "one.webp", lossless=True)
    return folder


@pytest.fixture(scope="module")
def pool(packed: Path) -> Pool:
    return read_pool(packed, CPU)


@pytest.fixture
def packed_config(packed: Path, tmp_path: Path) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(
        f"""
        [model]
        variant = "tiny"
        decoder_width = 4
        [data]
        recipe = "packed"
        packed = "{packed.as_posix()}"
        validation = "rendered"
        crop = 64
        batch = 2
        [optimiser]
        epochs = 6
        epoch_steps = 1
        warmup = 2
        [run]
        log_every = 1
        validate_every = 3
        validation_steps = [1]
        """
    )
    return path


def _view(scale: float, origin: tuple[float, float] = (0.0, 0.0)) -> View:
    return View(torch.eye(2)[None] * scale, torch.tensor([origin]))


def _shown(textures: Textures, view: View, side: int, mirrored: bool = False) -> Tensor:
    return textures.show(torch.tensor([0]), view, side, torch.tensor([mirrored]))[0]


def _texture(tmp_path: Path, pixels: np.ndarray) -> Textures:
    Image.fromarray(pixels).save(tmp_path / "one.png")
    return read_textures([Foreground(tmp_path / "one.png")], CPU)


def test_a_view_shows_pixels_where_they_are(tmp_path: Path) -> None:
    """Itself, moved by half a pixel, and what lies beyond its borders."""
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    textures, truth = _texture(tmp_path, pixels), torch.from_numpy(pixels).permute(2, 0, 1) / 255
    torch.testing.assert_close(_shown(textures, _view(1), 20), truth[..., :20])
    torch.testing.assert_close(_shown(textures, _view(1, (0.5, 0)), 16), (truth[:, :16, :16] + truth[:, :16, 1:17]) / 2)
    around = _shown(textures, _view(1, (-4, -4)), 24)
    assert (around[:, :4] == 0).all()
    torch.testing.assert_close(around[:, 4:, 4:], truth[:, :20, :20])
    mirrored = _shown(textures, _view(1, (-4, -4)), 24, mirrored=True)
    torch.testing.assert_close(mirrored[:, :4, 4:], truth[:, :4, :20].flip(1))


@pytest.mark.parametrize("scale", [2.0, 4.0, 7.0])
def test_a_smaller_view_averages(scale: float, tmp_path: Path) -> None:
    """A fine chequerboard becomes grey, where single samples would be black or white."""
    board = ((np.add.outer(np.arange(160), np.arange(160)) % 2) * 255).astype(np.uint8)
    small = _shown(_texture(tmp_path, np.dstack([board] * 3)), _view(scale, (scale, scale)), 16)
    assert small.sub(0.5).abs().max() < 0.02


def test_bad_pictures_are_told(tmp_path: Path) -> None:
    (tmp_path / "bad.webp").write_text("no picture")
    with pytest.raises(TrainingError, match=r"bad\.webp cannot be read"):
        read_textures([Foreground(tmp_path / "bad.webp")], CPU)
    for name, side in (("a", 8), ("b", 9)):
        Image.fromarray(np.zeros((side, side, 3), np.uint8)).save(tmp_path / f"{name}.png")
    with pytest.raises(TrainingError, match="differ in size"):
        read_textures([Foreground(tmp_path / "a.png", tmp_path / "b.png")], CPU)


def test_depth_is_the_distance_from_the_nearest() -> None:
    marked = torch.rand(2, 1, 24, 24, generator=torch.Generator().manual_seed(1)) < 0.02
    places = torch.stack(torch.meshgrid(torch.arange(24.0), torch.arange(24.0), indexing="ij"), -1).flatten(0, 1)
    for found, mask in zip(depth(marked, 7), marked, strict=True):
        nearest = torch.cdist(places, places[mask.flatten()]).amin(1).view(1, 24, 24)
        near = nearest <= 7
        torch.testing.assert_close(found[near], nearest[near])
        assert (found[~near] > 7).all()


def test_blur_has_the_width_that_is_asked_for() -> None:
    """Along rows and columns each its own, for each sample; none leaves a picture as it is."""
    planes = torch.zeros(2, 1, 65, 65)
    planes[..., 32, 32] = 1
    blurred = blur(planes, torch.tensor([0.0, 3.0]), torch.tensor([0.0, 6.0]))
    torch.testing.assert_close(blurred[0], planes[0])
    places = torch.arange(65.0) - 32
    for axis, width in ((1, 3.0), (0, 6.0)):
        deviation = (blurred[1, 0].sum(axis) * places**2).sum().sqrt()
        assert deviation == pytest.approx(width, rel=0.02)


def test_fields_are_in_range_and_even_in_the_mean() -> None:
    dice = Dice(CPU, 8, 1)
    field = clouds(dice, 96, dice.uniform(10, 60), 2)
    assert field.min() >= 0
    assert field.max() <= 1
    assert field.mean() == pytest.approx(0.5, abs=0.05)
    assert field.std() > 0.1
    assert {len(dice.some(0.3)) for _ in range(40)} == {2, 3}
    grey = torch.full((2, 3, 4, 4), 0.4)
    torch.testing.assert_close(hued(grey, torch.ones(2, 1, 1, 1)), grey)
    red = torch.tensor([0.9, 0.1, 0.1]).view(1, 3, 1, 1)
    torch.testing.assert_close(hued(red, torch.full((1, 1, 1, 1), 2 * torch.pi / 3)), red.roll(1, 1))


def test_trimaps_have_the_widths_of_the_other_recipe() -> None:
    """Against a straight edge, by the number of unknown pixels across it; known pixels are right."""
    pytest.importorskip("cv2", reason="the other recipe needs the [train] extra")
    from diffmatte_cli.training.synthesis.trimaps import make_trimap

    ramp = np.tile(np.where(np.arange(160) < 80, 0, 1).astype(np.float32), (160, 1))
    alpha = torch.from_numpy((ramp * 255).astype(np.uint8)).expand(400, 1, 160, 160)
    trimaps = make_trimaps(Dice(CPU, 400, 5), alpha)
    assert not ((trimaps == 255) & (alpha < 250)).any()
    assert not ((trimaps == 0) & (alpha > 5)).any()
    ours = (trimaps == 128).float().mean(dim=(1, 2, 3)).numpy() * 160
    theirs = np.array([(make_trimap(np.random.default_rng(n), ramp) == 128).mean() * 160 for n in range(400)])
    for width in (5, 10, 20, 23.5, 24.5, 40, 60, 80):
        assert (ours < width).mean() == pytest.approx((theirs < width).mean(), abs=0.08), width


def test_batches_depend_on_seed_and_first_index_alone(pool: Pool) -> None:
    first, again = (compose_batch(pool, SHARES, 3, 8, 4, 64) for _ in range(2))
    for name in vars(first):
        assert torch.equal(getattr(first, name), getattr(again, name)), name
    for other in (compose_batch(pool, SHARES, 4, 8, 4, 64), compose_batch(pool, SHARES, 3, 12, 4, 64)):
        assert not torch.equal(first.front, other.front)


def test_composition_never_waits_for_the_device(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors without numbers go through all of it: nothing depends on what the host would have to ask for."""
    monkeypatch.setattr(dice_module, "seeded", lambda *_: None)  # which has no such generator
    parts = (pool.photographs, pool.cutouts)
    unreal = [Textures(*(tensor.to("meta") for tensor in vars(part).values())) for part in parts]
    pool = Pool(*unreal, pool.counts, pool.settings.to("meta"))
    image, trimap, alpha = finish(compose_batch(pool, SHARES, 0, 0, 64, 256))
    assert image.shape == (64, 3, 256, 256)
    assert trimap.shape == alpha.shape == (64, 1, 256, 256)


def test_batches_hold_what_they_promise(pool: Pool) -> None:
    layers = compose_batch(pool, SHARES, 0, 0, 48, 64)
    image, trimap, alpha = finish(layers)
    assert image.shape == (48, 3, 64, 64)
    assert set(trimap.unique().tolist()) == {0.0, 0.5, 1.0}
    assert (alpha[trimap == 1] > 0.95).all()
    assert (alpha[trimap == 0] < 0.05).all()
    assert (trimap == 0.5).flatten(1).any(dim=1).all()
    assert (image >= 0).all()
    assert (image <= 1).all()
    assert isinstance(compose_batch(pool, SHARES, 0, 0, 1, 64), Stack)


@pytest.mark.parametrize(("shares", "kind"), [((1.0, 0.0), 0), ((0.0, 0.0), 1), ((0.0, 1.0), 2)])
def test_shares_choose_the_kinds(shares: tuple[float, float], kind: int, pool: Pool) -> None:
    """The others' alpha is taken away, and is not missed."""
    (first, last), places = (2 * kind, 2 * kind + 2), pool.cutouts.places
    keep = torch.zeros(len(pool.cutouts.pixels), 1, dtype=torch.bool)
    keep[places[first, 0, 0] : places[last, 0, 0] if last < len(places) else None] = True
    alone = replace(pool, cutouts=replace(pool.cutouts, pixels=pool.cutouts.pixels * keep))
    ours, whole = (compose_batch(given, shares, 0, 0, 8, 64) for given in (alone, pool))
    assert torch.equal(ours.alpha, whole.alpha)


def test_an_interrupted_run_ends_as_an_uninterrupted_one(packed_config: Path, tmp_path: Path) -> None:
    config = read_config(packed_config)
    for name in ("whole", "part"):
        (tmp_path / name).mkdir()
    whole = Trainer(config, tmp_path / "whole", progress=False)
    whole.run()
    part = Trainer(config, tmp_path / "part", stopping=lambda: part.step == 4, progress=False)
    part.run()
    rest = Trainer(config, tmp_path / "part", progress=False)
    rest.resume()
    assert rest.run().step == 6
    torch.testing.assert_close(rest.average.state_dict(), whole.average.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(rest.model.state_dict(), whole.model.state_dict(), rtol=0, atol=0)
    assert len(list((tmp_path / "whole").glob("preview_*_one.png"))) == 3


ALONE = """
import sys
sys.modules.update(cv2=None, accelerate=None)
from diffmatte_cli.commands.app import main
main()
"""


def test_a_run_needs_the_packed_folder_alone(packed_config: Path, tmp_path: Path) -> None:
    """Neither OpenCV nor Accelerate."""
    arguments = ["train", str(packed_config), "-o", str(tmp_path / "run"), "--device", "cpu", "--quiet"]
    done = finish_process("-c", ALONE, *arguments, env={"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / CHECKPOINT).is_file()
    drawn = ("data.recipe=drawn", "data.packed=", "data.validation=")
    again = finish_process("-c", ALONE, *arguments, *(part for change in drawn for part in ("--set", change)))
    assert again.returncode == 2
    assert "diffmatte[train]" in again.stderr


def test_a_call_anneals_by_the_clock_and_the_next_one_again(packed_config: Path, tmp_path: Path) -> None:
    """A step takes a minute: five steps a call, of which two are of warm-up."""
    changes = ["optimiser.call_minutes=5", "optimiser.epochs=100", "data.validation="]
    config, run = read_config(packed_config, changes), tmp_path / "run"
    run.mkdir()
    asked: list[int] = []

    def stopping() -> bool:
        """Be asked before the first step and after each."""
        asked.append(1)
        return False

    for number in (1, 2):
        asked.clear()
        trainer = Trainer(config, run, stopping=stopping, progress=False, clock=lambda: 60.0 * max(0, len(asked) - 1))
        if number == 2:
            trainer.resume()
        assert trainer.run().step == 5 * number
    rows = list(csv.DictReader((run / "losses.csv").read_text().splitlines()))
    rates = [float(row["rate"]) / config.optimiser.learning_rate for row in rows]
    assert rates == pytest.approx([0.5, 0.8, 0.6, 0.4, 0.2] * 2)


def test_without_minutes_the_rate_knows_no_calls() -> None:
    options = OptimiserConfig(warmup=10)
    assert [learning_rate(options, step, 4, 99.0) / 1e-3 for step in (4, 9, 50)] == pytest.approx([0.5, 1, 1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("data.packed=", 'recipe = "packed" needs packed'),
        ("data.mattes=here", "and neither backgrounds, mattes nor rendered"),
        ("data.recipe=drawn", 'packed is for recipe = "packed"'),
        ("optimiser.call_minutes=0", "call_minutes = 0, which must be above 0"),
    ],
)
def test_what_does_not_go_together_is_told(change: str, message: str, packed_config: Path) -> None:
    with pytest.raises(UsageError, match=message):
        read_config(packed_config, [change])


def test_priors_of_a_picture_do_not_depend_on_the_batch(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit on unknown pixels is each picture's."""
    image, trimap, _ = finish(compose_batch(pool, SHARES, 0, 0, 6, 64))
    monkeypatch.setattr(colours, "MOST_UNKNOWN", int((trimap == 0.5).flatten(1).sum(1).max()))
    together = colours.colour_priors(image, trimap).alpha
    alone = torch.cat([colours.colour_priors(image[n : n + 1], trimap[n : n + 1]).alpha for n in range(6)])
    assert (together - alone).abs().mean() < 1e-3


def test_the_folder_is_packed_from_what_the_other_recipe_has(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice alike; held-out subjects are seen in validation pictures alone, and these are the very same."""
    rendered = tmp_path / "rendered"
    rendered.mkdir()
    for number in range(13):
        Image.open(data / "mattes/fur.png").save(rendered / f"{number:02d}.png")
    config = tmp_path / "drawn.toml"
    config.write_text(
        f"""
        [model]
        variant = "tiny"
        [data]
        backgrounds = "{data.as_posix()}/backgrounds"
        mattes = "{data.as_posix()}/mattes"
        rendered = "{rendered.as_posix()}"
        validation = "rendered"
        """
    )
    for name in ("one", "two"):
        script = runpy.run_path(str(TRAINING / "pack.py"))
        script["BUDGETS"]["drawn"] = 60_000
        monkeypatch.setattr(sys, "argv", ["pack.py", str(config), "-o", str(tmp_path / name)])
        script["main"]()
    one, two = (
        {
            file.relative_to(tmp_path / name): file.read_bytes()
            for file in (tmp_path / name).rglob("*.*")
            if file.is_file()
        }
        for name in ("one", "two")
    )
    assert one == two
    assert sum(map(len, one.values())) < 40e6
    shown = [path.stem[5:] for path in one if path.parts[:2] == ("rendered", "colours")]
    assert sorted(shown) == [f"{number:02d}" for number in range(1, 12)]
    assert len(read_pool(tmp_path / "one", CPU).cutouts.places) > 13
    drawn = read_config(config).data
    ours = read_validation(replace(drawn, recipe="packed", packed=str(tmp_path / "one")))
    assert [name for name, *_ in ours] == ["00", "12"]
    for pair, expected in zip(ours, read_validation(drawn), strict=True):
        for part, truth in zip(pair[1:], expected[1:], strict=True):
            np.testing.assert_array_equal(np.asarray(part), truth)


def test_the_shipped_configuration_trains(packed: Path, tmp_path: Path) -> None:
    """One step of it, on few and small crops."""
    changes = [f"data.packed={packed.as_posix()}", "data.batch=2", "data.crop=64", "data.validation="]
    changes += ["optimiser.epochs=0.01", "run.log_every=1", "model.decoder_width=4"]
    config: TrainConfig = read_config(TRAINING / "tiny_gpu.toml", changes)
    assert config.optimiser.call_minutes < 10
    batch = next(recipe_batches(config, 0, CPU))
    assert batch.priors is not None
    assert batch.priors.shape == (2, 7, 64, 64)
    (tmp_path / "run").mkdir()
    assert Trainer(config, tmp_path / "run", progress=False).run().step == 1


def test_scripts_tell_of_packed_samples(
    packed_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """How fast they are made and learned from, what they are like, and a sheet of them."""
    for script, *rest in (
        ("throughput.py", "--count", "2"),
        ("statistics.py", "--count", "2", "--crop", "64"),
        ("sheet.py", "-o", str(tmp_path / "sheet.png"), "--count", "3"),
    ):
        monkeypatch.setattr(sys, "argv", [script, str(packed_config), *rest])
        with local_threads():
            runpy.run_path(str(TRAINING / script), run_name="__main__")
    told = capsys.readouterr().out
    for name in ("composition", "finishing", "priors", "step", "all of it"):
        rates = [line for line in told.splitlines() if line.startswith(name) and line.endswith("a second")]
        assert len(rates) == 1, name
        assert float(rates[0][12:-9]) > 0
    assert "decoder" in told
    assert "unknown share" in told
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (8 * 64, 3 * 64)
