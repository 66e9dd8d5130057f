"""Every error a user can meet, as one tree.

::

    DiffmatteError          exit code 1: found while working
    ├── UsageError          exit code 2: visible before a picture is opened
    │   └── PlanError       several of them at once
    ├── ImageError          a picture cannot be read, or is not what it should be
    ├── OutputError         a result cannot be written
    │   └── FullError       no room is left: no other result could be written either
    ├── WeightsError        a weights file is missing, broken, or of another model
    ├── ResourceError       not enough memory
    └── TrainingError       training data, configuration or numbers are unusable

The message is one plain sentence: what is wrong and what to do about it. Only
``diffmatte_cli.commands.app`` turns these into text and an exit code.
"""

from collections.abc import Sequence

__all__ = [
    "DiffmatteError",
    "FullError",
    "ImageError",
    "OutputError",
    "PlanError",
    "Problem",
    "ResourceError",
    "TrainingError",
    "UsageError",
    "WeightsError",
    "described",
    "is_shortage",
    "listed",
]


class DiffmatteError(Exception):
    """Base of all expected errors; ``exit_code`` is what the program ends with.

    ``settings`` are the names of those it is about, for a command to add what they are called there.
    """

    exit_code = 1

    def __init__(self, message: str = "", *settings: str) -> None:
        super().__init__(message)
        self.settings = settings


def is_shortage(error: BaseException) -> bool:
    """Tell a lack of memory, as Python, torch and the C library word it, from other errors."""
    words = "allocate memory", "out of memory", "not enough memory"
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)


def described(error: BaseException) -> str:
    """Say in one sentence what an error of any kind is about."""
    if isinstance(error, DiffmatteError):
        return str(error)
    if is_shortage(error):
        return "not enough memory: close other programs, take a smaller picture, or train with a smaller batch"
    return f"unexpected {type(error).__name__}: {error}"


def listed(names: Sequence[str], most: int = 3, separator: str = ", ") -> str:
    """Join up to ``most`` names, and say how many more there are."""
    more = [f"and {len(names) - most} more"] if len(names) > most else []
    return separator.join([*names[:most], *more])


class UsageError(DiffmatteError):
    """A mistake that shows before any picture is opened: option, path, model name, device."""

    exit_code = 2


# A plain sentence, or an error that also names settings.
Problem = str | UsageError


class PlanError(UsageError):
    """Everything that is wrong with a plan: ``problems``, one plain sentence each."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = tuple(problems)


class ImageError(DiffmatteError):
    """A picture that cannot be decoded, or does not fit its trimap."""


class OutputError(DiffmatteError):
    """A result that cannot be written; nothing half-written is left behind."""


class FullError(OutputError):
    """A disk without room: going on with other pictures would be in vain."""


class WeightsError(DiffmatteError):
    """A weights file that is missing, damaged, or belongs to another model."""


class ResourceError(DiffmatteError):
    """Not enough memory; the message says what would fit."""


class TrainingError(DiffmatteError):
    """Training cannot start or go on: bad configuration, bad data, or a loss that is not finite."""
