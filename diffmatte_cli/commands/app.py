"""Assemble the commands; only here, turn every error into one line on stderr and an exit code."""

import atexit
import errno
import gc
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, TextIO

import typer
from typer.core import TyperGroup

from ..console import fail, say, trace
from ..errors import DiffmatteError, MaskError, PlanError, UsageError, described, is_shortage, lacks_temporary
from ..process.signals import end_on_signals
from ..process.stderr import mute_libraries
from ..process.threads import wait_without_spinning
from ..version import __version__
from .bench import bench
from .check import check
from .evaluate import evaluate
from .help import GroupedCommand
from .matte import matte
from .naming import Options, running
from .paint import paint
from .review import review
from .train import train
from .trimap import trimap
from .weights import weights

__all__ = ["app", "main"]

_COMPLETING = "_DIFFMATTE_COMPLETE"  # set by the shell that asks for completions
_INTERRUPTED = 130  # 128 + SIGINT, as shells report it


class ErrorBoundary(TyperGroup):
    """Run the program and end the process with its exit code, whatever happens inside."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **settings: Any) -> Any:
        """Run on ``args`` (default: the process's own); always raises SystemExit."""
        argv = list(sys.argv[1:] if args is None else args) or ["--help"]
        settings["standalone_mode"] = False
        options = Options(self, argv)
        running.set(options)
        try:
            code = None
            if _COMPLETING not in os.environ and (text := self._help(argv)):
                sys.stdout.write(text + "\n")
            else:
                code = super().main(argv, *rest, **settings)
            sys.stdout.flush()
        except (Exception, KeyboardInterrupt) as error:
            code = _exit_code(error, options)
        else:
            if code == _INTERRUPTED:  # Typer's own answer to Ctrl-C
                say("interrupted")
        sys.exit(code or 0)

    def _help(self, argv: Sequence[str]) -> str:
        """Return the help of the command that alone is asked for, without the parser, whose import takes as long."""
        command: Any = self
        context = command.context_class(command, info_name=self.name, **command.context_settings)
        for word in argv[:-1]:
            command = getattr(command, "commands", {}).get(word)
            if command is None:
                return ""
            context = command.context_class(command, info_name=word, parent=context)
        return str(command.get_help(context)) if argv[-1] in context.help_option_names else ""


def _exit_code(error: BaseException, options: Options) -> int:
    """Print what ended the program, in one line, and choose its exit code."""
    if isinstance(error, BrokenPipeError):
        _drop_output(sys.stdout, sys.stderr)  # the reader is gone
        return 1
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        say("interrupted")
        return _INTERRUPTED
    if isinstance(error, PlanError):
        for problem in error.problems:
            fail(options.named(problem))
        return error.exit_code
    if lacks_temporary(error) and not isinstance(error, UsageError):  # whose own sentence says more
        fail("no folder takes temporary files: set TMPDIR to one that does")
        return UsageError.exit_code
    if isinstance(error, DiffmatteError):
        command = options.with_another("--trimap", "--mask") if isinstance(error, MaskError) else ""
        fail(f"{error}: {command}" if command else options.named(error))
        return error.exit_code
    if isinstance(error, OSError) and error.filename is None and error.errno == errno.ENOSPC:
        fail("no space left for standard output: redirect it elsewhere")
        _drop_output(sys.stdout)
        return 1
    if hasattr(error, "format_message"):  # a parser error
        return _bad_command_line(error)
    return _bug(error, verbose="--verbose" in options.given)


def _drop_output(*streams: TextIO) -> None:
    """Discard what ``streams`` still buffer, so that Python's own exit stays silent."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        os.dup2(nowhere, stream.fileno())


def _bad_command_line(error: Any) -> int:
    context = getattr(error, "ctx", None)
    where = f" (see {context.command_path} --help)" if context is not None else ""
    fail(error.format_message().rstrip(".") + where)
    return int(error.exit_code)


def _bug(error: BaseException, *, verbose: bool) -> int:
    if verbose:
        trace(error)
    hint = "" if verbose or is_shortage(error) else "; run again with --verbose for the traceback, and please report it"
    fail(described(error) + hint)
    return 1


app = typer.Typer(
    cls=ErrorBoundary,
    name="diffmatte",
    help="Cut hair, fur and soft edges out of photographs: photograph and trimap in, alpha matte out.",
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,  # plain help: denser, and twice as fast
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"diffmatte {__version__}\n")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Take the options before the command, which needs a folder to work in."""
    try:
        os.getcwd()
    except OSError as error:
        raise UsageError("the current folder does not exist any more: change to another one") from error


for _command in (matte, check, trimap, paint, review, evaluate, bench, train):
    app.command(cls=GroupedCommand)(_command)
app.add_typer(weights, name="weights")


def _leave_quickly() -> None:
    if "OpenImageIO" not in sys.modules:  # whose bindings would report leaks
        gc.freeze()


def main() -> None:
    """Run the command line of this process."""
    # Importing torch creates many permanent objects, which the collector need not scan again and again.
    gc.set_threshold(50_000)
    atexit.register(_leave_quickly)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller: no reason to fail
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        getattr(sys, name).reconfigure(errors="backslashreplace")
    if "--verbose" not in sys.argv:
        mute_libraries()
    end_on_signals()
    wait_without_spinning()
    app(prog_name="diffmatte")
