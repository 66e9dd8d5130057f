"""Name a command's options in the library's messages, which speak of settings."""

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
        self.parameters, self.given = command.params, {word.partition("=")[0] for word in argv}

    def named(self, problem: Problem | DiffmatteError, sentence: str = "") -> str:
        """Return a problem's sentence, or another of it, followed by the options of the settings concerned."""
        settings = () if isinstance(problem, str) else problem.settings
        names = ", ".join(name for setting in settings if (name := self._name(setting)))
        text = sentence or str(problem)
        return f"{text} ({names})" if names else text

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
