"""The command and its server as a whole: how it begins, and how it ends."""

import json
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from subprocess import PIPE
from urllib.parse import urlsplit

import pytest
from support.fakes import PROGRAM, FakeMatter, run
from support.processes import PATIENCE, read_rest, read_until, start
from support.skipping import skip_without

from diffmatte_cli.extras import EXTRAS, is_installed
from diffmatte_cli.paint.guides import Guide
from diffmatte_cli.paint.session import Session

needs_web = skip_without(is_installed("web"), "needs the extra web (Starlette, uvicorn)")
ENDLESS = json.dumps({"picture": 1, "strokes": [], "model": "tiny", "steps": "10000", "seed": "0"})


@contextmanager
def matting(address: str) -> Iterator[HTTPResponse]:
    """Ask for a matte that takes for ever; yield the answer after its first step, and hang up."""
    parts = urlsplit(address)
    with closing(HTTPConnection(str(parts.hostname), parts.port, timeout=PATIENCE)) as connection:
        connection.request("POST", parts.path + "matte", ENDLESS)
        with connection.getresponse() as answer:
            while "step" not in json.loads(answer.readline()):
                pass
            yield answer


@needs_web
def test_whoever_hangs_up_leaves_no_work_running(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    from diffmatte_cli.paint.server import serve

    monkeypatch.setattr(FakeMatter, "_wait", lambda _: time.sleep(0.01))
    session.open(Path("cat.png"), Guide("trimap", Path("cat_trimap.png")))
    stop, announced, addresses = threading.Event(), threading.Event(), list[str]()
    announce = lambda address: (addresses.append(address), announced.set())  # noqa: E731
    server = threading.Thread(target=serve, args=(session, 0, announce, stop))
    server.start()
    try:
        assert announced.wait(PATIENCE)
        with matting(addresses[0]):
            assert session._working.locked()
        until = time.monotonic() + PATIENCE
        while session._working.locked():
            assert time.monotonic() < until, "it goes on for nobody"
            time.sleep(0.01)
    finally:
        stop.set()
        server.join()


@needs_web
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_and_what_it_computes(cat_folder: Path, number: int) -> None:
    command = (*PROGRAM, "0.05", "paint", "cat.png", "--trimap", "cat_trimap.png")
    with start(*command, stderr=PIPE, env={"TMPDIR": str(cat_folder)}) as process:
        (address,) = re.findall(r"open (http://127\.0\.0\.1:\d+/\S{32}/) in", read_until("Ctrl-C ends", process))
        with matting(address) as answer:
            assert len(list(cat_folder.glob("diffmatte-*"))) == 1
            process.send_signal(number)
            assert json.loads(answer.read().splitlines()[-1]) == {"stopped": True}
        said = read_rest(process)
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert sorted(path.name for path in cat_folder.iterdir()) == ["cat.png", "cat_trimap.png"]


@needs_web
def test_nobody_else_can_connect_but_this_machine(cat_folder: Path) -> None:
    with start("-m", "diffmatte_cli", "paint", stderr=PIPE) as process:
        address = urlsplit(re.findall(r"http://\S+", read_until("Ctrl-C ends", process))[0])
        assert address.hostname == "127.0.0.1"
        for other in {found[4][0] for found in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}:
            if not other.startswith("127."):
                with pytest.raises(OSError), socket.create_connection((other, address.port), timeout=5):  # noqa: PT011
                    pass


@needs_web
def test_a_port_that_is_taken_is_told(cat_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run("paint", "--port", str(taken.getsockname()[1]))
    assert result.exit_code == 2
    assert "leave it out for a free one (--port)" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("cat.png", "--trimap", "a.png", "--mask", "b.png"), "conflict: give one of them (--trimap, --mask)"),
        (("--mask", "b.png"), "belongs to a photograph: name it, too"),
        (("-",), "no standard input"),
        (("cat.png", "-o", "-"), "needs a folder"),
        (("cat.png", "-o", ""), "a path is empty"),
        (("cat.png", "--steps", "0"), "steps must be a whole number from 1"),
    ],
)
def test_wrong_use_is_told_before_anything_is_served(cat_folder: Path, arguments: tuple[str, ...], said: str) -> None:
    result = run("paint", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr


@needs_web
@pytest.mark.parametrize(("photo", "code"), [("absent.png", 2), ("cat_trimap.txt", 2), ("text.png", 1)])
def test_what_cannot_be_opened_ends_the_program(cat_folder: Path, photo: str, code: int) -> None:
    Path("text.png").write_text("no picture")
    result = run("paint", photo)
    assert result.exit_code == code
    assert result.stderr.startswith("error: ")


def test_the_extra_is_named_where_it_is_missing(cat_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXTRAS, "web", ("no_such_package",))
    result = run("paint", "cat.png")
    assert result.exit_code == 2
    assert "pip install 'diffmatte[web]'" in result.stderr
