"""The output of ``diffmatte weights list``."""

import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, NamedTuple

from ..console import printable
from ..weights.files import in_megabytes
from ..weights.records import WeightsRecord
from ..weights.store import Copy

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Row", "as_json_text", "print_tables"]


class Row(NamedTuple):
    """A model, its location, and its files on disk."""

    record: WeightsRecord
    where: str
    copies: tuple[Copy, ...]

    @property
    def size(self) -> int | None:
        """Bytes of the file in use, or of the one to pull."""
        return os.path.getsize(self.copies[0].path) if self.copies else self.record.size


def as_json_text(rows: list[Row]) -> str:
    """Return everything known about the models as JSON."""
    models = [
        asdict(row.record)
        | {"size": row.size, "where": row.where, "path": None, "download": None}
        | (_file(row.copies[0]) if row.copies else {})
        for row in rows
    ]
    return json.dumps(models, indent=2) + "\n"


def _file(copy: Copy) -> dict[str, str | None]:
    return {"path": str(copy.path), "sha256": copy.sha256, "download": copy.download}


def print_tables(rows: list[Row]) -> None:
    """Say what works now, then print three tables: eleven columns would not fit on a screen."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    for when, names in _by_readiness(rows).items():
        console.print(f"{when}: {', '.join(map(printable, names))}")
    for table in (_models(rows), _licences(rows), _figures(rows)):
        console.print(table)


def _by_readiness(rows: list[Row]) -> dict[str, list[str]]:
    """Return the models' names by what it takes to use them, the least first."""
    words = ("Ready", "Pulled from the Hub on first use", "To be imported first")
    names: dict[str, list[str]] = {word: [] for word in words}
    for row in rows:
        names[words[0] if row.copies else words[1] if row.record.repo else words[2]].append(row.record.name)
    return {word: found for word, found in names.items() if found}


def _models(rows: list[Row]) -> "Table":
    table = _table("model", "variant", ">parameters", ">size", "where")
    for row in rows:
        record = row.record
        parameters = f"{record.parameters / 1e6:.1f} M" if record.parameters else ""
        size = in_megabytes(row.size) if row.size else ""
        table.add_row(*map(printable, (record.name, record.variant, parameters, size, row.where)))
    return table


def _licences(rows: list[Row]) -> "Table":
    table = _table("model", "licence", "trained on")
    for record, _, _ in rows:
        table.add_row(*map(printable, (record.name, record.licence, record.trained_on)))
    return table


def _figures(rows: list[Row]) -> "Table":
    table = _table("model", ">steps", ">SAD", ">MSE", ">Grad", ">Conn", "published for")
    for record, _, _ in rows:
        for metric in record.metrics:
            figures = (f"{value:.2f}" for value in (metric.sad, metric.mse, metric.grad, metric.conn))
            about = printable(f"{metric.data}, {metric.source}")
            table.add_row(printable(record.name), str(metric.steps), *figures, about)
    return table


def _table(*headings: str) -> "Table":
    """Make an empty table; a heading with > marks a column of numbers."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        is_number = heading.startswith(">")
        table.add_column(
            heading.lstrip(">"), justify="right" if is_number else "left", no_wrap=is_number, overflow="fold"
        )
    return table
