"""``diffmatte review``: one page to browse the results of a batch and find the bad ones."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..console import fail, say, say_nothing, warn
from ..errors import UsageError
from ..progress import Progress
from ..storage.paths import STREAM, location
from ..storage.remotes import LOCAL, is_url
from ..storage.streams import check_output
from . import options as opt

if TYPE_CHECKING:
    from ..review import Gathered, Summary

__all__ = ["review"]

# At most so many unreadable images are listed; the page names all.
_MOST_TOLD = 20

ReportsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--report",
        metavar="FILE",
        help="A report of the run, .jsonl or .csv, with photographs, trimaps, risks and failures; can be"
        " repeated. Default: those in DIR, whose pictures are read in DIR and --photos alone.",
        show_default=False,
    ),
]
PhotosOption = Annotated[
    str | None,
    typer.Option(
        "--photos",
        metavar="DIR",
        help="Folder or URL of photographs: those that reports name there are read, others matched by name.",
    ),
]
TrimapsOption = Annotated[
    str | None,
    typer.Option(
        "--trimap",
        metavar="TRIMAP",
        help="With --photos: their trimaps, a folder, a pattern with {stem}, or alpha, as for matte.",
    ),
]


def review(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="The folder of results, with its subfolders.")],
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="FILE", help="The page; - for standard output.")
    ] = "review.html",
    report: ReportsOption = None,
    photos: PhotosOption = None,
    trimap: TrimapsOption = None,
    full: Annotated[
        int, typer.Option("--full", metavar="N", help="How many of the worst results to include at full size.")
    ] = 24,
    overwrite: opt.OverwriteOption = True,
    quiet: opt.QuietOption = False,
    verbose: opt.VerboseOption = False,
) -> None:
    """Make a page to browse results: one file that any browser opens offline.

    The worst come first. Exit code 1 if an image could not be read; the page is written all the same.
    """
    if full < 0:
        raise UsageError(f"--full must be 0 or more, not {full}")
    results, target = _file(folder, "the folder of results"), _file(output, "the page")
    reports = [_file(text, "the report") for text in report or ()]
    photographs = None if photos is None else location(photos)
    if trimap is not None:
        location(trimap)
    if target == STREAM:
        check_output()

    from ..review import check_target, find_entries, write_page

    if target != STREAM:
        check_target(target, overwrite=overwrite)
    gathered = find_entries(results, reports, photographs, trimap)
    for text in gathered.warnings:
        warn(text)
    if not quiet:
        _tell_gaps(gathered, results)
    stream = sys.stdout.buffer if target == STREAM else target
    with Progress("reading", shown=not quiet) as progress:
        summary = write_page(gathered.entries, results, stream, full=full, overwrite=overwrite, began=progress.advance)
    _tell_end(summary, target, quiet)


def _file(text: str, what: str) -> Path:
    """Return the path of an argument; raises UsageError if it is empty or a remote URL."""
    if is_url(text) and not text.startswith(tuple(f"{scheme}://" for scheme in LOCAL)):
        raise UsageError(f"{what} {text} is a URL, and review reads local files only: copy it to this machine first")
    return location(text)


def _tell_gaps(gathered: "Gathered", folder: Path) -> None:
    """Say what the page will lack, and which options would supply it."""
    entries = gathered.entries
    if gathered.outside:
        warn(f"{gathered.outside} rows of reports are about results outside {folder}, and are ignored")
    if gathered.strangers:
        warn(f"{gathered.strangers} images are neither named like results nor in a report, and are ignored")
    if gathered.kept_out:
        warn(
            f"{gathered.kept_out} pictures that reports name are not read, as they are neither in {folder} nor in"
            " --photos: name their folder or URL with --photos, or a report of your own, for its files, with --report"
        )
    wanting = {
        "photographs (--report FILE or --photos DIR)": sum(entry.image is None for entry in entries),
        "trimaps (--report FILE or --photos with --trimap; those of masks are kept by --trimap-output)": sum(
            entry.trimap is None and not entry.own_alpha for entry in entries
        ),
        "risks (--report FILE of a run that measured them)": sum(
            entry.risk is None and entry.failure is None for entry in entries
        ),
    }
    if missing := [f"{count} {what}" for what, count in wanting.items() if count]:
        say(f"of {len(entries)} results are missing: {', '.join(missing)}")


def _tell_end(summary: "Summary", target: Path, quiet: bool) -> None:
    for problem in summary.problems[:_MOST_TOLD]:
        fail(problem)
    if len(summary.problems) > _MOST_TOLD:
        say(f"{len(summary.problems) - _MOST_TOLD} more images could not be read: see the page")
    tell = say_nothing if quiet else say
    place = "standard output" if target == STREAM else os.fspath(target)
    tell(f"{place}: {summary.entries} results by {summary.order}, {summary.size / 1e6:.1f} MB")
    if summary.problems:
        raise typer.Exit(1)
