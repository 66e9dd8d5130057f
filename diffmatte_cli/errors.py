"""Every error a user can meet, as one tree.

::

    DiffmatteError          exit code 1: found while working
    ├── UsageError          exit code 2: visible before an image is opened
    │   └── PlanError       several at once
    ├── ImageError          an image cannot be read, or is not what it should be
    │   └── MaskError       exit code 2: a trimap that is a mask
    ├── OutputError         a result cannot be written
    │   └── FullError       the disk is full: no other result could be written either
    ├── WeightsError        a weights file is missing, damaged, or of another model
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
    "MaskError",
    "OutputError",
    "PlanError",
    "Problem",
    "ResourceError",
    "TrainingError",
    "UsageError",
    "WeightsError",
    "described",
    "is_shortage",
    "joined",
    "lacks_temporary",
    "listed",
]


class DiffmatteError(Exception):
    """Base of all expected errors; ``exit_code`` is what the program ends with.

    ``settings`` names the settings concerned, for commands to add their options.
    """

    exit_code = 1

    def __init__(self, message: str = "", *settings: str) -> None:
        super().__init__(message)
        self.settings = settings


def is_shortage(error: BaseException) -> bool:
    """Tell whether an error of Python, torch or the C library means a lack of memory."""
    words = "allocate memory", "out of memory", "not enough memory"
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)


def lacks_temporary(error: BaseException | None) -> bool:
    """Tell whether an error, or its cause, is that no folder takes temporary files."""
    return error is not None and ("usable temporary directory" in str(error) or lacks_temporary(error.__cause__))


def described(error: BaseException) -> str:
    """Describe any error in one sentence."""
    if isinstance(error, DiffmatteError):
        return str(error)
    if is_shortage(error):
        return "not enough memory: close other programs, use a smaller image, or train with a smaller batch"
    return f"unexpected {type(error).__name__}: {error}"


def listed(names: Sequence[str], most: int = 3, separator: str = ", ") -> str:
    """Join up to ``most`` names, and count the rest."""
    more = [f"and {len(names) - most} more"] if len(names) > most else []
    return separator.join([*names[:most], *more])


def joined(names: Sequence[str]) -> str:
    """Join names as in a sentence: a, b and c."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


class UsageError(DiffmatteError):
    """A mistake visible before any image is opened: option, path, model name, device."""

    exit_code = 2


# A sentence, or an error that also names settings.
Problem = str | UsageError


class PlanError(UsageError):
    """All ``problems`` of a plan, one sentence each."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = tuple(problems)


class ImageError(DiffmatteError):
    """An image that cannot be decoded, or does not fit its trimap."""


class MaskError(ImageError):
    """A mask given as a trimap: the wrong use of a good file."""

    exit_code = 2


class OutputError(DiffmatteError):
    """A result that cannot be written; nothing half-written is left behind."""


class FullError(OutputError):
    """A full disk: no other result could be written either."""


class WeightsError(DiffmatteError):
    """A weights file that is missing, damaged, or belongs to another model."""


class ResourceError(DiffmatteError):
    """Not enough memory; the message says what would fit."""


class TrainingError(DiffmatteError):
    """Training cannot start or continue: bad configuration, bad data, or a loss that is not finite."""
