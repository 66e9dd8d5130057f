"""What plots show: the error's sign and region, the worst of the mattes, every metric's own curve, bounded sheets."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from diffmatte_cli.evaluation import plots
from diffmatte_cli.evaluation.options import HEADINGS, ScoreOptions
from diffmatte_cli.evaluation.plots import DPI, FULL_ERROR, SHEET, TITLES, Gallery
from diffmatte_cli.evaluation.scores import Evaluation, Trial

SCORES = {"sad": 1.0, "mse": 2.0}


def _trial(name: str = "cat", shape: tuple[int, int] = (4, 6)) -> Trial:
    """Make a matte that is 0.3 too opaque in its upper and 0.1 too clear in its lower half; the left half is known."""
    gt = np.full(shape, 0.5, np.float32)
    pred = gt.copy()
    pred[: shape[0] // 2] += np.float32(0.3)
    pred[shape[0] // 2 :] -= np.float32(0.1)
    trimap = np.full(shape, 128, np.uint8)
    trimap[:, : shape[1] // 2] = 255
    return Trial(name, pred, gt, trimap, np.full((*shape, 3), 200, np.uint8))


def _gallery(*trials: Trial, region: str = "unknown", most: int = 8) -> Gallery:
    gallery = Gallery(ScoreOptions(("sad", "mse"), region), most)
    for number, trial in enumerate(trials):
        gallery.add(trial, {"sad": float(number), "mse": 0.0})
    return gallery


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> dict[str, Figure]:
    """Keep figures by name instead of writing them."""
    kept: dict[str, Figure] = {}
    monkeypatch.setattr(plots, "_save", lambda figure, path, dpi=DPI: kept.update({path.name: figure}))
    return kept


@pytest.mark.parametrize(("region", "known"), [("unknown", (0.0, 0.0)), ("image", (0.3, -0.1))])
def test_the_error_is_prediction_less_truth_where_that_counts(region: str, known: tuple[float, float]) -> None:
    (exhibit,) = _gallery(_trial(), region=region).worst
    expected = [[known[0]] * 3 + [0.3] * 3] * 2 + [[known[1]] * 3 + [-0.1] * 3] * 2
    np.testing.assert_allclose(exhibit.panels["error"], expected, atol=1e-6)
    assert list(exhibit.panels) == list(TITLES)
    np.testing.assert_array_equal(exhibit.panels["pred"], _trial().pred)
    np.testing.assert_array_equal(exhibit.panels["gt"], _trial().gt)


def test_the_worst_are_kept_in_order_and_share_a_sheet(figures: dict[str, Figure]) -> None:
    gallery = _gallery(*(_trial(name) for name in ("a", "b", "c", "d")), most=3)
    assert [exhibit.name for exhibit in gallery.worst] == ["d", "c", "b"]
    gallery.draw(Path("plots"), {None: Evaluation({"a": SCORES})})
    assert list(figures) == ["d_error.png", "c_error.png", "b_error.png", "worst.png", "pictures.png"]
    for name, rows in (("d_error.png", 1), ("worst.png", 3)):
        texts = [text.get_text() for axes in figures[name].axes for text in axes.texts]
        assert [text.partition(":")[0] for text in texts] == ["d", "c", "b"][:rows]
        assert sum(bool(axes.images) for axes in figures[name].axes) == rows * len(TITLES)


def test_every_panel_has_the_scale_that_its_numbers_mean(figures: dict[str, Figure]) -> None:
    _gallery(_trial()).draw(Path("plots"), {None: Evaluation({"a": SCORES})})
    limits = [image.get_clim() for axes in figures["worst.png"].axes for image in axes.images]
    assert limits == [(0, 255), (0, 255), (0, 1), (0, 1), (-FULL_ERROR, FULL_ERROR)]
    assert [axes.get_title() for axes in figures["worst.png"].axes][:5] == list(TITLES.values())


def test_every_metric_has_its_own_curve_and_bars(figures: dict[str, Figure]) -> None:
    tried = {5: {"sad": 1.0, "mse": 30.0}, 1: {"sad": 2.0, "mse": 50.0}, 10: {"sad": 4.0, "mse": 20.0}}
    found = {steps: Evaluation({"a": scores, "b": scores}) for steps, scores in tried.items()}
    _gallery(_trial()).draw(Path("plots"), found)
    for axes, metric in zip(figures["steps.png"].axes, ("sad", "mse"), strict=True):
        (line,) = axes.lines
        assert axes.get_title() == HEADINGS[metric]
        assert list(line.get_xdata()) == [1, 5, 10]
        assert list(line.get_ydata()) == [tried[steps][metric] for steps in (1, 5, 10)]
    for axes, metric in zip(figures["pictures.png"].axes, ("sad", "mse"), strict=True):
        assert [bar.get_width() for bar in axes.patches] == [tried[10][metric]] * 2


@pytest.mark.parametrize("shape", [(3000, 4), (4, 3000), (600, 400), (1, 1)])
def test_no_shape_of_picture_makes_a_sheet_without_end(shape: tuple[int, int], figures: dict[str, Figure]) -> None:
    """Warnings, as of a layout that does not fit, are errors here."""
    name = "a long name " * 10
    _gallery(_trial(name, shape)).draw(Path("plots"), {None: Evaluation({name: SCORES})})
    for figure in figures.values():
        figure.draw_without_rendering()
        assert all(0.5 < side < 20 for side in figure.get_size_inches())


def test_nor_do_many_pictures() -> None:
    many = _gallery(*(_trial(str(number), (400, 40)) for number in range(100)), most=100)
    assert SHEET <= plots._panels(many.worst).get_size_inches()[1] <= SHEET + 1


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("shape", [(600, 400), (200, 400), (900, 200)])
def test_no_caption_is_cut_or_lies_on_a_panel(shape: tuple[int, int], count: int) -> None:
    figure = plots._panels(_gallery(*(_trial(f"{number} gyp", shape) for number in range(count))).worst)
    figure.draw_without_rendering()
    captions = [text.get_window_extent() for axes in figure.axes for text in axes.texts]
    panels = [image.get_window_extent() for axes in figure.axes for image in axes.images]
    assert len(captions) == count
    assert min(caption.y0 for caption in captions) >= 2
    assert not any(caption.overlaps(panel) for caption in captions for panel in panels)
