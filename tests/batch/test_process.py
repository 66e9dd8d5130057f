"""Batches and pipes as real processes: streams, signals, kills, full disks, terminals."""

import io
import json
import os
import re
import signal
import time
from pathlib import Path
from subprocess import DEVNULL, PIPE, CompletedProcess, Popen

import numpy as np
import pytest
from PIL import Image
from support import fakes
from support.processes import PATIENCE, finish, read_rest, read_until, start, terminal, wait_for

pytestmark = [
    pytest.mark.usefixtures("cat_folder"),
    pytest.mark.skipif(os.name == "nt", reason="speaks of POSIX processes"),
]

ONE = ("matte", "cat.png", "--trimap", "cat_trimap.png")
MANY = ("matte", "photos", "--trimap", "trimaps", "-o", "out", "--report", "r.jsonl")


def _through(content: bytes, *arguments: str) -> CompletedProcess[bytes]:
    """Run the program with the fake in a pipe of bytes."""
    return finish(*fakes.PROGRAM, "0", *arguments, input=content, text=False)


@pytest.mark.parametrize("form", ["png", "tiff", "webp"])
def test_a_picture_through_a_pipe(form: str) -> None:
    arguments = ("matte", "-", "--trimap", "cat_trimap.png", "-o", "-", "--cutout", "--format", form)
    done = _through(Path("cat.png").read_bytes(), *arguments)
    assert done.returncode == 0, done.stderr
    with Image.open(io.BytesIO(done.stdout)) as picture:
        assert (picture.format, picture.mode, picture.size) == (form.upper(), "RGBA", (fakes.WIDTH, fakes.HEIGHT))
    assert b"standard output" in done.stderr
    assert sorted(os.listdir()) == ["cat.png", "cat_trimap.png"]


def test_pipes_and_files_give_the_same_bytes() -> None:
    piped = _through(Path("cat.png").read_bytes(), "matte", "-", "--trimap", "cat_trimap.png")
    trimap_piped = _through(Path("cat_trimap.png").read_bytes(), "matte", "cat.png", "--trimap", "-", "-o", "-")
    assert finish(*fakes.PROGRAM, "0", *ONE).returncode == 0
    assert piped.stdout == trimap_piped.stdout == Path("cat_alpha.png").read_bytes()


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_nonsense_through_a_pipe(content: bytes) -> None:
    done = _through(content, "matte", "-", "--trimap", "cat_trimap.png", "-o", "-")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"error: cannot read standard input: ")
    assert done.stderr.count(b"\n") == 1


def test_nobody_reads_the_picture() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = finish(*fakes.PROGRAM, "0", *ONE, "-o", "-", stdout=writing)
    os.close(writing)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_leaves_in_the_middle(unbuffered: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (900, 900, 3)).astype(np.uint8)
    Image.fromarray(noise).save("cat.png")
    Image.fromarray(np.full((900, 900), 255, np.uint8)).save("cat_trimap.png")
    reading, writing = os.pipe()
    streams = {"stdout": writing, "stderr": PIPE, "env": {"PYTHONUNBUFFERED": unbuffered}}
    with start(*fakes.PROGRAM, "0", *ONE, "--cutout", "-o", "-", **streams) as process:
        os.close(writing)
        assert os.read(reading, 8) == b"\x89PNG\r\n\x1a\n"
        os.close(reading)
        _, text = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "Traceback" not in text


def test_no_picture_on_a_terminal() -> None:
    ours, theirs = os.openpty()
    done = finish(*fakes.PROGRAM, "0", *ONE, "-o", "-", stdout=theirs)
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 2
    assert "standard output is a terminal" in done.stderr


def test_no_picture_from_a_terminal() -> None:
    ours, theirs = os.openpty()
    done = finish(*fakes.PROGRAM, "0", "matte", "-", "--trimap", "cat_trimap.png", stdin=theirs)
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 2
    assert "nothing is piped into standard input" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_no_room_in_the_pipe(unbuffered: str) -> None:
    with Path("/dev/full").open("w") as full:
        streams = {"stdout": full, "env": {"PYTHONUNBUFFERED": unbuffered}}
        done = finish(*fakes.PROGRAM, "0", *ONE, "-o", "-", **streams)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        1,
        "error: no space left for standard output: redirect it elsewhere",
    )


def _results() -> list[str]:
    return sorted(entry.name for entry in Path("out").iterdir()) if Path("out").exists() else []


