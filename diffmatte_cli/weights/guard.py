"""Watch what a Hub, a mirror or a proxy answers: nothing leads out of the cache, nothing is larger than it may be.

The client builds paths of what the server says (hashes, commits) and stores or keeps in memory whatever it sends.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

from huggingface_hub import constants, set_client_factory
from huggingface_hub.utils import _http, httpx  # type: ignore[attr-defined]

__all__ = ["MOST_ANSWERED", "OfferError", "Watch", "watched"]

# Bytes of an answer that is not the file: a page of the Hub's API has some thousand.
MOST_ANSWERED = 4 * 2**20
_COMMIT = re.compile(r"[0-9a-f]{40}")
_TAG = re.compile(r'(W/)?"?([0-9a-f]{40}|[0-9a-f]{64})"?')
# What the server would have the client wait, which may be years.
_WAITS = ("Retry-After", "RateLimit")
_NO_HUB = "{endpoint} does not answer as a Hub does: check HF_ENDPOINT, proxy and firewall ({what})"


class OfferError(Exception):
    """The Hub offers something else than what was asked for."""

    @classmethod
    def no_hub(cls, what: str) -> "OfferError":
        """Return the error for an answer that no Hub gives."""
        return cls(_NO_HUB.format(endpoint=constants.ENDPOINT, what=what))


@dataclass
class Watch:
    """What may come: ``most`` bytes of the file, and nothing once ``check`` raises."""

    check: Callable[[], None]
    most: int = MOST_ANSWERED

    def look_at(self, response: httpx.Response) -> None:
        """Raise OfferError for an answer that the client must not see; bound the rest."""
        self.check()
        headers, first = response.headers, 0
        if not _COMMIT.fullmatch(headers.get(constants.HUGGINGFACE_HEADER_X_REPO_COMMIT, "0" * 40)):
            raise OfferError.no_hub("its commit is not 40 hex digits")
        for name in _WAITS:
            headers.pop(name, None)
        if response.request.method == "HEAD":
            tag = headers.get(constants.HUGGINGFACE_HEADER_X_LINKED_ETAG) or headers.get("ETag")
            if response.is_success | response.is_redirect and not _TAG.fullmatch(tag or "0" * 40):
                raise OfferError.no_hub("its ETag is not 40 or 64 hex digits")
            return
        if headers.get("Content-Encoding", "identity") != "identity":  # of which few bytes make many
            raise OfferError.no_hub("it compresses unasked")
        most = MOST_ANSWERED
        if response.request.method == "GET" and response.is_success:
            asked = re.fullmatch(r"bytes=(\d+)-.*", response.request.headers.get("Range", ""))
            first = int(asked[1]) if asked and response.status_code == httpx.codes.PARTIAL_CONTENT else 0
            most = max(self.most - first, 0)
        response.stream = _Bounded(response.stream, most, self.check)


class _Bounded(httpx.SyncByteStream):
    def __init__(self, stream: Any, most: int, check: Callable[[], None]) -> None:
        self._stream, self._most, self._check = stream, most, check

    def __iter__(self) -> Iterator[bytes]:
        left = self._most
        for part in self._stream:
            self._check()
            left -= len(part)
            if left < 0:
                raise OfferError(f"it sends more than the {self._most} bytes that there may be: nothing was kept")
            yield part

    def close(self) -> None:
        self._stream.close()


_watch: ContextVar[Watch | None] = ContextVar("_watch", default=None)


@contextmanager
def watched(check: Callable[[], None]) -> Iterator[Watch]:
    """Let the client's answers in this thread pass a ``Watch`` for the block, and all come by plain HTTP.

    Its second transport, Xet, has a network stack of its own that nothing here sees.
    """
    if getattr(_http._GLOBAL_CLIENT_FACTORY, "func", None) is not _client:
        set_client_factory(partial(_client, _http._GLOBAL_CLIENT_FACTORY))
    xet, constants.HF_HUB_DISABLE_XET = constants.HF_HUB_DISABLE_XET, True
    watch = Watch(check)
    token = _watch.set(watch)
    try:
        yield watch
    finally:
        _watch.reset(token)
        constants.HF_HUB_DISABLE_XET = xet


def _client(make: Callable[[], httpx.Client]) -> httpx.Client:
    """Make a client, as whoever runs this program wants it, whose requests and answers are watched."""
    client = make()
    hooks: dict[str, list[Any]] = client.event_hooks
    client.event_hooks = {
        "request": [*hooks["request"], _before_request],
        "response": [_after_response, *hooks["response"]],
    }
    return client


def _before_request(request: httpx.Request) -> None:
    if watch := _watch.get():
        watch.check()
        request.headers["Accept-Encoding"] = "identity"


def _after_response(response: httpx.Response) -> None:
    if watch := _watch.get():
        watch.look_at(response)
