"""Get weights from the Hugging Face Hub by its own client.

The client has the cache, locks, resumed transfers and the progress bar; this module turns every failure into one
sentence. The client is imported only where it is needed.
"""

import logging
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DiffmatteError, UsageError, WeightsError
from ..process.sharing import silence
from ..version import __version__
from .files import Check, go_on
from .store import WeightsStore, client_settings

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.file_download import HfFileMetadata

    from .guard import Watch

__all__ = ["MOST_BYTES", "Tell", "download", "fetch", "hub_api", "hub_client", "is_cached", "offered", "remove"]
__all__ += ["remove_cached"]

Tell = Callable[[str], object]
# Of a file that nothing pins: several times a public checkpoint's.
MOST_BYTES = 4 * 2**30


def fetch(location: str, store: WeightsStore, *, progress: bool = True) -> Path:
    """Return the file at ``location``, ``hf://OWNER/REPO[@REVISION]/FILE``, pulled unless it is in the cache.

    The revision is a branch, tag or commit, by default ``main``; ``progress`` as for ``obtain``. Nothing pins the
    content: only its size is checked, which may be at most ``MOST_BYTES``.

    Raises UsageError for another form, and offline for a file that is not in the cache; WeightsError where pulling
    fails.
    """
    with hub_client(f"pull {location}", store, progress) as watch:
        from huggingface_hub import parse_hf_uri, try_to_load_from_cache
        from huggingface_hub.errors import HfUriError

        try:
            uri = parse_hf_uri(location)
            if uri.type != "model" or not uri.path_in_repo or not _stays_inside(uri.revision or "main"):
                raise HfUriError(location, "not a file of a model")
        except HfUriError as error:
            form = "hf://OWNER/REPO/FILE or hf://OWNER/REPO@REVISION/FILE"
            raise UsageError(f"{location} is not a file on the Hub: write {form}") from error
        repo, filename, revision = uri.id, uri.path_in_repo, uri.revision or "main"
        cached = try_to_load_from_cache(repo, filename, cache_dir=store.hub_cache, revision=revision)
        if isinstance(cached, str):
            return Path(cached)
        if store.is_offline:
            raise UsageError(
                f"{location} is not in the cache {store.hub_cache} and the network is switched off: start once online,"
                " or give the path of a file"
            )
        watch.most = offered(repo, filename, revision).size or MOST_BYTES
        if watch.most > MOST_BYTES:
            raise UsageError(f"{location} has {watch.most} bytes, more than the {MOST_BYTES} that are taken unpinned")
        return download(repo, filename, revision, store)


def _stays_inside(revision: str) -> bool:
    """Tell whether a revision, of which the client makes a path, stays in its folder."""
    return not {"", ".", ".."} & set(re.split(r"[/\\]", revision))


def download(repo: str, filename: str, revision: str, store: WeightsStore, *, force: bool = False) -> Path:
    """Let the client fetch a file, with ``force`` even if it has it.

    The client resumes a transfer that stops, but gives up one that is reset, which is tried again here.
    """
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

    for is_last in (False, False, True):
        try:
            cache = store.hub_cache
            path = hub_api().hf_hub_download(repo, filename, revision=revision, cache_dir=cache, force_download=force)
            break
        except httpx.ReadError:
            if is_last:
                raise
    return Path(path)


