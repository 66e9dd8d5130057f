"""What runs on a cluster's machines, without a cluster: errors, retries, and two jobs side by side."""

import pickle
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from PIL import Image
from support import fakes
from support.processes import PATIENCE

from diffmatte_cli.batch.outcome import Outcome
from diffmatte_cli.batch.ray import clusters, connecting, workers
from diffmatte_cli.batch.ray.clusters import MOST_ALONE, MOST_TOGETHER, ClusterRun, check_cluster, jobs_together
from diffmatte_cli.batch.ray.workers import Coordinator, JobLock, Note, Worker, WorkerConfig
from diffmatte_cli.errors import DiffmatteError, ImageError, ResourceError, UsageError, WeightsError
from diffmatte_cli.planning.jobs import Job, plan
from diffmatte_cli.planning.options import MatteOptions
from diffmatte_cli.planning.requests import Request
from diffmatte_cli.settings import Computing, Sampling
from diffmatte_cli.storage.paths import location
from diffmatte_cli.weights.store import Identity, WeightsStore

DIED = "a worker died and was replaced: its jobs are repeated"


@pytest.fixture
def jobs(cat_folder: Path) -> list[Job]:
    """Plan the matting of three photographs."""
    fakes.make_photos("abc")
    return plan(Request(("photos",), "trimaps", "out", overwrite=False))


@pytest.fixture
def make_worker(matter: fakes.FakeMatter, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Worker]:
    """Return what makes a worker with a fake model and a coordinator in this process."""
    monkeypatch.setattr(workers, "resolve_model", fakes.fake_resolve_model)

    def make(coordinator: Coordinator, **changes: Any) -> Worker:
        def ask(method: str, *arguments: Any) -> Any:
            return getattr(coordinator, method)(*arguments)

        config = WorkerConfig(MatteOptions(device="cpu"), Identity("tiny".ljust(64, "0")), True, None, 1, ask)
        return Worker(replace(config, **changes))

    return make


def _ended(worker: Worker, *jobs: Job) -> list[tuple[Outcome | None, tuple[Note, ...]]]:
    block = {"index": list(range(len(jobs))), "job": [pickle.dumps(job) for job in jobs]}
    done = worker(block)
    assert done["index"] == block["index"]
    return [pickle.loads(end) for end in done["ended"]]


def _done(worker: Worker, *jobs: Job) -> list[Outcome]:
    outcomes = [outcome for outcome, _ in _ended(worker, *jobs) if outcome is not None]
    assert len(outcomes) == len(jobs)
    return outcomes


def test_a_block_of_jobs(make_worker: Callable[..., Worker], jobs: list[Job]) -> None:
    Path("photos/b.png").write_bytes(b"no picture")
    coordinator = Coordinator()
    first, second, third = _done(make_worker(coordinator), *jobs)
    assert (first.status, first.width, second.status, third.error) == ("done", fakes.WIDTH, "failed", None)
    assert isinstance(second.error, ImageError)
    assert str(second.error).startswith("cannot read photos/b.png: ")
    assert sorted(path.name for path in Path("out").iterdir()) == ["a_alpha.png", "c_alpha.png"]
    assert coordinator.in_progress() == 0


def test_what_a_dead_worker_has_written_is_done_and_not_in_the_way(
    make_worker: Callable[..., Worker], jobs: list[Job], matter: fakes.FakeMatter
) -> None:
    (first,) = _done(make_worker(Coordinator()), jobs[0])
    (again,) = _done(make_worker(Coordinator()), jobs[0])
    assert replace(again, engine="", seconds=0) == replace(first, engine="", seconds=0)
    assert len(matter.encoded) == 1
    (other,) = _done(make_worker(Coordinator()), replace(jobs[0], sampling=Sampling(sampler="ddpm")))
    assert str(other.error) == "cannot write out/a_alpha.png: it exists by now, and overwriting is off"


def test_a_job_that_kills_workers_is_given_up(make_worker: Callable[..., Worker], jobs: list[Job]) -> None:
    coordinator = Coordinator()
    for _ in range(workers.MOST_TRIES):
        coordinator.begin(0, again=True)
    ((outcome, notes),) = _ended(make_worker(coordinator), jobs[0])
    assert outcome is not None
    assert isinstance(outcome.error, ResourceError)
    assert "3 workers died on it" in str(outcome.error)
    assert notes[0] == (DIED, True)
    assert coordinator.in_progress() == 0
    coordinator.begin(0)
    (outcome,) = _done(make_worker(coordinator), jobs[0])
    assert outcome.error is None


