"""``diffmatte weights``: list models; pull, convert, check, remove and publish their files."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from ..console import printable, say, say_nothing
from ..errors import UsageError, WeightsError
from ..settings import DTYPE_NAMES, check_choice
from ..storage.atomic import staged_file
from ..weights.files import file_sha256, in_megabytes, make_folder
from ..weights.records import WeightsRecord, as_toml
from ..weights.removing import removable, tidy
from ..weights.removing import remove as remove_file
from ..weights.store import Copy, WeightsStore, check_copy, resolve_model
from . import options as opt
from .listing import Row, as_json_text, print_tables
from .records import taking_records

__all__ = ["weights"]

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A model's name, as `weights list` shows it.")]
CheckpointArgument = Annotated[
    Path,
    typer.Argument(
        metavar="CKPT", help="An official .pth checkpoint, a file of ViTMatte, or a safetensors file of diffmatte."
    ),
]
DtypeOption = Annotated[
    str, typer.Option("--dtype", metavar="|".join(DTYPE_NAMES), help="Precision of stored matrices; vectors stay fp32.")
]

weights = typer.Typer(
    help="List, pull, import, convert, check, remove and publish model weights.",
    rich_markup_mode=None,
    add_completion=False,
)


@weights.callback(invoke_without_command=True)
def _help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        sys.stdout.write(context.get_help() + "\n")


@weights.command("list")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON instead of tables.")] = False,
    weights_file: opt.WeightsFileOption = None,
    cache_dir: opt.CacheDirOption = None,
    verbose: opt.VerboseOption = False,
) -> None:
    """List the models with licences, published figures and locations.

    Works offline. SAD is in thousands, MSE times 1000; lower is better.
    """
    store = WeightsStore(weights_file, cache_dir)
    rows = [Row(record, store.where(record), store.copies(record)) for record in store.records().values()]
    if as_json:
        sys.stdout.write(as_json_text(rows))
    else:
        print_tables(rows)


@weights.command()
def convert(
    checkpoint: CheckpointArgument,
    model: Annotated[str, typer.Option("--model", metavar="NAME", help="The checkpoint's model; see `weights list`.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The result, .safetensors.")],
    dtype: DtypeOption = "fp32",
    weights_file: opt.WeightsFileOption = None,
    quiet: opt.QuietOption = False,
    verbose: opt.VerboseOption = False,
) -> None:
    """Turn an official checkpoint into a weights file that `--model FILE` takes.

    Only numbers are read from a .pth file: code in it is refused.
    """
    record = WeightsStore(weights_file).record(model)
    _check_conversion(checkpoint, dtype)
    if output.suffix != ".safetensors":
        raise UsageError(f"the result {output} must end in .safetensors")
    if not output.parent.is_dir():
        raise UsageError(f"the folder of the result {output} does not exist: create it first")
    if output.is_dir():
        raise UsageError(f"the result {output} is a folder: name a file with --output")
    if output.exists() and output.samefile(checkpoint):
        raise UsageError(f"the result {output} would replace the checkpoint: name another file with --output")
    with staged_file(output) as staged:
        _convert(checkpoint, staged, record, dtype)
    if not quiet:
        say(f"{record.name}, {record.variant}, {dtype}, {in_megabytes(output.stat().st_size)}: {output}")


@weights.command("import")
def import_checkpoint(
    name: NameArgument,
    checkpoint: CheckpointArgument,
    dtype: DtypeOption = "fp32",
    weights_file: opt.WeightsFileOption = None,
    cache_dir: opt.CacheDirOption = None,
    quiet: opt.QuietOption = False,
    verbose: opt.VerboseOption = False,
) -> None:
    """Convert a checkpoint into the cache, for `--model NAME` to use.

    It takes precedence over a published file of that name until `weights remove NAME`, and replaces an
    earlier import.
    """
    store = WeightsStore(weights_file, cache_dir)
    record = store.record(name)
    _check_conversion(checkpoint, dtype)
    folder = store.imports / name
    make_folder(folder)
    # Named by its content, beside the old one, which may still be in use.
    try:
        with staged_file(folder / name, lambda path: f"{file_sha256(path)}.safetensors") as staged:
            _convert(checkpoint, staged, record, dtype)
    finally:
        with suppress(OSError):  # not empty, unless the first import failed
            folder.rmdir()
    copies = [copy for copy in store.copies(record) if copy.kind == "imported"]
    for old in copies[1:]:
        remove_file(old, store)
    if not quiet:
        say(f"imported {name}, {_described(copies[0])}")


@weights.command()
@taking_records
def pull(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Models to fetch.")],
    store: WeightsStore = WeightsStore(),
    quiet: opt.QuietOption = False,
    verbose: opt.VerboseOption = False,
) -> None:
    """Fetch models into the cache, as `matte` does on first use, and check them.

    Files already on disk are only checked.
    """
    sources = [resolve_model(store.record(name).name, store) for name in names]
    from ..weights.pulling import obtain

    for source in sources:
        found = obtain(source, store, progress=not quiet, tell=say_nothing if quiet else say)
        if not quiet:
            say(f"{found.name} is ready: {found.path}")


@weights.command()
def path(
    name: NameArgument,
    weights_file: opt.WeightsFileOption = None,
    cache_dir: opt.CacheDirOption = None,
    verbose: opt.VerboseOption = False,
) -> None:
    """Print the path of the file that `--model NAME` uses; it must be on disk.

    It is neither fetched nor checked: see `weights pull` and `weights verify`.
    """
    store = WeightsStore(weights_file, cache_dir)
    sys.stdout.write(f"{_on_disk(store, store.record(name))[0].path}\n")


@weights.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Models; default: all on disk.")] = None,
    weights_file: opt.WeightsFileOption = None,
    cache_dir: opt.CacheDirOption = None,
    verbose: opt.VerboseOption = False,
) -> None:
    """Check files on disk against their sha256, one line each; exit code 1 if one is damaged or cannot be read."""
    store = WeightsStore(weights_file, cache_dir)
    if names:
        chosen = [(name, copy) for name in names for copy in _on_disk(store, store.record(name))]
    else:
        chosen = [(name, copy) for name, record in store.records().items() for copy in store.copies(record)]
    problems = [problem for name, copy in chosen if (problem := _checked(name, copy))]
    if problems:
        others = f"; {len(problems) - 1} more with problems" if problems[1:] else ""
        raise WeightsError(f"{problems[0]}{others}")


@weights.command()
def remove(
    name: NameArgument,
    weights_file: opt.WeightsFileOption = None,
    cache_dir: opt.CacheDirOption = None,
    quiet: opt.QuietOption = False,
    verbose: opt.VerboseOption = False,
) -> None:
    """Remove a model's imported and pulled files from the cache.

    A bundled file belongs to the installation and stays.
    """
    store = WeightsStore(weights_file, cache_dir)
    record = store.record(name)
    copies = removable(store, record)
    for copy in copies:
        line = f"removed {name}, {_described(copy)}"
        remove_file(copy, store)
        if not quiet:
            say(line)
    tidy(store, record)
    if not copies and _on_disk(store, record):
        raise UsageError(f"{name} is bundled with diffmatte and cannot be removed: the cache has no copy")


@weights.command()
def publish(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The model's name in the table, known or new.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The weights, a safetensors file of diffmatte.")],
    repo: Annotated[
        str, typer.Option("--repo", metavar="OWNER/REPO", help="The public repository; created if missing.")
    ],
    weights_file: opt.WeightsFileOption = None,
    quiet: opt.QuietOption = False,
    verbose: opt.VerboseOption = False,
) -> None:
    """Upload weights to the Hub with a model card, and print the table that others need to use them.

    Needs HF_TOKEN or `hf auth login`, with write access. Publish only what the licence allows: it
    is on the card.
    """
    from ..weights.publishing import publish as upload

    _check_file(file, "weights file")
    record = upload(name, file, repo, WeightsStore(weights_file), progress=not quiet)
    sys.stdout.write(as_toml(record))
    if not quiet:
        say(f"published {name} at {repo}: put the table above into a weights file to use it")


def _check_file(path: Path, what: str) -> None:
    if not path.is_file():
        raise UsageError(f"{what} {path} {'is not a file' if path.exists() else 'does not exist'}: check the path")


def _check_conversion(checkpoint: Path, dtype: str) -> None:
    _check_file(checkpoint, "checkpoint")
    check_choice("dtype", dtype, DTYPE_NAMES)


def _convert(checkpoint: Path, target: Path, record: WeightsRecord, dtype: str) -> None:
    from ..model.official import convert_checkpoint

    notes = {
        "model": record.name,
        "licence": record.licence,
        "trained_on": record.trained_on,
        "source_sha256": file_sha256(checkpoint),
    }
    convert_checkpoint(checkpoint, target, record.variant, notes, dtype, record.preprocessing)


def _on_disk(store: WeightsStore, record: WeightsRecord) -> tuple[Copy, ...]:
    """List a model's files; raises WeightsError if there is none."""
    copies = store.copies(record)
    if not copies:
        how = f"pull {record.name}" if record.repo is not None else f"import {record.name} FILE"
        raise WeightsError(f"{record.name} is not on disk: run `diffmatte weights {how}`")
    return copies


def _checked(name: str, copy: Copy) -> WeightsError | None:
    """Check one file, print the finding, and return the problem."""
    problem, finding = None, "ok"
    try:
        check_copy(name, copy)
    except WeightsError as error:
        problem, finding = error, "unread" if isinstance(error.__cause__, OSError) else "damaged"
    sys.stdout.write(printable(f"{finding:<8} {name} {copy.kind} {copy.path}") + "\n")
    return problem


def _described(copy: Copy) -> str:
    return f"{copy.kind}, {in_megabytes(os.path.getsize(copy.path))}: {copy.path}"
