"""Pull the file of a model: ask what there is, fetch it, check it, convert a pickle, remember what no record pins."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..console import say_nothing
from ..errors import WeightsError
from ..storage.atomic import staged_file
from .files import Check, file_sha256, go_on, in_megabytes, make_folder
from .hub import MOST_BYTES, Tell, download, hub_client, is_cached, offered, remove
from .records import WeightsRecord
from .remembered import Pulled, read_pulled, write_pulled
from .store import Copy, ModelSource, WeightsStore, check_copy, hashed, resolve_model

if TYPE_CHECKING:
    from .guard import OfferError

__all__ = ["identified", "obtain"]


def identified(
    source: ModelSource,
    store: WeightsStore,
    *,
    progress: bool = True,
    tell: Tell = say_nothing,
    check: Check = go_on,
) -> ModelSource:
    """Return a model with the sha256 of its file, which is pulled if nothing else tells that; as ``obtain``."""
    if source.sha256 is None and source.record is not None:
        return obtain(source, store, progress=progress, tell=tell, check=check)
    return hashed(source)


def obtain(
    source: ModelSource,
    store: WeightsStore,
    *,
    progress: bool = True,
    tell: Tell = say_nothing,
    check: Check = go_on,
) -> ModelSource:
    """Return a model with its file on disk, pulled if necessary, and never one whose sha256 is not the expected one.

    That is the recorded one, else what the Hub said of the file when it was first pulled. ``progress`` shows the
    client's bar where stderr is a terminal; ``tell`` gets a line about each transfer; ``check`` is called again and
    again meanwhile and may raise to end it.

    Raises WeightsError where the file on disk is damaged and cannot be pulled again, or pulling fails; OutputError
    where there is no room for what a pickle is converted to.
    """
    record = source.record
    if record is None:
        return source
    copy, again = source.copy, ""
    if copy is not None and not os.path.exists(copy.path):  # replaced by another process since it was resolved
        copy = resolve_model(record.name, store).copy
    if copy is not None:
        try:
            check_copy(record.name, copy, check)
            return _with(source, copy)
        except WeightsError:
            if copy.kind != "cached" or store.is_offline:
                raise
        again = " again, since what is in the cache is damaged"
    size = f", {in_megabytes(record.size)}" if record.size else ""
    tell(f"pulling {record.name}{again}{size}, from {record.repo}")
    return _with(source, _pull(record, store, progress, tell, check))


def _with(source: ModelSource, copy: Copy) -> ModelSource:
    # What was known before stays, since receipts may name it.
    return replace(source, path=copy.path, copy=copy, sha256=source.sha256 or copy.sha256)


@dataclass(frozen=True)
class _Pin:
    """What a file on the Hub must be: its sha256, according to whom, and the most bytes that it may have."""

    sha256: str
    whose: str
    most: int

    def error(self, found: str) -> "OfferError":
        """Return the error for a file of another sha256."""
        from .guard import OfferError

        return OfferError(
            f"its sha256 is {found} but {self.whose} {self.sha256}: nothing was kept, tell whoever published it"
        )


def _pull(record: WeightsRecord, store: WeightsStore, progress: bool, tell: Tell, check: Check) -> Copy:
    """Fetch a file into the cache and check it; another one there is replaced if the Hub has the right one."""
    is_pinned = record.sha256 is not None and not record.is_pickled
    with (
        hub_client(f"pull {record.name} from {record.repo}", store, progress, check) as watch,
        nullcontext() if is_pinned else _alone(record, store),
    ):
        if not is_pinned and (copy := store.pulled(record)) and file_sha256(copy.path, check) == copy.sha256:
            return copy  # by another process, meanwhile
        pin = _pin(record, store)
        watch.most = pin.most
        was_there = os.path.exists(store.cached_path(record))
        path, copy = _fetch(record, store, pin, check), None
        size = path.stat().st_size
        try:
            copy = Copy("cached", path, pin.sha256) if is_pinned else _settle(record, store, path, pin.sha256)
        finally:
            if not was_there and (copy is None or record.is_pickled):
                remove(path, store)
    if None in (record.sha256, record.size):
        found = f'sha256 = "{pin.sha256}" and size = {size}'
        tell(f"{record.name} has {found} on the Hub: put both into its table to pin them")
    return copy


def _pin(record: WeightsRecord, store: WeightsStore) -> _Pin:
    """Ask the Hub what it has, and refuse it unless it is what it must be, as far as its header tells."""
    from .guard import OfferError

    offer = offered(str(record.repo), str(record.filename), str(record.revision))
    if None not in (record.size, offer.size) and offer.size != record.size:
        raise OfferError(f"it has {offer.size} bytes there but {record.size} in the weights file: check its table")
    most = record.size or offer.size or MOST_BYTES
    if most > MOST_BYTES and record.size is None:
        raise OfferError(f"it has {most} bytes, more than the {MOST_BYTES} that are taken unpinned: record its size")
    # A large file's tag is its sha256; a small one's says nothing about the content.
    tag = str(offer.etag) if re.fullmatch(r"[0-9a-f]{64}", str(offer.etag)) else None
    before = read_pulled(store.pulled_folder(record))
    if record.sha256 is not None:
        pin = _Pin(record.sha256, "the weights file asks for", most)
    elif before is not None:
        pin = _Pin(before.download, "when it was first pulled it was", most)
    elif tag is not None:
        pin = _Pin(tag, "the Hub announced", most)
    else:
        raise OfferError("the Hub does not tell its sha256: find it out elsewhere and put it into the weights file")
    if tag not in (None, pin.sha256):
        raise pin.error(str(tag))
    return pin


def _fetch(record: WeightsRecord, store: WeightsStore, pin: _Pin, check: Check) -> Path:
    """Return the file with the pin's sha256 in the client's cache."""
    for is_last in (False, True):
        path = download(str(record.repo), str(record.filename), str(record.revision), store, force=is_last)
        if (found := file_sha256(path, check)) == pin.sha256:
            return path
        # The client replaces only what it has linked to.
        if not (path.is_symlink() and is_cached(path, store)):
            path.unlink(missing_ok=True)
    remove(path, store)
    raise pin.error(found)


def _settle(record: WeightsRecord, store: WeightsStore, path: Path, sha256: str) -> Copy:
    """Check that a file holds the record's network, convert it if it is a pickle, and remember what it is."""
    from ..model.checkpoint import write_model
    from .guard import OfferError
    from .loading import load_network

    folder, loaded = store.pulled_folder(record), sha256
    try:  # the record's own preprocessing is no part of the file
        network, _ = load_network(path, sha256, replace(record, preprocessing=None))
    except WeightsError as error:
        raise OfferError(str(error)) from error
    try:
        make_folder(folder)
        if record.is_pickled:
            with staged_file(folder / "weights", lambda _: f"{loaded}.safetensors") as staged:
                write_model(staged, network, {"source_sha256": sha256})
                loaded = file_sha256(staged)
        write_pulled(folder, Pulled(sha256, loaded))
        for other in folder.glob("*.safetensors"):  # of an earlier version of this program
            if other.stem != loaded:
                other.unlink()
    finally:
        with suppress(OSError):  # not empty, unless it failed
            os.removedirs(folder)
    if record.is_pickled:
        return Copy("cached", folder / f"{loaded}.safetensors", loaded, sha256)
    return Copy("cached", path, sha256)


@contextmanager
def _alone(record: WeightsRecord, store: WeightsStore) -> Iterator[None]:
    """Let other processes wait that would pull the same file, where the client keeps its own locks."""
    from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

    folder = store.hub_cache / ".locks" / store.cached_path(record).relative_to(store.hub_cache).parts[0]
    make_folder(folder)
    with WeakFileLock(folder / f"diffmatte-{record.revision}.lock"):
        yield
