"""Read and check the tables of a weights file: what a model is, and where its weights are.

Adding a model is adding a table. Standard library only.
"""

import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import UsageError
from ..model.config import VARIANTS

__all__ = ["PACKAGE", "Metrics", "WeightsRecord", "as_toml", "check_name", "is_repository", "read_records"]

PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Metrics:
    """Hold published figures after ``steps`` steps: SAD in thousands, MSE times 1000, Grad and Conn."""

    data: str
    steps: int
    sad: float
    mse: float
    grad: float
    conn: float
    source: str


@dataclass(frozen=True)
class WeightsRecord:
    """Hold one table of a weights file.

    ``bundled`` is a file inside the package; ``repo``, ``revision`` (a commit), ``filename``, ``sha256`` and ``size``
    (bytes) pin one on the Hub; with neither, ``upstream`` links to the authors' own file, which has to be imported.
    """

    name: str
    variant: str
    licence: str
    trained_on: str
    bundled: str | None = None
    repo: str | None = None
    revision: str | None = None
    filename: str | None = None
    sha256: str | None = None
    size: int | None = None
    parameters: int | None = None
    upstream: str | None = None
    note: str | None = None
    metrics: tuple[Metrics, ...] = ()


def read_records(path: Path, origin: str = "") -> dict[str, WeightsRecord]:
    """Read and check a weights file's tables; raises UsageError that names table and key.

    ``origin`` says in messages where the path came from.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"cannot read the weights file {path}{origin}: {error.strerror}") from error
    except ValueError as error:  # not TOML, or not UTF-8
        raise UsageError(f"the weights file {path} is not TOML: {error}") from error
    return {name: _record(f"{path}, [{name}]", name, table) for name, table in tables.items()}


def as_toml(record: WeightsRecord) -> str:
    """Write a record as the table of a weights file."""
    lines = [f"[{record.name if re.fullmatch(r'[A-Za-z0-9_-]+', record.name) else json.dumps(record.name)}]"]
    values = ((field.name, getattr(record, field.name)) for field in fields(record)[1:-1])
    lines += [f"{key} = {_toml(value)}" for key, value in values if value is not None]
    if record.metrics:
        rows = (", ".join(f"{key} = {_toml(value)}" for key, value in asdict(row).items()) for row in record.metrics)
        lines += ["metrics = [", *(f"  {{ {row} }}," for row in rows), "]"]
    return "\n".join(lines) + "\n"


def _toml(value: str | float) -> str:
    # One-line JSON strings and numbers are TOML, too.
    return json.dumps(value, ensure_ascii=False)


def _record(place: str, name: str, table: object) -> WeightsRecord:
    check_name(name, place)
    values = _checked(place, WeightsRecord, table, without="name")
    rows = values.pop("metrics", [])
    metrics = tuple(Metrics(**_checked(f"{place} metrics", Metrics, row)) for row in rows)
    record = WeightsRecord(name=name, metrics=metrics, **values)
    _check_origin(place, record)
    return record


def _checked(place: str, kind: type, table: object, without: str = "") -> dict[str, Any]:
    """Check a table's keys and values against a record's fields."""
    if not isinstance(table, dict):
        raise UsageError(f"{place} must be a table of keys and values")
    known = {field.name: field for field in fields(kind) if field.name != without}
    if unknown := sorted(table.keys() - known.keys()):
        raise UsageError(f"{place} has an unknown key {unknown[0]!r}: use some of {', '.join(known)}")
    if missing := [name for name, field in known.items() if field.default is MISSING and name not in table]:
        raise UsageError(f"{place} lacks the key {missing[0]!r}")
    for key, value in table.items():
        is_right, expected = _RULES[key]
        if not is_right(value):
            raise UsageError(f"{place} has {key} = {value!r}, which must be {expected}")
    return table


def _check_origin(place: str, record: WeightsRecord) -> None:
    """Check that a record says in exactly one way where its file is."""
    pin = {key: getattr(record, key) for key in ("repo", "revision", "filename", "sha256", "size")}
    given = {key for key, value in pin.items() if value is not None}
    if record.bundled is not None:
        if given != {"sha256", "size"}:
            raise UsageError(f"{place}: bundled names a file inside the package, with its sha256 and size")
        if not os.path.isfile(PACKAGE / "bundled" / record.bundled):
            raise UsageError(f"{place}: {record.bundled} is not in the package: install diffmatte again")
    elif given and given != pin.keys():
        absent = sorted(pin.keys() - given)
        raise UsageError(f"{place} lacks {', '.join(absent)}: a file on the Hub is pinned by {', '.join(pin)} together")
    elif not given and record.upstream is None:
        raise UsageError(f"{place} must say where its file is: repo and what pins it, or a link, upstream")


def _text(pattern: str) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def check_name(name: str, place: str) -> None:
    """Raise UsageError, which begins with ``place``, for what cannot be a model's name, which names a folder, too."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise UsageError(f"{place}: a model's name may hold letters, digits, '.', '_' and '-' only")


def is_repository(text: str) -> bool:
    """Tell whether a text has the form OWNER/REPO."""
    return _RULES["repo"][0](text)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _figure(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")


def _inside(value: object) -> bool:
    """Tell whether a value is the path of a safetensors file that stays inside its repository."""
    if not isinstance(value, str) or "\\" in value or not value.endswith(".safetensors"):
        return False
    path = PurePosixPath(value)
    return not path.is_absolute() and ".." not in path.parts and str(path) == value


_Rule = tuple[Callable[[object], bool], str]
_LINE: _Rule = (_text(r"[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*"), "one line of text")
_RULES: Mapping[str, _Rule] = {
    **dict.fromkeys(("licence", "trained_on", "note", "data", "source"), _LINE),
    **dict.fromkeys(("size", "parameters", "steps"), (_whole, "a whole number above 0")),
    **dict.fromkeys(("sad", "mse", "grad", "conn"), (_figure, "a number that is not negative")),
    "variant": (lambda value: isinstance(value, str) and value in VARIANTS, f"one of {', '.join(VARIANTS)}"),
    "bundled": (_text(r"[\w.-]+\.safetensors"), "the name of a safetensors file"),
    "repo": (_text(r"[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*"), "OWNER/REPO"),
    "revision": (_text(r"[0-9a-f]{40}"), "a commit, 40 hex digits"),
    "filename": (_inside, "the path of a safetensors file inside the repository"),
    "sha256": (_text(r"[0-9a-f]{64}"), "64 hex digits in lower case"),
    "upstream": (_text(r"https?://\S+"), "a link"),
    "metrics": (lambda value: isinstance(value, list), "a list of tables"),
}
