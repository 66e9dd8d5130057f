"""Connect to a Ray cluster, or start a local one, without Ray printing to the user or handling signals."""

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from functools import partial
from math import inf
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any

from ...errors import UsageError
from ...planning.options import MatteOptions
from ...process.signals import signals_handled
from ...weights.files import Check

__all__ = ["QUIET", "address_of", "check_address", "connected", "first_line"]

LOCAL = "local"
STORE_BYTES = 128 * 2**20  # of a local cluster's object store: rows are small
# Until a head says its first word, and until a cluster has taken us up; Ray itself would try for nine minutes.
SECONDS_TO_ANSWER, SECONDS_TO_CONNECT = 10.0, 20.0
PAUSE = 0.2  # seconds between checks for a stop
# The first frame of HTTP/2: three bytes of length, its type, flags and stream.
_SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_CHECK = "check host and port of its head"
# Ray's own log stays in its files. Variables already set are kept.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def address_of(options: MatteOptions) -> str:
    """Return the cluster's address; Ray by itself would also find one that somebody else started on this machine."""
    return options.ray_address or os.environ.get("RAY_ADDRESS") or LOCAL


def check_address(address: str) -> None:
    """Try the address for some seconds; Ray itself would try for minutes."""
    if address in (LOCAL, "auto"):
        return
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or "/" in host:
        raise UsageError(
            f"a Ray cluster's address must be HOST:PORT of its head, or auto, not {address}", "ray_address"
        )
    try:
        with socket.create_connection((host.strip("[]"), int(port)), SECONDS_TO_ANSWER) as connection:
            greets = os.environ.get("RAY_USE_TLS", "0") != "0" or _greets(connection)
    except TimeoutError as error:
        raise UsageError(f"nothing answers at {address} within {SECONDS_TO_ANSWER:.0f} s: {_CHECK}") from error
    except (OSError, OverflowError) as error:
        raise UsageError(f"no Ray cluster answers at {address}: {error}") from error
    if not greets:
        raise UsageError(f"what answers at {address} is no Ray cluster: {_CHECK}")


def _greets(connection: socket.socket) -> bool:
    """Tell whether a server speaks HTTP/2, as the head of a cluster does; raises OSError if it says nothing."""
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _SETTINGS)
    until, said = monotonic() + SECONDS_TO_ANSWER, b""
    while len(said) < len(_SETTINGS):
        connection.settimeout(max(until - monotonic(), 0.001))
        if not (part := connection.recv(len(_SETTINGS) - len(said))):
            return False
        said += part
    return said[3:] == _SETTINGS[3:]


@contextmanager
def connected(address: str, check: Check) -> Iterator[Any]:
    """Yield Ray, connected to a cluster, or to a local one that ends with the block.

    ``check`` is called meanwhile, and may raise to end the wait.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    own: dict[str, Any] = {"include_dashboard": False, "object_store_memory": STORE_BYTES}
    more = own if address == LOCAL else {}
    begin = partial(ray.init, address=address, log_to_driver=False, logging_level=logging.CRITICAL, **more)
    with signals_handled(None), _stderr_aside():  # Ray replaces the handlers
        _begun(begin, address, check)
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):  # where Ray reports dead workers
        try:
            yield ray
        finally:
            ray.shutdown()


def _begun(begin: Callable[[], object], address: str, check: Check) -> None:
    """Let Ray begin in another thread, where it may hang, while this one hears signals.

    The processes of a local cluster end with the thread that started them, so that it stays as long as this process.
    """
    ended: SimpleQueue[BaseException | None] = SimpleQueue()

    def run() -> None:
        try:
            begin()
        except BaseException as error:  # of any kind
            ended.put(error)
        else:
            ended.put(None)
            threading.Event().wait()

    threading.Thread(target=run, daemon=True).start()
    until = inf if address == LOCAL else monotonic() + SECONDS_TO_CONNECT
    while monotonic() < until:
        check()
        with suppress(Empty):
            if (error := ended.get(timeout=PAUSE)) is not None:
                raise UsageError(_refusal(error, address)) from error
            return
    raise UsageError(f"the Ray cluster at {address} does not take part within {SECONDS_TO_CONNECT:.0f} s: {_CHECK}")


def _refusal(error: BaseException, address: str) -> str:
    """Say why Ray does not start; only the causes of the error mention a missing token."""
    below: BaseException | None = error
    while below is not None:
        if "InvalidAuthToken" in str(below):
            return f"the Ray cluster at {address} requires a token: set RAY_AUTH_MODE and RAY_AUTH_TOKEN"
        below = below.__cause__ or below.__context__
    return f"Ray does not start: {first_line(error)}"


@contextmanager
def _stderr_aside() -> Iterator[None]:
    """Discard what libraries write to stderr bypassing Python."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, or its class."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
