"""Sizes in bytes as people write them. Standard library only."""

import re

from ..errors import UsageError

__all__ = ["parse_memory"]

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}


def parse_memory(text: str) -> int:
    """Return the bytes that a text like 4GB, 800M or 2GiB means; raises UsageError for another."""
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,15})?)\s*([KMG]?I?)B?", text.strip().upper())
    if not found or found[2] not in _UNITS:
        raise UsageError(f"the memory must be a size like 4GB or 800MB, not {text!r}", "memory")
    return int(float(found[1]) * _UNITS[found[2]])
