"""Replace files and folders atomically: write to a temporary name beside the target, then rename."""

import errno
import os
import secrets
import shutil
import stat
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
    follow: bool = True,
    overwrite: bool = True,
) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that replaces it, and takes over its mode, when the block succeeds.

    ``name_by`` names the finished file, in the folder of ``path``. Any failure, Ctrl-C included,
    leaves the old file and no temporary one. Symlinks are followed, but not out of the folder ``within``, and that of
    the file itself only with ``follow``.

    Raises:
        OutputError: the folder or the disk refuses, the target is not a file, or, without ``overwrite``, exists.
    """
    target = _real_target(path, within)
    if not follow and path.is_symlink():
        raise OutputError(f"cannot write {path}: it is a symlink by now")
    with _making(target.parent) as temporary:
        try:
            if name_by is None:
                _create_like(target, temporary)
            yield temporary
            final = target if name_by is None else target.with_name(name_by(temporary))
            if final.exists() and not final.is_file():  # do not replace a pipe or a device by a file
                raise OutputError(f"cannot write {path}: it exists and is not a file: name another")
            _take_mode(final, temporary)
            if overwrite:
                os.replace(temporary, final)
            elif not _linked(temporary, final):
                raise OutputError(f"cannot write {path}: it exists by now, and overwriting is off")
        except OSError as error:
            raise refusal(path, error) from error


def _create_like(old: Path, new: Path) -> None:
    """Where there is an old file, create the new one, empty, for those alone who may read the old one."""
    if (mode := _mode(old)) is not None:
        os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode | stat.S_IWUSR))


def _mode(path: Path) -> int | None:
    """Return who may read, write and carry out a file or a folder; None where there is none."""
    with suppress(OSError):
        return path.stat().st_mode & 0o777
    return None


def _take_mode(old: Path, new: Path) -> None:
    """Give what replaces a file or a folder, if there is one, its mode."""
    if (mode := _mode(old)) is not None:
        new.chmod(mode)


def _linked(temporary: Path, final: Path) -> bool:
    """Name a file; return False where the name is taken."""
    try:
        try:
            os.link(temporary, final)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            os.close(os.open(final, os.O_CREAT | os.O_EXCL))
            os.replace(temporary, final)
    except FileExistsError:
        return False
    return True


@contextmanager
def staged_folder(
    path: Path,
    *,
    within: Path | None = None,
    keep: Callable[[Path], str | None] = lambda _: None,
    overwrite: bool = True,
) -> Iterator[Path]:
    """Yield a temporary folder beside ``path`` that replaces it, with its contents, when the block succeeds.

    A missing parent is created, and removed again on failure. An old folder is replaced unless ``keep`` names
    something in it to keep, or without ``overwrite``.

    Raises:
        OutputError: the folder or the disk refuses, a symlink leads out of ``within``, the old folder is to be kept,
            or is none.
    """
    target = _real_target(path, within)

    def check(old: Path) -> None:
        if precious := keep(old):
            raise OutputError(f"cannot replace {path}: it contains other files by now ({precious})")
        if not overwrite:
            raise OutputError(f"cannot write {path}: it exists by now, and overwriting is off")

    made_parent = not target.parent.exists()
    try:
        with _making(target.parent) as temporary:
            mode = _mode(target)
            temporary.mkdir(0o777 if mode is None else mode | stat.S_IRWXU, parents=made_parent)
            yield temporary
            if target.is_dir():
                with suppress(FileNotFoundError):  # another program has just moved it aside
                    check(target)
                _take_modes(target, temporary)
            if _is_no_folder(target):
                raise OutputError(f"cannot write {path}: it exists and is not a folder: name another")
            _swap_in(temporary, target, check)
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


def _is_no_folder(target: Path) -> bool:
    with suppress(OSError):
        return not stat.S_ISDIR(target.lstat().st_mode)
    return False


def _take_modes(old: Path, new: Path) -> None:
    for file in new.iterdir():
        _take_mode(old / file.name, file)
    _take_mode(old, new)


def _swap_in(temporary: Path, target: Path, check: Callable[[Path], None]) -> None:
    """Put a folder in the place of one that ``check`` accepts; of two programs that do so, the last one wins."""
    while not _renamed(temporary, target):
        old = _temporary(target.parent)
        try:
            target.rename(old)
        except FileNotFoundError:  # another program has just moved it aside
            continue
        try:
            check(old)
            done = _renamed(temporary, target)
        except BaseException:
            _renamed(old, target)
            raise
        shutil.rmtree(old)
        if done:
            return


def _renamed(folder: Path, target: Path) -> bool:
    """Rename a folder; return False where another one, not empty, has the name."""
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True
