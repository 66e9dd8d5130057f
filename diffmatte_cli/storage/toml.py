"""TOML files as frozen records, whose fields say by their annotations what they take. Standard library only."""

import re
import reprlib
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from math import inf
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, ClassVar, Protocol, TypeVar, get_args, get_origin, get_type_hints

from ..errors import UsageError
from .pieces import open_file

__all__ = ["Rule", "above", "matching", "one_of", "read_toml", "record_of", "within"]


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


Record = TypeVar("Record", bound=_Dataclass)
MOST_BYTES = 2**22  # thousands of times a usual file's
# Values are quoted in messages up to a length and a depth.
QUOTED = reprlib.Repr()
QUOTED.maxstring = QUOTED.maxother = QUOTED.maxlong = 200
WORDS: dict[Any, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


@dataclass(frozen=True)
class Rule:
    """What a field's values must be, as in ``Annotated[int, Rule("an even number", lambda value: value % 2 == 0)]``."""

    must: str
    holds: Callable[[Any], bool] = lambda _: True


def one_of(choices: Iterable[str]) -> Rule:
    """Rule that a value is one of some."""
    known = tuple(choices)
    return Rule(f"one of {', '.join(known)}", known.__contains__)


def matching(pattern: str, must: str) -> Rule:
    """Rule that a text as a whole matches a regular expression."""
    return Rule(must, lambda text: re.fullmatch(pattern, text) is not None)


def within(low: float, high: float = inf) -> Rule:
    """Rule that a number is from ``low`` to ``high``, both included."""
    return Rule(f"at least {low}" if high == inf else f"from {low} to {high}", lambda number: low <= number <= high)


def above(low: float, high: float = inf) -> Rule:
    """Rule that a number is above ``low``, and at most ``high``, which may be infinite."""
    return Rule(f"above {low}" + f" and at most {high}" * (high < inf), lambda number: low < number <= high)


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Read the tables of a file; ``what`` names it in the UsageError that is raised where this cannot be."""
    try:
        with open_file(path) as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES >> 20} MiB")
        return tomllib.loads(content.decode("utf-8-sig"))
    except RecursionError as error:
        raise UsageError(f"{what} nests tables or lists too deeply") from error
    except OSError as error:
        raise UsageError(f"cannot read {what}: {error.strerror}") from error
    except ValueError as error:  # not TOML, or not UTF-8
        raise UsageError(f"{what} is not TOML: {error}") from error


def record_of(kind: type[Record], table: object, place: str, **given: Any) -> Record:
    """Make a record of a table's keys, which may be records again, and of ``given``.

    Raises UsageError, which begins with ``place``, for keys that are unknown or missing and for values of another type
    or against a field's rule.
    """
    if not isinstance(table, dict):
        raise UsageError(f"{place} must be a table of keys and values")
    known = {field.name: field for field in fields(kind) if field.name not in given}
    if unknown := sorted(table.keys() - known.keys()):
        raise UsageError(f"{place} has an unknown key {QUOTED.repr(unknown[0])}: use some of {', '.join(known)}")
    needed = [name for name, field in known.items() if field.default is field.default_factory is MISSING]
    if missing := [name for name in needed if name not in table]:
        raise UsageError(f"{place} lacks the key {missing[0]!r}")
    hints = get_type_hints(kind, include_extras=True)
    return kind(**{key: _value(value, hints[key], place, key) for key, value in table.items()}, **given)


def _value(value: object, hint: Any, place: str, key: str) -> object:
    """Return a table's value as its field takes it: tuples for lists, and records for tables."""
    if isinstance(hint, type) and is_dataclass(hint):
        return record_of(hint, value, f"{place}, [{key}]")
    kind, *rules = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    made = value
    if get_origin(kind) is tuple and isinstance(value, list):
        made = tuple(_value(item, get_args(kind)[0], place, key) for item in value)
    if not _is(made, kind) or not all(rule.holds(made) for rule in rules):
        must = rules[0].must if rules else WORDS[kind]
        raise UsageError(f"{place} has {key} = {QUOTED.repr(value)}, which must be {must}")
    return made


def _is(value: object, kind: Any) -> bool:
    if isinstance(kind, UnionType):
        return any(_is(value, part) for part in get_args(kind))
    if get_origin(kind) is tuple:
        return isinstance(value, tuple)
    if kind is float:
        return type(value) in (int, float) and value == value  # not NaN
    return type(value) is kind
