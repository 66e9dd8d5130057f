"""Files in object stores and on other machines, by URLs of fsspec, which is imported on first use.

A URL is a subclass of ``Path``, so that its name, suffix and parent work as a file's; its text is the URL.
"""

import os
import posixpath
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DiffmatteError, ImageError, OutputError, UsageError
from ..extras import install
from .pieces import check_size, in_pieces

if TYPE_CHECKING:
    _LocalPath = Path
else:
    _LocalPath = type(Path())  # before Python 3.12 only the system's class can be subclassed

__all__ = ["RemotePath", "check_scheme", "is_open", "is_remote", "is_url", "kind", "listing", "parsed", "place"]
__all__ += ["putting", "read"]

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://")
LOCAL = ("file", "local")
# These write an object atomically; others get a temporary file that is renamed.
ATOMIC = frozenset({"abfs", "abfss", "adl", "az", "gcs", "gs", "hf", "memory", "oci", "oss", "s3", "s3a", "tos"})
_SAME = {"s3a": "s3", "gcs": "gs", "az": "abfs", "abfss": "abfs", "ssh": "sftp"}
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}
# What tables may name, see ``is_open``: plain stores of files, which hand a URL on to no other scheme.
_OPEN = frozenset({"s3", "gs", "abfs", "http", "https"})
_STREAMED = frozenset({"http", "https"})  # in one request, which can be stopped
_UNSAFE = frozenset({"reference"})  # whose files are templates: reading them runs what they say


class RemotePath(_LocalPath):
    """A URL: its first part is the scheme with a colon, or with two where no host or bucket follows."""

    def __str__(self) -> str:
        """Return the URL; for a relative part, its names."""
        scheme, *rest = self.parts or (".",)
        if not scheme.endswith(":"):
            return "/".join(self.parts)
        return f"{scheme.rstrip(':')}://{'/' if scheme.endswith('::') else ''}{'/'.join(rest)}"


def is_remote(path: Path | None) -> bool:
    """Tell whether a path is a URL."""
    return isinstance(path, RemotePath)


def is_url(text: str) -> bool:
    """Tell whether a text is a URL."""
    return _SCHEME.match(text) is not None


def parsed(text: str) -> Path:
    """Return the path of a URL; ``file://`` gives a local path.

    Raises UsageError for a chain of URLs, which fsspec would follow from one to the next.
    """
    found = _SCHEME.match(text)
    assert found is not None
    scheme, rest = found[1], text[found.end() :]
    if scheme in LOCAL:
        if not rest.startswith("/"):
            raise UsageError(f"{text} names a host: write three slashes, as in file:///folder/cat.png")
        return Path(rest)
    if "::" in text:
        raise UsageError(f"{text} chains URLs by ::, which is not supported: copy the file to a plain place first")
    bare = rest.startswith("/") and scheme != "memory"  # whose URLs have no host at all
    rest = posixpath.normpath("/" + rest).lstrip("/")
    return RemotePath(scheme + (":" * (1 + bare)), *([rest] if rest else []))


def is_open(path: Path) -> bool:
    """Tell whether tables may name a URL of this scheme, whoever wrote them."""
    scheme = path.parts[0].rstrip(":")
    return _SAME.get(scheme, scheme) in _OPEN


def check_scheme(path: Path) -> None:
    """Raise UsageError for a scheme that is unknown to fsspec or unsafe, and if its package is missing."""
    from fsspec import get_filesystem_class

    scheme = path.parts[0].rstrip(":")
    if scheme in _UNSAFE:
        raise UsageError(f"{scheme}:// can run programs and is not supported: name the files themselves")
    try:
        get_filesystem_class(scheme)
    except ValueError as error:
        raise UsageError(f"unknown URL scheme {scheme}://: write ./ before the name of a folder") from error
    except ImportError as error:
        extra = install(_EXTRAS[scheme]) if scheme in _EXTRAS else _in_one_line(error)
        raise UsageError(f"{scheme}:// needs a package that is not installed: {extra}") from error


def place(path: Path) -> str:
    """Return the canonical text of a URL."""
    scheme, *rest = path.parts
    name = scheme.rstrip(":")
    same = RemotePath(scheme.replace(name, _SAME.get(name, name)))
    return str(same) + posixpath.normpath("/" + "/".join(rest)).lstrip("/")


