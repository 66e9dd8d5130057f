"""Remove a model's files from the caches, and what is remembered of them."""

import os
import shutil
from contextlib import suppress

from ..errors import WeightsError
from ..storage.atomic import TEMPORARY
from .records import WeightsRecord
from .store import Copy, WeightsStore

__all__ = ["removable", "remove", "tidy"]


def removable(store: WeightsStore, record: WeightsRecord) -> list[Copy]:
    """List what a model has in the caches, with a file of the Hub that is not used: a pickle, or one never checked."""
    copies = [copy for copy in store.copies(record) if copy.kind != "bundled"]
    if record.repo is not None and (path := store.cached_path(record)).is_file():
        copies += [] if path in [copy.path for copy in copies] else [Copy("cached", path, "")]
    return copies


def remove(copy: Copy, store: WeightsStore) -> None:
    """Remove a file; raises WeightsError where the system refuses."""
    if copy.kind == "cached" and copy.download is None:
        from .hub import remove_cached

        remove_cached(copy.path, store)
        return
    try:
        copy.path.unlink()
    except OSError as error:
        raise WeightsError(f"cannot remove {copy.path}: {error.strerror}") from error


def tidy(store: WeightsStore, record: WeightsRecord) -> None:
    """Remove what is left without a model's files: temporary ones of killed imports, notes, empty folders."""
    imports = store.imports / record.name
    with suppress(OSError):
        for left in imports.glob(TEMPORARY):
            left.unlink()
        imports.rmdir()
    if record.repo is not None:
        folder = store.pulled_folder(record)
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            os.removedirs(folder.parent)
