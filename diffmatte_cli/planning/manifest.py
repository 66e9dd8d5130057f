"""Manifests: tables of photographs, trimaps, results and settings. Standard library only."""

import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..settings import Sampling
from ..storage.paths import Place, below_in_table
from ..storage.remotes import RemotePath, is_url
from ..storage.tables import TableRow, read_table
from .sources import ALPHA, AUTO, MASK, TRIMAP, Source, Sources, unusable

__all__ = ["COLUMNS", "is_path", "read_manifest"]

COLUMNS = ("image", "trimap", "mask", "output", "seed", "steps")
_GUIDES = TRIMAP, MASK
_PATHS = ("image", *_GUIDES, "output")


def read_manifest(manifest: Place, folder: Place | None = None) -> Sources:
    """Read a manifest, ``.csv`` with a header or ``.jsonl`` with one object per line.

    ``image`` and ``trimap``, or ``mask`` in its place, are required and relative to the manifest; ``output`` (relative
    to the folder of results), ``seed`` and ``steps`` may be missing or empty. URLs may be below ``folder``, too, see
    ``below_in_table``. Problems name the lines of invalid rows.

    Raises:
        UsageError: the file cannot be read or is not a manifest.
    """
    sources = Sources()
    named = [place for place in (_store_of(manifest), folder) if place is not None]
    for line, row in read_table(manifest.path, "manifest", lambda names: _check_head(names, manifest.path)):
        _add(sources, manifest, named, line, row)
    if not (sources.found or sources.problems or sources.unpaired):
        raise UsageError(f"the manifest {manifest} has no rows")
    return sources


def _check_head(names: Sequence[str], path: Path) -> None:
    missing = ["image"] * ("image" not in names) + ["trimap (or mask)"] * (not set(_GUIDES) & set(names))
    if missing:
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
        source = _source(manifest, named, {key: value for key, value in row.items() if value not in (None, "")})
        if source.unpaired is None:
            sources.found.append(source)
        else:
            sources.unpaired.append(replace(source, unpaired=f"line {line} of {manifest}: {source.unpaired}"))
    except UsageError as error:
        sources.problems.append(f"line {line} of {manifest}: {error}")


def _source(manifest: Place, named: Iterable[Place], row: TableRow) -> Source:
    if strange := row.keys() - set(COLUMNS):
        raise UsageError(f"unknown column {', '.join(sorted(strange))}: the columns are {', '.join(COLUMNS)}")
    if "image" not in row:
        raise UsageError("it has no image")
    for name in _PATHS:
        if not is_path(row.get(name, "")):
            raise UsageError(f"its {name} is not a path: {row[name]!r}")
    image = _named(manifest, row["image"], named)
    if problem := unusable(image, "photograph"):
        raise UsageError(problem + _hint(image))
    if all(name in row for name in _GUIDES):
        raise UsageError("it has both a trimap and a mask: leave one empty")
    guide = MASK if MASK in row else TRIMAP
    if guide == MASK and row[MASK].strip() == AUTO:
        guide, trimap, unpaired = AUTO, None, None
    else:
        trimap, unpaired = _trimap(manifest, row.get(guide), named, guide)
    if trimap is not None and image.identity == trimap.identity:
        raise UsageError(f"{image} is given as both the photograph and its {guide}")
    text = row.get("output", "").strip()
    output = None if not text else below_in_table(Path(), text, named) if is_url(text) else Path(text)
    relative = Path(image.path.stem) if output is None else Path(output.parent) / output.stem
    seed, steps = (_whole(name, row.get(name)) for name in ("seed", "steps"))
    Sampling(seed=seed or 0, steps=1 if steps is None else steps)  # checks the ranges
    return Source(image, relative, trimap, output, seed, steps, unpaired=unpaired, guide=guide)


def _trimap(manifest: Place, text: str | None, named: Iterable[Place], guide: str) -> tuple[Place | None, str | None]:
    """Return the trimap or mask of a row, None for the photograph's own alpha channel, and why it has none."""
    if text is None:
        return None, "it has no trimap"
    if text.strip() == ALPHA:
        return None, None
    place = _named(manifest, text, named)
    problem = unusable(place, guide)
    if problem and place.kind is not None:
        raise UsageError(problem)
    return place, problem and problem + _hint(place)


def _named(manifest: Place, text: str, named: Iterable[Place]) -> Place:
    """Return the place of a path; spaces around it, and \\, are a part of it only where there is such a file."""
    exact = manifest.at(below_in_table(manifest.path.parent, text, named)).found
    plain = text.strip().replace("\\", "/")
    return exact if exact.kind is not None or plain in ("", text) else _named(manifest, plain, named)


def _hint(place: Place) -> str:
    """Say what may be wrong with the name of a missing file that is not UTF-8."""
    is_text = place.kind is not None or not re.search("[\udc80-\udcff]", str(place))
    return "" if is_text else " (the manifest is not UTF-8: save it as CSV in UTF-8)"


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
