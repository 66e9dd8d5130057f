"""That nothing which a test starts outlives it, and that signals reach it whatever the tests' own process ignores."""

import signal
from pathlib import Path
from subprocess import PIPE, TimeoutExpired

import pytest
from support.processes import finish, start

ENDLESS = "import os, time; print(os.getpid(), flush=True); time.sleep(3600)"
# A child in a session of its own, which shows its number on its parent's streams and holds on to them.
WITH_A_CHILD = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {ENDLESS!r}], start_new_session=True)"
IGNORED = "import signal; print(*(n for n in (1, 2, 15) if signal.getsignal(n) == signal.SIG_IGN))"

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks into /proc")


def _runs(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/cmdline").read_bytes() != b""
    except OSError:
        return False


@pytest.mark.parametrize("then", ["", "; import time; time.sleep(3600)"])
def test_what_a_process_has_started_ends_with_the_block(then: str) -> None:
    with start("-c", WITH_A_CHILD + then, stdout=PIPE) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert _runs(child)
    assert not _runs(child)
    assert process.returncode is not None


def test_a_block_that_fails_leaves_nothing_either() -> None:
    with pytest.raises(ZeroDivisionError), start("-c", ENDLESS) as process:
        1 / 0  # noqa: B018
    assert process.returncode == -signal.SIGKILL


def test_streams_that_a_child_holds_make_nobody_wait_for_ever() -> None:
    with pytest.raises(TimeoutExpired):
        finish("-c", WITH_A_CHILD, timeout=3)


@pytest.mark.parametrize(("ignoring", "ignored"), [((), ""), ((signal.SIGHUP, signal.SIGINT), "1 2")])
def test_only_the_signals_asked_for_are_ignored(ignoring: tuple[int, ...], ignored: str) -> None:
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        done = finish("-c", IGNORED, ignoring=ignoring)
        assert signal.getsignal(signal.SIGINT) == signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert done.stdout.strip() == ignored
