"""Write docs/commands.md from the program's own help: python docs/make_reference.py"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command
from typer.testing import CliRunner

from diffmatte_cli.commands.app import app

TARGET = Path(__file__).parent / "commands.md"
HEAD = """# Command reference

Made from the program's own help by `python docs/make_reference.py`; a test fails when it is out of date.

All messages go to stderr; stdout carries results only. Exit codes: 0 done; 1 something failed while working;
2 a mistake that shows before a picture is opened; 130, 143 or 129 ended by Ctrl-C, SIGTERM or SIGHUP. `NO_COLOR` is
respected.
"""


def reference() -> str:
    """Return the whole page as Markdown."""
    return "\n".join([HEAD, *sections(get_command(app))])


def sections(command: Any, *path: str) -> Iterator[str]:
    """Yield a section for a command and for each one below it."""
    yield section(" ".join(["diffmatte", *path]), [*path])
    for name, below in getattr(command, "commands", {}).items():
        yield from sections(below, *path, name)


def section(title: str, arguments: list[str]) -> str:
    """Return one command's help under a heading."""
    result = CliRunner().invoke(app, [*arguments, "--help"], prog_name="diffmatte", env={"COLUMNS": "100"})
    text = "\n".join(line.rstrip() for line in result.stdout.strip().splitlines())
    return f"## {title}\n\n```text\n{text}\n```\n"


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")
