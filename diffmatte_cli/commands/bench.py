"""``diffmatte bench``: how fast matting is on this machine, and what the fast path saves."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..console import say, say_nothing, warn
from ..errors import ImageError, UsageError
from ..model.recognising import config_of
from ..settings import Computing, Sampling
from ..weights.store import WeightsStore, file_or_variant
from . import options as opt
from .records import warn_without_effect

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["bench"]

LEAST_SIZE, MOST_SIZE = 64, 16384


def bench(
    context: typer.Context,
    image: Annotated[Path | None, typer.Argument(metavar="IMAGE", help="A photograph; default: a drawn scene.")] = None,
    trimap: Annotated[Path | None, typer.Option("--trimap", metavar="TRIMAP", help="Its trimap, a file.")] = None,
    model: opt.ModelOption = "tiny",
    weights_file: opt.WeightsFileOption = None,
    cache_dir: opt.CacheDirOption = None,
    size: Annotated[
        str, typer.Option("--size", metavar="N|WxH", help="Size of the drawn scene, in pixels.", show_default=True)
    ] = "1024",
    unknown: Annotated[
        float, typer.Option("--unknown", metavar="SHARE", help="Unknown share of the drawn scene, up to 1.")
    ] = 0.1,
    steps: opt.StepsOption = Sampling.steps,
    device: opt.OneDeviceOption = "auto",
    threads: opt.ThreadsOption = Computing.threads,
    precision: opt.PrecisionOption = Computing.precision,
    memory: opt.MemoryOption = Computing.memory,
    whole: opt.WholeOption = Sampling.whole,
    repeat: Annotated[int, typer.Option("--repeat", metavar="N", help="Runs of each path, alternating.")] = 3,
    with_plain: Annotated[
        bool, typer.Option("--with-plain/--no-plain", help="Run the plain path too, or the usual one only.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    quiet: opt.QuietOption = False,
    verbose: opt.VerboseOption = False,
) -> None:
    """Time matting on this machine, by the usual path and by the plain path of the paper's own code.

    A model whose weights are not on disk is measured with random weights.
    """
    sampling, computing = Sampling(steps, whole=whole), Computing(precision, memory, threads=threads)
    if not 1 <= repeat <= 1000:
        raise UsageError(f"--repeat must be from 1 to 1000, not {repeat}")
    if not 0.001 <= unknown <= 1:
        raise UsageError(f"--unknown must be from 0.001 to 1, not {unknown:g}")
    if (image is None) != (trimap is None):
        raise UsageError("a photograph needs its trimap: name both, or neither")
    height, width = _size(size)
    weights = file_or_variant(model, WeightsStore(weights_file, cache_dir))
    if not isinstance(weights, Path):
        warn(f"the weights of {model} are not on disk, so random ones are used: the alpha difference is meaningless")
    warn_without_effect(context, config_of(weights))

    from ..benchmark import bench as benching
    from ..inference.matter import pick_device

    pixels, classes = _read(image, trimap) if image and trimap else benching.scene(height, width, unknown)
    case = benching.Case(weights, str(pick_device(device)), computing, sampling)
    report = benching.bench(case, pixels, classes, repeat, with_plain, say_nothing if quiet else say)
    if as_json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        _print(report)


def _size(text: str) -> tuple[int, int]:
    """Return height and width for N or WxH."""
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and len(side) < 6 for side in sides):
        raise UsageError(f"--size must be N or WxH, as in 1500x1000, not {text!r}")
    width, height = int(sides[0]), int(sides[-1])
    if not all(LEAST_SIZE <= side <= MOST_SIZE for side in (height, width)):
        raise UsageError(f"--size must be from {LEAST_SIZE} to {MOST_SIZE} pixels per side, not {text}")
    return height, width


def _read(image: Path, trimap: Path) -> "tuple[NDArray[np.uint8], NDArray[np.uint8]]":
    from ..imaging.grey import decode_grey
    from ..imaging.read import decode_image
    from ..storage.reading import read_bytes
    from ..trimaps.trimap import UNKNOWN, fit_to_image, parse_trimap

    photo = decode_image(read_bytes(image), image)
    grey = decode_grey(read_bytes(trimap), trimap)
    for note in grey.notes:
        warn(f"{trimap} {note}")
    classes = parse_trimap(fit_to_image(grey, photo))
    if not (classes == UNKNOWN).any():
        makes = "if it is a mask, `diffmatte trimap` makes a trimap of it"
        raise ImageError(f"{trimap} has no unknown (grey) region, so there is nothing to time: {makes}")
    return photo.pixels, classes


def _print(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    paths = [name for name in ("plain", "fast") if name in report]
    table = Table("", *paths, box=None)
    rows = (
        ("encoder", "encoder_seconds", "{:.3f} s", 1),
        ("a step", "step_seconds", "{:.3f} s", 1),
        ("all", "total_seconds", "{:.2f} s", 1),
        ("peak memory", "peak_bytes", "{:.2f} GiB", 2**30),
        ("encoder's multiply-accumulates", "encoder_macs", "{:.3f} T", 1e12),
        ("a step's multiply-accumulates", "step_macs", "{:.4f} T", 1e12),
        ("a step's share of the matrix product's rate", "step_share_of_product_rate", "{:.0%}", 1),
    )
    for label, key, form, unit in rows:
        table.add_row(label, *(form.format(report[name][key] / unit) for name in paths))
    width, height = report["size"]
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    console.print(
        f"{report['model']}, {width}x{height}, {report['unknown']:.1%} unknown, {report['steps']} steps,"
        f" {report['precision']}, {report['device']}, {report['threads']} threads, {report['repeat']} times"
    )
    console.print(table)
    console.print(f"matrix product: {report['product_gmacs_per_second']:.1f} G multiply-accumulates a second")
    if "ratio" in report:
        ratio, apart = report["ratio"], report["difference"]
        console.print(
            f"plain over fast: {ratio['total']:.2f} in all (spread {ratio['spread']:.0%}), {ratio['step']:.2f} a step"
            f" (spread {ratio['step_spread']:.0%})"
        )
        console.print(f"alpha apart, of 255: at most {apart['largest']:.4f}, on average {apart['mean']:.5f}")
