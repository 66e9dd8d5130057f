"""``diffmatte check``: find problems in photographs and trimaps before anything is computed."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..console import masked, say, warn
from ..errors import DiffmatteError, OutputError, PlanError, Problem, UsageError
from ..model.recognising import config_of
from ..planning.manifest import read_manifest
from ..planning.naming import check_folder
from ..planning.pairing import paired
from ..planning.sources import Source, Sources, gather
from ..planning.targets import Targets
from ..settings import Computing, Sampling
from ..storage.paths import Place, location, spelled
from ..storage.streams import check_input
from ..weights.store import file_or_variant
from . import options as opt
from .records import warn_without_effect

if TYPE_CHECKING:
    from ..benchmark.estimates import Estimate, Estimator
    from ..trimaps.doctor import Diagnosis

__all__ = ["check"]

FixOption = Annotated[
    Path | None,
    typer.Option(
        "--fix",
        metavar="DIR",
        parser=location,
        help="Write all usable trimaps, repaired where needed, to a folder for --trimap.",
    ),
]


def check(
    context: typer.Context,
    inputs: opt.InputsArgument = None,
    trimap: opt.TrimapOption = None,
    manifest: opt.ManifestOption = None,
    layer: opt.LayerOption = None,
    channel: opt.ChannelOption = None,
    recursive: opt.RecursiveOption = False,
    fix: FixOption = None,
    estimate: Annotated[
        bool,
        typer.Option("--estimate", help="Also estimate memory and seconds on this machine, from a small test run."),
    ] = False,
    model: opt.ModelOption = "tiny",
    steps: opt.StepsOption = Sampling.steps,
    device: opt.OneDeviceOption = "auto",
    memory: opt.MemoryOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    verbose: opt.VerboseOption = False,
) -> None:
    """Check photographs and trimaps: levels, sizes, shares, inversion, JPEG noise, the unknown band's width.

    Exit code 0 if there are no problems, or --fix has repaired all of them, 1 otherwise. --model, --steps, --device
    and --memory are for --estimate.
    """
    sources = _sources(inputs, trimap, manifest, recursive, fix)
    estimator = _estimator(context, model, device, Computing(memory=memory), Sampling(steps)) if estimate else None
    findings = [_checked(source, layer, channel, fix, estimator) for source in sources]
    if as_json:
        sys.stdout.write(masked(json.dumps([row.as_json() for row in findings], indent=2)) + "\n")
    else:
        _print_table(findings)
    if any(row.is_ill for row in findings):
        raise typer.Exit(1)


@dataclass(frozen=True)
class _Row:
    """One pair's diagnosis for output."""

    source: Source
    width: int = 0
    height: int = 0
    shares: dict[str, float] = field(default_factory=dict)
    findings: list[dict[str, Any]] = field(default_factory=list)
    fixed: Path | None = None
    estimate: "Estimate | None" = None

    @property
    def is_ill(self) -> bool:
        return any(not finding["mended"] for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        return {
            "image": spelled(self.source.image.path, "standard input"),
            "trimap": _spelled_trimap(self.source),
            "width": self.width or None,
            "height": self.height or None,
            "unknown": self.shares.get("unknown"),
            "foreground": self.shares.get("foreground"),
            "background": self.shares.get("background"),
            "memory": self.estimate.bytes if self.estimate else None,
            "seconds": self.estimate.seconds if self.estimate else None,
            "findings": self.findings,
            "fixed": str(self.fixed) if self.fixed else None,
        }


def _spelled_trimap(source: Source) -> str | None:
    if source.trimap is None:
        return None if source.unpaired else "alpha"
    return spelled(source.trimap.path, "standard input")


def _estimator(
    context: typer.Context, model: str, device: str, computing: Computing, sampling: Sampling
) -> "Estimator":
    weights = file_or_variant(model)
    if not isinstance(weights, Path):
        warn(f"the weights of {model} are not on disk, so random ones are timed")
    warn_without_effect(context, config_of(weights))

    from ..benchmark.bench import Case
    from ..benchmark.estimates import Estimator
    from ..inference.matter import pick_device

    return Estimator(Case(weights, str(pick_device(device)), computing, sampling))


def _sources(
    inputs: list[str] | None, trimap: str | None, manifest: Path | None, recursive: bool, fix: Path | None
) -> list[Source]:
    here = Place(Path())
    folder = None if fix is None else here.at(fix)
    if manifest is None:
        found = gather([here.named(text).found for text in inputs or ()], recursive=recursive, except_in=folder)
        sources = paired(found, None if trimap is None else here.named(trimap))
    elif inputs or trimap is not None:
        raise UsageError("a --manifest already names photographs and trimaps: omit the inputs and --trimap")
    else:
        sources = read_manifest(here.at(manifest), folder)
    problems = list(sources.problems)
    if folder is not None:
        problems += _fix_problems(sources, folder)
    if problems:
        raise PlanError(problems)
    if any(place.is_stream for source in sources.found for place in (source.image, source.trimap) if place):
        check_input()
    for text in sources.warnings:
        warn(text)
    return sources.found + sources.unpaired


def _fix_problems(sources: Sources, folder: Place) -> Iterator[Problem]:
    try:
        check_folder(folder, "the repaired trimaps need a folder", "fix")
    except UsageError as error:
        yield error
        return
    inputs = (place for source in sources.found for place in (source.image, source.trimap))
    targets = Targets(folder, inputs, sources.folders)
    if targets.holds_inputs(folder):
        yield f"--fix {folder} also contains inputs: name another folder"
        return
    for source in sources.found:
        yield from targets.add(folder / _fixed_name(source), spelled(source.image.path, "standard input"))
    yield from targets.nested()


def _fixed_name(source: Source) -> Path:
    return source.relative.parent / f"{source.relative.name}.png"


def _checked(
    source: Source, layer: str | None, channel: str | None, fix: Path | None, estimator: "Estimator | None"
) -> _Row:
    """Check one pair, and write its repaired trimap if asked."""
    from ..imaging.grey import decode_grey, decode_opacity
    from ..imaging.read import decode_image
    from ..storage.reading import read_bytes
    from ..trimaps.doctor import examine

    if source.unpaired is not None:
        return _Row(source, findings=[_finding("no-trimap", source.unpaired)])
    try:
        image, trimap = source.image.path, source.trimap
        content = read_bytes(image)
        photo = decode_image(content, image, layer=layer)
        if trimap is None:
            grey = decode_opacity(content, image, layer, channel)
        else:
            grey = decode_grey(read_bytes(trimap.path), trimap.path, channel)
    except DiffmatteError as error:
        return _Row(source, findings=[_finding("unreadable", str(error))])
    height, width = photo.pixels.shape[:2]
    if grey is None:
        return _Row(source, width, height, findings=[_finding("no-alpha", "the photograph has no alpha channel")])
    diagnosis = examine(photo, grey)
    unwritten, fixed = [], None
    try:
        fixed = _write(source, fix, diagnosis) if fix is not None else None
    except OutputError as error:
        unwritten = [_finding("unwritten", str(error))]
    findings = [_finding(f.code, f.text, f.mended and fixed is not None) for f in diagnosis.findings]
    estimate = None if estimator is None or diagnosis.trimap is None else estimator.of(diagnosis.trimap)
    return _Row(source, width, height, diagnosis.shares, findings + unwritten, fixed, estimate)


def _finding(code: str, text: str, mended: bool = False) -> dict[str, Any]:
    return {"code": code, "text": text, "mended": mended}


def _write(source: Source, folder: Path, diagnosis: "Diagnosis") -> Path | None:
    from ..imaging.encoding import Result
    from ..imaging.write import write_images

    if diagnosis.trimap is None or 1 in (diagnosis.shares["foreground"], diagnosis.shares["background"]):
        return None  # all black or all white is of no use
    path = folder / _fixed_name(source)
    write_images([Result(path, diagnosis.trimap)], folder)
    return path


def _print_table(rows: list[_Row]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ..console import printable

    estimated = any(row.estimate for row in rows)
    table = Table("image", "size", "unknown", *(["memory", "time"] if estimated else []), "findings")
    for row in rows:
        size = f"{row.width}x{row.height}" if row.width else ""
        unknown = f"{row.shares['unknown']:.1%}" if row.shares else ""
        marks = [f"{f['code']}{' (repaired)' if f['mended'] else ''}: {f['text']}" for f in row.findings] or ["ok"]
        name = spelled(row.source.image.path, "standard input")
        need = [f"{e.bytes / 2**30:.1f} GiB", f"{e.seconds:.0f} s"] if (e := row.estimate) else [""] * 2 * estimated
        text = Text("\n".join(map(printable, marks)))
        table.add_row(Text(printable(name), overflow="fold"), size, unknown, *need, text)
    width = None if sys.stdout.isatty() else 200
    Console(highlight=False, width=width).print(table)
    ill = sum(row.is_ill for row in rows)
    say(f"{len(rows)} checked, {ill} with problems")
