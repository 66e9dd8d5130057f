"""``diffmatte matte``: photographs and their trimaps in, alpha mattes or cutouts out."""

import re
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import typer

from ..console import say, say_nothing, warn
from ..errors import ResourceError, UsageError
from ..model.config import check_attention_grids
from ..planning.jobs import Job, plan, share
from ..planning.options import MatteOptions
from ..planning.requests import Request
from ..planning.sources import AUTO, MASK
from ..progress import Progress
from ..settings import Computing, Sampling
from ..storage.paths import STREAM, spelled
from ..storage.streams import check_input, check_output
from ..trimaps.band import Band
from ..weights.store import ModelSource, WeightsStore, resolve_model
from . import mask_options as masks
from . import options as opt
from .records import given_in, taking_records
from .tally import Tally

__all__ = ["matte", "run"]


@taking_records
def matte(
    context: typer.Context,
    inputs: opt.InputsArgument = None,
    trimap: opt.TrimapOption = None,
    mask: masks.MaskOption = None,
    output: opt.OutputOption = None,
    manifest: opt.ManifestOption = None,
    recursive: opt.RecursiveOption = False,
    shard: opt.ShardOption = None,
    dry_run: opt.DryRunOption = False,
    sampling: Sampling = Sampling(),
    model: opt.ModelOption = MatteOptions.model,
    store: WeightsStore = WeightsStore(),
    device: opt.DeviceOption = MatteOptions.device,
    computing: Computing = Computing(),
    bits: opt.BitDepthOption = None,
    format: opt.FormatOption = None,
    cutout: opt.CutoutOption = False,
    with_alpha: opt.WithAlphaOption = False,
    foreground: opt.ForegroundOption = MatteOptions.foreground,
    background: opt.BackgroundOption = None,
    linear_light: opt.LinearLightOption = False,
    premultiplied: opt.PremultipliedOption = None,
    input_space: opt.InputSpaceOption = MatteOptions.input_space,
    layer: opt.LayerOption = None,
    channel: opt.ChannelOption = None,
    exr_space: opt.ExrSpaceOption = MatteOptions.exr_space,
    band: masks.BandOption = None,
    mask_model: masks.MaskModelOption = MatteOptions.mask_model,
    trimap_output: masks.TrimapOutputOption = None,
    quality: opt.QualityOption = MatteOptions.quality,
    uncertainty: opt.UncertaintyOption = None,
    dump_steps: opt.DumpStepsOption = None,
    overwrite: opt.OverwriteOption = True,
    skip_existing: opt.SkipExistingOption = False,
    skip_unpaired: opt.SkipUnpairedOption = False,
    fail_fast: opt.FailFastOption = False,
    report: opt.ReportOption = None,
    engine: opt.EngineOption = MatteOptions.engine,
    ray_address: opt.RayAddressOption = None,
    quiet: opt.QuietOption = False,
    verbose: opt.VerboseOption = False,
) -> None:
    """Compute the alpha mattes of photographs from their trimaps, or from rough masks.

    Exit code 0 if all are done, 1 if some failed, 2 for a usage error, in which case nothing is written.
    """
    options = MatteOptions(
        model, store, device, computing, uncertainty, cutout=cutout or background is not None, foreground=foreground,
        background=background, linear_light=linear_light, premultiplied=premultiplied, input_space=input_space,
        layer=layer, channel=channel, exr_space=exr_space, skip_existing=skip_existing, fail_fast=fail_fast,
        engine=engine, ray_address=ray_address, quiet=quiet, verbose=verbose, band=Band(percent=band),
        mask_model=mask_model, quality=quality,
    )  # fmt: skip
    source = resolve_model(model, store)
    request = Request(
        tuple(inputs or ()), trimap, output, manifest, recursive, sampling=sampling, format=format, bits=bits,
        cutout=options.cutout, with_alpha=with_alpha, with_cutout=cutout and background is not None,
        uncertainty=uncertainty, background=background, dump_steps=dump_steps, report=report, overwrite=overwrite,
        skip_unpaired=skip_unpaired, mask=mask, trimap_output=trimap_output,
        iterates=source.iterates, given=frozenset(given_in(context)),
    )  # fmt: skip
    _start(request, options, source, shard, dry_run=dry_run)


