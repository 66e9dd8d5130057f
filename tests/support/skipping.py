"""Skip tests for what a machine lacks, or let them fail where nothing may be skipped."""

import os

import pytest

__all__ = ["VARIABLE", "skip_without"]

VARIABLE = "DIFFMATTE_NO_SKIP"


def skip_without(found: object, reason: str) -> pytest.MarkDecorator:
    """Return a mark that skips tests unless something is ``found``; raises where ``DIFFMATTE_NO_SKIP`` is set."""
    if not found and os.environ.get(VARIABLE, "0") != "0":
        raise RuntimeError(f"{reason}, and {VARIABLE} is set")
    return pytest.mark.skipif(not found, reason=reason)
