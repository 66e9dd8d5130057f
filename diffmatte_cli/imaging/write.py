"""Write images atomically, each with the receipt of how it was made."""

import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ..errors import OutputError
from ..storage.atomic import staged_file
from ..storage.paths import STREAM, Place
from ..storage.remotes import is_remote, putting
from .encoding import Result, encoded

__all__ = ["write_file", "write_images"]


def write_images(
    results: Sequence[Result],
    within: Path | None = None,
    *,
    links: Collection[Path] | None = None,
    overwrite: bool = True,
) -> None:
    """Write several images: all are complete under temporary names before the first is renamed or sent to its URL.

    A result for ``STREAM`` goes to standard output. Missing folders are made. No file may lie outside
    ``within``, nor replace another without ``overwrite``. Only symlinks among ``links`` are followed; None: all.

    Raises:
        OutputError: a folder or the disk refuses, or a format cannot hold the image.
        BrokenPipeError: nobody reads standard output.
    """
    with ExitStack() as stack:
        for result in results:
            content = encoded(result)
            if result.path == STREAM:
                _write_to_stdout(content)
            else:
                follow = links is None or result.path in links
                stack.enter_context(_putting(content, result.path, within, follow, overwrite))


def write_file(path: Path, content: bytes) -> None:
    """Write a file atomically, or send it to a URL; missing folders are made. Raises OutputError."""
    with _putting(content, path):
        pass


@contextmanager
def _putting(
    content: bytes, path: Path, within: Path | None = None, follow: bool = True, overwrite: bool = True
) -> Iterator[None]:
    """Put a file, complete under a temporary name, in its place when the block succeeds."""
    if is_remote(path):
        with putting(path, content, overwrite=overwrite):
            yield
        return
    _make_folder(path, within)
    with staged_file(path, within=within, follow=follow, overwrite=overwrite) as temporary:
        temporary.write_bytes(content)
        yield


def _write_to_stdout(content: bytes) -> None:
    rest = memoryview(content)
    while rest:  # unbuffered, as with PYTHONUNBUFFERED, one call writes what fits into the pipe
        rest = rest[sys.stdout.buffer.write(rest) :]
    sys.stdout.buffer.flush()


def _make_folder(path: Path, within: Path | None) -> None:
    if within is not None and not Place(path.parent).is_inside(Place(within)):
        raise OutputError(f"cannot write {path}: a symlink leads out of {within}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {path.parent}: {error.strerror}") from error