def _wait_for_results(process: Popen[str], count: int) -> None:
    wait_for(lambda: len(_results()) >= count, process)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_batch_in_order(number: signal.Signals) -> None:
    fakes.make_photos(f"{n:02}" for n in range(30))
    with start(*fakes.PROGRAM, "@25", *MANY, stderr=PIPE) as process:
        _wait_for_results(process, 2)
        process.send_signal(number)
        text = read_until("stopping", process)
        Path(fakes.GO).touch()
        text += read_rest(process)
    assert process.returncode == 128 + number
    assert "Traceback" not in text
    done, left = _results(), re.findall(r"^not processed: photos/(\d+)\.png$", text, re.MULTILINE)
    assert all(re.fullmatch(r"\d\d_alpha\.png", name) for name in done)
    assert (len(done), len(left)) != (30, 0)
    count = int(match.group(1)) if (match := re.search(r"(\d+) not processed \(resume", text)) else 0
    assert len(done) + count == 30
    assert len(Path("r.jsonl").read_text().splitlines()) == len(done)
    for name in done:
        with Image.open(Path("out", name)) as picture:
            picture.load()
    again = finish(*fakes.PROGRAM, "0", *MANY, "--skip-existing")
    assert again.returncode == 0
    assert f"{30 - len(done)} done, {len(done)} skipped" in again.stderr


def test_a_second_signal_stops_at_once() -> None:
    """In the middle of a step, which never ends."""
    with start(*fakes.PROGRAM, "@1", *ONE, "--dump-steps", "steps", stderr=PIPE) as process:
        wait_for(Path("steps").exists, process)
        process.send_signal(signal.SIGINT)
        assert "stopping" in read_until("stopping", process)
        process.send_signal(signal.SIGINT)
        read_rest(process)
    assert process.returncode == 130
    assert not list(Path().glob("**/.diffmatte-*"))
    assert not Path("cat_alpha.png").exists()


_KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from support import fakes
from diffmatte_cli.commands.app import main

whole, written = Path.write_bytes, []

