"""Score mattes, and collect the scores: means, JSON, CSV."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import fsum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ImageError
from ..storage.cells import cell
from .options import ScoreOptions
from .pairs import Pair

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..imaging.grey import GreyImage

__all__ = ["Evaluation", "Scores", "Trial", "as_csv", "as_json", "check_sizes", "noted", "read_pair", "score"]

Scores = dict[str, float]


@dataclass(frozen=True)
class Trial:
    """Hold a predicted alpha, its ground truth, its trimap and its image.

    ``pred`` and ``gt`` are float32 [H, W] in [0, 1], ``trimap`` is uint8 [H, W] in {0, 128, 255}, 128 all over where
    there is none, and ``image``, if known, uint8 [H, W, 3]. ``notes`` are what is to be told of how files were read:
    each with its predicate, as in ``GreyImage``. ``settled`` says that the trimap left the model nothing to compute.
    """

    name: str
    pred: "NDArray[np.float32]"
    gt: "NDArray[np.float32]"
    trimap: "NDArray[np.uint8]"
    image: "NDArray[np.uint8] | None" = None
    notes: tuple[tuple[Path, str], ...] = ()
    settled: bool = False


@dataclass(frozen=True)
class Evaluation:
    """Hold the scores of images by name, in order: the same metrics for all, or none where no pixel counts.

    At least one image has scores.
    """

    images: Mapping[str, Scores]

    @property
    def scored(self) -> Mapping[str, Scores]:
        """The images that have scores."""
        return {name: scores for name, scores in self.images.items() if scores}

    @property
    def mean(self) -> Scores:
        """The mean of each metric over all images that have scores."""
        every = list(self.scored.values())
        return {metric: fsum(scores[metric] for scores in every) / len(every) for metric in every[0]}

    def record(self) -> dict[str, Any]:
        """Return the scores for JSON."""
        mean = self.mean
        empty = dict.fromkeys(mean)
        return {"mean": mean, "pictures": [{"name": name, **(found or empty)} for name, found in self.images.items()]}


def read_pair(pair: Pair) -> Trial:
    """Read a prediction, its ground truth and its trimap; without a trimap all is unknown.

    Raises ImageError for a file that cannot be read, and where sizes differ.
    """
    import numpy as np

    from ..imaging.grey import read_grey, read_matte
    from ..trimaps.trimap import UNKNOWN, parse_trimap

    greys = {path: read_matte(path) for path in (pair.pred, pair.gt)}
    greys |= {} if pair.trimap is None else {pair.trimap: read_grey(pair.trimap)}
    check_sizes({path: grey.levels.shape for path, grey in greys.items()})
    pred, gt = greys[pair.pred].levels, greys[pair.gt].levels
    trimap = np.full(gt.shape, UNKNOWN, np.uint8) if pair.trimap is None else parse_trimap(greys[pair.trimap].levels)
    return Trial(pair.name, pred, gt, trimap, notes=noted(greys))


def noted(greys: "Mapping[Path, GreyImage]") -> tuple[tuple[Path, str], ...]:
    """Return the notes of how files were read, for ``Trial``."""
    return tuple((path, note) for path, grey in greys.items() for note in grey.notes)


def check_sizes(shapes: Mapping[Path, tuple[int, ...]]) -> None:
    """Raise ImageError that names the files, unless all have the same height and width."""
    if len(set(shapes.values())) > 1:
        raise ImageError(f"sizes differ: {', '.join(f'{path} is {w}x{h}' for path, (h, w) in shapes.items())}")


def score(trial: Trial, options: ScoreOptions) -> Scores:
    """Return the metrics of a matte by name; none without a pixel that counts."""
    import numpy as np

    from ..trimaps.trimap import UNKNOWN
    from .metrics import METRICS

    counted = trial.trimap if options.region == "unknown" else np.full_like(trial.trimap, UNKNOWN)
    if not (counted == UNKNOWN).any():
        return {}
    return {name: METRICS[name](trial.pred, trial.gt, counted, options.definition) for name in options.metrics}


def as_json(record: Mapping[str, Any]) -> str:
    """Return a record as JSON text."""
    return json.dumps(record, indent=2) + "\n"


def as_csv(evaluations: Mapping[int | None, Evaluation]) -> str:
    """Return a row for each image and a last one called mean, for each number of steps; None has no such column."""
    with_steps = None not in evaluations
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for number, (steps, found) in enumerate(evaluations.items()):
        if number == 0:
            writer.writerow(["name", *["steps"] * with_steps, *found.mean])
        for name, scores in [*found.images.items(), ("mean", found.mean)]:
            shown = cell(name).replace("\r", "\\r")  # which is left unquoted, and ends a row for others
            writer.writerow([shown, *[steps] * with_steps, *(scores.get(metric) for metric in found.mean)])
    return text.getvalue()
