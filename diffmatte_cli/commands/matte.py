"""``diffmatte matte``: photographs and their trimaps in, alpha mattes or cutouts out."""

import re
import sys
from contextlib import ExitStack, closing
from pathlib import Path

from ..console import say, say_nothing, warn
from ..errors import ResourceError, UsageError
from ..jobs import Job, Request, plan, share
from ..locations import STREAM, spelled
from ..model.config import check_attention_grids
from ..settings import MatteOptions
from ..streams import check_input, check_output
from ..weights import ModelSource, Store, resolve_model, sha256_of_model
from . import options as opt
from .tally import Tally, bar

__all__ = ["matte", "run"]


def matte(
    inputs: opt.InputsArgument = None,
    trimap: opt.TrimapOption = None,
    output: opt.OutputOption = None,
    manifest: opt.ManifestOption = None,
    recursive: opt.RecursiveOption = False,
    shard: opt.ShardOption = None,
    dry_run: opt.DryRunOption = False,
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
    attention_grids: opt.AttentionGridsOption = None,
    memory: opt.MemoryOption = None,
    precision: opt.PrecisionOption = "fp32",
    until_stable: opt.UntilStableOption = None,
    whole: opt.WholeOption = False,
    plain: opt.PlainOption = False,
    bit_depth: opt.BitDepthOption = 8,
    image_format: opt.FormatOption = None,
    cutout: opt.CutoutOption = False,
    with_alpha: opt.WithAlphaOption = False,
    dump_steps: opt.DumpStepsOption = None,
    keep_known: opt.KeepKnownOption = True,
    overwrite: opt.OverwriteOption = True,
    skip_existing: opt.SkipExistingOption = False,
    fail_fast: opt.FailFastOption = False,
    report: opt.ReportOption = None,
    engine: opt.EngineOption = "local",
    ray_address: opt.RayAddressOption = None,
    quiet: opt.QuietOption = False,
    verbose: opt.VerboseOption = False,
) -> None:
    """Compute the alpha mattes of photographs from their trimaps.

    Exit code 0 when all are done, 1 when some failed, 2 for a mistake in what was asked: then nothing is written.
    """
    options = MatteOptions(
        model=model,
        store=Store(weights_file, cache_dir, offline),
        sampler=sampler,
        schedule=schedule,
        input_scale=input_scale,
        keep_known=keep_known,
        devices=device,
        threads=threads,
        attention_grids=attention_grids,
        memory=memory,
        precision=precision,
        until_stable=until_stable,
        whole=whole,
        plain=plain,
        bits=bit_depth,
        cutout=cutout,
        skip_existing=skip_existing,
        fail_fast=fail_fast,
        engine=engine,
        ray_address=ray_address,
        quiet=quiet,
        verbose=verbose,
    )
    request = Request(
        inputs=tuple(inputs or ()),
        trimap=trimap,
        output=output,
        manifest=manifest,
        recursive=recursive,
        format=image_format,
        cutout=cutout,
        with_alpha=with_alpha,
        bits=bit_depth,
        dump_steps=dump_steps,
        report=report,
        overwrite=overwrite,
        seed=seed,
        steps=steps,
    )
    _start(request, options, shard, dry_run=dry_run)


def _start(request: Request, options: MatteOptions, shard: str | None, *, dry_run: bool) -> None:
    """Plan everything, then do or print it."""
    if options.skip_existing and not request.overwrite:
        raise UsageError("--skip-existing makes again what does not fit, and --no-overwrite forbids it: leave one out")
    part = _shard(shard)
    jobs = plan(request)
    source = _check_engine(options)
    chosen = jobs if part is None else share(jobs, *part)
    if dry_run:
        _print_plan(chosen)
    else:
        _check_streams(chosen)
        if options.engine == "ray":
            from ..clusters import check_cluster

            check_cluster(options, chosen)
        run(chosen, options, source, request.report, several=request.into_folder)


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


def _check_engine(options: MatteOptions) -> ModelSource:
    """Refuse a model or a device that is not there, importing torch only where a device asks for it."""
    source = resolve_model(options.model, options.store)
    if source.record is not None and options.attention_grids is not None:
        check_attention_grids(options.attention_grids, source.record.variant)
    if options.verbose:
        say(f"model: {source.name} from {source.path}")
    for device in options.device_names if options.engine == "local" else ():  # a cluster's are its own
        if device not in ("auto", "cpu"):
            from ..matting import pick_device

            pick_device(device)
    return source


def _print_plan(jobs: list[Job]) -> None:
    from ..console import printable

    for job in jobs:
        trimap = "its own alpha channel" if job.trimap is None else spelled(job.trimap, "standard input")
        results = ", ".join(spelled(path, "standard output") for path in job.written)
        sys.stdout.write(printable(f"{job.name} with {trimap} -> {results}") + "\n")


def run(jobs: list[Job], options: MatteOptions, source: ModelSource, report: Path | None, *, several: bool) -> None:
    """Do planned jobs and report them; ``several`` makes a batch of them, even of one.

    Raises:
        UsageError, WeightsError, FullError: what no photograph could go on from.
        DiffmatteError: what one photograph failed with, if it is the only one.
        typer.Exit: code 1 if photographs of a batch failed, 130 or 143 if it was interrupted.
    """
    from ..batch import Stages, engines
    from ..pipeline import run_stages
    from ..reports import Report
    from ..stopping import stopping_on_signals

    tell = say_nothing if options.quiet else say
    with stopping_on_signals() as stop, ExitStack() as opened:
        show_bar = not options.quiet and sys.stderr.isatty()
        stages = Stages(
            options, sha256_of_model(source), warn, stop.event, several=several, step_bar=show_bar and not several
        )
        rows = opened.enter_context(Report(report)) if report is not None else None
        tally = Tally(jobs, options, stop, rows, several, opened.enter_context(bar(len(jobs), show_bar and several)))
        if options.engine == "ray":
            from ..clusters import Run, run_on_cluster

            ends = run_on_cluster(jobs, Run(options, stages.weights, several, stop.event, tally.is_fatal, tell, warn))
        else:
            computers = [stages.computer(engine) for engine in engines(source, options, tell)]
            ends = run_stages(jobs, stages.read, computers, stages.write, stop.event, tally.is_fatal)
        try:
            for end in opened.enter_context(closing(ends)):
                tally.add(end)
        except ResourceError as error:  # the cluster is lost, and with it what is left
            tally.fatal = tally.fatal or error
    tally.finish()
