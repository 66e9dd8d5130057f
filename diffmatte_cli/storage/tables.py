"""Read tables: CSV with a header, or JSON Lines with one object per line. Standard library only."""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

from ..errors import ImageError, UsageError
from .pieces import open_file
from .remotes import is_remote, read

__all__ = ["TABLES", "TableRow", "read_table"]

TABLES = (".csv", ".jsonl")

MAX_BYTES = 2**30  # of a table in a store, which is read whole

TableRow = dict[str, Any]


def read_table(
    path: Path, role: str, check_head: Callable[[Sequence[str]], None] | None = None
) -> Iterator[tuple[int, TableRow | str]]:
    """Yield each row's line number and its values by column, or the reason why it has none.

    ``role`` is what messages call the table. ``check_head`` gets the column names of a CSV, which is then read
    strictly; otherwise an incomplete row of a killed program counts too.

    Raises:
        UsageError: the file cannot be read, or is not CSV.
    """
    if path.suffix.lower() not in TABLES:
        raise UsageError(f"the {role} {path} must end in {' or '.join(TABLES)}")
    try:
        binary = BytesIO(read(path, MAX_BYTES)) if is_remote(path) else open_file(path)
        # Names that are not UTF-8 are kept, as on the command line.
        with binary, TextIOWrapper(binary, "utf-8-sig", "surrogateescape", newline="") as file:
            if path.suffix.lower() == ".csv":
                rows = csv.DictReader(file, strict=check_head is not None)
                if check_head is not None:
                    check_head(rows.fieldnames or ())
                yield from ((rows.line_num, row) for row in rows)
            else:
                yield from ((number, _object(line)) for number, line in enumerate(file, 1) if line.strip())
    except (OSError, ImageError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"cannot read the {role} {path}: {reason}") from error
    except csv.Error as error:
        raise UsageError(f"the {role} {path} is not CSV: {error}") from error


def _object(line: str) -> TableRow | str:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"it is not JSON ({error})"
    return row if isinstance(row, dict) else "it is not a JSON object"
