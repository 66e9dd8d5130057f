"""``diffmatte trimap``: make trimaps from masks, rough cutouts and soft segmentations."""

from pathlib import Path
from typing import Annotated

import typer

from ..console import fail, say, warn
from ..errors import DiffmatteError, FullError, PlanError
from ..imaging.formats import writer_for
from ..planning.naming import results_folder
from ..planning.sequences import frame_path
from ..planning.sources import Source, gather
from ..planning.targets import Targets, painted
from ..storage.paths import STREAM, Place, spelled
from ..storage.streams import check_input, check_output
from ..trimaps.band import Band
from . import options as opt

__all__ = ["trimap"]

MasksArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="MASK",
        help="A mask or soft segmentation, white subject on black, or a cutout, by its alpha channel or on a plain"
        " colour; several, a folder, or - for standard input.",
    ),
]
TargetOption = Annotated[
    str,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE|DIR|-",
        help="The trimap, as .png, .tif or .webp; a folder for several; or -.",
    ),
]
ErodeOption = Annotated[
    int | None, typer.Option("--erode", metavar="PX", help="Width of the unknown region inside the mask's edge.")
]
DilateOption = Annotated[
    int | None, typer.Option("--dilate", metavar="PX", help="Width of the unknown region outside the mask's edge.")
]
BandOption = Annotated[
    float | None,
    typer.Option(
        "--band",
        metavar="PERCENT",
        help=f"Both widths in percent of the longer side; default, if no width is given: {Band().name}.",
    ),
]
OverwriteOption = Annotated[
    bool | None,
    typer.Option(
        "--overwrite/--no-overwrite",
        help="Replace whatever exists, or nothing; default: trimaps that this program has made and nobody has changed.",
        show_default=False,
    ),
]


def trimap(
    masks: MasksArgument,
    output: TargetOption,
    erode: ErodeOption = None,
    dilate: DilateOption = None,
    band: BandOption = None,
    channel: opt.ChannelOption = None,
    recursive: opt.RecursiveOption = False,
    overwrite: OverwriteOption = None,
    quiet: opt.QuietOption = False,
    verbose: opt.VerboseOption = False,
) -> None:
    """Make trimaps: white and black where a mask is certain, unknown along its edge and where it is grey."""
    widths = Band(erode, dilate, band)
    pairs, folder = _planned(masks, output, recursive, overwrite)
    failed = 0
    for source, target in pairs:
        try:
            said = _make(source, target, folder, widths, channel, overwrite is not False)
        except DiffmatteError as error:
            if len(pairs) == 1 or isinstance(error, FullError):
                raise
            fail(str(error))
            failed += 1
        else:
            if not quiet:
                say(said)
    if failed:
        say(f"{failed} of {len(pairs)} failed")
        raise typer.Exit(1)


def _planned(
    masks: list[str], output: str, recursive: bool, overwrite: bool | None
) -> tuple[list[tuple[Path, Path]], Path | None]:
    """Name the trimaps, and their folder if they must be in one; raises PlanError with every conflict."""
    here = Place(Path())
    inputs, target = [here.named(text).found for text in masks], here.named(output)
    folder = results_folder(target, inputs)
    sources = gather(inputs, recursive=recursive, except_in=folder, role="mask")
    pairs = [(source.image, _target(source, target, folder)) for source in sources.found]
    problems = list(sources.problems)
    targets = Targets(folder, (mask for mask, _ in pairs), sources.folders, overwrite=overwrite is not False)
    if folder is not None and len(inputs) + len(sources.folders) > 1 and targets.holds_inputs(folder):
        problems.append(f"the folder of trimaps {folder} also contains masks: name another one with -o DIR")
    for mask, result in pairs:
        if not result.is_stream:
            writer_for(result.path)
        found = list(targets.add(result, spelled(mask.path, "standard input")))
        mended = painted(result) if overwrite is None and not found else ()
        problems += found + [f"{problem}, or allow it with --overwrite" for problem in mended]
    problems += targets.nested()
    if problems:
        raise PlanError(problems)
    for text in sources.warnings:
        warn(text)
    if any(mask.is_stream for mask, _ in pairs):
        check_input()
    if any(result.is_stream for _, result in pairs):
        check_output()
    return [(mask.path, result.path) for mask, result in pairs], None if folder is None else folder.path


def _target(source: Source, target: Place, folder: Place | None) -> Place:
    if folder is not None:
        return folder / source.relative.parent / f"{source.relative.name}.png"
    return target if source.frame is None else target.at(frame_path(target.path, source.frame))


def _make(mask: Path, target: Path, within: Path | None, widths: Band, channel: str | None, overwrite: bool) -> str:
    """Make one trimap; return a summary."""
    import numpy as np

    from ..imaging.encoding import Result
    from ..imaging.grey import BY_ALPHA, decode_mask
    from ..imaging.receipts import receipt_of_trimap
    from ..imaging.write import write_images
    from ..storage.reading import read_bytes
    from ..trimaps.masks import trimap_from_mask
    from ..trimaps.trimap import diagnose, unknown_share

    content = read_bytes(mask)
    name, grey = spelled(mask, "standard input"), decode_mask(content, mask, channel)
    made = trimap_from_mask(grey.levels, widths)
    found = diagnose((made / np.float32(255)).astype(np.float32), made)
    for text in (*(f" {note}" for note in grey.notes if note != BY_ALPHA), *(f": {finding.text}" for finding in found)):
        warn(f"{name}{text}")
    inside, outside = widths.pixels(*made.shape)
    receipt = receipt_of_trimap(content, widths.name, channel)
    result = Result(target, made, receipt=receipt, format="png" if target == STREAM else None)
    write_images([result], within, overwrite=overwrite)
    return (
        f"{made.shape[1]}x{made.shape[0]}, {unknown_share(made):.1%} unknown, {inside} px inside the edge and"
        f" {outside} px outside: {spelled(target, 'standard output')}"
    )
