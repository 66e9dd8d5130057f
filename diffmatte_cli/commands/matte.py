"""``diffmatte matte``: a photograph and its trimap in, an alpha matte or a cutout out."""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..console import say, say_nothing, warn
from ..errors import UsageError
from ..jobs import Job, plan
from ..model.config import MOST_STEPS, SAMPLER_NAMES, SCHEDULE_NAMES, check_attention_grids, check_device
from ..weights import ModelSource, Store, resolve_model
from . import options as opt

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..images import Photo, Result
    from ..matting import Matter
    from ..trajectory import StepDump

__all__ = ["MatteOptions", "matte", "run"]


@dataclass(frozen=True)
class MatteOptions:
    """Hold the settings of a run; wrong ones raise UsageError at once.

    ``schedule`` and ``input_scale`` (above 0, at most 1) default to the weights' own; ``bits`` is 8 or 16.
    """

    model: str = "tiny"
    store: Store = field(default_factory=Store)
    steps: int = 10
    seed: int = 0
    sampler: str = "ddim"
    schedule: str | None = None
    input_scale: float | None = None
    keep_known: bool = True
    device: str = "auto"
    threads: int | None = None
    attention_grids: int = 1
    bits: int = 8
    cutout: bool = False
    quiet: bool = False
    verbose: bool = False

    def __post_init__(self) -> None:
        """Check everything that needs neither torch nor a file."""
        if not 1 <= self.steps <= MOST_STEPS:
            raise UsageError(f"--steps must be at least 1 and at most {MOST_STEPS}, not {self.steps}")
        if self.bits not in (8, 16):
            raise UsageError(f"--bit-depth must be 8 or 16, not {self.bits}")
        if self.input_scale is not None and not 0 < self.input_scale <= 1:
            raise UsageError(f"--input-scale must be above 0 and at most 1, not {self.input_scale}")
        check_attention_grids(self.attention_grids)
        opt.check_choice("--sampler", self.sampler, SAMPLER_NAMES)
        opt.check_choice("--schedule", self.schedule, SCHEDULE_NAMES)
        opt.check_seed(self.seed)
        opt.check_threads(self.threads)
        check_device(self.device)


def matte(
    image: opt.ImageArgument,
    trimap: opt.TrimapOption = None,
    output: opt.OutputOption = None,
    steps: opt.StepsOption = 10,
    model: opt.ModelOption = "tiny",
    weights_file: opt.WeightsFileOption = None,
    cache_dir: opt.CacheDirOption = None,
    offline: opt.OfflineOption = False,
    seed: opt.SeedOption = 0,
    device: opt.DeviceOption = "auto",
    threads: opt.ThreadsOption = None,
    sampler: opt.SamplerOption = "ddim",
    schedule: opt.ScheduleOption = None,
    input_scale: opt.InputScaleOption = None,
    attention_grids: opt.AttentionGridsOption = 1,
    bit_depth: opt.BitDepthOption = 8,
    cutout: opt.CutoutOption = False,
    with_alpha: opt.WithAlphaOption = False,
    dump_steps: opt.DumpStepsOption = None,
    keep_known: opt.KeepKnownOption = True,
    overwrite: opt.OverwriteOption = True,
    quiet: opt.QuietOption = False,
    verbose: opt.VerboseOption = False,
) -> None:
    """Compute the alpha matte of a photograph from its trimap."""
    options = MatteOptions(
        model=model,
        store=Store(weights_file, cache_dir, offline),
        steps=steps,
        seed=seed,
        sampler=sampler,
        schedule=schedule,
        input_scale=input_scale,
        keep_known=keep_known,
        device=device,
        threads=threads,
        attention_grids=attention_grids,
        bits=bit_depth,
        cutout=cutout,
        quiet=quiet,
        verbose=verbose,
    )
    job = plan(
        image,
        trimap,
        output,
        cutout=cutout,
        with_alpha=with_alpha,
        bits=bit_depth,
        dump_steps=dump_steps,
        overwrite=overwrite,
    )
    run(job, options)