def write_half(path, content):
    written.append(path)
    if len(written) == 3:
        whole(path, content[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(path, content)

Path.write_bytes = write_half
sys.modules["diffmatte_cli.inference.matter"] = fakes.fake_matting(fakes.FakeMatter())
main()
"""


def test_a_kill_in_the_middle_of_writing_leaves_nothing_that_looks_finished() -> None:
    fakes.make_photos("abcd")
    assert finish(*fakes.PROGRAM, "0", *MANY).returncode == 0
    before = {name: Path("out", name).read_bytes() for name in _results()}
    with start("-c", _KILLED_WHILE_WRITING, *MANY, "--seed", "1") as process:
        process.wait(PATIENCE)
    assert process.returncode == -signal.SIGKILL
    names = [name for name in _results() if not name.startswith(".diffmatte-")]
    assert names == sorted(before)
    changed = [name for name in names if Path("out", name).read_bytes() != before[name]]
    assert len(changed) == 2
    for name in names:
        with Image.open(Path("out", name)) as picture:
            picture.load()
    assert len(Path("r.jsonl").read_text().splitlines()) <= 2
    again = finish(*fakes.PROGRAM, "0", *MANY, "--seed", "1", "--skip-existing")
    assert "2 done, 2 skipped" in again.stderr


def test_kills_at_any_time_lose_nothing() -> None:
    fakes.make_photos(f"{n:02}" for n in range(40))
    for delay in (0.0, 0.05, 0.11, 0.23):
        with start(*fakes.PROGRAM, "0.002", *MANY, "--skip-existing", stderr=DEVNULL) as process:
            _wait_for_results(process, 1)
            time.sleep(delay)
        for name in _results():
            if not name.startswith("."):
                with Image.open(Path("out", name)) as picture:
                    picture.load()
    last = finish(*fakes.PROGRAM, "0", *MANY, "--skip-existing")
    assert last.returncode == 0
    finished = [name for name in _results() if not name.startswith(".")]
    assert len(finished) == 40
    rows = [json.loads(line) for line in Path("r.jsonl").read_text().splitlines()]
    assert len({row["output"] for row in rows}) == 40


_SMALL_DISK = """
import resource, signal, sys
from support import fakes
from diffmatte_cli.commands.app import main

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))
sys.modules["diffmatte_cli.inference.matter"] = fakes.fake_matting(fakes.FakeMatter())
main()
"""


def test_files_that_cannot_be_written_leave_the_old_ones() -> None:
    fakes.make_photos("ab")
    assert finish(*fakes.PROGRAM, "0", *MANY).returncode == 0
    before = {name: Path("out", name).read_bytes() for name in _results()}
    done = finish("-c", _SMALL_DISK, *MANY[:-2], "--seed", "1")
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2
    assert all("cannot write out/" in line for line in errors)
    assert {name: Path("out", name).read_bytes() for name in _results()} == before


@pytest.mark.parametrize(("arguments", "bar"), [([], True), (["--quiet"], False)])
def test_a_bar_over_the_batch_on_a_terminal(arguments: list[str], bar: bool) -> None:
    fakes.make_photos("abc")
    Path("photos/b.png").write_bytes(b"no picture")
    with terminal() as (stderr, shown), start(*fakes.PROGRAM, "0.01", *MANY, *arguments, stderr=stderr) as process:
        content = shown()
        assert process.wait(PATIENCE) == 1
    assert (b"3/3" in content and b"image" in content) == bar
    assert (b"photos/a.png]" in content) == bar  # what is being computed
    assert b"photos/a.png:" not in content
    assert b"cannot read photos/b.png" in content


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_waiting_for_standard_input(number: signal.Signals) -> None:
    arguments = ("matte", "-", "--trimap", "cat_trimap.png", "-o", "x.png")
    with start(*fakes.PROGRAM, "0", *arguments, stdin=PIPE, stderr=PIPE, text=False, bufsize=0) as process:
        assert process.stdin is not None
        # More than a pipe holds: when all of it is gone, the program has begun to read.
        process.stdin.write(bytes(2**20))
        process.send_signal(number)
        assert process.wait(PATIENCE) == 128 + number
    assert not Path("x.png").exists()


def test_a_picture_that_comes_slowly() -> None:
    arguments = ("matte", "-", "--trimap", "cat_trimap.png", "-o", "x.png")
    reading, writing = os.pipe()
    with start(*fakes.PROGRAM, "0", *arguments, stdin=reading, stderr=PIPE) as process:
        os.close(reading)
        for part in (Path("cat.png").read_bytes()[:100], Path("cat.png").read_bytes()[100:]):
            os.write(writing, part)
            time.sleep(0.5)
        os.close(writing)
        _, text = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, text
    assert Path("x.png").exists()


@pytest.mark.parametrize(
    ("closed", "arguments", "words"),
    [
        (0, ("matte", "-", "--trimap", "cat_trimap.png", "-o", "x.png"), "nothing is piped into standard input"),
        (0, ("check", "-", "--trimap", "cat_trimap.png"), "nothing is piped into standard input"),
        (0, ("trimap", "-", "-o", "x.png"), "nothing is piped into standard input"),
        (1, (*ONE, "-o", "-"), "standard output is closed"),
        (1, ("trimap", "cat.png", "-o", "-"), "standard output is closed"),
    ],
)
def test_closed_streams_bring_and_take_no_pictures(closed: int, arguments: tuple[str, ...], words: str) -> None:
    done = finish(*fakes.PROGRAM, "0", *arguments, preexec_fn=lambda: os.close(closed), stdout=None)
    assert done.returncode == 2
    assert words in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_the_caller_ignores_is_ignored(number: signal.Signals) -> None:
    """As SIGINT is in the background of a shell, and SIGHUP under nohup."""
    fakes.make_photos("abcdef")
    with start(*fakes.PROGRAM, "@15", *MANY, ignoring=(number,), stderr=PIPE) as process:
        _wait_for_results(process, 1)
        process.send_signal(number)
        Path(fakes.GO).touch()
        text = read_rest(process)
    assert process.returncode == 0
    assert "stopping" not in text
    assert len(_results()) == 6


def test_where_some_signals_are_ignored_another_ends_the_run() -> None:
    fakes.make_photos("abcdef")
    with start(*fakes.PROGRAM, "@15", *MANY, ignoring=(signal.SIGINT, signal.SIGHUP), stderr=PIPE) as process:
        _wait_for_results(process, 1)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        text = read_until("stopping", process)
        Path(fakes.GO).touch()
        text += read_rest(process)
    assert process.returncode == 128 + signal.SIGTERM
    assert "not processed: photos/f.png" in text
