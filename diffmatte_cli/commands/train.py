"""``diffmatte train``: train a model from a configuration file."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..console import say, warn
from ..errors import DiffmatteError, UsageError
from ..extras import require
from ..process.signals import stopping_on_signals
from .options import DeviceOption, QuietOption, VerboseOption

if TYPE_CHECKING:
    from ..training.config import DataConfig, TrainConfig
    from ..training.loop import Reached
    from ..training.processes import Processes

__all__ = ["train"]


def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="Configuration, a TOML file.")],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="RUN", help="Output folder: checkpoint, weights, logs, previews."),
    ],
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="TABLE.KEY=VALUE", help="Override a key of the configuration; can be repeated."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume from the run's checkpoint.")] = False,
    init: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Start from the weights of this safetensors file.")
    ] = None,
    max_minutes: Annotated[
        float | None,
        typer.Option(metavar="M", min=0, help="Stop after M minutes, with a checkpoint to resume from."),
    ] = None,
    device: DeviceOption = "auto",
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Train a model by the paper's Algorithm 1, optionally with the self-aligned strategy.

    Data are composed on the fly from the folders that the configuration names, or drawn. Ctrl-C ends the run after
    the current step, with a checkpoint. Under torchrun or accelerate launch, each process takes part of a batch.
    """
    settings = _settings(config, changes or [], output, resume, init)
    from ..training.loop import Trainer
    from ..training.processes import Processes

    processes = Processes(device)
    quiet = quiet or not processes.is_main
    if not quiet:
        say(f"device: {processes.device}" + (f", {processes.count} processes" if processes.count > 1 else ""))
    trainer = Trainer(settings, output, processes, progress=not quiet)
    if resume:
        trainer.resume()
    elif weights := init or settings.initial.weights:
        trainer.start_from(weights)
    elif settings.initial.encoder:
        for line in trainer.initialise():
            if not quiet:
                say(line)
    _make_folder(output)
    _check_data(settings.data, output, processes, quiet)
    ends = float("inf") if max_minutes is None else time.monotonic() + 60 * max_minutes
    with stopping_on_signals() as stop:
        trainer.stopping = lambda: stop.event.is_set() or time.monotonic() > ends
        outcome = trainer.run()
    if not quiet:
        _report(outcome)
    if stop.signal:
        raise SystemExit(128 + stop.signal)


def _settings(config: Path, changes: list[str], output: Path, resume: bool, init: Path | None) -> "TrainConfig":
    """Read the configuration, and check that it and the options go together."""
    if resume and init is not None:
        raise UsageError("--resume and --init conflict: a resumed run has its own weights")
    from ..training.config import read_config

    settings = read_config(config, changes)
    if settings.data.recipe != "packed" or settings.data.validation == "drawn":
        require("train", "training")
    from ..training.loop import CHECKPOINT

    if settings.run.tensorboard:
        require("tensorboard", "tensorboard = true")
    if not resume and (output / CHECKPOINT).exists():
        raise UsageError(f"{output} already holds a run: add --resume, or choose another folder")
    if init is not None and not init.is_file():
        raise UsageError(f"weights file {init} does not exist: check --init")
    if init is not None and (settings.initial.encoder or settings.initial.weights):
        what = "encoder" if settings.initial.encoder else "weights"
        raise UsageError(f"--init and {what} in [initial] conflict: the file already includes the whole model")
    _check_folders(config, settings.data)
    return settings


def _check_folders(config: Path, data: "DataConfig") -> None:
    from ..training.config import MADE

    foregrounds = (data.mattes, data.rendered, data.foregrounds, data.alphas)
    for folder in (data.backgrounds, *foregrounds, data.packed, data.validation):
        if folder not in ("", *MADE) and not Path(folder).is_dir():
            raise UsageError(
                f"folder {folder} does not exist: check [data] in {config}; paths are relative to the current folder"
            )


def _check_data(data: "DataConfig", output: Path, processes: "Processes", quiet: bool) -> None:
    """Check the data in the first process; if it finds a problem, the others exit silently."""
    from ..training.materials import check_materials, left_out_of

    problem: DiffmatteError | None = None
    if processes.is_main:
        for text in left_out_of(data):
            warn(text)
        try:
            for sentence in check_materials(data, output / "checked.json", progress=not quiet):
                warn(sentence)
        except DiffmatteError as error:
            problem = error
    if processes.any(problem is not None):
        raise problem or SystemExit(1)


def _make_folder(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot create the folder {output}: {error.strerror}") from error


def _report(outcome: "Reached") -> None:
    if outcome.step < outcome.steps:
        say(f"stopped at step {outcome.step} of {outcome.steps}; continue with --resume; weights: {outcome.weights}")
    else:
        say(f"done, {outcome.steps} steps; weights: {outcome.weights}")
