"""``--engine ray`` as real processes on a cluster of this machine: results, failures, kills, signals."""

import importlib.util
import json
import os
import re
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

import pytest
from support import fakes
from support.processes import PATIENCE, PYTHONPATH, finish, read_rest, read_until, start, wait_for
from support.skipping import skip_without

from diffmatte_cli.batch.ray.connecting import QUIET
from diffmatte_cli.weights.records import PACKAGE

pytestmark = skip_without(importlib.util.find_spec("ray"), "needs the extra ray")

COUNT = 8
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
MATTE = ("-m", "diffmatte_cli", "matte")
COMMON = ("--threads", "1", "--report", "r.jsonl", "-o")
FOLDER = (*MATTE, "photos", "--trimap", "trimaps", *COMMON)
# Where there is a folder ``held`` beside that of the photographs, some of these wait until it is gone, one fewer than
# two workers have in work, so that others get done; the processes that wait leave their numbers in it.
HELD = ("1", "2", "3")
SHELF = f"""
import os, time
from contextlib import suppress
from pathlib import Path
from fsspec.implementations.local import LocalFileSystem

class Shelf(LocalFileSystem):
    protocol = "shelf"

    @classmethod
    def _strip_protocol(cls, path):
        return "/" + path.removeprefix("shelf://").strip("/")

    def _open(self, path, *rest, **more):
        held = Path(path).parents[1] / "held"
        if Path(path).parent.name == "photos" and Path(path).stem in {HELD}:
            with suppress(FileNotFoundError):
                (held / str(os.getpid())).touch()
            while held.exists():
                time.sleep(0.01)
        return super()._open(path, *rest, **more)
"""
CLUSTER = """
import sys, ray
ray.init(address="local", num_cpus=2, include_dashboard=False, object_store_memory=10**8, log_to_driver=False)
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
ray.shutdown()
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Start a cluster of two cores, whose processes know a store of the test's own; yield the environment for it."""
    place = tmp_path_factory.mktemp("shelf")
    about = place / "shelf-1.dist-info"
    about.mkdir()
    (place / "shelf.py").write_text(SHELF)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: shelf\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[fsspec.specs]\nshelf = shelf:Shelf\n")
    environment = {"PYTHONPATH": os.pathsep.join([PYTHONPATH, str(place)])} | TOKEN
    with start("-c", CLUSTER, env=QUIET | environment, stdin=PIPE, stdout=PIPE, stderr=DEVNULL) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, "Ray does not start"
        yield environment | {"RAY_ADDRESS": address}
        process.communicate(timeout=PATIENCE)