def run(job: Job, options: MatteOptions) -> None:
    """Do one planned job and report it in one line.

    Raises:
        UsageError: unknown model or absent device; nothing has been read then.
        DiffmatteError: whatever goes wrong later; nothing has been written then.
    """
    started = time.monotonic()
    model = _check_engine(options)

    from ..images import check_fits, read_image, write_images
    from ..trajectory import dumping
    from ..trimap import UNKNOWN

    photo = read_image(job.image)
    check_fits(job.output, *photo.pixels.shape[:2])
    trimap = _read_trimap(job.trimap, photo)
    steps = options.steps if (trimap == UNKNOWN).any() else 0
    with dumping(job.dump_dir, photo.pixels, trimap, steps) as dump:
        alpha, engine = _compute(photo, trimap, model, options, dump) if steps else _copied(trimap)
        results = _results(job, options, photo, alpha)
        if dump is not None:
            dump.finish()
        write_images(results)
    if not options.quiet:
        say(_summary(job, trimap, engine, time.monotonic() - started))


def _check_engine(options: MatteOptions) -> ModelSource:
    """Refuse a model or a device that is not there, importing torch only where the device asks for it."""
    source = resolve_model(options.model, options.store)
    if source.record is not None:
        check_attention_grids(options.attention_grids, source.record.variant)
    if options.verbose:
        say(f"model: {source.name} from {source.path}")
    if options.device not in ("auto", "cpu"):
        from ..matting import pick_device

        pick_device(options.device)
    return source


def _read_trimap(path: Path, photo: "Photo") -> "NDArray[np.uint8]":
    """Return the trimap's classes [H, W] in the photograph's size, warning of what looks wrong with it."""
    from ..images import read_grey
    from ..trimap import diagnose, fit_to_photo, parse_trimap

    levels = fit_to_photo(read_grey(path), photo)
    trimap = parse_trimap(levels)
    for finding in diagnose(levels, trimap):
        warn(finding)
    return trimap


def _compute(
    photo: "Photo",
    trimap: "NDArray[np.uint8]",
    model: ModelSource,
    options: MatteOptions,
    dump: "StepDump | None",
) -> tuple["NDArray[np.float32]", str]:
    """Run the model; return alpha [H, W] in [0, 1] and a phrase for what computed it."""
    from tqdm import tqdm

    matter = _load(model, options)
    silent = options.quiet or not sys.stderr.isatty()
    with tqdm(total=options.steps, desc="matting", unit="step", leave=False, disable=silent) as bar:
        for number, alpha in enumerate(_steps(matter, photo, trimap, options), 1):
            if dump is not None:
                dump.add(number, alpha)
            bar.update()
    return alpha, f"{model.name} on {matter.device}, {number} step{'s' * (number > 1)}"


def _load(model: ModelSource, options: MatteOptions) -> "Matter":
    from ..hub import obtain
    from ..matting import load_file, pick_device

    if options.threads is not None:
        import torch

        torch.set_num_threads(options.threads)
    device = pick_device(options.device)
    tell = say_nothing if options.quiet else say
    if options.device == "auto":
        tell(f"device: {device}")
    path = obtain(model, options.store, progress=not options.quiet, tell=tell)
    return load_file(model, path, device, options.attention_grids)


def _steps(
    matter: "Matter", photo: "Photo", trimap: "NDArray[np.uint8]", options: MatteOptions
) -> Iterator["NDArray[np.float32]"]:
    """Yield alpha [H, W] after each step."""
    yield from matter.steps(
        matter.encode(photo.pixels, trimap),
        steps=options.steps,
        seed=options.seed,
        sampler=options.sampler,
        schedule=options.schedule,
        input_scale=options.input_scale,
        keep_known=options.keep_known,
    )


def _copied(trimap: "NDArray[np.uint8]") -> tuple["NDArray[np.float32]", str]:
    """Take a trimap without unknown pixels for the alpha."""
    return (trimap == 255).astype("float32"), "no model needed"


def _results(job: Job, options: MatteOptions, photo: "Photo", alpha: "NDArray[np.float32]") -> list["Result"]:
    """List the pictures to write."""
    from ..images import Result

    if not options.cutout:
        return [Result(job.output, alpha, options.bits, dpi=photo.dpi)]
    from ..foreground import cutout

    picture = cutout(photo.pixels, alpha)
    results = [Result(job.output, picture, icc_profile=photo.icc_profile, dpi=photo.dpi)]
    if job.alpha_output is not None:
        results.append(Result(job.alpha_output, alpha, options.bits, dpi=photo.dpi))
    return results


def _summary(job: Job, trimap: "NDArray[np.uint8]", engine: str, seconds: float) -> str:
    from ..trimap import unknown_share

    height, width = trimap.shape
    written = (job.output, job.alpha_output, job.dump_dir)
    files = ", ".join(str(path) for path in written if path is not None)
    return f"{width}x{height}, {unknown_share(trimap):.1%} unknown, {engine}, {seconds:.1f} s: {files}"