def offered(repo: str, filename: str, revision: str) -> "HfFileMetadata":
    """Ask once what the Hub would send: a wrong file is not fetched, and a dead server not waited for.

    The client repeats its own request for up to six minutes when nobody answers.
    """
    from huggingface_hub import constants, hf_hub_url

    from .guard import OfferError

    url = hf_hub_url(repo, filename, revision=revision)
    offer = hub_api().get_hf_file_metadata(url=url, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    is_pinned = re.fullmatch(r"[0-9a-f]{40}", revision) is not None
    if offer.commit_hash is None or offer.etag is None or (is_pinned and offer.commit_hash != revision):
        raise OfferError.no_hub("no commit, or another one, or no ETag")
    return offer


def remove_cached(path: Path, store: WeightsStore) -> None:
    """Remove a pulled file from the cache, with its content unless another snapshot needs it."""
    with hub_client(f"remove {path}", store, progress=False):
        remove(path, store)


def remove(path: Path, store: WeightsStore) -> None:
    """Do so where the client is in use already."""
    from huggingface_hub import scan_cache_dir

    if is_cached(path, store):  # and not a symlink of somebody's own to somewhere else
        content = path.resolve()
        cache = scan_cache_dir(store.hub_cache)
        files = (file for repo in cache.repos for revision in repo.revisions for file in revision.files)
        cache.delete_files(*(file for file in files if file.file_path == path)).execute()
        if path.exists():  # not listed, since another file of its repository is broken
            content.unlink()
    path.unlink(missing_ok=True)


def is_cached(path: Path, store: WeightsStore) -> bool:
    """Tell whether a file's content lies in the cache, too."""
    return path.resolve().is_relative_to(store.hub_cache)


def hub_api() -> "HfApi":
    """Return the client's interface, which tells the Hub who asks."""
    from huggingface_hub import HfApi

    return HfApi(library_name="diffmatte", library_version=__version__)


@contextmanager
def hub_client(action: str, store: WeightsStore, progress: bool, check: Check = go_on) -> "Iterator[Watch]":
    """Use the client without its own output on stderr, watched; turn whatever it raises into one WeightsError.

    ``action`` completes "cannot ..."; ``progress`` lets the client show its bars on a terminal; ``check`` is called
    again and again and may raise to end it.
    """
    client_settings()
    from .guard import watched

    try:
        with _muted(progress), watched(check) as watch:
            yield watch
    except DiffmatteError:
        raise
    except Exception as error:  # the client has three transports, and errors of many kinds
        check()  # which may be what ended it
        folder = ("cache_dir",) if isinstance(error, OSError) and error.errno is not None else ()
        raise WeightsError(f"cannot {action}: {_reason(error, store)}", *folder) from error


@contextmanager
def _muted(progress: bool) -> Iterator[None]:
    from huggingface_hub.utils.logging import get_verbosity, set_verbosity
    from huggingface_hub.utils.tqdm import disable_progress_bars

    with ExitStack() as stack:
        stack.enter_context(silence)
        if get_verbosity() == logging.WARNING:  # the default; whoever chose another wants to read
            stack.callback(set_verbosity, logging.WARNING)
            set_verbosity(logging.CRITICAL)
        # The client shows a bar of uploads even where stderr is not a terminal.
        if not (progress and sys.stderr is not None and sys.stderr.isatty()):
            stack.enter_context(disable_progress_bars())
        yield


def _reason(error: BaseException, store: WeightsStore) -> str:
    """Say what went wrong and what to do, to complete a sentence."""
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

    from .guard import OfferError

    if isinstance(error, OfferError):
        return str(error)
    if isinstance(error, HfHubHTTPError):
        return _refusal(error.response.status_code, str(error.server_message or "no reason given"))
    if error.__cause__ is not None and isinstance(error, FileNotFoundError | RuntimeError):
        return _reason(error.__cause__, store)  # wrapped by the client, which says less
    if isinstance(error, httpx.TimeoutException):
        more = "allow more seconds with HF_HUB_ETAG_TIMEOUT and HF_HUB_DOWNLOAD_TIMEOUT"
        return f"{constants.ENDPOINT} does not answer in time: try again later, or {more}"
    if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError | httpx.WriteError):
        return "the connection broke off: run the command again"
    if isinstance(error, httpx.TransportError):
        return f"{constants.ENDPOINT} cannot be reached ({error}): check the network, the proxy and HF_ENDPOINT"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{store.hub_cache} cannot be written ({error.strerror}): make room, or choose another folder"
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE forbids the network: unset it"
    if type(error) is OSError:  # by the client's count of the bytes
        return "what arrived is shorter or longer than announced: run the command again"
    first = (str(error).strip() or "no reason given").splitlines()[0]
    return f"{type(error).__name__}, {first}: run the command again, and check HF_ENDPOINT and the proxy if it stays"


def _refusal(status: int, words: str) -> str:
    answer = f"the Hub answered HTTP {status}"
    if status in (401, 403):
        terms = "accept the repository's terms on its page if it has any"
        return f"{answer}, no access: set HF_TOKEN or run `hf auth login`, and {terms}"
    if status == 404:
        private = "set HF_TOKEN if the repository is private"
        return f"{answer}, no such repository, revision or file: check their names, or {private}"
    if status == 429:
        return f"{answer}, too many requests: try again in a few minutes, or set HF_TOKEN"
    if status >= 500:
        return f"{answer}, it is out of order: try again later"
    return f"{answer} ({' '.join(words.split())[:200]}): check HF_ENDPOINT and the repository's page"
