"""Connect to a Ray cluster, or start a local one, without Ray printing to the user or handling signals."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from ...errors import UsageError
from ...planning.options import MatteOptions
from ...process.signals import signals_handled

__all__ = ["QUIET", "address_of", "check_address", "connected", "first_line"]

LOCAL = "local"
STORE_BYTES = 128 * 2**20  # of a local cluster's object store: rows are small
SECONDS_TO_ANSWER = 5.0
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
        socket.create_connection((host.strip("[]"), int(port)), SECONDS_TO_ANSWER).close()
    except (OSError, OverflowError) as error:
        raise UsageError(f"no Ray cluster answers at {address}: {error}") from error


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Yield Ray, connected to a cluster, or to a local one that ends with the block."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    own: dict[str, Any] = {"include_dashboard": False, "object_store_memory": STORE_BYTES}
    with signals_handled(None), _stderr_aside():  # Ray replaces the handlers
        try:
            ray.init(
                address=address,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                **(own if address == LOCAL else {}),
            )
        except Exception as error:  # of any kind
            raise UsageError(_refusal(error, address)) from error
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):  # where Ray reports dead workers
        try:
            yield ray
        finally:
            ray.shutdown()


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
