"""Help and completion: what people see before anything runs."""

import pytest
from support.processes import finish
from typer.testing import CliRunner

from diffmatte_cli.commands.app import app
from diffmatte_cli.commands.help import GROUPS, OTHER


def shown(*arguments: str) -> str:
    return CliRunner().invoke(app, arguments).stdout


def sections(text: str) -> dict[str, list[str]]:
    """Return the options of each section, by the first word of their lines."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.endswith(":") and not line.startswith(" "):
            found[line[:-1]] = []
        elif line.startswith("  -"):
            found[list(found)[-1]].append(line.split()[0].rstrip(","))
    return found


def test_many_options_stand_in_groups_and_eleven_come_first() -> None:
    groups = sections(shown("matte", "--help"))
    assert list(groups) == ["Arguments", *GROUPS]
    first = ["--trimap", "--mask", "-o", "--recursive", "--steps", "--model", "--device", "--format", "--cutout"]
    assert groups[GROUPS[0]] == [*first, "--background", "--skip-existing"]
    assert groups[OTHER] == ["--quiet", "--verbose", "-h"]


def test_few_options_stand_together() -> None:
    assert list(sections(shown("trimap", "--help"))) == ["Arguments", "Options"]


@pytest.mark.parametrize("path", [(), ("matte",), ("weights",), ("weights", "pull")])
def test_a_short_spelling_of_help(path: tuple[str, ...]) -> None:
    assert shown(*path, "-h") == shown(*path, "--help") != ""


@pytest.mark.parametrize(("path", "option"), [(("matte",), "--quiet"), (("weights", "pull"), "--offline")])
def test_help_alone_is_what_the_parser_shows(path: tuple[str, ...], option: str) -> None:
    """Another option before it lets the parser find it."""
    assert shown(*path, "-h") == shown(*path, option, "-h")


@pytest.mark.parametrize(("words", "found"), [("diffmatte ma", "matte"), ("diffmatte matte --unt", "--until-stable")])
def test_the_shell_completes_commands_and_options(words: str, found: str) -> None:
    asked = {"_DIFFMATTE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = finish("-m", "diffmatte_cli", env=asked)
    assert (done.returncode, done.stdout.split()) == (0, [found])
