"""Read tables: CSV with a header, as spreadsheets write it too, or JSON Lines. Standard library only."""

import csv
import json
import re
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO, TextIOWrapper
from itertools import chain
from json import detect_encoding
from pathlib import Path
from typing import Any

from ..errors import ImageError, UsageError
from .pieces import open_file
from .remotes import is_remote, read

__all__ = ["TABLES", "TableRow", "read_table"]

TABLES = (".csv", ".jsonl", ".tsv")

MAX_BYTES = 2**30  # of a table in a store, which is read whole

TableRow = dict[Any, Any]

_SEPARATORS = ",;\t|"
_BLANK = _SEPARATORS + "\"' \r\n"
_SEPARATOR_LINE = re.compile(r'"?sep=([,;\t|])"?\s*', re.IGNORECASE)  # Excel's own, before the header
_QUOTED = re.compile('"[^"]*"')
_DECIMAL_COMMA = re.compile(r"\A([+-]?[0-9]+),([0-9]+(?:[Ee][+-]?[0-9]+)?)\Z")


def read_table(
    path: Path, role: str, check_head: Callable[[Sequence[str]], None] | None = None
) -> Iterator[tuple[int, TableRow | str]]:
    """Yield each row's line number and its values by column, or the reason why it has none.

    ``role`` is what messages call the table. ``check_head`` gets the column names of a CSV, in lower case; it is then
    read strictly, otherwise an incomplete row of a killed program counts too. Cells beyond the named columns are
    under None.

    Raises:
        UsageError: the file cannot be read, or is not CSV.
    """
    if path.suffix.lower() not in TABLES:
        raise UsageError(f"the {role} {path} must end in {' or '.join(TABLES)}")
    try:
        binary = BytesIO(read(path, MAX_BYTES)) if is_remote(path) else open_file(path)
        encoding = detect_encoding(binary.read(4))  # of UTF-8, -16 and -32
        binary.seek(0)
        # Names that are not UTF-8 are kept, as on the command line.
        with binary, TextIOWrapper(binary, encoding, "surrogateescape", newline="") as file:
            if path.suffix.lower() != ".jsonl":
                yield from _csv_rows(file, check_head)
            else:
                yield from ((number, _object(line)) for number, line in enumerate(file, 1) if line.strip())
    except (OSError, ImageError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"cannot read the {role} {path}: {reason}") from error
    except csv.Error as error:
        raise UsageError(f"the {role} {path} is not CSV: {error}") from error
    except UnicodeError as error:
        raise UsageError(f"the {role} {path} is not text: save it as CSV in UTF-8") from error


def _csv_rows(
    lines: Iterator[str], check_head: Callable[[Sequence[str]], None] | None
) -> Iterator[tuple[int, TableRow]]:
    """Yield the rows that are not empty; the first line that is not shows how cells are separated and padded."""
    skipped, first, named = 0, next(lines, ""), None
    while first and (not first.strip(_BLANK) or (named := _SEPARATOR_LINE.fullmatch(first))):
        skipped, first = skipped + 1, next(lines, "")
        if named is not None:
            break
    separator = named[1] if named else next((c for c in _QUOTED.sub("", first) if c in _SEPARATORS), ",")
    padded = f"{separator} " in first or f" {separator}" in first
    reader = csv.reader(
        chain([first], lines), delimiter=separator, skipinitialspace=padded, strict=check_head is not None
    )
    head = [name.strip().lower() for name in next(reader, [])]
    while head and not head[-1]:
        head.pop()
    if check_head is not None:
        check_head(head)
    for cells in reader:
        values = [_cell(cell, padded, separator) for cell in cells]
        if any(values):
            more = [value for value in values[len(head) :] if value]
            yield skipped + reader.line_num, dict(zip(head, values, strict=False)) | ({None: more} if more else {})


def _cell(text: str, padded: bool, separator: str) -> str:
    """Return a cell's value: without padding, and with a decimal point where commas are free for fractions."""
    value = text.strip() if padded or text.isspace() else text
    return value if separator == "," else _DECIMAL_COMMA.sub(r"\1.\2", value)


def _object(line: str) -> TableRow | str:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"it is not JSON ({error})"
    return row if isinstance(row, dict) else "it is not a JSON object"
