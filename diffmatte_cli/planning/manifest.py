"""Manifests: tables of photographs, trimaps, results and settings. Standard library only."""

import csv
import json
import os
from collections.abc import Iterator
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import ImageError, UsageError
from ..settings import Sampling
from ..storage.paths import Place, below
from ..storage.remotes import is_url, read, remote
from .sources import ALPHA, Source, Sources, unusable

__all__ = ["COLUMNS", "is_path", "read_manifest"]

COLUMNS = ("image", "trimap", "output", "seed", "steps")
_NEEDED = COLUMNS[:2]
_FORMATS = (".csv", ".jsonl")

Row = dict[str, Any]


def read_manifest(manifest: Place) -> Sources:
    """Read a manifest, ``.csv`` with a head of column names or ``.jsonl`` with an object a line.

    ``image`` and ``trimap`` are needed and start at the manifest's own folder; ``output`` (below the run's
    folder of results), ``seed`` and ``steps`` may be left out or empty. What is wrong with rows is among the
    problems, with the row's line.

    Raises:
        UsageError: the file cannot be read or is no manifest at all.
    """
    ending = manifest.path.suffix.lower()
    if ending not in _FORMATS:
        raise UsageError(f"the manifest {manifest} must end in .csv or .jsonl")
    sources = Sources()
    try:
        # Names that are not UTF-8 come through, as they do from the command line.
        with _opened(manifest) as binary, TextIOWrapper(binary, "utf-8-sig", "surrogateescape", newline="") as file:
            for line, row in _csv_rows(file, manifest) if ending == ".csv" else _json_rows(file):
                _add(sources, manifest, line, row)
    except (OSError, ImageError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"cannot read the manifest {manifest}: {reason}") from error
    except csv.Error as error:
        raise UsageError(f"the manifest {manifest} is no CSV: {error}") from error
    if not sources.found and not sources.problems:
        raise UsageError(f"the manifest {manifest} has no rows")
    return sources


def _opened(manifest: Place) -> BinaryIO:
    return BytesIO(read(manifest.path)) if manifest.is_remote else manifest.path.open("rb")


def _csv_rows(file: Any, manifest: Place) -> Iterator[tuple[int, Row | str]]:
    reader = csv.DictReader(file, strict=True)
    if missing := [name for name in _NEEDED if name not in (reader.fieldnames or ())]:
        raise UsageError(
            f"the manifest {manifest} has no column {' nor '.join(missing)}: its first line must name them"
        )
    names = reader.fieldnames or ()
    if len(set(names)) < len(names) or set(names) - set(COLUMNS):
        raise UsageError(f"the first line of the manifest {manifest} must name columns once, of {', '.join(COLUMNS)}")
    for row in reader:
        surplus = None in row
        yield reader.line_num, "it has more cells than the first line" if surplus else dict(row)


def _json_rows(file: Any) -> Iterator[tuple[int, Row | str]]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, f"it is no JSON ({error})"
            continue
        yield number, row if isinstance(row, dict) else "it is no JSON object"


def _add(sources: Sources, manifest: Place, line: int, row: Row | str) -> None:
    try:
        if isinstance(row, str):
            raise UsageError(row)
        sources.found.append(_source(manifest, {key: value for key, value in row.items() if value not in (None, "")}))
    except UsageError as error:
        sources.problems.append(f"line {line} of {manifest}: {error}")


def _source(manifest: Place, row: Row) -> Source:
    if strange := row.keys() - set(COLUMNS):
        raise UsageError(f"there is no column {', '.join(sorted(strange))}: the columns are {', '.join(COLUMNS)}")
    for name in _NEEDED:
        if name not in row:
            raise UsageError(f"it has no {name}")
    for name in COLUMNS[:3]:
        if not is_path(row.get(name, "")):
            raise UsageError(f"its {name} is no path: {row[name]!r}")
    image, trimap = (manifest.at(below(manifest.path.parent, row[name])) for name in _NEEDED)
    own = row["trimap"] == ALPHA
    for place, role in ((image, "photograph"), (trimap, "trimap"))[: 1 if own else 2]:
        if problem := unusable(place, role):
            raise UsageError(problem)
    if image.identity == trimap.identity:
        raise UsageError(f"{image} is given both as the photograph and as its trimap")
    text = row.get("output")
    output = None if text is None else remote(text) if is_url(text) else Path(text)
    relative = Path(image.path.stem) if output is None else Path(output.parent) / output.stem
    seed, steps = (_whole(name, row.get(name)) for name in COLUMNS[3:])
    Sampling(seed=seed or 0, steps=1 if steps is None else steps)  # refuses what is out of range
    return Source(image, relative, None if own else trimap, output, seed, steps)


def is_path(value: Any) -> bool:
    """Tell whether a value of a table can be a path, existing or not."""
    try:
        return isinstance(value, str) and b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:  # half a character
        return False


def _whole(name: str, value: Any) -> int | None:
    if value is None:
        return None
    try:
        if isinstance(value, str | int) and not isinstance(value, bool):
            return int(value)
    except ValueError:
        pass
    raise UsageError(f"its {name} is no whole number: {value!r}")
