"""Every command with a model that does not iterate: a fake, named by a file that says so, and random weights."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from support import fakes
from support.published import published_matter

from diffmatte_cli.imaging.receipts import read_receipt
from diffmatte_cli.model.checkpoint import write_model
from diffmatte_cli.planning.jobs import Request, plan
from diffmatte_cli.settings import Sampling

ONCE = "once.safetensors"
OF_ONCE = ("--model", ONCE, "--device", "cpu")
WARNING = "warning: without effect, since the model does not iterate: "
ITERATION = {
    "steps": "10",  # the default, given all the same
    "seed": "7",
    "sampler": "ddpm",
    "schedule": "cosine",
    "input-scale": "0.5",
    "until-stable": "2",
}
SAMPLING = Sampling(steps=1)


def warnings(text: str) -> list[str]:
    return [line.removeprefix(WARNING) for line in text.splitlines() if line.startswith("warning: ")]


@pytest.fixture
def once(cat_folder: Path, monkeypatch: pytest.MonkeyPatch) -> fakes.FakeMatter:
    """Put a fake in the place of a file's model, in a folder with a photograph, its trimap, and that file."""
    fake = fakes.FakeMatter()
    monkeypatch.setitem(sys.modules, "diffmatte_cli.inference.matter", fakes.fake_matting(fake))
    header = json.dumps({"__metadata__": {"format": "diffmatte", "variant": "vitmatte-s"}}).encode()
    Path(ONCE).write_bytes(len(header).to_bytes(8, "little") + header)
    return fake


@pytest.mark.parametrize("name", ITERATION)
def test_what_was_given_and_has_no_effect_is_told(once: fakes.FakeMatter, name: str) -> None:
    result = fakes.run_matte(*OF_ONCE, f"--{name}", ITERATION[name])
    assert result.exit_code == 0, result.stderr
    assert warnings(result.stderr) == [name.replace("-", " ")]
    assert once.settings == [SAMPLING]


def test_it_is_told_once_a_run_for_all_photographs_and_options(once: fakes.FakeMatter) -> None:
    fakes.make_photos(["ape", "bat"])
    given = [word for name, value in ITERATION.items() for word in (f"--{name}", value)]
    result = fakes.run("matte", "photos", "--trimap", "trimaps", "-o", "out", *OF_ONCE, *given, "--quiet")
    assert result.exit_code == 0, result.stderr
    assert warnings(result.stderr) == ["steps, seed, sampler, schedule, input scale, until stable"]


