"""``diffmatte evaluate``: how far predicted mattes are from the true ones."""

import json
import sys
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated

import typer

from ..console import warn
from ..errors import ImageError
from ..pairs import Pair, pair
from .options import VerboseOption

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.table import Table

__all__ = ["evaluate"]

Scores = dict[str, float]


def evaluate(
    pred: Annotated[Path, typer.Argument(metavar="PRED", help="A predicted alpha, or a folder of them.")],
    gt: Annotated[Path, typer.Argument(metavar="GT", help="The true alpha, or a folder of them.")],
    trimap: Annotated[
        Path,
        typer.Option("--trimap", metavar="TRIMAP", help="The trimap, or a folder of them; its unknown pixels count."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    verbose: VerboseOption = False,
) -> None:
    """Score mattes: SAD in thousands and MSE times 1000, over the unknown region.

    In folders, pictures are matched by name; x_alpha.png and x_trimap.png go with x.png.
    """
    scores = {entry.name: _score(entry) for entry in pair(pred, gt, trimap)}
    mean = {metric: fmean(score[metric] for score in scores.values()) for metric in ("sad", "mse")}
    if as_json:
        pictures = [{"name": name, **score} for name, score in scores.items()]
        sys.stdout.write(json.dumps({"mean": mean, "pictures": pictures}, indent=2) + "\n")
    else:
        _print_table(scores, mean)


def _score(entry: Pair) -> Scores:
    from ..images import read_grey
    from ..metrics import mse, sad
    from ..trimap import UNKNOWN, parse_trimap

    pred, gt, trimap = (read_grey(path).levels for path in (entry.pred, entry.gt, entry.trimap))
    _check_sizes(entry, pred, gt, trimap)
    classes = parse_trimap(trimap)
    if not (classes == UNKNOWN).any():
        warn(f"{entry.trimap} has no unknown region, so {entry.name} counts as without error")
    return {"sad": sad(pred, gt, classes), "mse": mse(pred, gt, classes)}


def _check_sizes(entry: Pair, *levels: "NDArray[np.float32]") -> None:
    paths = (entry.pred, entry.gt, entry.trimap)
    if len({picture.shape for picture in levels}) > 1:
        sizes = [f"{path} is {grey.shape[1]}x{grey.shape[0]}" for path, grey in zip(paths, levels, strict=True)]
        raise ImageError(f"sizes differ: {', '.join(sizes)}")


def _print_table(scores: dict[str, Scores], mean: Scores) -> None:
    from rich.console import Console

    # Wide enough for any name where nobody reads on a screen; a terminal's own width otherwise.
    width = None if sys.stdout.isatty() else 200
    Console(highlight=False, width=width).print(_table(scores, mean))


def _table(scores: dict[str, Scores], mean: Scores) -> "Table":
    from rich.table import Table
    from rich.text import Text

    from ..console import printable

    table = Table("picture", show_footer=len(scores) > 1)
    table.columns[0].footer, table.columns[0].overflow = f"mean of {len(scores)}", "fold"
    for heading, metric in (("SAD /1000", "sad"), ("MSE x1000", "mse")):
        table.add_column(heading, footer=f"{mean[metric]:.3f}", justify="right", no_wrap=True)
    for name, score in scores.items():
        table.add_row(Text(printable(name)), f"{score['sad']:.3f}", f"{score['mse']:.3f}")
    return table
