"""``diffmatte bench``: its scene, its arithmetic, its report."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import fakes

from diffmatte_cli.benchmark.bench import encoder_macs, plain_step_macs, scene
from diffmatte_cli.model.config import VARIANTS

# Table 1 of the paper and the published code at 2048 x 2048, 10**12 multiply-accumulates: first step, later ones.
TABLE_1 = {"res34": (1.11, 0.86), "swint": (1.27, 0.87), "vits": (2.07, 0.81), "vitb": (4.20, 0.90)}


@pytest.mark.parametrize("variant", TABLE_1)
def test_arithmetic_is_counted_as_in_the_paper(variant: str) -> None:
    first, later = TABLE_1[variant]
    step = plain_step_macs(VARIANTS[variant], 2048, 2048)
    assert step / 1e12 == pytest.approx(later, abs=0.01)
    assert (encoder_macs(VARIANTS[variant], 2048, 2048) + step) / 1e12 == pytest.approx(first, abs=0.015)


def test_the_baselines_arithmetic_is_counted_as_in_the_paper() -> None:
    """Table 1 has the sum alone, of the one step that there is."""
    config = VARIANTS["vitmatte-s"]
    counted = encoder_macs(config, 2048, 2048) + plain_step_macs(config, 2048, 2048)
    assert counted / 1e12 == pytest.approx(1.69, abs=0.015)


def test_grids_divide_the_attention_alone() -> None:
    """Beyond the size from which grids are used, but for the plain path."""
    whole, divided = (encoder_macs(VARIANTS["vits"], 3072, 3072, plain) for plain in (True, False))
    positions = (3072 // 16) ** 2
    assert 4 * 2 * positions**2 * 384 * 8 / 9 == pytest.approx(whole - divided, rel=0.05)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.4, 1.0])
@pytest.mark.parametrize("size", [(300, 300), (200, 401)])
def test_the_scene_has_the_asked_share(size: tuple[int, int], share: float) -> None:
    image, trimap = scene(*size, share)
    assert image.shape == (*size, 3)
    assert set(np.unique(trimap)) <= {0, 128, 255}
    assert (trimap == 128).mean() == pytest.approx(share, rel=0.25)


def test_the_report_has_what_it_says(tmp_path: Path) -> None:
    image, trimap = scene(96, 128, 0.1)
    Image.fromarray(image).save(tmp_path / "a.png")
    Image.fromarray(trimap).save(tmp_path / "t.png")
    given = ["bench", str(tmp_path / "a.png"), "--trimap", str(tmp_path / "t.png")]
    result = fakes.run(*given, "--steps", "2", "--repeat", "2", "--device", "cpu", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["size"] == [128, 96]
    assert report["trained"] is True
    plain, fast, ratio = report["plain"], report["fast"], report["ratio"]
    assert plain["step_macs"] == plain_step_macs(VARIANTS["tiny"], 96, 128)
    assert 0 < fast["step_macs"] < plain["step_macs"]
    for path in (plain, fast):
        assert path["encoder_macs"] == encoder_macs(VARIANTS["tiny"], 96, 128)
        assert path["total_seconds"] > path["encoder_seconds"] > 0
        assert 2**27 < path["peak_bytes"] < 2**32
    assert ratio.keys() == {"total", "step", "spread", "step_spread"}
    assert report["difference"]["largest"] < 0.01


def test_a_table_without_the_plain_path_and_random_weights() -> None:
    options = ["--size", "100x64", "--steps", "1", "--repeat", "1", "--no-plain", "--device", "cpu", "--quiet"]
    result = fakes.run("bench", "--model", "res34", *options)
    assert result.exit_code == 0, result.output
    assert "random ones are used" in result.stderr
    assert "res34, 100x64" in result.stdout
    assert "plain" not in result.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--size", "10"], "64 to 16384"),
        (["--size", "1x2x3"], "must be N or WxH"),
        (["--unknown", "0"], "0.001 to 1"),
        (["--repeat", "0"], "1 to 1000"),
        (["--steps", "0"], "from 1 to"),
        (["--threads", "0"], "from 1 to"),
        (["--memory", "9" * 400], "a size like 4GB"),
        (["a.png"], "name both"),
        (["--model", "none"], "no model named"),
    ],
)
def test_mistakes_are_told(options: list[str], words: str) -> None:
    result = fakes.run("bench", *options)
    assert result.exit_code == 2
    assert words in result.stderr


def test_a_trimap_that_leaves_nothing_to_time_is_an_error(tmp_path: Path) -> None:
    image, mask = tmp_path / "a.png", tmp_path / "mask.png"
    Image.new("RGB", (96, 64)).save(image)
    Image.new("L", (96, 64), 255).save(mask)
    result = fakes.run("bench", str(image), "--trimap", str(mask))
    assert result.exit_code == 1
    assert (
        "has no unknown (grey) region, so there is nothing to time: if it is a mask, `diffmatte trimap`"
        in result.stderr
    )
