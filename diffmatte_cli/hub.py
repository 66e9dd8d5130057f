"""Get weights from the Hugging Face Hub, through its own client.

The client brings the cache, locks, resumed transfers and progress bar; here are the pin, and every
failure as one sentence. It is imported only when it is needed.
"""

import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from . import __version__
from .console import say_nothing
from .errors import DiffmatteError, UsageError, WeightsError
from .records import WeightsRecord, is_repository
from .sharing import silence
from .weights import Copy, ModelSource, Store, check_copy, file_sha256, in_megabytes, resolve_model

if TYPE_CHECKING:
    from huggingface_hub.file_download import HfFileMetadata

__all__ = ["fetch", "hub_client", "obtain", "remove_cached"]

Tell = Callable[[str], object]
# As fsspec writes them, a file of a repository at a branch, tag or commit.
_LOCATION = re.compile(r"hf://([^/@]+/[^/@]+)(?:@([^/@]+))?/([^@]+)")
_DIFFERS = "its sha256 is {found} but the weights file asks for {wanted}: nothing was kept, tell whoever published it"


def obtain(source: ModelSource, store: Store, *, progress: bool = True, tell: Tell = say_nothing) -> Path:
    """Return the file of a model, pulled if it has to be, and never one whose sha256 is not the recorded one.

    ``progress`` shows the client's bar where stderr is a terminal; ``tell`` gets a line about each transfer.

    Raises WeightsError when the file on disk is damaged and cannot be pulled anew, or pulling fails.
    """
    record = source.record
    if record is None:
        return source.path
    copy = source.copy
    if copy is not None and not os.path.exists(copy.path):  # replaced by another process since it was resolved
        copy = resolve_model(record.name, store).copy
    again = ""
    if copy is not None:
        if _is_sound(record.name, copy, store):
            return copy.path
        again = " again, since what is in the cache is damaged"
    tell(f"pulling {record.name}{again}, {in_megabytes(record.size or 0)}, from {record.repo}")
    return _pull(record, store, progress)


def fetch(location: str, store: Store, *, progress: bool = True) -> Path:
    """Return the file of ``location``, ``hf://OWNER/REPO[@REVISION]/FILE``, pulled unless it is in the cache.

    The revision is a branch, tag or commit, ``main`` unless given; ``progress`` as for ``obtain``. Nothing pins the
    content, so that only its size is checked.

    Raises UsageError for another form, and for a file that is not in the cache while the network is out of
    bounds; WeightsError when pulling fails.
    """
    found = _LOCATION.fullmatch(location)
    if found is None or not is_repository(found[1]):
        raise UsageError(
            f"{location} is no file on the Hub: write hf://OWNER/REPO/FILE or hf://OWNER/REPO@REVISION/FILE"
        )
    repo, revision, filename = found[1], found[2] or "main", found[3]
    with hub_client(f"pull {location}", store, progress):
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(repo, filename, cache_dir=store.hub_cache, revision=revision)
        if isinstance(cached, str):
            return Path(cached)
        if store.is_offline:
            raise UsageError(
                f"{location} is not in the cache {store.hub_cache} and the network is switched off: start once online,"
                " or give the path of a file"
            )
        _offer(repo, filename, revision)
        return _download(repo, filename, revision, store)


def _is_sound(name: str, copy: Copy, store: Store) -> bool:
    """Check a file on disk; a bad one in the cache is no error where it can be pulled anew."""
    try:
        check_copy(name, copy)
    except WeightsError:
        if copy.kind != "cached" or store.is_offline:
            raise
        return False
    return True


def _pull(record: WeightsRecord, store: Store, progress: bool) -> Path:
    """Fetch a pinned file into the cache and check it; what is there and differs goes once the Hub offers better."""
    with hub_client(f"pull {record.name} from {record.repo}", store, progress):
        _check_offer(record)
        blob = store.repo_folder(record) / "blobs" / str(record.sha256)
        for place in (store.cached_path(record), blob):  # or the client would take them for the file
            _clear(place, record, store)
        path = _download(str(record.repo), str(record.filename), str(record.revision), store)
        found = file_sha256(path)
        if found != record.sha256:
            _discard(path, store)
            raise _OfferError(_DIFFERS.format(found=found, wanted=record.sha256))
    return path


def _clear(path: Path, record: WeightsRecord, store: Store) -> None:
    """Remove a file that is not the pinned one, unless another process replaces it meanwhile."""
    try:
        before, found, after = path.stat(), file_sha256(path), path.stat()
    except (OSError, WeightsError):
        return  # not there, or gone by now
    if found != record.sha256 and (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns):
        _discard(path, store)


