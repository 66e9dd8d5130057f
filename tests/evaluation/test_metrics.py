"""The four metrics against reference figures, closed forms and independent computations."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffmatte_cli.evaluation.metrics import METRICS, conn, grad, mse, sad
from diffmatte_cli.evaluation.options import DEFINITIONS, HEADINGS

# Figures of the published evaluation script on the arrays of the file: case -> SAD / 1000, MSE x 1000.
REFERENCE = {
    1: (0.29411372542381287, 11.029823466127485),
    3: (2.08813738822937, 72.91231211875272),
    5: (0.0, 0.0),
}
# Grad and Conn of the Python port and by MATLAB's rules, likewise.
BY_DEFINITION = {
    (1, "matlab"): (0.3721190975955822, 0.2683039310157299),
    (1, "python"): (0.3721190975955822, 0.27032156862745094),
    (3, "matlab"): (0.26341879187821504, 2.177943137842417),
    (3, "python"): (2.222145556590668, 2.0432980392156863),
    (5, "matlab"): (0.0, 0.0),
    (5, "python"): (0.0, 0.0),
}
Case = tuple[np.ndarray, np.ndarray, np.ndarray]


def _case(arrays: "np.lib.npyio.NpzFile", case: int) -> Case:
    pred, gt = (arrays[f"c{case}_{name}"].astype(np.float32) / np.float32(255) for name in ("pred", "gt"))
    return pred, gt, arrays[f"c{case}_trimap"]


@pytest.mark.parametrize("case", REFERENCE)
def test_sad_and_mse_agree_with_the_published_script(case: int, golden: Path) -> None:
    with np.load(golden / "metrics.npz") as arrays:
        pictures = _case(arrays, case)
    # The script sums in single precision, hence the tolerance.
    assert (sad(*pictures), mse(*pictures)) == pytest.approx(REFERENCE[case], rel=2e-7)


@pytest.mark.parametrize(("case", "definition"), BY_DEFINITION)
def test_grad_and_conn_agree_with_their_definitions(case: int, definition: str, golden: Path) -> None:
    with np.load(golden / "metrics.npz") as arrays:
        pictures = _case(arrays, case)
    expected = BY_DEFINITION[case, definition]
    assert grad(*pictures, definition) == pytest.approx(expected[0], rel=1e-12)
    # MATLAB's is in single precision, whose sums depend on their order.
    assert conn(*pictures, definition) == pytest.approx(expected[1], rel=1e-7 if definition == "matlab" else 1e-12)


KEYS: dict[str, tuple[Callable[..., float], tuple[str, ...], float]] = {
    "sad": (sad, (), 2e-7),
    "mse_x1e3": (mse, (), 2e-7),
    "grad_minmax_matlab": (grad, ("matlab",), 1e-12),
    "grad": (grad, ("python",), 1e-12),
    "conn_matlab_semantics": (conn, ("matlab",), 1e-7),
    "conn_gca_port": (conn, ("python",), 1e-12),
}


@pytest.mark.parametrize("key", KEYS)
def test_metrics_agree_with_the_whole_conformance_kit(key: str, conformance: Path) -> None:
    metric, definition, tolerance = KEYS[key]
    cases = json.loads((conformance / "metrics_open.json").read_text())["cases"]
    with np.load(conformance / "metrics_open.npz") as arrays:
        for entry in cases:
            found = metric(*_case(arrays, entry["case"]), *definition)
            assert found == pytest.approx(entry[key], rel=tolerance), entry["kind"]


def _uniform(value: float, shape: tuple[int, int] = (40, 50)) -> np.ndarray:
    return np.full(shape, value, np.float32)


def _all_unknown(shape: tuple[int, int]) -> np.ndarray:
    return np.full(shape, 128, np.uint8)


def test_closed_form_and_units() -> None:
    trimap = np.zeros((40, 50), np.uint8)
    trimap[:10] = 128
    assert sad(_uniform(0.75), _uniform(0.5), trimap) == pytest.approx(500 * 0.25 / 1000)
    assert mse(_uniform(0.75), _uniform(0.5), trimap) == pytest.approx(1000 / 16)


def test_the_gradient_of_a_ramp_in_closed_form() -> None:
    """Of a ramp across, a derivative filter gives its slope times the filter's first moment, everywhere inside."""
    places = np.arange(-4, 5)
    gauss = np.exp(-(places**2) / (2 * 1.4**2))
    kernel = np.outer(gauss, places * gauss)
    kernel /= np.sqrt(np.square(kernel).sum())
    ramp = np.tile(np.arange(40, dtype=np.float32) / 255, (30, 1))
    trimap = np.zeros((30, 40), np.uint8)
    trimap[10:20, 10:30] = 128
    steep = (kernel * places).sum() / 255
    assert grad(ramp, _uniform(0.5, (30, 40)), trimap, "python") == pytest.approx(200 * steep**2 / 1000)
    stretched = steep * 255 / 39
    assert grad(ramp, _uniform(0.5, (30, 40)), trimap, "matlab") == pytest.approx(200 * stretched**2 / 1000)


