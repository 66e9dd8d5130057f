"""Addresses where no cluster is: told soon, and left by Ctrl-C."""

import importlib.util
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import PIPE

import pytest
from support.processes import PATIENCE, finish, start, wait_for
from support.skipping import skip_without

from diffmatte_cli.batch.pipeline import Stopped
from diffmatte_cli.batch.ray import connecting
from diffmatte_cli.errors import UsageError

pytestmark = [
    skip_without(importlib.util.find_spec("ray"), "needs the extra ray"),
    pytest.mark.usefixtures("cat_folder"),
]

GREETING = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
COMMAND = ("matte", "cat.png", "--trimap", "cat_trimap.png", "--engine", "ray", "--ray-address")


@contextmanager
def answering(words: bytes) -> Iterator[tuple[str, list[socket.socket]]]:
    """Serve a port that accepts, says these words and nothing more; yield its address, and who has come."""
    guests: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                guest, _ = server.accept()
                guest.sendall(words)
            except OSError:
                return
            guests.append(guest)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}", guests
        server.shutdown(socket.SHUT_RDWR)
    for guest in guests:
        guest.close()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (b"", "nothing answers at .* within 0 s: check host and port"),
        (GREETING[:5], "nothing answers at .* within 0 s"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "what answers at .* is no Ray cluster"),
        (b"SSH-2.0-x\r\n", "what answers at .* is no Ray cluster"),
    ],
)
def test_what_is_no_cluster_is_told(words: bytes, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "SECONDS_TO_ANSWER", 0.3)
    with answering(words) as (address, _), pytest.raises(UsageError, match=message):
        connecting.check_address(address)


def test_a_silent_port_is_told_within_half_a_minute() -> None:
    with answering(b"") as (address, _):
        began = time.monotonic()
        done = finish("-m", "diffmatte_cli", *COMMAND, address)
    assert (done.returncode, done.stderr) == (
        2,
        f"error: nothing answers at {address} within 10 s: check host and port of its head\n",
    )
    assert time.monotonic() - began < 30


def test_a_port_that_greets_and_falls_silent_is_told() -> None:
    with answering(GREETING) as (address, _):
        done = finish("-m", "diffmatte_cli", *COMMAND, address)
    assert (done.returncode, done.stderr) == (
        2,
        f"error: the Ray cluster at {address} does not take part within 20 s: check host and port of its head\n",
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_wait(number: signal.Signals) -> None:
    with answering(b"") as (address, guests), start("-m", "diffmatte_cli", *COMMAND, address, stderr=PIPE) as process:
        wait_for(lambda: guests, process)
        began = time.monotonic()
        process.send_signal(number)
        _, text = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + number
    assert time.monotonic() - began < 8
    assert "Traceback" not in text


def test_a_stop_ends_the_wait_for_ray_itself() -> None:
    stop = threading.Event()

    def check() -> None:
        if stop.is_set():
            raise Stopped

    def begin() -> None:
        stop.set()
        time.sleep(PATIENCE)

    with pytest.raises(Stopped):
        connecting._begun(begin, "10.0.0.1:6379", check)