def _start(request: Request, options: MatteOptions, source: ModelSource, shard: str | None, *, dry_run: bool) -> None:
    """Plan everything, then do or print it."""
    if options.skip_existing and not request.overwrite:
        raise UsageError("--skip-existing and --no-overwrite conflict: omit one")
    if options.band != Band() and not request.has_masks:
        raise UsageError("--band goes with --mask: a trimap has its own unknown region")
    part = _shard(shard)
    jobs = plan(request, warn)
    _check_engine(options, source)
    chosen = jobs if part is None else share(jobs, *part)
    if dry_run:
        _print_plan(chosen)
    else:
        _check_streams(chosen)
        if options.engine == "ray":
            from ..batch.ray.clusters import check_cluster

            check_cluster(options, chosen)
        several = len(jobs) != 1 or jobs[0].folder is not None
        run(chosen, options, source, request.report, several=several)


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    part, parts = (int(number) for number in found.groups()) if found else (0, 0)
    if not 1 <= part <= parts:
        raise UsageError(f"--shard must be I/N with I from 1 to N, as in 2/8, not {text!r}")
    return part, parts


def _check_streams(jobs: list[Job]) -> None:
    if any(STREAM in (job.image, job.trimap) for job in jobs):
        check_input()
    if any(job.output == STREAM for job in jobs):
        check_output()


def _check_engine(options: MatteOptions, source: ModelSource) -> None:
    """Refuse what the model cannot do, and an absent device, importing torch only for a device that needs it."""
    if (config := source.config) is not None:
        check_attention_grids(options.computing.attention_grids or 1, config.variant)
    if options.verbose:
        say(f"model: {source.name} from {source.path}")
    for device in options.devices if options.engine == "local" else ():  # a cluster has its own
        if device not in ("auto", "cpu"):
            from ..inference.matter import pick_device

            pick_device(device)


def _print_plan(jobs: list[Job]) -> None:
    from ..console import printable

    for job in jobs:
        if job.unpaired is not None:
            sys.stdout.write(printable(f"{job.name} passed by: {job.unpaired}") + "\n")
            continue
        guide = "its own alpha channel" if job.trimap is None else spelled(job.trimap, "standard input")
        guide = "a mask made of it" if job.guide == AUTO else guide + " as its mask" * (job.guide == MASK)
        results = ", ".join(spelled(path, "standard output") for path in job.written)
        sys.stdout.write(printable(f"{job.name} with {guide} -> {results}") + "\n")


def run(jobs: list[Job], options: MatteOptions, source: ModelSource, report: Path | None, *, several: bool) -> None:
    """Run planned jobs and report them; ``several`` makes them a batch, even a single one.

    Raises:
        UsageError, WeightsError, FullError: every photograph would fail.
        DiffmatteError: the only photograph failed.
        typer.Exit: code 1 if photographs of a batch failed, 130 or 143 if it was interrupted.
    """
    from ..batch.engines import engines
    from ..batch.pipeline import run_stages
    from ..batch.report import Report
    from ..batch.stages import Stages
    from ..composition.background import background_of
    from ..inference.masking import MaskModel
    from ..process.signals import stopping_on_signals
    from ..weights.pulling import identified

    tell = say_nothing if options.quiet else say
    source = identified(source, options.store, progress=not options.quiet, tell=tell)
    with stopping_on_signals() as stop, ExitStack() as opened:
        shown = not options.quiet
        progress = opened.enter_context(Progress("matting", len(jobs), shown=shown and several, lines=False))
        stages = Stages(
            options,
            source.identity,
            warn,
            stop.event,
            MaskModel(options.mask_model, offline=options.store.offline),
            several=several,
            show_steps=shown and not several,
            background=None if options.background is None else background_of(options.background),
            begin=lambda job: progress.note(job.name),
        )
        overwrite = all(job.overwrite for job in jobs)
        rows = None if report is None else opened.enter_context(Report(report, overwrite=overwrite))
        tally = Tally(jobs, options, stop, rows, several, progress)
        if options.engine == "ray":
            from ..batch.ray.clusters import ClusterRun, run_on_cluster

            ends = run_on_cluster(
                jobs, ClusterRun(options, stages.weights, several, stop.event, tally.is_fatal, tell, warn)
            )
        else:
            computers = [stages.computer(engine) for engine in engines(source, options, tell, stages.check_stop)]
            ends = run_stages(jobs, stages.read, computers, stages.write, stop.event, tally.is_fatal)
        try:
            for job, outcome in opened.enter_context(closing(ends)):
                tally.add(job, outcome)
        except ResourceError as error:  # the cluster is lost
            tally.fatal = tally.fatal or error
    tally.finish()