@pytest.fixture(autouse=True)
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work beside a folder of small photographs and one of their trimaps."""
    monkeypatch.chdir(tmp_path)
    fakes.make_photos(f"{number}" for number in range(COUNT))


def _run(cluster: dict[str, str], *arguments: str, code: int = 0) -> list[str]:
    done = finish(*arguments, "--engine", "ray", env=cluster)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()


def _rows() -> dict[str, dict[str, Any]]:
    rows = [json.loads(line) for line in Path("r.jsonl").read_text().splitlines()]
    assert len({row["image"] for row in rows}) == len(rows)
    return {Path(row["image"]).stem: row for row in rows}


def _contents(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).glob("[0-9]*")}


def test_the_same_bytes_as_on_one_machine_and_a_damaged_photograph(cluster: dict[str, str]) -> None:
    Path("photos/3.png").write_bytes(b"no picture")
    settings = ("--steps", "2", "--cutout", "--with-alpha")
    lines = _run(cluster, *FOLDER, "out", *settings, code=1)
    assert lines[0] == "ray: 2 workers with 1 CPU core each"
    (error,) = (line for line in lines if line.startswith("error: "))
    assert error.startswith("error: cannot read photos/3.png: ")
    assert lines[-1].startswith("7 done, 1 failed in ")
    assert len(lines) == COUNT + 2
    rows = _rows()
    assert len(rows) == COUNT
    assert [name for name, row in rows.items() if row["status"] == "failed"] == ["3"]
    local = finish(*FOLDER, "local", *settings)
    assert local.returncode == 1
    assert _contents("out") == _contents("local")


def test_urls_and_what_is_done_already(cluster: dict[str, str], tmp_path: Path) -> None:
    here = f"shelf:/{tmp_path}"
    paths = (f"{here}/photos", "--trimap", f"{here}/trimaps", "-o", f"{here}/new/out")
    for words in ("8 done in ", "0 done, 8 skipped in "):
        lines = _run(cluster, *MATTE, *paths, "--steps", "1", "--skip-existing", "--threads", "1")
        assert lines[-1].startswith(words)
    assert sorted(_contents("new/out")) == [f"{number}_alpha.png" for number in range(COUNT)]


def test_a_killed_worker_is_replaced_and_every_job_done_once(cluster: dict[str, str], tmp_path: Path) -> None:
    Path("held").mkdir()
    command = (*MATTE, f"shelf:/{tmp_path}/photos", "--trimap", "trimaps", *COMMON, "out", "--no-overwrite")
    with start(*command, "--engine", "ray", env=cluster, stderr=PIPE) as process:
        wait_for(lambda: _contents("out") and os.listdir("held"), process)
        os.kill(int(os.listdir("held")[0]), signal.SIGKILL)
        Path("held").rename("let go")
        _, text = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, text
    assert "warning: a worker died and was replaced: its jobs are repeated\n" in text
    rows = _rows()
    assert sorted(rows) == [str(number) for number in range(COUNT)]
    assert {(row["status"], row["width"]) for row in rows.values()} == {("done", fakes.WIDTH)}
    local = finish(*FOLDER, "local")
    assert local.returncode == 0
    assert _contents("out") == _contents("local")


def test_damaged_weights_stop_the_run(cluster: dict[str, str]) -> None:
    (bundled,) = (PACKAGE / "bundled").glob("tiny*.safetensors")
    Path("bad.safetensors").write_bytes(bundled.read_bytes()[:-1000])
    fakes.make_photos(map(str, range(100)))  # so many that not all are in hand when the first has failed
    lines = _run(cluster, *FOLDER, "out", "--model", "bad.safetensors", code=1)
    assert lines[-1].startswith("error: ")
    assert "bad.safetensors" in lines[-1]
    assert any(line.startswith("not processed: photos/") for line in lines)
    assert not Path("out").exists()


def test_a_signal_ends_the_run_in_order(cluster: dict[str, str], tmp_path: Path) -> None:
    """While some are held, of which none is done soon when they are let go."""
    Path("held").mkdir()
    steps = {str(number): 1 for number in range(COUNT)} | dict.fromkeys(HELD, 10_000)
    rows = (f"shelf:/{tmp_path}/photos/{name}.png,trimaps/{name}.png,{count}\n" for name, count in steps.items())
    Path("m.csv").write_text("image,trimap,steps\n" + "".join(rows))
    command = (*MATTE, "--manifest", f"shelf:/{tmp_path}/m.csv", *COMMON, "out", "--engine", "ray")
    with start(*command, env=cluster, stderr=PIPE) as process:
        wait_for(lambda: _contents("out"), process)
        process.send_signal(signal.SIGTERM)
        text = read_until("stopping", process)
        Path("held").rename("let go")
        text += read_rest(process)
    assert process.returncode == 128 + signal.SIGTERM, text
    assert "Traceback" not in text
    left = re.findall(r"^not processed: .*/photos/(\d)\.png$", text, re.MULTILINE)
    assert set(left) >= set(HELD)
    assert sorted([*left, *_rows()]) == [str(number) for number in range(COUNT)]
    assert set(_contents("out")) >= {f"{name}_alpha.png" for name in _rows()}
    assert not list(Path("out").glob(".diffmatte-*"))


def test_a_cluster_of_its_own() -> None:
    lines = _run({"RAY_ADDRESS": ""} | TOKEN, *MATTE, "photos/1.png", "--trimap", "trimaps/1.png", "-o", "one.png")
    assert lines[0].startswith("ray: 1 worker with ")
    assert len(lines) == 2
    assert Path("one.png").exists()