def test_a_death_is_told_once_by_who_does_the_work_again(make_worker: Callable[..., Worker], jobs: list[Job]) -> None:
    coordinator = Coordinator()
    for index in range(2):
        coordinator.begin(index)
    ended = _ended(make_worker(coordinator), *jobs)
    assert [(outcome and outcome.status, (DIED, True) in notes) for outcome, notes in ended] == [
        ("done", True),
        ("done", False),
        ("done", False),
    ]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"weights": "f" * 64}, WeightsError, "differ from those on this machine"),
        ({"version": "0.0.0"}, UsageError, "and 0.0.0 here: install the same version"),
        ({"folder": "/nowhere/at/all"}, UsageError, "use one that all machines share, or URLs"),
        ({"options": MatteOptions(model="none")}, UsageError, "there is no model named 'none'"),
    ],
)
def test_machines_that_are_not_like_the_drivers(
    changes: dict[str, Any], error: type, words: str, make_worker: Callable[..., Worker], jobs: list[Job]
) -> None:
    (outcome,) = _done(make_worker(Coordinator(), **changes), jobs[0])
    assert type(outcome.error) is error
    assert words in str(outcome.error)


def test_errors_of_other_kinds_come_back_as_sentences(
    make_worker: Callable[..., Worker], jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    class OddError(Exception):
        def __reduce__(self) -> Any:
            raise TypeError("not to be sent")

    def failing(*_: object) -> None:
        raise OddError("odd")

    monkeypatch.setattr(fakes.FakeMatter, "encode", failing)
    (outcome,) = _done(make_worker(Coordinator()), jobs[0])
    assert type(outcome.error) is DiffmatteError
    assert str(outcome.error) == "unexpected OddError: odd"


def test_nothing_is_begun_after_the_stop(make_worker: Callable[..., Worker], jobs: list[Job]) -> None:
    coordinator = Coordinator()
    coordinator.stop()
    assert _ended(make_worker(coordinator), *jobs) == [(None, ())] * 3
    assert not Path("out").exists()


def test_warnings_and_messages_come_along(make_worker: Callable[..., Worker], jobs: list[Job]) -> None:
    with Image.open("trimaps/a.png") as trimap:
        size = trimap.size
    Image.new("L", size, 128).save("trimaps/a.png")
    ((_, notes),) = _ended(make_worker(Coordinator()), jobs[0])
    assert any(text.startswith("photos/a.png: ") and is_warning for text, is_warning in notes)


def test_two_side_by_side_or_one_alone() -> None:
    lock = JobLock()
    inside, leave = ({name: threading.Event() for name in "abcd"} for _ in range(2))
    beside: dict[str, int] = {}

    def stay(name: str, alone: bool) -> None:
        with lock.entered(alone):
            beside[name] = lock.inside
            inside[name].set()
            assert leave[name].wait(PATIENCE)

    threads = {name: threading.Thread(target=stay, args=(name, name == "c")) for name in "abcd"}
    for name in "ab":
        threads[name].start()
        assert inside[name].wait(PATIENCE)
    threads["c"].start()
    for name in "ab":
        assert not inside["c"].is_set()
        leave[name].set()
        threads[name].join()
    assert inside["c"].wait(PATIENCE)
    threads["d"].start()
    assert not inside["d"].is_set()
    leave["c"].set()
    assert inside["d"].wait(PATIENCE)
    leave["d"].set()
    for name in "cd":
        threads[name].join()
    assert beside == {"a": 1, "b": 2, "c": 1, "d": 1}


@pytest.mark.parametrize(
    ("jobs_in_all", "together"), [(1, 1), (MOST_ALONE, 1), (MOST_ALONE + 1, 2), (10**6, MOST_TOGETHER)]
)
def test_blocks_are_small(jobs_in_all: int, together: int) -> None:
    assert jobs_together(jobs_in_all) == together


def test_without_ray_one_sentence_says_what_to_install(jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diffmatte_cli.extras.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"the engine ray needs an extra: pip install 'diffmatte\[ray\]'"):
        check_cluster(MatteOptions(engine="ray"), jobs)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"device": "cuda:0"}, "auto, cpu and cuda, not cuda:0"),
        ({"ray_address": "127.0.0.1:1"}, "no Ray cluster answers at 127.0.0.1:1: "),
        ({"ray_address": "ray://head:10001"}, "must be HOST:PORT"),
        ({"ray_address": "head"}, "must be HOST:PORT"),
    ],
)
def test_what_the_engine_refuses(
    changes: dict[str, Any], words: str, jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diffmatte_cli.extras.find_spec", lambda _: True)
    with pytest.raises(UsageError) as caught:
        check_cluster(MatteOptions(engine="ray", **changes), jobs)
    assert words in str(caught.value)
    (stream,) = plan(Request(("-",), "cat_trimap.png", "x.png"))
    with pytest.raises(UsageError, match="standard input and output"):
        check_cluster(MatteOptions(engine="ray"), [stream])
    with pytest.raises(UsageError, match="requires the engine ray"):
        MatteOptions(ray_address="head:6379")


def test_what_ray_raises_is_told_in_a_sentence() -> None:
    cause = RuntimeError("RPC error: InvalidAuthToken: Authentication token is missing or incorrect")
    error = ConnectionError("Failed to connect to Ray cluster at head:6379\nmore")
    assert (
        connecting._refusal(error, "head:6379") == "Ray does not start: Failed to connect to Ray cluster at head:6379"
    )
    error.__cause__ = cause
    assert connecting._refusal(error, "head:6379").startswith("the Ray cluster at head:6379 requires a token: set ")


def _chosen(nodes: list[dict[str, float]], device: str = "auto", threads: int | None = None) -> str:
    class Ray:
        """Play the part of the module, with a machine that is gone among the others."""

        @staticmethod
        def nodes() -> list[dict[str, Any]]:
            gone = {"Alive": False, "Resources": {"GPU": 9.0, "CPU": 900.0}}
            return [gone, *({"Alive": True, "Resources": node} for node in nodes)]

    return str(clusters._choose_workers(Ray, MatteOptions(device=device, computing=Computing(threads=threads)), 9))


@pytest.mark.parametrize(
    ("nodes", "options", "words"),
    [
        ([{"CPU": 8.0}, {"CPU": 4.0}], {}, "3 workers with 4 CPU cores each"),
        ([{"CPU": 8.0}, {"CPU": 3.0}], {"threads": 2}, "5 workers with 2 CPU cores each"),
        ([{"CPU": 2.0}], {}, "1 worker with 2 CPU cores"),
        ([{"CPU": 8.0, "GPU": 2.0}, {"CPU": 8.0, "GPU": 1.0}, {"CPU": 8.0}], {}, "3 workers with a GPU each"),
        ([{"CPU": 8.0, "GPU": 2.0}], {"device": "cpu"}, "2 workers with 4 CPU cores each"),
        ([{"CPU": 8.0, "GPU": 4.0}, {"CPU": 3.0, "GPU": 1.0}], {"threads": 4}, "2 workers with a GPU each"),
        ([{"CPU": 2.0, "GPU": 4.0}, {"CPU": 16.0}], {}, "2 workers with a GPU each"),
        ([{"CPU": 64.0}], {}, "9 workers with 4 CPU cores each"),
    ],
)
def test_as_many_workers_as_there_is_room_for(
    nodes: list[dict[str, float]], options: dict[str, Any], words: str
) -> None:
    assert _chosen(nodes, **options) == words


def test_a_cluster_that_has_no_room() -> None:
    with pytest.raises(UsageError, match="no machine of the Ray cluster has a GPU"):
        _chosen([{"CPU": 8.0}], device="cuda")
    with pytest.raises(UsageError, match="no machine of the Ray cluster has 3 CPU cores: the most is 2"):
        _chosen([{"CPU": 2.0}, {"CPU": 2.0}], threads=3)
    with pytest.raises(UsageError, match="has a GPU and 8 CPU cores: the most is 4"):
        _chosen([{"CPU": 4.0, "GPU": 1.0}, {"CPU": 64.0}], threads=8)
    with pytest.raises(UsageError, match="has a GPU and 1 CPU core: the most is 0"):
        _chosen([{"GPU": 1.0}, {"CPU": 64.0}])


def _run_of(**options: Any) -> ClusterRun:
    def ignore(_: object) -> bool:
        return False

    return ClusterRun(MatteOptions(**options), Identity("0" * 64), True, threading.Event(), ignore, ignore, ignore)


@pytest.mark.parametrize(
    ("options", "is_needed"),
    [
        ({}, False),
        ({"model": "mine.safetensors"}, True),
        ({"cutout": True, "background": "b.png"}, True),
        ({"cutout": True, "background": "white"}, False),
        ({"store": WeightsStore(weights_file=Path("mine.toml"))}, True),
        ({"store": WeightsStore(cache_dir=Path("cache"))}, True),
        ({"store": WeightsStore(cache_dir=Path("/cache"), weights_file=Path("/mine.toml"))}, False),
    ],
)
def test_workers_go_where_relative_options_start(
    options: dict[str, Any], is_needed: bool, jobs: list[Job], cat_folder: Path
) -> None:
    for name in ("mine.safetensors", "b.png"):
        Path(name).touch()
    there = [location(f"memory://x/{name}") for name in ("a.png", "trimap.png", "out.png")]
    far = replace(jobs[0], image=there[0], trimap=there[1], output=there[2])
    pool, client = clusters.WorkerPool(1, 1, 0, 1), clusters.CoordinatorClient(None)
    config = clusters._worker_config([far], _run_of(**options), pool, client)
    assert config.folder == (str(cat_folder) if is_needed else None)
    near = clusters._worker_config(jobs, _run_of(), pool, client)
    assert near.folder == str(cat_folder)


def test_a_desk_that_was_started_anew_is_told_again_to_stop(jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "PAUSE", 0.001)
    monkeypatch.setattr(clusters, "LAST_ROWS", 0.0)
    coordinators = [Coordinator()]

    class Anew(clusters.CoordinatorClient):
        def __call__(self, method: str, *arguments: Any) -> Any:
            if method == "in_progress" and len(coordinators) == 1:  # while a worker has something in hand
                coordinators.append(Coordinator())
                return 1
            return getattr(coordinators[-1], method)(*arguments)

    run = _run_of()
    run.stop.set()
    assert list(clusters._ends(jobs, run, Anew(None), SimpleQueue())) == []
    assert [coordinator.is_stopped() for coordinator in coordinators] == [True, True]