def _download(repo: str, filename: str, revision: str, store: Store) -> Path:
    """Let the client fetch a file. It resumes what stops; what is reset, it gives up, so that is tried again."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

    for more_tries in (True, True, False):
        try:
            path = hf_hub_download(
                repo,
                filename,
                revision=revision,
                cache_dir=store.hub_cache,
                library_name="diffmatte",
                library_version=__version__,
            )
        except httpx.ReadError:
            if not more_tries:
                raise
        else:
            break
    return Path(path)


class _OfferError(Exception):
    """The Hub has something else than what was asked for."""


def _offer(repo: str, filename: str, revision: str) -> "HfFileMetadata":
    """Ask what the Hub would send, once: a wrong file is not fetched, and a dead server not waited for.

    The client's own request repeats for up to six minutes when nobody answers.
    """
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url

    offer = get_hf_file_metadata(
        hf_hub_url(repo, filename, revision=revision),
        timeout=constants.HF_HUB_ETAG_TIMEOUT,
        library_name="diffmatte",
        library_version=__version__,
    )
    is_pinned = re.fullmatch(r"[0-9a-f]{40}", revision) is not None
    if offer.commit_hash is None or offer.etag is None or (is_pinned and offer.commit_hash != revision):
        raise _OfferError(f"{constants.ENDPOINT} does not answer as a Hub does: check HF_ENDPOINT, proxy and firewall")
    return offer


def _check_offer(record: WeightsRecord) -> None:
    """Refuse what the Hub offers unless it is the pinned file, as far as can be told beforehand."""
    offer = _offer(str(record.repo), str(record.filename), str(record.revision))
    if offer.size not in (None, record.size):
        raise _OfferError(f"it has {offer.size} bytes there but {record.size} in the weights file: check its table")
    # The tag of a large file is its sha256; that of a small one says nothing about the content.
    if re.fullmatch(r"[0-9a-f]{64}", str(offer.etag)) and offer.etag != record.sha256:
        raise _OfferError(_DIFFERS.format(found=offer.etag, wanted=record.sha256))


def _discard(path: Path, store: Store) -> None:
    """Remove a file from the cache with every link on the way to it; a file outside the cache stays.

    The client links snapshots to blobs, and those to a store that all repositories share.
    """
    while path.is_symlink() and _is_inside(path, store):
        target = path.parent / os.readlink(path)
        path.unlink(missing_ok=True)
        path = target
    if _is_inside(path, store):
        path.unlink(missing_ok=True)


def _is_inside(path: Path, store: Store) -> bool:
    return Path(os.path.realpath(path.parent)).is_relative_to(store.hub_cache)


def remove_cached(path: Path, store: Store) -> None:
    """Remove a pulled file from the cache, with its content unless another snapshot needs it."""
    with hub_client(f"remove {path}", store, progress=False):
        from huggingface_hub import scan_cache_dir

        if not path.resolve().is_relative_to(store.hub_cache):  # somebody's own link to somewhere else
            path.unlink()
            return
        cache = scan_cache_dir(store.hub_cache)
        revisions = (revision for repo in cache.repos for revision in repo.revisions)
        files = [file for revision in revisions for file in revision.files if file.file_path == path]
        cache.delete_files(*files).execute()
        if path.exists():  # not seen, since another file of its repository is broken
            _discard(path, store)


@contextmanager
def hub_client(action: str, store: Store, progress: bool) -> Iterator[None]:
    """Use the client without its own words on stderr; turn whatever it raises into one WeightsError.

    ``action`` completes "cannot ..."; ``progress`` lets the client show its bars on a terminal.
    """
    try:
        import huggingface_hub.constants  # noqa: F401
    except ValueError as error:  # it reads its variables then
        raise UsageError(f"HF_HUB_ETAG_TIMEOUT and HF_HUB_DOWNLOAD_TIMEOUT must be whole numbers: {error}") from error
    try:
        with _muted(progress):
            yield
    except DiffmatteError:
        raise
    except Exception as error:  # a client with three transports raises what it likes
        raise WeightsError(f"cannot {action}: {_reason(error, store)}") from error


@contextmanager
def _muted(progress: bool) -> Iterator[None]:
    from huggingface_hub.utils.logging import get_verbosity, set_verbosity
    from huggingface_hub.utils.tqdm import disable_progress_bars

    with ExitStack() as stack:
        stack.enter_context(silence)
        if get_verbosity() == logging.WARNING:  # the default; someone who chose another wants to read
            stack.callback(set_verbosity, logging.WARNING)
            set_verbosity(logging.CRITICAL)
        # Uploading, the client would show a bar even where nobody looks.
        if not (progress and sys.stderr is not None and sys.stderr.isatty()):
            stack.enter_context(disable_progress_bars())
        yield


def _reason(error: BaseException, store: Store) -> str:
    """Say what went wrong, and what to do, in half a sentence."""
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

    if isinstance(error, _OfferError):
        return str(error)
    if isinstance(error, HfHubHTTPError):
        return _refusal(error.response.status_code, str(error.server_message or "no reason given"))
    if error.__cause__ is not None and isinstance(error, FileNotFoundError | RuntimeError):
        return _reason(error.__cause__, store)  # the client's wrappers, which say less
    if isinstance(error, httpx.TimeoutException):
        return (
            f"{constants.ENDPOINT} does not answer in time: try again later, or allow more seconds with"
            " HF_HUB_ETAG_TIMEOUT and HF_HUB_DOWNLOAD_TIMEOUT"
        )
    if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError | httpx.WriteError):
        return "the connection broke off: run the command again"
    if isinstance(error, httpx.TransportError):
        return f"{constants.ENDPOINT} cannot be reached ({error}): check the network, the proxy and HF_ENDPOINT"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{store.hub_cache} cannot be written ({error.strerror}): make room, or choose another with --cache-dir"
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE forbids the network: unset it"
    if type(error) is OSError:  # the client's own count of the bytes
        return "what arrived is shorter or longer than announced: run the command again"
    first = (str(error).strip() or "no reason given").splitlines()[0]
    return f"{type(error).__name__}, {first}: run the command again, or with HF_HUB_DISABLE_XET=1 if it stays"


def _refusal(status: int, words: str) -> str:
    answer = f"the Hub answered HTTP {status}"
    if status in (401, 403):
        return (
            f"{answer}, no access: set HF_TOKEN or run `hf auth login`, and accept the repository's terms on its page"
            " if it has any"
        )
    if status == 404:
        return (
            f"{answer}, no such repository, revision or file: check their names, or set HF_TOKEN if the repository"
            " is private"
        )
    if status == 429:
        return f"{answer}, too many requests: try again in a few minutes, or set HF_TOKEN"
    if status >= 500:
        return f"{answer}, it is out of order: try again later"
    return f"{answer} ({words.splitlines()[0]}): check HF_ENDPOINT and the repository's page"
