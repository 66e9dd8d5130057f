"""``diffmatte evaluate``: score predicted mattes, or those of a model, against the true ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from ..console import say, say_nothing, warn
from ..errors import UsageError
from ..evaluation.layouts import LAYOUTS, examples
from ..evaluation.options import DEFINITIONS, HEADINGS, REGIONS, ScoreOptions
from ..evaluation.pairs import Pair, pair
from ..evaluation.scores import Evaluation, Scores, read_pair, score
from ..model.config import check_attention_grids
from ..planning.options import MatteOptions
from ..progress import Progress
from ..settings import Computing, Sampling
from ..storage.paths import location
from ..weights.store import ModelSource, WeightsStore, resolve_model
from . import options as opt
from .records import given_in, taking_records, warn_without_effect
from .scores import Remarks, ScoreWriter

__all__ = ["evaluate"]

PredArgument = Annotated[
    Path | None,
    typer.Argument(metavar="PRED", parser=location, help="A predicted alpha, or a folder of them.", show_default=False),
]
GtArgument = Annotated[
    Path | None,
    typer.Argument(metavar="GT", parser=location, help="The true alpha, or a folder of them.", show_default=False),
]
TrimapOption = Annotated[
    Path | None,
    typer.Option(
        "--trimap",
        metavar="TRIMAP",
        parser=location,
        help="The trimap, or a folder of them; its unknown pixels are scored.",
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        parser=location,
        help="Instead of PRED and GT: a test set for --model to matte.",
    ),
]
LayoutOption = Annotated[
    str | None, typer.Option("--layout", metavar="|".join(LAYOUTS), help="Layout of the test set.")
]
StepsOption = Annotated[str, typer.Option("--steps", metavar="N,N...", help="Numbers of sampling steps to compare.")]
LimitOption = Annotated[int | None, typer.Option("--limit", metavar="N", help="Only the first N images of the set.")]
ConsistentOption = Annotated[
    bool,
    typer.Option(
        "--consistent",
        help="Make each step's x_t from the true alpha (consistent sampling), for an upper bound.",
    ),
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        metavar="DIR",
        parser=location,
        help="Keep the model's mattes: NAME.png, in steps-N if there are several.",
    ),
]
MetricsOption = Annotated[str, typer.Option("--metrics", metavar=",".join(HEADINGS), help="Metrics to compute.")]
RegionOption = Annotated[
    str, typer.Option("--region", metavar="|".join(REGIONS), help="Pixels to score: unknown ones, or all.")
]
DefinitionOption = Annotated[
    str,
    typer.Option(
        "--definition",
        metavar="|".join(DEFINITIONS),
        help="Grad and Conn as in the published MATLAB scripts, or as in their usual Python port.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
CsvOption = Annotated[
    Path | None,
    typer.Option(
        "--csv",
        metavar="FILE",
        parser=location,
        help="Write a row per image and a last one, mean; - prints it instead of a table.",
    ),
]
PlotsOption = Annotated[
    Path | None,
    typer.Option(
        "--plots",
        metavar="DIR",
        parser=location,
        help="Plot the worst images' errors and all scores, as PNG (extra eval).",
    ),
]
WorstOption = Annotated[int, typer.Option("--worst", metavar="N", help="How many of the worst mattes --plots draws.")]

FORMS = "give PRED and GT with --trimap TRIMAP, or --data DIR with --layout NAME and a --model"
# Options of the second form only.
OF_MODELS = {
    *("model", "weights_file", "cache_dir", "offline", "data", "layout", "steps", "limit", "consistent", "output"),
    *("seed", "keep_known", "device", "threads", "precision", "memory", "attention_grids"),
}


@taking_records
def evaluate(
    context: typer.Context,
    pred: PredArgument = None,
    gt: GtArgument = None,
    trimap: TrimapOption = None,
    data: DataOption = None,
    layout: LayoutOption = None,
    model: opt.ModelOption = "tiny",
    store: WeightsStore = WeightsStore(),
    steps: StepsOption = str(Sampling.steps),
    limit: LimitOption = None,
    consistent: ConsistentOption = False,
    output: OutputOption = None,
    seed: opt.SeedOption = Sampling.seed,
    keep_known: opt.KeepKnownOption = Sampling.keep_known,
    device: opt.OneDeviceOption = "auto",
    threads: opt.ThreadsOption = Computing.threads,
    precision: opt.PrecisionOption = Computing.precision,
    memory: opt.MemoryOption = Computing.memory,
    attention_grids: opt.AttentionGridsOption = Computing.attention_grids,
    metrics: MetricsOption = "sad,mse,grad,conn",
    region: RegionOption = REGIONS[0],
    definition: DefinitionOption = DEFINITIONS[0],
    as_json: JsonOption = False,
    csv: CsvOption = None,
    plots: PlotsOption = None,
    worst: WorstOption = 8,
    quiet: opt.QuietOption = False,
    verbose: opt.VerboseOption = False,
) -> None:
    """Score mattes, or a model on a test set: SAD, MSE, Grad, Conn.

    In folders, images are matched by name; x_alpha.png and x_trimap.png go with x.png.
    """
    _check_form(context)
    options = ScoreOptions(tuple(metrics.split(",")), region, definition)
    writer = ScoreWriter(as_json, csv, plots, worst)
    _check_use(context, options, writer)
    if pred is not None and gt is not None:
        if trimap is None and region == REGIONS[0]:
            raise UsageError(f"Missing option '--trimap', or --region {REGIONS[1]} for all pixels: {FORMS}")
        _score_files(pair(pred, gt, trimap, warn), pred, options, writer, quiet)
    elif data is not None and layout is not None:
        computing = Computing(precision, memory, attention_grids=attention_grids, threads=threads)
        working = MatteOptions(model, store, device, computing, quiet=quiet)
        samplings = tuple(Sampling(number, seed, keep_known=keep_known) for number in _numbers(steps))
        source = resolve_model(model, store)
        if not source.iterates:
            samplings = _at_once(samplings, consistent)
            warn_without_effect(context, source.config)
        _score_model(_Run(data, layout, samplings, consistent, limit, output), source, working, options, writer)
    else:
        raise UsageError(FORMS)


def _at_once(samplings: tuple[Sampling, ...], consistent: bool) -> tuple[Sampling, ...]:
    """Return the one sampling of a model that does not iterate."""
    if consistent:
        raise UsageError(
            "consistent sampling makes each step's x_t from the true alpha, and the model does not iterate: omit it",
            *("consistent", "model"),
        )
    return (samplings[0].at_once(),)


def _check_form(context: typer.Context) -> None:
    """Refuse a mixture of the two forms."""
    given = [name for name in context.params if name in given_in(context)]
    of_models = [name for name in given if name in OF_MODELS]
    if of_models and {"pred", "gt", "trimap"} & set(given):
        raise UsageError(f"--{of_models[0].replace('_', '-')} conflicts with PRED, GT and --trimap: {FORMS}")


def _check_use(context: typer.Context, options: ScoreOptions, writer: ScoreWriter) -> None:
    """Refuse options without effect."""
    given = given_in(context)
    if "worst" in given and writer.plots is None:
        raise UsageError("--worst requires --plots: give --plots DIR, or omit it")
    if "definition" in given and not {"grad", "conn"} & set(options.metrics):
        raise UsageError("--definition is for grad and conn: add one to --metrics, or omit it")


def _score_files(pairs: Sequence[Pair], place: Path, options: ScoreOptions, writer: ScoreWriter, quiet: bool) -> None:
    """Score existing predictions, one at a time."""
    writer.check_places(pairs, None)
    gallery, remarks = writer.gallery(options), Remarks()
    found: dict[str, Scores] = {}
    with Progress(f"evaluating {place}", len(pairs), shown=not quiet) as progress:
        for entry in pairs:
            progress.note(entry.name)
            trial = read_pair(entry)
            found[entry.name] = score(trial, options)
            remarks.add(trial, entry.trimap, found[entry.name])
            if gallery is not None:
                gallery.add(trial, found[entry.name])
            progress.advance()
    remarks.tell()
    writer.write({None: Evaluation(found)}, gallery, {})


@dataclass(frozen=True)
class _Run:
    """The test set and settings of an evaluation."""

    data: Path
    layout: str
    samplings: tuple[Sampling, ...]
    consistent: bool
    limit: int | None
    output: Path | None

    def __post_init__(self) -> None:
        """Check what needs no file."""
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"--limit must be at least 1, not {self.limit}")

    def folder(self, steps: int) -> Path | None:
        """Return the folder for mattes of a number of steps; None if they are not kept."""
        if self.output is None or len(self.samplings) == 1:
            return self.output
        return self.output / f"steps-{steps}"


def _numbers(text: str) -> tuple[int, ...]:
    """Read numbers of steps, as in 1,5,10."""
    parts = text.split(",")
    if not all(part.isascii() and part.isdecimal() and len(part) < 9 for part in parts) or len(set(parts)) < len(parts):
        raise UsageError(f"--steps must be different numbers separated by commas, as in 1,5,10, not {text!r}")
    return tuple(map(int, parts))


def _score_model(
    run: _Run, source: ModelSource, working: MatteOptions, options: ScoreOptions, writer: ScoreWriter
) -> None:
    """Matte a test set with each number of steps and score it, one image at a time."""
    from ..evaluation.trials import check_headers, kept_at, save, trials

    chosen = examples(run.layout, run.data, warn)[: run.limit]
    folders = [folder for sampling in run.samplings if (folder := run.folder(sampling.steps)) is not None]
    writer.check_places(chosen, run.output, (kept_at(folder, entry.name) for folder in folders for entry in chosen))
    if (config := source.config) is not None:
        check_attention_grids(working.computing.attention_grids or 1, config.variant)

    from ..batch.engines import engines

    check_headers(chosen)
    (engine,) = engines(source, working, say_nothing if working.quiet else say)
    gallery, remarks = writer.gallery(options), Remarks()
    found: dict[int, dict[str, Scores]] = {sampling.steps: {} for sampling in run.samplings}
    with Progress(f"evaluating {run.data}", len(chosen), shown=not working.quiet) as progress:
        for example in chosen:
            progress.note(example.name)
            for steps, trial in trials(example, engine.matter, run.samplings, run.consistent):
                scores = found[steps][trial.name] = score(trial, options)
                if (folder := run.folder(steps)) is not None:
                    save(trial, folder)
            remarks.add(trial, example.trimap, scores)
            if gallery is not None:  # for the last number of steps
                gallery.add(trial, scores)
            progress.advance()
    remarks.tell()
    how = run.samplings[0]  # steps are listed with the scores
    about = {"model": source.name, "layout": run.layout, "seed": how.seed, "consistent": run.consistent}
    about["keep_known"] = how.keep_known
    writer.write({steps: Evaluation(images) for steps, images in found.items()}, gallery, about)
