"""Replace files and folders all at once: made under a temporary name beside the target, then renamed."""

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import OutputError

__all__ = ["staged_file", "staged_folder"]


def _temporary(folder: Path) -> Path:
    # Independent of the target's name, which may already be as long as the file system allows.
    return folder / f".diffmatte-{secrets.token_hex(8)}.part"


def _refusal(path: Path, error: OSError) -> OutputError:
    return OutputError(f"cannot write {path}: {error.strerror or error}")


@contextmanager
def staged_file(path: Path, name_by: Callable[[Path], str] | None = None) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place when the block ends well.

    With ``name_by`` its name is what that makes of the finished file, in the folder of ``path``. Whatever
    ends the block badly, Ctrl-C included, leaves the old file and no temporary one. Links are followed.

    Raises:
        OutputError: the folder or the disk refuses.
    """
    target = Path(os.path.realpath(path))
    temporary = _temporary(target.parent)
    try:
        yield temporary
        os.replace(temporary, target if name_by is None else target.with_name(name_by(temporary)))
    except OSError as error:
        raise _refusal(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def staged_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``path`` that takes its place, with contents, if the block ends well.

    The parent is made where it is missing, and removed again when the block ends badly.

    Raises:
        OutputError: the folder or the disk refuses.
    """
    target = Path(os.path.realpath(path))
    made_parent = not target.parent.exists()
    temporary = _temporary(target.parent)
    try:
        temporary.mkdir(parents=made_parent)
        yield temporary
        _swap_in(temporary, target)
    except OSError as error:
        raise _refusal(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if made_parent and not target.exists():
            with suppress(OSError):
                target.parent.rmdir()


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
