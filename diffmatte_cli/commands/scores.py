"""Output of scores: tables, JSON, CSV and plots."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..console import warn
from ..errors import ImageError, PlanError, Problem, UsageError, listed
from ..evaluation.layouts import Example
from ..evaluation.options import HEADINGS, ScoreOptions
from ..evaluation.pairs import Pair
from ..evaluation.scores import Evaluation, Scores, Trial, as_csv, as_json
from ..extras import require
from ..imaging.formats import names_picture
from ..planning.targets import Targets
from ..storage.paths import STREAM, Place

if TYPE_CHECKING:
    from rich.table import Table

    from ..evaluation.plots import Gallery

__all__ = ["ScoreWriter"]


@dataclass
class Remarks:
    """Collect what is to be told of a set of images, to tell each thing once.

    Attributes:
        notes: the files that each note of reading is about.
        unscored: the trimaps that leave nothing to score.
        settled: the trimaps that left the model nothing to compute, and yet something to score.
    """

    notes: dict[str, list[str]] = field(default_factory=dict)
    unscored: list[str] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)

    def add(self, trial: Trial, trimap: Path | None, scores: Scores) -> None:
        """Collect what is to be told of an image."""
        for path, note in trial.notes:
            self.notes.setdefault(note, []).append(str(path))
        if not scores or trial.settled:
            names = self.settled if scores else self.unscored
            names.append(str(trimap or f"the trimap of {trial.name}"))

    def tell(self) -> None:
        """Print it as warnings."""
        for note, names in self.notes.items():
            warn(f"{'each of ' * (len(names) > 1)}{listed(names)} {note}")
        for names, one, several in (
            (self.unscored, "is left out of the mean", "are left out of the mean"),
            (self.settled, "is scored as the matte", "are scored as the mattes"),
        ):
            if names:
                have, what = ("have", several) if len(names) > 1 else ("has", one)
                warn(f"{listed(names)} {have} no unknown region, and {what}")


@dataclass(frozen=True)
class ScoreWriter:
    """Where scores go: JSON, CSV or a table on stdout, a CSV file, a folder of plots of the ``worst`` mattes."""

    as_json: bool = False
    csv: Path | None = None
    plots: Path | None = None
    worst: int = 8

    def __post_init__(self) -> None:
        """Check the options."""
        if self.as_json and self.csv == STREAM:
            raise UsageError("--json and --csv - conflict, as both use standard output: name a file for --csv")
        if self.plots is not None:
            require("eval", "--plots")
        if not 1 <= self.worst <= 100:
            raise UsageError(f"--worst must be from 1 to 100 images, not {self.worst}")

    def check_places(self, entries: Sequence[Pair | Example], output: Path | None, kept: Iterable[Path] = ()) -> None:
        """Refuse outputs that would replace an input, be taken for one, or cannot be written.

        Mattes are ``kept`` in the folder ``output`` or below. Raises PlanError, or OutputError for a CSV in a
        read-only folder.
        """
        here = Place(Path())
        targets = Targets(None, (here.at(path) for entry in entries for path in entry.files))
        problems: list[Problem] = [] if self.csv is None else list(targets.add(here.at(self.csv), "the scores"))
        drawn = self._drawn(entry.name for entry in entries)
        for option, path, paths in (("--plots", self.plots, drawn), ("--output", output, kept)):
            if path is None:
                continue
            targets.folder = folder = here.at(path)
            results = [here.at(path) for path in paths]
            if folder.kind not in (None, "folder") or (folder.kind is None and names_picture(folder.path)):
                problems.append(f"{option} {folder} is not a folder: name one")
            elif any(map(targets.holds_inputs, (folder, *(result.parent for result in results)))):
                problems.append(f"{option} {folder} also contains inputs: name another folder")
            else:
                problems += [problem for result in results for problem in targets.add(result, option)]
        if problems := [*problems, *targets.nested()]:
            raise PlanError(problems)

    def _drawn(self, names: Iterable[str]) -> list[Path]:
        if self.plots is None:
            return []
        from ..evaluation.plots import places

        return places(self.plots, names)

    def gallery(self, options: ScoreOptions) -> "Gallery | None":
        """Return the collector of the worst mattes, if they are plotted."""
        if self.plots is None:
            return None
        from ..evaluation.plots import Gallery

        return Gallery(options, self.worst)

    def write(
        self, evaluations: Mapping[int | None, Evaluation], gallery: "Gallery | None", about: Mapping[str, Any]
    ) -> None:
        """Write everything: evaluations by number of steps, or one under None; ``about`` goes into JSON.

        Scores are printed first, so that a full disk does not lose them. Raises ImageError where there are none.
        """
        if not all(found.scored for found in evaluations.values()):
            raise ImageError(
                "no trimap has an unknown region to score: make them of masks by"
                " `diffmatte trimap`, or give --region image"
            )
        if self.as_json:
            sys.stdout.write(as_json(_record(evaluations, about)))
        elif self.csv == STREAM:
            sys.stdout.write(as_csv(evaluations))
        else:
            _print_table(evaluations)
        sys.stdout.flush()
        if self.csv is not None and self.csv != STREAM:
            from ..imaging.write import write_file

            write_file(self.csv, as_csv(evaluations).encode("utf-8", "surrogateescape"))
        if gallery is not None and self.plots is not None:
            gallery.draw(self.plots, evaluations)


def _record(evaluations: Mapping[int | None, Evaluation], about: Mapping[str, Any]) -> dict[str, Any]:
    *_, last = evaluations.values()
    if None in evaluations:
        return last.record()
    return {**last.record(), "steps": {str(steps): found.record() for steps, found in evaluations.items()}, **about}


def _print_table(evaluations: Mapping[int | None, Evaluation]) -> None:
    from rich.console import Console

    # Wide enough for any name when redirected; a terminal's own width otherwise.
    width = None if sys.stdout.isatty() else 200
    *_, found = evaluations.values()
    Console(highlight=False, width=width).print(_table(found) if len(evaluations) == 1 else _steps_table(evaluations))


def _table(found: Evaluation) -> "Table":
    """Return a row per image, with the mean in the footer."""
    from rich.table import Table
    from rich.text import Text

    from ..console import printable

    table = Table("image", show_footer=len(found.images) > 1)
    table.columns[0].footer, table.columns[0].overflow = f"mean of {len(found.scored)}", "fold"
    means = found.mean
    for metric, mean in means.items():
        table.add_column(HEADINGS[metric], footer=f"{mean:.3f}", justify="right", no_wrap=True)
    for name, scores in found.images.items():
        table.add_row(Text(printable(name)), *(_cells(scores) or ["-"] * len(means)))
    return table


def _steps_table(evaluations: Mapping[int | None, Evaluation]) -> "Table":
    """Return the means, a row per number of steps."""
    from rich.table import Table

    *_, last = evaluations.values()
    table = Table(f"steps, mean of {len(last.scored)}")
    for metric in last.mean:
        table.add_column(HEADINGS[metric], justify="right", no_wrap=True)
    for steps, found in evaluations.items():
        table.add_row(str(steps), *_cells(found.mean))
    return table


def _cells(scores: Scores) -> list[str]:
    return [f"{value:.3f}" for value in scores.values()]
