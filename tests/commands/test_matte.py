"""``diffmatte matte``: its results, its options, and what it says."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import fakes

from diffmatte_cli.batch import engines
from diffmatte_cli.composition.trajectory import StepDump
from diffmatte_cli.imaging.grey import read_grey
from diffmatte_cli.imaging.receipts import read_receipt
from diffmatte_cli.settings import SAMPLER_NAMES, SCHEDULE_NAMES, Computing, Sampling

pytestmark = pytest.mark.usefixtures("cat_folder")


def test_an_alpha_in_the_current_folder_and_one_line_about_it(matter: fakes.FakeMatter) -> None:
    result = fakes.run_matte()
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    device, summary = result.stderr.splitlines()
    assert device == "device: cpu"
    for word in ("32x24", "33.3% unknown", "tiny on cpu", "10 steps", " s: ", "cat_alpha.png"):
        assert word in summary
    levels = read_grey(Path("cat_alpha.png")).levels
    assert (levels[fakes.cat_trimap() == 255] == 1).all()
    assert (levels[fakes.cat_trimap() == 0] == 0).all()
    assert 0 < levels[fakes.cat_trimap() == 128].mean() < 1
    assert sorted(os.listdir()) == ["cat.png", "cat_alpha.png", "cat_trimap.png"]


def test_the_model_gets_every_setting(matter: fakes.FakeMatter) -> None:
    options = [
        "--steps",
        "3",
        "--seed",
        "7",
        "--sampler",
        "ddpm",
        "--schedule",
        "cosine",
        "--input-scale",
        "0.5",
        "--raw",
        "--device",
        "cpu",
    ]
    assert fakes.run_matte(*options).exit_code == 0
    assert matter.settings == [
        Sampling(steps=3, seed=7, sampler="ddpm", schedule="cosine", input_scale=0.5, keep_known=False)
    ]
    np.testing.assert_array_equal(matter.encoded[0][1], fakes.cat_trimap())


def test_defaults_leave_the_noise_process_to_the_weights(matter: fakes.FakeMatter) -> None:
    fakes.run_matte()
    assert matter.settings == [Sampling()]
    assert (matter.settings[0].schedule, matter.settings[0].input_scale) == (None, None)
    assert matter.computing == [Computing()]


def test_how_to_compute_reaches_the_model_and_the_receipt(matter: fakes.FakeMatter) -> None:
    options = ["--plain", "--whole", "--until-stable", "0.5", "--memory", "1.5GB", "--attention-grids", "2"]
    assert fakes.run_matte("-o", "a.png", *options).exit_code == 0
    assert matter.settings == [Sampling(whole=True, until_stable=0.5)]
    assert matter.computing == [Computing(plain=True, memory=1_500_000_000, attention_grids=2)]
    receipt = read_receipt(Path("a.png"))
    assert receipt is not None
    record = receipt.record()
    assert (record["path"], record["until_stable"], record["precision"]) == ("plain", 0.5, "fp32")
    assert fakes.run_matte("-o", "b.png", "--precision", "bf16").exit_code == 0
    receipt = read_receipt(Path("b.png"))
    assert receipt is not None
    record = receipt.record()
    assert (record["path"], record["until_stable"], record["precision"]) == ("region", None, "bf16")


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--memory", "plenty", "a size like 4GB"),
        ("--memory", "10", "at least 1 MiB"),
        ("--precision", "fp8", "fp32, fp16, bf16"),
        ("--until-stable", "-1", "from 0 to 255"),
        ("--until-stable", "nan", "from 0 to 255"),
    ],
)
def test_how_to_compute_is_checked_first(option: str, value: str, words: str, matter: fakes.FakeMatter) -> None:
    result = fakes.run_matte(option, value)
    assert result.exit_code == 2
    assert words in result.stderr
    assert not matter.encoded


def test_the_plain_path_has_one_precision(matter: fakes.FakeMatter) -> None:
    result = fakes.run_matte("--plain", "--precision", "bf16")
    assert result.exit_code == 2
    assert result.stderr == "error: the plain path computes in fp32, not in bf16 (--plain, --precision)\n"


def test_steps_of_an_iteration_that_stops_early_are_kept_and_trusted(matter: fakes.FakeMatter) -> None:
    options = ["-o", "a.png", "--until-stable", "1", "--dump-steps", "."]
    result = fakes.run_matte(*options)
    assert result.exit_code == 0
    assert "2 steps" in result.stderr
    assert sorted(path.name for path in Path("cat").iterdir()) == ["step_01.png", "step_02.png", "trajectory.png"]
    assert fakes.run_matte(*options, "--skip-existing").exit_code == 0
    assert len(matter.encoded) == 1
    Path("cat/step_01.png").unlink()
    assert fakes.run_matte(*options, "--skip-existing").exit_code == 0
    assert len(matter.encoded) == 2


def test_same_bytes_again_other_bytes_for_another_seed(matter: fakes.FakeMatter) -> None:
    for name, seed in (("a.png", "0"), ("b.png", "0"), ("c.png", "1")):
        assert fakes.run_matte("-o", name, "--seed", seed).exit_code == 0
    first, again, other = (Path(name).read_bytes() for name in ("a.png", "b.png", "c.png"))
    assert first == again
    assert first != other


def test_16_bits_tiff_and_webp(matter: fakes.FakeMatter) -> None:
    for name in ("x.png", "x.tiff"):
        assert fakes.run_matte("-o", name, "--bit-depth", "16").exit_code == 0
        levels = read_grey(Path(name)).levels
        assert not np.allclose(levels * 255, np.rint(levels * 255), atol=1e-3)
    assert fakes.run_matte("-o", "x.webp").exit_code == 0


def test_a_trimap_of_classes_or_in_an_alpha_channel_is_told_and_gives_the_same_matte(matter: fakes.FakeMatter) -> None:
    assert fakes.run_matte("-o", "right.png").exit_code == 0
    with Image.open("cat.png") as photo:
        colour = np.asarray(photo.convert("RGB"))
    trimap, classes = fakes.cat_trimap(), fakes.cat_trimap() // 127
    flat = np.zeros_like(trimap)
    numbers = "holds the levels 0, 1 and 2 of 255 alone, taken as black, grey and white"
    for pixels, told in ((classes, numbers), (np.dstack([flat, trimap]), "was read by its alpha channel")):
        Image.fromarray(pixels).save("t.png")
        result = fakes.run("matte", "cat.png", "--trimap", "t.png", "-o", "out.png")
        assert f"warning: the trimap {told}" in result.stderr
        np.testing.assert_array_equal(np.asarray(Image.open("out.png")), np.asarray(Image.open("right.png")))
    Image.fromarray(np.dstack([colour, classes])).save("own.png")
    result = fakes.run("matte", "own.png", "--trimap", "alpha", "-o", "out.png")
    assert f"warning: the trimap {numbers}" in result.stderr
    np.testing.assert_array_equal(np.asarray(Image.open("out.png")), np.asarray(Image.open("right.png")))


def test_a_cutout_and_its_alpha(matter: fakes.FakeMatter) -> None:
    result = fakes.run_matte("--cutout", "--with-alpha")
    assert result.exit_code == 0, result.stderr
    assert "cat_cutout.png, cat_alpha.png" in result.stderr
    with Image.open("cat_cutout.png") as picture, Image.open("cat.png") as photo:
        assert picture.mode == "RGBA"
        pixels, own = np.asarray(picture), np.asarray(photo)
    np.testing.assert_array_equal(pixels[fakes.cat_trimap() == 255][:, :3], own[fakes.cat_trimap() == 255])
    alpha = read_grey(Path("cat_alpha.png")).levels
    np.testing.assert_allclose(pixels[..., 3] / 255, alpha, atol=0)


def test_overwriting_can_be_refused(matter: fakes.FakeMatter) -> None:
    Path("cat_alpha.png").write_bytes(b"old")
    refused = fakes.run_matte("--no-overwrite")
    assert refused.exit_code == 2
    assert Path("cat_alpha.png").read_bytes() == b"old"
    assert fakes.run_matte().exit_code == 0
    assert Path("cat_alpha.png").read_bytes() != b"old"


def test_the_dump_shows_the_whole_iteration(matter: fakes.FakeMatter) -> None:
    assert fakes.run_matte("--steps", "4", "--dump-steps", "steps").exit_code == 0
    names = sorted(entry.name for entry in Path("steps/cat").iterdir())
    assert names == ["step_01.png", "step_02.png", "step_03.png", "step_04.png", "trajectory.png"]
    step, result = (np.asarray(Image.open(name)) for name in ("steps/cat/step_04.png", "cat_alpha.png"))
    np.testing.assert_array_equal(step, result)
    with Image.open("steps/cat/trajectory.png") as sheet:
        assert sheet.mode == "RGB"
        assert sheet.size == (3 * (320 + 8) + 8, 2 * (240 + 22 + 8) + 8)
    assert fakes.run_matte("--steps", "2", "--dump-steps", "steps").exit_code == 0
    assert len(list(Path("steps/cat").iterdir())) == 3


def test_a_hundred_steps_sort_by_name(matter: fakes.FakeMatter) -> None:
    assert fakes.run_matte("--steps", "120", "--dump-steps", "steps").exit_code == 0
    names = sorted(entry.name for entry in Path("steps/cat").iterdir())
    assert (names[0], names[119], names[120]) == ("step_001.png", "step_120.png", "trajectory.png")


@pytest.mark.parametrize("value", [0, 128, 255])
def test_one_pixel(value: int, matter: fakes.FakeMatter) -> None:
    Image.new("RGB", (1, 1), (10, 20, 30)).save("cat.png")
    Image.new("L", (1, 1), value).save("cat_trimap.png")
    result = fakes.run_matte("--cutout", "--with-alpha", "--dump-steps", "steps")
    assert result.exit_code == 0, result.stderr
    assert "1x1" in result.stderr
    with Image.open("cat_cutout.png") as picture:
        assert picture.size == (1, 1)


def test_without_unknown_pixels_the_trimap_is_the_result_and_no_model_runs(
    matter: fakes.FakeMatter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(engines, "_load", refuse)
    Image.fromarray(np.zeros_like(fakes.cat_trimap())).save("cat_trimap.png")
    result = fakes.run_matte("--dump-steps", "steps")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.startswith("warning: the trimap has no unknown")
    assert "no model needed" in result.stderr
    assert Image.open("cat_alpha.png").tobytes() == Image.open("cat_trimap.png").tobytes()
    assert [entry.name for entry in Path("steps/cat").iterdir()] == ["trajectory.png"]


def test_the_raw_prediction_is_computed_without_unknown_pixels_too(matter: fakes.FakeMatter) -> None:
    Image.new("L", (fakes.WIDTH, fakes.HEIGHT), 255).save("cat_trimap.png")
    assert fakes.run_matte("--raw", "--steps", "2", "--dump-steps", "steps").exit_code == 0
    assert matter.settings == [Sampling(steps=2, keep_known=False)]
    assert (read_grey(Path("cat_alpha.png")).levels < 1).any()
    assert len(os.listdir("steps/cat")) == 3


def test_warnings_are_said_even_quietly(matter: fakes.FakeMatter) -> None:
    Image.fromarray(255 - fakes.cat_trimap()).save("cat_trimap.png")
    result = fakes.run_matte("--quiet")
    assert result.exit_code == 0
    assert result.stderr.startswith("warning: the trimap looks inverted")
    assert len(result.stderr.splitlines()) == 1


def test_quiet_is_silent(matter: fakes.FakeMatter) -> None:
    result = fakes.run_matte("--quiet")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_a_trimap_of_the_unrotated_photograph(matter: fakes.FakeMatter) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open("cat.png") as photo:
        photo.save("cat.png", exif=exif)
    assert fakes.run_matte().exit_code == 0
    turned = np.rot90(fakes.cat_trimap(), -1)
    np.testing.assert_array_equal(matter.encoded[0][1], turned)
    levels = read_grey(Path("cat_alpha.png")).levels
    assert levels.shape == (fakes.WIDTH, fakes.HEIGHT)
    assert (levels[turned == 255] == 1).all()


def test_sizes_that_differ_are_named(matter: fakes.FakeMatter) -> None:
    Image.new("L", (9, 8), 128).save("cat_trimap.png")
    assert "trimap is 9x8 but the photograph is 32x24" in fakes.error_line(fakes.run_matte(), 1)


def test_the_model_comes_from_the_environment(matter: fakes.FakeMatter) -> None:
    assert "other on cpu" in fakes.run_matte(env={"DIFFMATTE_MODEL": "other"}).stderr
    assert "tiny on cpu" in fakes.run_matte("--model", "tiny", env={"DIFFMATTE_MODEL": "other"}).stderr


@pytest.mark.parametrize("name", SCHEDULE_NAMES)
def test_every_schedule_is_accepted(name: str, matter: fakes.FakeMatter) -> None:
    assert fakes.run_matte("--schedule", name).exit_code == 0


@pytest.mark.parametrize("name", SAMPLER_NAMES)
def test_every_sampler_is_accepted(name: str, matter: fakes.FakeMatter) -> None:
    assert fakes.run_matte("--sampler", name).exit_code == 0


def test_the_sheet_shows_the_last_step_of_an_iteration_that_stops_early(tmp_path: Path) -> None:
    """Of many steps only some are shown, and it may end before the next of them."""
    grey = np.full((8, 8), 128, np.uint8)
    widths = []
    for steps in (1, 2, 5):
        dump = StepDump(tmp_path, np.zeros((8, 8, 3), np.uint8), grey, 1000)
        for number in range(1, steps + 1):
            dump.add(number, np.full((8, 8), number / 10, np.float32))
        dump.finish()
        with Image.open(tmp_path / "trajectory.png") as sheet:
            widths.append(sheet.width)
    assert widths[0] < widths[1] == widths[2]