def test_defaults_are_not_told_and_one_step_is(once: fakes.FakeMatter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFMATTE_MODEL", ONCE)
    result = fakes.run_matte("--dump-steps", "steps", "--raw", "--whole")
    assert warnings(result.stderr) == []
    assert "1 step," in result.stderr
    assert once.settings == [Sampling(steps=1, keep_known=False, whole=True)]
    assert sorted(os.listdir("steps/cat")) == ["step_01.png", "trajectory.png"]
    receipt = read_receipt(Path("cat_alpha.png"))
    assert receipt is not None
    assert receipt.sampling == once.settings[0]


def test_another_number_of_steps_makes_nothing_again(once: fakes.FakeMatter) -> None:
    for asked in (["--steps", "10"], ["--steps", "5"], ["--seed", "4"], []):
        result = fakes.run_matte(*OF_ONCE, "--skip-existing", "--dump-steps", "steps", *asked)
        assert result.exit_code == 0, result.stderr
    assert "skipped, already done" in result.stderr
    assert len(once.settings) == 1
    fakes.run_matte(*OF_ONCE, "--skip-existing", "--raw")
    assert len(once.settings) == 2


def test_a_manifests_columns_count_as_given(once: fakes.FakeMatter) -> None:
    Path("m.csv").write_text("image,trimap,seed,steps\ncat.png,cat_trimap.png,3,5\n")
    result = fakes.run("matte", "--manifest", "m.csv", "-o", "out", *OF_ONCE)
    assert result.exit_code == 0, result.stderr
    assert warnings(result.stderr) == ["steps, seed"]
    assert once.settings == [SAMPLING]


def test_nothing_is_told_of_a_model_that_iterates(matter: fakes.FakeMatter, cat_folder: Path) -> None:
    assert warnings(fakes.run_matte("--steps", "3", "--seed", "7").stderr) == []
    assert matter.settings == [Sampling(steps=3, seed=7)]


@pytest.mark.parametrize("rest", [[], ["--dry-run"], ["--engine", "ray"]], ids=str)
def test_an_uncertainty_is_refused_with_the_reason(once: fakes.FakeMatter, rest: list[str]) -> None:
    result = fakes.run_matte(*OF_ONCE, "--uncertainty", "3", *rest)
    assert result.exit_code == 2
    assert result.stderr == (
        "error: the uncertainty is the spread of alpha over seeds, and the model does not iterate, so seeds change"
        " nothing: omit it, or choose another model (--uncertainty, --model)\n"
    )


def test_a_plan_says_what_a_cluster_is_to_do(once: fakes.FakeMatter) -> None:
    """Workers get jobs, not requests."""
    request = Request(("cat.png",), "cat_trimap.png", sampling=Sampling(steps=5, seed=3), iterates=False)
    assert [job.sampling for job in plan(request)] == [SAMPLING]


def test_attention_grids_of_a_file_are_checked_before_an_image_is_opened(once: fakes.FakeMatter) -> None:
    assert fakes.run_matte(*OF_ONCE, "--attention-grids", "2").exit_code == 0
    header = json.dumps({"__metadata__": {"format": "diffmatte", "variant": "res34"}}).encode()
    Path(ONCE).write_bytes(len(header).to_bytes(8, "little") + header)
    Path("cat.png").write_text("no picture")
    result = fakes.run_matte(*OF_ONCE, "--attention-grids", "2")
    assert result.exit_code == 2
    assert "res34 has no global attention" in result.stderr


@pytest.fixture
def test_set(once: fakes.FakeMatter) -> None:
    fakes.make_photos(["ape", "bat"])
    Path("set").mkdir()
    Path("photos").rename("set/image")
    Path("trimaps").rename("set/trimap")
    Path("set/alpha").mkdir()
    for name in ("ape", "bat"):
        Image.fromarray(np.where(fakes.cat_trimap() == 128, 90, fakes.cat_trimap()).astype(np.uint8)).save(
            f"set/alpha/{name}.png"
        )


@pytest.mark.usefixtures("test_set")
def test_an_evaluation_has_one_row_of_steps(once: fakes.FakeMatter) -> None:
    of_set = ("evaluate", "--data", "set", "--layout", "plain", *OF_ONCE)
    result = fakes.run(*of_set, "--steps", "1,5,10", "--json", "-o", "kept")
    assert result.exit_code == 0, result.stderr
    assert warnings(result.stderr) == ["steps"]
    assert once.settings == [SAMPLING] * 2
    assert list(json.loads(result.stdout)["steps"]) == ["1"]
    assert sorted(os.listdir("kept")) == ["ape.png", "bat.png"]
    assert warnings(fakes.run(*of_set).stderr) == []
    result = fakes.run(*of_set, "--consistent")
    assert result.exit_code == 2
    assert "the model does not iterate: omit it (--consistent, --model)" in result.stderr


def test_random_weights_go_through_every_command(cat_folder: Path) -> None:
    """One file, which nothing but its content says to be ViTMatte."""
    write_model(Path(ONCE), published_matter("vitmatte-s").model, {})
    Path("m.csv").write_text("image,trimap\ncat.png,cat_trimap.png\n")
    assert fakes.run_matte(*OF_ONCE, "--dump-steps", "steps").exit_code == 0
    result = fakes.run_matte(*OF_ONCE, "--steps", "5", "--skip-existing")
    assert warnings(result.stderr) == ["steps"]
    assert "skipped" in result.stderr
    piped = fakes.run("matte", "-", "--trimap", "cat_trimap.png", *OF_ONCE, input=Path("cat.png").read_bytes())
    assert piped.stdout_bytes == Path("cat_alpha.png").read_bytes()
    alpha = np.asarray(Image.open("cat_alpha.png"))
    assert alpha[fakes.cat_trimap() == 128].std() > 1
    np.testing.assert_array_equal(np.asarray(Image.open("steps/cat/step_01.png")), alpha)
    assert fakes.run("matte", "--manifest", "m.csv", "-o", "out", *OF_ONCE, "--report", "r.jsonl").exit_code == 0
    result = fakes.run("review", "out", "--report", "r.jsonl", "-o", "r.html")
    assert result.exit_code == 0, result.stderr
    assert "r.html: 1 result" in result.stderr
    pair = ("cat.png", "--trimap", "cat_trimap.png", *OF_ONCE, "--steps", "3", "--json")
    result = fakes.run("check", *pair, "--estimate")
    assert warnings(result.stderr) == ["steps"]
    assert json.loads(result.stdout)[0]["seconds"] > 0
    result = fakes.run("bench", *pair, "--repeat", "1")
    assert warnings(result.stderr) == ["steps"]
    assert json.loads(result.stdout)["steps"] == 1
    assert json.loads(result.stdout)["difference"]["largest"] < 0.01


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_a_published_file_is_known_before_it_is_loaded(once: fakes.FakeMatter, suffix: str) -> None:
    """By its names, or as the only kind of PyTorch's files that is read."""
    tensors = {"backbone.encoder.layer.0.norm1.weight": torch.zeros(768)}
    path = Path(f"model.{suffix}")
    save_file(tensors, path) if suffix == "safetensors" else torch.save(tensors, path)
    result = fakes.run_matte("--model", str(path), "--device", "cpu", "--steps", "5")
    assert warnings(result.stderr) == ["steps"]
    assert once.settings == [SAMPLING]
