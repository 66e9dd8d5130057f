"""The three stages: what they pass on, how errors and stopping end them, and what waits where."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support.processes import PATIENCE

from diffmatte_cli.batch.outcome import Outcome
from diffmatte_cli.batch.pipeline import WAITING, Stopped, run_stages


def _same(item: Any) -> Any:
    return item


def _end(item: Any) -> Outcome:
    return Outcome("done", engine=str(item))


def _run(jobs: Any, stop: threading.Event | None = None, **stages: Any) -> Iterator[tuple[int, Outcome]]:
    chosen = {"read": _same, "computers": [_same], "write": _end} | stages
    return run_stages(jobs, chosen["read"], chosen["computers"], chosen["write"], stop or threading.Event())


def test_every_job_goes_through_every_stage_in_order() -> None:
    ends = list(_run(range(20), read=lambda n: f"{n}r", computers=[lambda x: x + "c"], write=lambda x: _end(x + "w")))
    assert ends == [(n, _end(f"{n}rcw")) for n in range(20)]


@pytest.mark.parametrize("count", [2, 5])
def test_several_computers_share_the_jobs(count: int) -> None:
    meeting = threading.Barrier(count)

    def compute(item: int) -> int:
        if item < count:
            meeting.wait(PATIENCE)  # passes only if all of them work at the same time
        return item

    ends = list(_run(range(40), computers=[compute] * count))
    assert sorted(job for job, _ in ends) == list(range(40))


@pytest.mark.parametrize("stage", ["read", "computers", "write"])
@pytest.mark.parametrize("error", [ValueError("odd"), MemoryError(), KeyboardInterrupt(), SystemExit(3)])
def test_an_error_ends_one_job_and_no_thread(stage: str, error: BaseException) -> None:
    def failing(item: int) -> Any:
        if item == 3:
            raise error
        return _end(item) if stage == "write" else item

    ends = list(_run(range(8), **{stage: [failing] if stage == "computers" else failing}))
    assert len(ends) == 8
    assert [end for end in ends if end[1].status != "done"] == [(3, Outcome("failed", error))]


def test_a_job_that_ends_early_skips_the_other_stages() -> None:
    computed: list[int] = []
    early = Outcome("skipped")
    ends = list(_run(range(6), read=lambda n: early if n % 2 else n, computers=[lambda n: computed.append(n) or n]))
    assert computed == [0, 2, 4]
    assert {job for job, outcome in ends if outcome is early} == {1, 3, 5}


def test_reading_runs_ahead_by_a_bounded_number_of_jobs() -> None:
    begun: list[int] = []
    gate = threading.Event()

    def read(item: int) -> int:
        begun.append(item)
        return item

    def compute(item: int) -> int:
        gate.wait(PATIENCE)
        return item

    run = _run(range(100), read=read, computers=[compute])
    taking = threading.Thread(target=lambda: list(run))
    taking.start()
    while len(begun) < 2 + WAITING:  # one is being computed, WAITING wait, and one waits to wait
        time.sleep(0.01)
    time.sleep(0.3)  # in which more would come
    assert len(begun) == 2 + WAITING
    gate.set()
    taking.join(PATIENCE)
    assert len(begun) == 100


def test_stopping_begins_no_job_and_writes_what_is_computed() -> None:
    stop, written = threading.Event(), []

    def compute(item: int) -> int:
        if item == 5:
            stop.set()
        return item

    ends = list(_run(range(100), stop, computers=[compute], write=lambda item: written.append(item) or _end(item)))
    assert written == list(range(6))
    assert [job for job, _ in ends] == written


def test_a_stage_may_give_its_job_up() -> None:
    stop = threading.Event()

    def compute(item: int) -> int:
        if item == 2:
            stop.set()
            raise Stopped
        return item

    assert [job for job, _ in _run(range(9), stop, computers=[compute])] == [0, 1]


def test_leaving_early_stops_the_threads() -> None:
    before = threading.active_count()
    run = _run(iter(range(10**9)))
    for job, _ in run:
        if job == 3:
            break
    run.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_no_jobs() -> None:
    assert list(_run([])) == []
