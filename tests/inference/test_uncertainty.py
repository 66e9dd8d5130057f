"""Uncertainty: the spread over seeds and steps, exactly; the score; and what of it is written and reported."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support import fakes

from diffmatte_cli.imaging.receipts import read_notes
from diffmatte_cli.inference.uncertainty import Spread, risk_of
from diffmatte_cli.settings import Sampling

pytestmark = pytest.mark.usefixtures("cat_folder")
UNKNOWN = fakes.cat_trimap() == 128


def _matte(*arguments: str, code: int = 0) -> Any:
    result = fakes.run_matte(*arguments, "--steps", "3")
    assert result.exit_code == code, result.stderr
    return result


def _alphas(matter: fakes.FakeMatter, seeds: range, **settings: Any) -> list[np.ndarray]:
    """Return what the model gives for every seed and step."""
    encoding = matter.encode(np.asarray(Image.open("cat.png")), fakes.cat_trimap())
    samplings = [Sampling(3, seed, **settings) for seed in seeds]
    return [alpha for sampling in samplings for alpha in matter.steps(encoding, sampling=sampling)]


def _drawn(name: str) -> np.ndarray:
    with Image.open(name) as picture:
        return np.asarray(picture).astype(np.float32) / 65535


@given(st.integers(0, 99), st.integers(1, 9), st.floats(0, 1e-3))
def test_the_spread_is_the_standard_deviation(seed: int, count: int, scale: float) -> None:
    generator = np.random.default_rng(seed)
    alphas = (0.7 + scale * generator.normal(size=(count, 4, 5))).astype(np.float32)
    where = generator.random((4, 5)) < 0.7
    spread = Spread(where)
    for alpha in alphas:
        spread.add(alpha)
    expected = np.where(where, alphas.astype(np.float64).std(axis=0), 0)
    np.testing.assert_allclose(spread.deviation(), expected, atol=2e-7)


def test_the_score_counts_the_unknown_region_alone() -> None:
    unknown = np.array([[True, True, False]])
    spread, alpha = np.float32([[0.04, 0, 0.5]]), np.float32([[0.5, 0.5, 0.5]])
    assert risk_of(spread, alpha, unknown) == pytest.approx(1000 * 0.1 / 2)
    assert risk_of(spread, alpha, np.zeros((1, 3), bool)) == 0


def test_the_picture_is_the_spread_over_seeds_and_steps(matter: fakes.FakeMatter) -> None:
    _matte("-o", "one.png", "--seed", "5")
    result = _matte("-o", "x.png", "--seed", "5", "--uncertainty", "4")
    assert Path("x.png").read_bytes() == Path("one.png").read_bytes()  # the first seed's, receipt and all
    assert [setting.seed for setting in matter.settings[-4:]] == [5, 6, 7, 8]
    assert len(matter.encoded) == 2  # one look at the picture for all seeds
    expected = np.where(UNKNOWN, np.std(_alphas(matter, range(5, 9)), axis=0), 0)
    np.testing.assert_allclose(_drawn("x_uncertainty.png"), expected, atol=0.6 / 65535)
    risk = risk_of(expected.astype(np.float32), _alphas(matter, range(5, 6))[-1], UNKNOWN)
    assert read_notes(Path("x_uncertainty.png")) == {"risk": pytest.approx(risk, abs=1e-3)}
    assert f"risk {risk:.1f}, " in result.stderr


def test_raw_counts_every_pixel(matter: fakes.FakeMatter) -> None:
    _matte("-o", "x.png", "--uncertainty", "2", "--raw")
    expected = np.std(_alphas(matter, range(2), keep_known=False), axis=0)
    np.testing.assert_allclose(_drawn("x_uncertainty.png"), expected, atol=0.6 / 65535)


def test_the_report_holds_the_score_and_a_skipped_job_keeps_it(matter: fakes.FakeMatter) -> None:
    fakes.make_photos(["a", "b"])
    arguments = ("photos", "--trimap", "trimaps", "-o", "out", "--uncertainty", "3", "--skip-existing", "--report")
    for report in ("first.jsonl", "second.jsonl"):
        assert fakes.run("matte", *arguments, report).exit_code == 0
    first, second = (
        [json.loads(line) for line in Path(name).read_text().splitlines()] for name in ("first.jsonl", "second.jsonl")
    )
    assert [row["status"] for row in first] == ["done"] * 2
    assert [row["status"] for row in second] == ["skipped"] * 2
    assert [row["risk"] for row in first] == [row["risk"] for row in second]
    assert all(row["risk"] > 0 for row in first)
    assert [row["uncertainty_output"] for row in first] == ["out/a_uncertainty.png", "out/b_uncertainty.png"]
    Path("out/a_uncertainty.png").unlink()
    assert fakes.run("matte", *arguments, "third.csv").exit_code == 0
    rows = list(csv.DictReader(Path("third.csv").read_text().splitlines()))
    assert sorted(row["status"] for row in rows) == ["done", "skipped"]
    assert {float(row["risk"]) for row in rows} == {row["risk"] for row in first}


def test_other_seeds_are_another_result(matter: fakes.FakeMatter) -> None:
    _matte("-o", "x.png", "--uncertainty", "2")
    assert "skipped" in _matte("-o", "x.png", "--uncertainty", "2", "--skip-existing").stderr
    assert "skipped" not in _matte("-o", "x.png", "--uncertainty", "3", "--skip-existing").stderr
    assert "skipped" in _matte("-o", "x.png", "--skip-existing").stderr  # the alpha is the same


def test_the_steps_shown_are_the_first_seeds(matter: fakes.FakeMatter) -> None:
    _matte("--dump-steps", "one", "-o", "one.png")
    _matte("--dump-steps", "two", "-o", "two.png", "--uncertainty", "3")
    for step in (1, 2, 3):
        assert Path(f"one/cat/step_{step:02}.png").read_bytes() == Path(f"two/cat/step_{step:02}.png").read_bytes()


def test_nothing_unknown_is_sure(matter: fakes.FakeMatter) -> None:
    Image.fromarray(np.zeros_like(fakes.cat_trimap())).save("cat_trimap.png")
    _matte("-o", "x.png", "--uncertainty", "2")
    assert (_drawn("x_uncertainty.png") == 0).all()
    assert read_notes(Path("x_uncertainty.png")) == {"risk": 0}


def test_what_is_refused(matter: fakes.FakeMatter) -> None:
    for count in ("1", "0", "-3", "1001"):
        assert "needs 2 to 1000 seeds" in _matte("--uncertainty", count, code=2).stderr
    assert "seed must be" in _matte("--uncertainty", "2", "--seed", str(2**63 - 1), code=2).stderr
    assert "or name a file (--uncertainty, -o)" in _matte("--uncertainty", "2", "-o", "-", code=2).stderr
