"""Name a command's options in the library's messages, which speak of settings."""

import shlex
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

from ..errors import DiffmatteError, Problem

__all__ = ["Options", "running"]


class Options:
    """The options of the command that was run, to add to messages of the library."""

    def __init__(self, command: Any, argv: Sequence[str]) -> None:
        for word in argv:
            command = getattr(command, "commands", {}).get(word, command)
        self.argv = tuple(argv)
        self.parameters, self.given = command.params, {word.partition("=")[0] for word in argv}

    def named(self, problem: Problem | DiffmatteError, sentence: str = "") -> str:
        """Return a problem's sentence, or another of it, followed by the options of the settings concerned."""
        settings = () if isinstance(problem, str) else problem.settings
        names = ", ".join(name for setting in settings if (name := self._name(setting)))
        text = sentence or str(problem)
        return f"{text} ({names})" if names else text

    def with_another(self, given: str, wanted: str) -> str:
        """Return the command line with one option in the place of another; empty if that was not given."""
        words = [wanted + word[len(given) :] if word.partition("=")[0] == given else word for word in self.argv]
        return shlex.join(["diffmatte", *words]) if tuple(words) != self.argv else ""

    def _name(self, setting: str) -> str:
        """Return a setting's option as it was given, or else its longest spelling; empty if there is none."""
        options = [
            option
            for parameter in self.parameters
            for option in (*parameter.opts, *parameter.secondary_opts)
            if parameter.name == setting and option.startswith("-")
        ]
        return max([option for option in options if option in self.given] or options, key=len, default="")


# Those of the command that is running.
running: ContextVar[Options] = ContextVar("running")
