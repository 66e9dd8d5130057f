"""Draw where mattes are wrong, as PNG: error maps, the worst cases, every image's score, error against steps.

By matplotlib, the extra ``eval``, in its default style whatever the user's is; the same scores give the same bytes.
"""

import io
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..console import printable
from ..imaging.write import write_file
from ..trimaps.trimap import UNKNOWN
from .options import HEADINGS, ScoreOptions
from .scores import Evaluation, Scores, Trial

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Gallery", "places"]

SIDE = 900  # pixels of the longest side of what is kept of an image
FULL_ERROR = 0.5  # from here on errors have the scale's full colour
MOST_BARS = 60  # images with a bar each; of more, a histogram is drawn
DPI, FINE = 100, 250  # pixels an inch, of most plots and of one image's own
PANEL, GAP, CAPTION = 3.0, 0.15, 0.25  # inches: a panel's width, around each row, and for what stands below the last
# A panel's height by its width, from and to; an image that is longer has blank sides. A sheet's height in inches.
LEAST, MOST, SHEET = 0.5, 4.0, 200.0
LONGEST = 40  # letters of a name
WORST, PICTURES, STEPS = "worst.png", "pictures.png", "steps.png"
TITLES = {"image": "photograph", "trimap": "trimap", "pred": "prediction", "gt": "truth", "error": "error"}


@dataclass(frozen=True)
class _Exhibit:
    """Keep a scaled-down copy of what is drawn of a trial: ``panels`` by ``TITLES``, the error float32 in [-1, 1]."""

    name: str
    scores: Scores
    panels: Mapping[str, NDArray[Any]]


@dataclass
class Gallery:
    """Collect the ``most`` worst mattes, and draw them.

    The worst have the highest SAD, or the highest of the first metric where SAD is not among them. Memory stays flat:
    images are scaled down.
    """

    options: ScoreOptions
    most: int
    worst: list[_Exhibit] = field(default_factory=list)

    @property
    def by(self) -> str:
        """The metric that images are ordered by."""
        return "sad" if "sad" in self.options.metrics else self.options.metrics[0]

    def add(self, trial: Trial, scores: Scores) -> None:
        """Keep a matte that has scores, unless ``most`` others are worse."""
        if not scores:
            return
        if len(self.worst) < self.most or scores[self.by] > self.worst[-1].scores[self.by]:
            self.worst.append(_Exhibit(trial.name, scores, self._panels(trial)))
            self.worst.sort(key=lambda exhibit: -exhibit.scores[self.by])
            del self.worst[self.most :]

    def _panels(self, trial: Trial) -> dict[str, NDArray[Any]]:
        """Return what is drawn of a trial; the error is prediction minus truth in the scored region, else 0."""
        error = trial.pred - trial.gt
        if self.options.region == "unknown":
            error = np.where(trial.trimap == UNKNOWN, error, np.float32(0))
        named = {"image": trial.image, "trimap": trial.trimap, "pred": trial.pred, "gt": trial.gt, "error": error}
        return {name: _reduced(image) for name, image in named.items() if image is not None}

    def draw(self, folder: Path, evaluations: Mapping[int | None, Evaluation]) -> None:
        """Write all plots into a folder, which is made; the worst are of the last of the ``evaluations`` by steps.

        These are NAME_error.png and worst.png, pictures.png, and steps.png where several numbers of steps were tried.
        Raises OutputError.
        """
        import matplotlib

        *_, last = evaluations.values()
        with matplotlib.rc_context(matplotlib.rcParamsDefault), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph")  # a name with letters that the font lacks
            for exhibit in self.worst:
                _save(_panels([exhibit]), folder / _error_map(exhibit.name), FINE)
            _save(_panels(self.worst), folder / WORST)
            _save(_images(last, self.by), folder / PICTURES)
            if len(evaluations) > 1:
                _save(_curves(evaluations), folder / STEPS)


def _error_map(name: str) -> str:
    return f"{name}_error.png"


def places(folder: Path, names: Iterable[str]) -> list[Path]:
    """Return all files that may be drawn in a folder for images of these names."""
    return [folder / name for name in (WORST, PICTURES, STEPS, *map(_error_map, names))]