def _slopes(alpha: np.ndarray) -> np.ndarray:
    """The gradient's length by plain convolution, pixel by pixel, with the border repeated."""
    places = np.arange(-4, 5)
    gauss = np.exp(-(places**2) / (2 * 1.4**2))
    kernel = np.outer(gauss, places * gauss)
    kernel /= np.sqrt(np.square(kernel).sum())
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(alpha.astype(np.float64), 4, "edge"), (9, 9))
    across, down = ((windows * filter_).sum(axis=(2, 3)) for filter_ in (kernel, kernel.T))
    return np.hypot(across, down)


@pytest.mark.parametrize("shape", [(300, 20), (20, 530), (3, 3), (1, 1), (257, 256)])
def test_the_gradient_in_blocks_is_that_of_the_whole(shape: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    pred, gt = generator.random((2, *shape), np.float32)
    trimap = generator.choice(np.array([0, 128], np.uint8), shape)
    whole = np.square(_slopes(pred) - _slopes(gt))[trimap == 128].sum() / 1000
    assert grad(pred, gt, trimap, "python") == pytest.approx(whole, rel=1e-6)


@pytest.mark.parametrize(
    ("pred", "gt", "expected"),
    [
        # Apart from the larger area, nothing is connected, and both are alike.
        ([10, 10, 10, 0, 10], [10, 10, 10, 0, 10], 0.0),
        # What is not connected differs by as much as the two alphas.
        ([10, 10, 10, 0, 6], [10, 10, 10, 0, 10], 0.4),
        # A dent to 0.2 cuts off what lies beyond it from there on, alike in both, and the truth rises 0.8 above it.
        ([10, 10, 10, 2, 10], [10, 10, 10, 10, 10], 0.8),
        # Less than 0.15 above the level is as good as connected, 0.2 is not.
        ([10, 10, 10, 9, 9], [10, 10, 10, 10, 10], 0.0),
        ([10, 10, 10, 8, 8], [10, 10, 10, 10, 10], 0.4),
    ],
)
def test_connectivity_in_closed_form(pred: list[int], gt: list[int], expected: float) -> None:
    alphas = [(np.array([row]) / 10).astype(np.float32) for row in (pred, gt)]
    assert conn(*alphas, _all_unknown((1, 5))) * 1000 == pytest.approx(expected, abs=1e-6)


def test_of_equal_areas_matlab_keeps_the_first_by_columns() -> None:
    """Below the diagonal is 0.92, kept and so less than 0.15 above its level; above it 0.95, which is cut off."""
    pred, gt = np.float32([[0, 0.95], [0.92, 0]]), np.float32([[0, 1], [1, 0]])
    assert conn(pred, gt, _all_unknown((2, 2))) * 1000 == pytest.approx(0.05, abs=1e-6)
    assert conn(pred.T, gt.T, _all_unknown((2, 2))) * 1000 == pytest.approx(0.08, abs=1e-6)


@pytest.mark.parametrize(("definition", "cut_off"), [("matlab", 0.95), ("python", 0.92)])
def test_of_equal_areas_the_port_keeps_the_first_by_rows(definition: str, cut_off: float) -> None:
    """Two triangles of six pixels, as above; the diagonal is smaller, or the port would keep that."""
    below, above = np.tri(4, k=-1, dtype=np.float32), np.tri(4, k=-1, dtype=np.float32).T
    found = conn(0.92 * below + 0.95 * above, below + above, _all_unknown((4, 4)), definition)
    assert found * 1000 == pytest.approx(6 * (1 - cut_off), abs=1e-6)


def test_diagonal_neighbours_are_apart() -> None:
    """Of two areas that touch at a corner, the smaller is not connected."""
    gt = np.zeros((4, 4), np.float32)
    gt[:2, :2] = 1
    gt[2, 2] = 1
    pred = gt.copy()
    pred[2, 2] = 0.5  # both are 0 levels up there, so 1 and 0.5 above it
    assert conn(pred, gt, _all_unknown((4, 4))) * 1000 == pytest.approx(0.5)


def test_what_is_outside_is_an_area_of_the_port_alone() -> None:
    """A few faint pixels where nothing should be; for the port all is connected to the empty rest."""
    pred = np.where(np.arange(9).reshape(3, 3) % 3 == 0, np.float32(0.3), np.float32(0))
    assert conn(pred, 0 * pred, _all_unknown((3, 3))) * 1000 == pytest.approx(3 * 0.3, abs=1e-6)
    assert conn(pred, 0 * pred, _all_unknown((3, 3)), "python") == 0


def test_a_value_on_a_level_reaches_it_in_single_precision_only() -> None:
    """The value 153 of 255 is 0.6; in double precision the port's level is 0.6000000000000001."""
    pred, gt = _uniform(1, (1, 5)), _uniform(1, (1, 5))
    pred[0, 4] = np.float32(153) / np.float32(255)
    by_rules, ported = (conn(pred, gt, _all_unknown((1, 5)), definition) * 1000 for definition in DEFINITIONS)
    assert by_rules == pytest.approx(0.4)  # connected up to 0.6
    assert ported == pytest.approx(0.5)  # up to 0.5, and the prediction's 0.1 above that counts as nothing


@pytest.mark.parametrize("definition", DEFINITIONS)
@pytest.mark.parametrize("values", [(0, 0), (0, 1), (1, 1), (0.5, 0.5), (0.3, 0.9)])
def test_uniform_mattes_have_no_gradient(definition: str, values: tuple[float, float]) -> None:
    shape = (30, 30)
    assert grad(*(_uniform(value, shape) for value in values), _all_unknown(shape), definition) == pytest.approx(0)


@pytest.mark.parametrize("definition", DEFINITIONS)
@pytest.mark.parametrize("metric", ["sad", "mse", "grad"])  # for conn the whole picture decides what is connected
def test_only_the_unknown_region_counts(metric: str, definition: str) -> None:
    trimap = np.full((24, 24), 255, np.uint8)
    trimap[0, 0] = 128
    gt = np.random.default_rng(0).random((24, 24), np.float32)
    pred = gt.copy()
    pred[8:, 8:] = gt[8:, 8:][::-1]
    assert METRICS[metric](pred, gt, trimap, definition) == 0
    assert METRICS[metric](pred, gt, _all_unknown((24, 24)), definition) > 0


@pytest.mark.parametrize("definition", DEFINITIONS)
@pytest.mark.parametrize("metric", METRICS)
def test_an_empty_unknown_region_scores_zero(metric: str, definition: str) -> None:
    known = np.full((3, 3), 255, np.uint8)
    assert METRICS[metric](_uniform(1, (3, 3)), _uniform(0, (3, 3)), known, definition) == 0.0


def test_every_metric_has_a_heading() -> None:
    assert list(METRICS) == list(HEADINGS)


@given(st.integers(0, 2**32 - 1), st.sampled_from(DEFINITIONS))
def test_symmetric_and_bounded(seed: int, definition: str) -> None:
    generator = np.random.default_rng(seed)
    pred, gt = generator.random((2, 6, 7), np.float32)
    trimap = generator.choice(np.array([0, 128, 255], np.uint8), (6, 7))
    unknown = int((trimap == 128).sum())
    for metric in METRICS.values():
        assert metric(pred, gt, trimap, definition) == pytest.approx(metric(gt, pred, trimap, definition))
        assert metric(gt, gt, trimap, definition) == 0
    assert 0 <= sad(pred, gt, trimap) * 1000 <= unknown
    assert 0 <= conn(pred, gt, trimap, definition) * 1000 <= unknown + 1e-6
    assert mse(pred, gt, trimap) * unknown <= sad(pred, gt, trimap) * 1e6 + 1e-9
