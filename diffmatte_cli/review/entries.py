"""Find what is to be reviewed: each result with its photograph, its trimap and its row in a report.

Standard library only; no image is opened.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import PlanError, UsageError
from ..imaging.folders import find_alike, images_in
from ..imaging.formats import EXACT_SUFFIXES
from ..planning.leftovers import has_receipt
from ..planning.pairing import STEM, paired
from ..planning.sequences import off_background, remarked, unmarked
from ..planning.sources import ALPHA, Source, gather
from ..storage.paths import Place
from ..storage.remotes import is_remote, is_url
from .reports import ReportRow, merged, reports_in, rows_of

__all__ = ["MARKS", "Entry", "Gathered", "find_entries"]

MARKS = ("alpha", "cutout")
_UNCERTAINTY = "uncertainty"
_STDIN, _STDOUT = "standard input", "standard output"  # as reports spell them


@dataclass(frozen=True)
class Entry:
    """Hold one result to look at.

    Attributes:
        name: its path below the folder of results, without mark and suffix.
        result: the alpha or the cutout.
        image, trimap, uncertainty: the photograph and its other images, if known; they need not exist.
        own_alpha: whether the photograph's own alpha channel is its trimap.
        spelled: the photograph as the report spells it, or as it was found; the result where there is none.
        risk: from the report, higher is worse.
        failure: why its job failed.
    """

    name: str
    result: Path
    image: Path | None = None
    trimap: Path | None = None
    uncertainty: Path | None = None
    own_alpha: bool = False
    spelled: str = ""
    risk: float | None = None
    failure: str | None = None


@dataclass
class Gathered:
    """Hold the entries, the reports, the numbers of images and rows that were left out, and what else is odd.

    ``places`` are those that the user named, where any report may name pictures; ``kept_out`` are elsewhere.
    """

    entries: list[Entry] = field(default_factory=list)
    reports: list[Path] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    strangers: int = 0
    outside: int = 0
    kept_out: int = 0
    warnings: list[str] = field(default_factory=list)

    def picture(self, row: ReportRow, text: str | None) -> Path | None:
        """Return the path of a picture that a report names; None if it may not be read."""
        path = row.picture(text, self.places)
        self.kept_out += path is None and text is not None
        return path


def find_entries(
    folder: Path, reports: Sequence[Path] = (), photos: Path | None = None, trimap: str | None = None
) -> Gathered:
    """Find the results in a folder and below it, and the jobs of reports that failed to make one.

    Without ``reports`` those in the folder itself are read, and their pictures if they lie there or in ``photos``.
    ``photos`` and ``trimap`` match what no report mentions by name, by the rules of ``sources.paired``.

    Raises:
        UsageError: the folder, a report or the photographs cannot be used, or there is nothing to show.
    """
    top = Place(folder)
    if top.kind != "folder":
        raise UsageError(f"the folder of results {folder} does not exist, or is none")
    if trimap is not None and photos is None:
        raise UsageError("trimaps go with photographs: name their folder, too", "trimap", "photos")
    gathered = Gathered(reports=list(reports) or reports_in(folder))
    rows = _rows(gathered, top, trusted=bool(reports))
    sources = _sources(photos, trimap, top, gathered)
    results = _results(gathered, top, rows)
    photographs = find_alike(sources, [_place_of(result, folder) for result, _ in results])
    for name, (result, row) in zip(_names([path for path, _ in results], folder), results, strict=True):
        source = photographs.get(_place_of(result, folder))
        gathered.entries.append(_entry(gathered, name, result, row, source, trimap))
    if not gathered.entries:
        marks = " or ".join(f"NAME_{mark}.png" for mark in MARKS)
        raise UsageError(
            f"the folder {folder} holds no results: files named like {marks}, or told of by a report", "report"
        )
    return gathered


def _rows(gathered: Gathered, folder: Place, *, trusted: bool) -> dict[str, ReportRow]:
    """Return the rows of all reports by the real path of their result; a later one stands for an earlier."""
    rows: dict[str, ReportRow] = {}
    for report in gathered.reports:
        for row in rows_of(report, folder, trusted=trusted):
            elsewhere = row.output == _STDOUT or is_url(row.output)
            place = folder if elsewhere else folder.at(row.path(row.output))
            if place.target != folder.target and place.is_inside(folder):
                rows[place.target] = merged(rows.get(place.target), row)
            else:
                gathered.outside += 1
    return rows


def _sources(photos: Path | None, trimap: str | None, folder: Place, gathered: Gathered) -> dict[str, Source]:
    """Return photographs, with their trimaps where there are any, by their place below their folder."""
    gathered.places = [folder]
    if photos is None:
        return {}
    trimaps = None if trimap in (None, ALPHA) else folder.named(trimap)
    if trimaps is not None and STEM not in trimaps.text and trimaps.kind != "folder":
        raise UsageError(f"the trimap {trimap} must be a folder, a pattern with {STEM}, or {ALPHA}", "trimap")
    place = folder.named(str(photos) if is_remote(photos) else os.path.join(".", photos)).found
    gathered.places += [place] if trimaps is None or STEM in trimaps.text else [place, trimaps]
    found = gather([place], recursive=True, except_in=folder)
    gathered.warnings += found.warnings
    if found.problems:
        raise PlanError(found.problems)
    sources = {str(source.relative): source for source in reversed(found.found)}
    if trimaps is not None:
        sources |= {str(source.relative): source for source in reversed(paired(found, trimaps).found)}
    return sources


def _results(gathered: Gathered, folder: Place, rows: dict[str, ReportRow]) -> list[tuple[Path, ReportRow | None]]:
    """List the results that are there, then those that a report tells of and that are not, each with its row."""
    found = {place.path: place for place in images_in(folder, recursive=True)}
    images = {
        path: place.target
        for path, place in found.items()
        if path.suffix.lower() in EXACT_SUFFIXES or off_background(path.stem) or place.target in rows
    }
    told = {path: rows.get(target) for path, target in images.items()}
    marks = {path: unmarked(path.stem, (*MARKS, _UNCERTAINTY))[1] for path in images}
    uncertain = {path for path in images if marks[path] == _UNCERTAINTY}
    beside = _others(images, rows)
    beside |= {_beside(path, "alpha") for path in images if told[path] or marks[path] == "cutout"}
    results = [path for path in images if told[path] or (marks[path] in MARKS and path not in beside)]
    composites = {path for path in images if marks[path] is None and not told[path] and path not in beside}
    composites = {path for path in composites if off_background(path.stem) and has_receipt(found[path])}
    shown = {(path.parent, _unmarked(path)) for path in results}
    results += [path for path in composites if (path.parent, _unmarked(path)) not in shown]
    beside |= composites
    gathered.strangers = len(set(images) - set(results) - uncertain - beside)
    there = {images[path] for path in results}
    missing = [
        (folder.path / os.path.relpath(target, folder.target), row)
        for target, row in rows.items()
        if target not in there
    ]
    return [(path, told[path]) for path in results] + missing


def _others(images: dict[Path, str], rows: dict[str, ReportRow]) -> set[Path]:
    """Return the images that reports call the alpha or the composite beside another result."""
    named = ((row, text) for row in rows.values() for text in (row.alpha, row.composite) if text and not is_url(text))
    targets = {os.path.realpath(row.path(text)) for row, text in named}
    return {path for path, target in images.items() if target in targets}


def _entry(
    gathered: Gathered, name: str, result: Path, row: ReportRow | None, source: Source | None, trimap: str | None
) -> Entry:
    """Make an entry; a photograph that the report mentions and that is gone is looked for by its name."""
    beside = _beside(result, _UNCERTAINTY)
    entry = Entry(name, result, uncertainty=beside if os.path.lexists(beside) else None, spelled=str(result))
    if source is not None:
        own_alpha = trimap == ALPHA
        found = None if source.trimap is None else source.trimap.path
        entry = replace(entry, image=source.image.path, trimap=found, own_alpha=own_alpha, spelled=str(source.image))
    return entry if row is None else _told(gathered, entry, row)


def _told(gathered: Gathered, entry: Entry, row: ReportRow) -> Entry:
    """Return the entry with what its row says."""
    image = gathered.picture(row, None if row.image == _STDIN else row.image)
    trimap = gathered.picture(row, None if row.trimap in ("", ALPHA, _STDIN) else row.trimap) or entry.trimap
    if image is None or (entry.image and not is_remote(image) and not os.path.lexists(image)):
        image, trimap = entry.image, entry.trimap or trimap
    return replace(
        entry,
        image=image,
        trimap=None if row.trimap in (ALPHA, _STDIN) else trimap,
        uncertainty=gathered.picture(row, row.uncertainty) or entry.uncertainty,
        own_alpha=row.trimap == ALPHA,
        spelled=row.image,
        risk=row.risk,
        failure=(row.error or "the job failed") if row.status in ("failed", "unpaired") else None,
    )


def _place_of(result: Path, folder: Path) -> str:
    """Return a result's path below the folder without mark and suffix, as its photograph's in another folder."""
    return str(result.relative_to(folder).parent / _unmarked(result))


def _unmarked(result: Path) -> str:
    name, mark = unmarked(result.stem, MARKS)
    return name if mark else off_background(name) or name


def _beside(result: Path, mark: str) -> Path:
    """Return the path of another image of a result's job."""
    return result.with_name(f"{remarked(result.stem, mark, MARKS)}.png")


def _names(results: list[Path], folder: Path) -> list[str]:
    """Name results by their paths without mark and suffix, or in full where two would share a name."""
    whole = [path.relative_to(folder) for path in results]
    short = [str(path.parent / _unmarked(path)) for path in whole]
    counts = Counter(short)
    return [name if counts[name] == 1 else str(path) for name, path in zip(short, whole, strict=True)]