def _reduced(image: NDArray[Any]) -> NDArray[Any]:
    """Average an image down to at most ``SIDE`` pixels a side."""
    reduced = Image.fromarray(image)
    reduced.thumbnail((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=None)
    return np.asarray(reduced)


def _plain(text: str) -> str:
    """Return a name for a plot: without control characters and formulas, and shortened in the middle."""
    text = printable(text)
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]}…{text[1 - LONGEST // 2 :]}"
    return text.replace("$", r"\$")


def _figure(
    width: float, heights: list[float], columns: int, row_gap: float = 0.04, below: float = 0.0
) -> "tuple[Figure, Any]":
    """Return a figure of a size in inches, with a margin ``below`` its rows, and its axes [rows, columns]."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    height = sum(heights) + below
    share = below / height
    layout = ConstrainedLayoutEngine(h_pad=row_gap, rect=(0, share, 1, 1 - share))
    figure = Figure(figsize=(width, height), layout=layout)
    return figure, figure.subplots(len(heights), columns, squeeze=False, height_ratios=heights)


def _save(figure: "Figure", path: Path, dpi: int = DPI) -> None:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=dpi, metadata={"Software": None})
    write_file(path, content.getvalue())


def _panels(exhibits: list[_Exhibit]) -> "Figure":
    """Draw a row for each image, with a column for each kind of panel and one scale for the errors."""
    titles = {name: title for name, title in TITLES.items() if name in exhibits[0].panels}
    shapes = [exhibit.panels["gt"].shape for exhibit in exhibits]
    heights = [PANEL * min(max(height / width, LEAST), MOST) + 0.4 for height, width in shapes]
    reduced = min(1.0, SHEET / sum(heights))
    figure, axes = _figure(PANEL * len(titles) + 1, [reduced * height for height in heights], len(titles), GAP, CAPTION)
    shown: Any = None
    for row, exhibit in zip(axes, exhibits, strict=True):
        for place, name in zip(row, titles, strict=True):
            place.set_axis_off()
            shown = _show(place, name, exhibit.panels[name])
        figures = ", ".join(f"{HEADINGS[metric]} {value:.2f}" for metric, value in exhibit.scores.items())
        row[0].annotate(
            f"{_plain(exhibit.name)}: {figures}",
            (0, 0),
            (0, -4),
            va="top",
            xycoords="axes fraction",
            textcoords="offset points",
            annotation_clip=False,
            in_layout=False,
        )
    for place, title in zip(axes[0], titles.values(), strict=True):
        place.set_title(title)
    figure.colorbar(shown, ax=axes[:, -1], extend="both", label="prediction minus truth", shrink=0.9, aspect=25)
    return figure


def _show(axes: Any, name: str, image: NDArray[Any]) -> Any:
    if name == "error":
        return axes.imshow(image, cmap="RdBu_r", vmin=-FULL_ERROR, vmax=FULL_ERROR, interpolation="nearest")
    return axes.imshow(image, cmap="gray", vmin=0, vmax=255 if image.dtype == np.uint8 else 1)


def _images(evaluation: Evaluation, by: str) -> "Figure":
    """Draw each metric of every image: a bar for each, the worst first, or a histogram of many."""
    worst_first = sorted(evaluation.scored.items(), key=lambda item: -item[1][by])
    metrics, many = list(evaluation.mean), len(worst_first) > MOST_BARS
    figure, axes = _figure(4 * len(metrics), [4.0 if many else 1 + 0.18 * len(worst_first)], len(metrics))
    for place, metric in zip(axes[0], metrics, strict=True):
        values = [scores[metric] for _, scores in worst_first]
        if many:
            place.hist(values, bins=30)
            place.set_ylabel("images")
        else:
            place.barh(range(len(values)), values)
            place.set_yticks(range(len(values)), [_plain(name) for name, _ in worst_first], fontsize=7)
            place.invert_yaxis()
        place.axvline(evaluation.mean[metric], color="black", linewidth=1)
        place.set_xlabel(f"{HEADINGS[metric]} (line: mean {evaluation.mean[metric]:.2f})", fontsize=8)
    return figure


def _curves(evaluations: Mapping[int | None, Evaluation]) -> "Figure":
    """Draw the mean of each metric against the number of steps, as Fig. 5 does."""
    means = {steps: evaluation.mean for steps, evaluation in evaluations.items() if steps is not None}
    steps = sorted(means)
    metrics = list(means[steps[0]])
    figure, axes = _figure(3.2 * len(metrics), [3.0], len(metrics))
    for place, metric in zip(axes[0], metrics, strict=True):
        values = [means[count][metric] for count in steps]
        place.plot(steps, values, marker="o")
        # A tenth of the error at least, so that a tiny difference does not look large.
        middle, half = (max(values) + min(values)) / 2, max(0.6 * (max(values) - min(values)), 0.05 * max(values))
        place.set_ylim(middle - (half or 1), middle + (half or 1))
        place.set_xticks(steps)
        place.set_xlabel("sampling steps T", fontsize=8)
        place.set_title(HEADINGS[metric], fontsize=9)
    return figure
