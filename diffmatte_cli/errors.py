"""Every error a user can meet, as one tree.

::

    DiffmatteError          exit code 1: found while working
    ├── UsageError          exit code 2: visible before a picture is opened
    ├── ImageError          a picture cannot be read, or is not what it should be
    ├── OutputError         a result cannot be written
    ├── WeightsError        a weights file is missing, broken, or of another model
    ├── ResourceError       not enough memory
    └── TrainingError       training data, configuration or numbers are unusable

The message is one plain sentence: what is wrong and what to do about it. Only
``diffmatte_cli.cli`` turns these into text and an exit code.
"""

__all__ = [
    "DiffmatteError",
    "ImageError",
    "OutputError",
    "ResourceError",
    "TrainingError",
    "UsageError",
    "WeightsError",
    "is_shortage",
]


class DiffmatteError(Exception):
    """Base of all expected errors; ``exit_code`` is what the program ends with."""

    exit_code = 1


def is_shortage(error: BaseException) -> bool:
    """Tell a lack of memory, as Python, torch and the C library word it, from other errors."""
    words = "allocate memory", "out of memory", "not enough memory"
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)


class UsageError(DiffmatteError):
    """A mistake that shows before any picture is opened: option, path, model name, device."""

    exit_code = 2


class ImageError(DiffmatteError):
    """A picture that cannot be decoded, or does not fit its trimap."""


class OutputError(DiffmatteError):
    """A result that cannot be written; nothing half-written is left behind."""


class WeightsError(DiffmatteError):
    """A weights file that is missing, damaged, or belongs to another model."""


class ResourceError(DiffmatteError):
    """Not enough memory; the message says what would fit."""


class TrainingError(DiffmatteError):
    """Training cannot start or go on: bad configuration, bad data, or a loss that is not finite."""
