"""Read and check the tables of a weights file: what a model is, and where its weights are.

Adding a model is adding a table. Standard library only.
"""

import json
import os
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Annotated

from ..errors import UsageError
from ..model.config import PREPROCESSING, VARIANTS
from ..storage.toml import Rule, matching, one_of, read_toml, record_of

__all__ = ["PACKAGE", "Metrics", "WeightsRecord", "as_toml", "check_name", "is_repository", "read_records"]

PACKAGE = Path(__file__).parents[1]
PICKLE = ".bin"  # as transformers names PyTorch's files


def _inside(text: str) -> bool:
    """Tell whether a text is the path of a safetensors or .bin file that stays inside its repository."""
    path = PurePosixPath(text)
    is_plain = not path.is_absolute() and ".." not in path.parts and str(path) == text
    return is_plain and "\\" not in text and text.endswith((".safetensors", PICKLE))


_LINE = matching(r"[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*", "one line of text")
_COUNT = Rule("a whole number above 0", lambda number: number > 0)
_REPOSITORY = matching(r"[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*", "OWNER/REPO")
_FILE = Rule("the path of a safetensors or .bin file inside the repository", _inside)
_FIGURE = Annotated[float, Rule("a number that is not negative", lambda number: 0 <= number < float("inf"))]


@dataclass(frozen=True)
class Metrics:
    """Hold published figures after ``steps`` steps: SAD in thousands, MSE times 1000, Grad and Conn."""

    data: Annotated[str, _LINE]
    steps: Annotated[int, _COUNT]
    sad: _FIGURE
    mse: _FIGURE
    grad: _FIGURE
    conn: _FIGURE
    source: Annotated[str, _LINE]


@dataclass(frozen=True)
class WeightsRecord:
    """Hold one table of a weights file.

    ``bundled`` is a file inside the package; ``repo``, ``revision`` (a commit) and ``filename`` name one on the Hub,
    which ``sha256`` and ``size`` (bytes) pin, or else what the Hub says of it at the first time; with neither,
    ``upstream`` links to the authors' own file, which has to be imported. ``preprocessing`` is one of
    ``PREPROCESSING``, by default the file's own.
    """

    name: str
    variant: Annotated[str, one_of(VARIANTS)]
    licence: Annotated[str, _LINE]
    trained_on: Annotated[str, _LINE]
    bundled: Annotated[str | None, matching(r"[\w.-]+\.safetensors", "the name of a safetensors file")] = None
    repo: Annotated[str | None, _REPOSITORY] = None
    revision: Annotated[str | None, matching(r"[0-9a-f]{40}", "a commit, 40 hex digits")] = None
    filename: Annotated[str | None, _FILE] = None
    sha256: Annotated[str | None, matching(r"[0-9a-f]{64}", "64 hex digits in lower case")] = None
    size: Annotated[int | None, _COUNT] = None
    parameters: Annotated[int | None, _COUNT] = None
    upstream: Annotated[str | None, matching(r"https?://\S+", "a link")] = None
    preprocessing: Annotated[str | None, one_of(PREPROCESSING)] = None
    note: Annotated[str | None, _LINE] = None
    metrics: Annotated[tuple[Metrics, ...], Rule("a list of tables")] = ()

    @property
    def is_pickled(self) -> bool:
        """Whether the file on the Hub is PyTorch's, of which a safetensors file is made when it is pulled."""
        return str(self.filename).endswith(PICKLE)


def read_records(path: Path, origin: str = "") -> dict[str, WeightsRecord]:
    """Read and check a weights file's tables; raises UsageError that names table and key.

    ``origin`` says in messages where the path came from.
    """
    tables = read_toml(path, f"the weights file {path}{origin}")
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
    return _escaped(json.dumps(value, ensure_ascii=False))


def _escaped(text: str) -> str:
    """Escape what a terminal would act on."""
    return "".join(c if c.isprintable() or c == "\n" else f"\\u{ord(c):04x}" if ord(c) < 2**16 else "?" for c in text)


def _record(place: str, name: str, table: object) -> WeightsRecord:
    check_name(name, place)
    found = record_of(WeightsRecord, table, place, name=name)
    _check_origin(place, found)
    return found


def _check_origin(place: str, record: WeightsRecord) -> None:
    """Check that a record says in exactly one way where its file is, and chooses only what its variant can do."""
    pin = {key: getattr(record, key) for key in ("repo", "revision", "filename", "sha256", "size")}
    given = {key for key, value in pin.items() if value is not None}
    absent = sorted(pin.keys() - given - {"sha256", "size"})
    if record.bundled is not None:
        if given != {"sha256", "size"}:
            raise UsageError(f"{place}: bundled names a file inside the package, with its sha256 and size")
        if not os.path.isfile(PACKAGE / "bundled" / record.bundled):
            raise UsageError(f"{place}: {record.bundled} is not in the package: install diffmatte again")
    elif given and absent:
        raise UsageError(
            f"{place} lacks {', '.join(absent)}: a file on the Hub is named by repo, revision and filename"
        )
    elif not given and record.upstream is None:
        raise UsageError(f"{place} must say where its file is: repo, revision and filename, or a link, upstream")
    if record.preprocessing not in (None, PREPROCESSING[0]) and VARIANTS[record.variant].iterates:
        raise UsageError(f"{place}: preprocessing = {record.preprocessing!r} is for ViTMatte's variants: leave it out")


def check_name(name: str, place: str) -> None:
    """Raise UsageError, which begins with ``place``, for what cannot be a model's name, which names a folder, too."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise UsageError(f"{place}: a model's name may hold letters, digits, '.', '_' and '-' only")


def is_repository(text: str) -> bool:
    """Tell whether a text has the form OWNER/REPO."""
    return _REPOSITORY.holds(text)
