"""Damaged files of every kind that is read: each is a result or one sentence, within bounds."""

import pytest
from support.fuzzing import KINDS
from support.processes import finish

EACH = 15


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_read_or_refused(kind: str) -> None:
    """In a process of its own, whose memory is measured, and which ends itself where it hangs."""
    run = finish("-m", "support.fuzzing", "--inputs", str(EACH), "--seconds", "60", "--kinds", kind)
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"{kind}: {EACH} inputs, 0 faults" in run.stdout
