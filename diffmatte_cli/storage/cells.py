"""Cells of CSV files that no spreadsheet takes for formulas. Standard library only."""

import re
from typing import Any

__all__ = ["cell", "from_cell"]

# What begins a formula, or is passed over before one, behind any apostrophes of ours.
_ACTS = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def cell(value: Any) -> Any:
    """Return what to write for a value: a text that a spreadsheet would carry out gets an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and _ACTS.match(value) else value


def from_cell(text: Any) -> Any:
    """Undo ``cell``."""
    return text[1:] if isinstance(text, str) and text.startswith("'") and _ACTS.match(text) else text
