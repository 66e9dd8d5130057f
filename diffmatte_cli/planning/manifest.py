"""Manifests: tables of photographs, trimaps, results and settings. Standard library only."""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..settings import Sampling
from ..storage.paths import Place, below_in_table
from ..storage.remotes import RemotePath, is_url
from ..storage.tables import TableRow, read_table
from .sources import ALPHA, Source, Sources, unusable

__all__ = ["COLUMNS", "is_path", "read_manifest"]

COLUMNS = ("image", "trimap", "output", "seed", "steps")
_NEEDED = COLUMNS[:2]


def read_manifest(manifest: Place, folder: Place | None = None) -> Sources:
    """Read a manifest, ``.csv`` with a header or ``.jsonl`` with one object per line.

    ``image`` and ``trimap`` are required and relative to the manifest; ``output`` (relative to the folder of results),
    ``seed`` and ``steps`` may be missing or empty. URLs may be below ``folder``, too, see ``below_in_table``. Problems
    name the lines of invalid rows.

    Raises:
        UsageError: the file cannot be read or is not a manifest.
    """
    sources = Sources()
    named = [place for place in (_store_of(manifest), folder) if place is not None]
    for line, row in read_table(manifest.path, "manifest", lambda names: _check_head(names, manifest.path)):
        _add(sources, manifest, named, line, row)
    if not sources.found and not sources.problems:
        raise UsageError(f"the manifest {manifest} has no rows")
    return sources


def _check_head(names: Sequence[str], path: Path) -> None:
    if missing := [name for name in _NEEDED if name not in names]:
        raise UsageError(
            f"the manifest {path} lacks the column {' and '.join(missing)}: its first line must name the columns"
        )
    if len(set(names)) < len(names) or set(names) - set(COLUMNS):
        raise UsageError(
            f"the first line of the manifest {path} must name columns from {', '.join(COLUMNS)}, each once"
        )


def _store_of(manifest: Place) -> Place | None:
    """Return the host or bucket of a manifest in a store, whose relative paths may climb out of its folder."""
    return manifest.at(RemotePath(*manifest.path.parts[:2])) if manifest.is_remote else None


def _add(sources: Sources, manifest: Place, named: Iterable[Place], line: int, row: TableRow | str) -> None:
    try:
        if isinstance(row, str):
            raise UsageError(row)
        if None in row:
            raise UsageError("it has more cells than the first line")
        values = {key: value for key, value in row.items() if value not in (None, "")}
        sources.found.append(_source(manifest, named, values))
    except UsageError as error:
        sources.problems.append(f"line {line} of {manifest}: {error}")


def _source(manifest: Place, named: Iterable[Place], row: TableRow) -> Source:
    if strange := row.keys() - set(COLUMNS):
        raise UsageError(f"unknown column {', '.join(sorted(strange))}: the columns are {', '.join(COLUMNS)}")
    if missing := [name for name in _NEEDED if name not in row]:
        raise UsageError(f"it has no {missing[0]}")
    for name in COLUMNS[:3]:
        if not is_path(row.get(name, "")):
            raise UsageError(f"its {name} is not a path: {row[name]!r}")
    image, trimap = (manifest.at(below_in_table(manifest.path.parent, row[name], named)) for name in _NEEDED)
    own = row["trimap"] == ALPHA
    for place, role in ((image, "photograph"), (trimap, "trimap"))[: 1 if own else 2]:
        if problem := unusable(place, role):
            raise UsageError(problem)
    if image.identity == trimap.identity:
        raise UsageError(f"{image} is given as both the photograph and its trimap")
    text = row.get("output")
    output = None if text is None else below_in_table(Path(), text, named) if is_url(text) else Path(text)
    relative = Path(image.path.stem) if output is None else Path(output.parent) / output.stem
    seed, steps = (_whole(name, row.get(name)) for name in COLUMNS[3:])
    Sampling(seed=seed or 0, steps=1 if steps is None else steps)  # checks the ranges
    return Source(image, relative, None if own else trimap, output, seed, steps)


def is_path(value: Any) -> bool:
    """Tell whether a value of a table can be a path, existing or not."""
    with suppress(UnicodeEncodeError):  # a lone surrogate
        return isinstance(value, str) and b"\0" not in os.fsencode(value)
    return False


def _whole(name: str, value: Any) -> int | None:
    if value is None:
        return None
    with suppress(ValueError):
        if isinstance(value, str | int) and not isinstance(value, bool):
            return int(value)
    raise UsageError(f"its {name} is not a whole number: {value!r}")
