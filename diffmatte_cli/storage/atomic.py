"""Replace files and folders atomically: write to a temporary name beside the target, then rename."""

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import FullError, OutputError
from .paths import Place, spelled

__all__ = ["TEMPORARY", "abandon", "refusal", "staged_file", "staged_folder"]

# How temporary names look, to find what a killed process has left.
_ANY = "[0-9a-f]" * 16
TEMPORARY = f".diffmatte-{_ANY}.part"
_under_way: set[Path] = set()  # temporary paths in use, by any thread


def _temporary(folder: Path) -> Path:
    # Independent of the target's name, which may already be as long as the file system allows.
    return folder / TEMPORARY.replace(_ANY, secrets.token_hex(8))


@contextmanager
def _making(folder: Path) -> Iterator[Path]:
    """Yield a new temporary path; remove it, if it still exists, when the block ends."""
    temporary = _temporary(folder)
    _under_way.add(temporary)
    try:
        yield temporary
    finally:
        _remove(temporary)
        _under_way.discard(temporary)


def _remove(temporary: Path) -> None:
    if temporary.is_dir():
        shutil.rmtree(temporary, ignore_errors=True)
    else:
        with suppress(OSError):
            temporary.unlink()


def abandon() -> None:
    """Remove all temporary files; for a process that is about to exit."""
    for temporary in list(_under_way):
        _remove(temporary)


def refusal(path: Path, error: OSError) -> OutputError:
    """Return the error for a result that the system refuses to write."""
    kind = FullError if error.errno in (errno.ENOSPC, errno.EDQUOT) else OutputError
    return kind(f"cannot write {spelled(path, 'standard output')}: {error.strerror or error}")


@contextmanager
def staged_file(
    path: Path,
    name_by: Callable[[Path], str] | None = None,
    *,
    within: Path | None = None,
    overwrite: bool = True,
) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that replaces it when the block succeeds.

    ``name_by`` names the finished file, in the folder of ``path``. Any failure, Ctrl-C included,
    leaves the old file and no temporary one. Symlinks are followed, but not out of the folder ``within``.

    Raises:
        OutputError: the folder or the disk refuses, the target is not a file, or, without ``overwrite``, exists.
    """
    target = _real_target(path, within)
    with _making(target.parent) as temporary:
        try:
            yield temporary
            final = target if name_by is None else target.with_name(name_by(temporary))
            if not overwrite and os.path.lexists(final):
                raise OutputError(f"cannot write {path}: it exists by now, and overwriting is off")
            if final.exists() and not final.is_file():  # do not replace a pipe or a device by a file
                raise OutputError(f"cannot write {path}: it exists and is not a file: name another")
            os.replace(temporary, final)
        except OSError as error:
            raise refusal(path, error) from error


@contextmanager
def staged_folder(
    path: Path, *, within: Path | None = None, keep: Callable[[Path], str | None] = lambda _: None
) -> Iterator[Path]:
    """Yield a temporary folder beside ``path`` that replaces it, with its contents, when the block succeeds.

    A missing parent is created, and removed again on failure. An old folder is replaced unless ``keep`` names
    something in it to keep.

    Raises:
        OutputError: the folder or the disk refuses, a symlink leads out of ``within``, something is to be kept, or the
            target is not a folder.
    """
    target = _real_target(path, within)
    made_parent = not target.parent.exists()
    try:
        with _making(target.parent) as temporary:
            temporary.mkdir(parents=made_parent)
            yield temporary
            if target.exists() and not target.is_dir():
                raise OutputError(f"cannot write {path}: it exists and is not a folder: name another")
            if target.is_dir() and (precious := keep(target)):
                raise OutputError(f"cannot replace {path}: it contains other files by now ({precious})")
            _swap_in(temporary, target)
    except OSError as error:
        raise refusal(path, error) from error
    finally:
        if made_parent and not target.exists():
            with suppress(OSError):
                target.parent.rmdir()


def _real_target(path: Path, within: Path | None) -> Path:
    # Checked again before writing: a symlink may have appeared since the plan was made.
    target = Place(path)
    if within is not None and not target.is_inside(Place(within)):
        raise OutputError(f"cannot write {path}: a symlink leads out of {within}")
    return Path(target.target)


def _swap_in(temporary: Path, target: Path) -> None:
    if not target.exists():
        temporary.rename(target)
        return
    old = _temporary(target.parent)
    target.rename(old)
    try:
        temporary.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old)
