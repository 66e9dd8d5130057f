"""SAD and MSE against reference figures, closed forms and an independent computation."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffmatte_cli.metrics import mse, sad

# Figures of the published evaluation script on the arrays of the file: case -> SAD / 1000, MSE x 1000.
REFERENCE = {
    1: (0.29411372542381287, 11.029823466127485),
    3: (2.08813738822937, 72.91231211875272),
    5: (0.0, 0.0),
}


def _case(arrays: "np.lib.npyio.NpzFile", case: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    pred, gt = (arrays[f"c{case}_{name}"].astype(np.float32) / np.float32(255) for name in ("pred", "gt"))
    return pred, gt, arrays[f"c{case}_trimap"]


@pytest.mark.parametrize("case", REFERENCE)
def test_metrics_agree_with_the_published_script(case: int, golden: Path) -> None:
    with np.load(golden / "metrics.npz") as arrays:
        pictures = _case(arrays, case)
    # The script sums in single precision, hence the tolerance.
    assert (sad(*pictures), mse(*pictures)) == pytest.approx(REFERENCE[case], rel=2e-6)


def test_metrics_agree_with_the_whole_conformance_kit(conformance: Path) -> None:
    cases = json.loads((conformance / "metrics_open.json").read_text())["cases"]
    with np.load(conformance / "metrics_open.npz") as arrays:
        for entry in cases:
            pictures = _case(arrays, entry["case"])
            assert sad(*pictures) == pytest.approx(entry["sad"], rel=2e-6)
            assert mse(*pictures) == pytest.approx(entry["mse_x1e3"], rel=2e-6)


def _uniform(value: float, shape: tuple[int, int] = (40, 50)) -> np.ndarray:
    return np.full(shape, value, np.float32)


def test_closed_form_and_units() -> None:
    trimap = np.zeros((40, 50), np.uint8)
    trimap[:10] = 128
    assert sad(_uniform(0.75), _uniform(0.5), trimap) == pytest.approx(500 * 0.25 / 1000)
    assert mse(_uniform(0.75), _uniform(0.5), trimap) == pytest.approx(1000 / 16)


def test_only_the_unknown_region_counts() -> None:
    trimap = np.full((4, 4), 255, np.uint8)
    trimap[0, 0] = 128
    pred = _uniform(1, (4, 4))
    pred[0, 0] = 0.25
    assert sad(pred, _uniform(0.25, (4, 4)), trimap) == 0


def test_an_empty_unknown_region_scores_zero() -> None:
    known = np.full((3, 3), 255, np.uint8)
    assert (
        sad(_uniform(1, (3, 3)), _uniform(0, (3, 3)), known),
        mse(_uniform(1, (3, 3)), _uniform(0, (3, 3)), known),
    ) == (
        0.0,
        0.0,
    )


@given(st.integers(0, 2**32 - 1))
def test_symmetric_and_bounded(seed: int) -> None:
    generator = np.random.default_rng(seed)
    pred, gt = generator.random((2, 6, 7), np.float32)
    trimap = generator.choice(np.array([0, 128, 255], np.uint8), (6, 7))
    unknown = int((trimap == 128).sum())
    assert sad(pred, gt, trimap) == pytest.approx(sad(gt, pred, trimap))
    assert 0 <= sad(pred, gt, trimap) * 1000 <= unknown
    assert mse(pred, gt, trimap) * unknown <= sad(pred, gt, trimap) * 1e6 + 1e-9