def kind(path: Path) -> str | None:
    """Return "file", "folder", or None if it does not exist; raises UsageError if the store cannot be queried."""
    with _told(UsageError, f"cannot look up {path}"):
        store, key = _store(path)
        return _kind(store, key)


def listing(folder: Path) -> list[tuple[str, str]]:
    """Return the names in a folder, each with its kind, "file" or "folder"; empty for a missing one.

    Raises UsageError if the store cannot be queried.
    """
    if folder.parts[0].rstrip(":") in _STREAMED:  # a page of links, of any length
        raise UsageError(f"the web lists no folders: name the files in {folder} one by one, or in a manifest")
    with _told(UsageError, f"cannot list the folder {folder}"):
        store, key = _store(folder)
        try:
            found = store.ls(key, detail=True)
        except FileNotFoundError:
            return []
        itself = key.strip("/")
        entries = {(entry["name"].strip("/"), _kind_of(entry)) for entry in found}
        return sorted((posixpath.basename(name), kind) for name, kind in entries if name != itself)


def read(path: Path, most: int) -> bytes:
    """Read a whole file of at most ``most`` bytes, in pieces, and no more of it than the store said there is.

    Raises:
        ImageError: the store refuses, or the file is larger than ``most`` or than the store said.
    """
    with _told(ImageError, f"cannot read {path}"):
        store, key = _store(path)
        size = store.info(key).get("size")
        check_size(str(path), size or 0, most)
        with store.open(key, "rb", **({"block_size": 0} if path.parts[0].rstrip(":") in _STREAMED else {})) as file:
            content = in_pieces(file.read, most if size is None else size)
        check_size(str(path), len(content), most)
        if size is not None and len(content) > size:
            raise ImageError(f"cannot read {path}: the store sends more than the {size} bytes that it told of")
        return content


@contextmanager
def putting(path: Path, content: bytes, *, overwrite: bool = True) -> Iterator[None]:
    """Write a file atomically when the block succeeds.

    Raises:
        OutputError: the store refuses, or, without ``overwrite``, the file exists.
    """
    yield
    with _told(OutputError, f"cannot write {path}"):
        store, key = _store(path)
        if not overwrite:
            store.invalidate_cache()
            if _kind(store, key) is not None:
                raise OutputError(f"cannot write {path}: it exists by now, and overwriting is off")
        if path.parts[0].rstrip(":") in ATOMIC:
            store.pipe_file(key, content)
        else:
            _put_and_rename(store, key, content)


def _put_and_rename(store: Any, key: str, content: bytes) -> None:
    folder = posixpath.dirname(key)
    temporary = posixpath.join(folder, f".diffmatte-{os.urandom(8).hex()}.part")
    store.makedirs(folder, exist_ok=True)
    try:
        store.pipe_file(temporary, content)
        store.mv(temporary, key)
    except BaseException:
        with suppress(Exception):
            store.rm_file(temporary)
        raise


def _store(path: Path) -> tuple[Any, str]:
    """Return fsspec's file system for a path, and the path's name in it."""
    from fsspec.core import url_to_fs

    if "::" in str(path):  # fsspec would go on to another place, which names of files may name, too
        raise ValueError("names with :: are not supported")
    store, key = url_to_fs(place(path))
    return store, str(key)


def _kind(store: Any, key: str) -> str | None:
    try:
        return _kind_of(store.info(key))
    except (FileNotFoundError, NotADirectoryError):
        return None


def _kind_of(entry: dict[str, Any]) -> str:
    return "folder" if entry["type"] == "directory" else "file"


@contextmanager
def _told(raised: type[DiffmatteError], beginning: str) -> Iterator[None]:
    """Turn any error of a store, which may be of its own class, into one sentence."""
    try:
        yield
    except (DiffmatteError, MemoryError):
        raise
    except Exception as error:
        raise raised(f"{beginning}: {_in_one_line(error)}") from error


def _in_one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, NotImplementedError):
        return "this file system is read-only"
    if isinstance(error, FileNotFoundError) and " " not in str(error):  # just the name
        return "there is no such file"
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
