"""Say what a file is that was given as weights: of which variant, or something else. Standard library only."""

import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from ..storage.pieces import open_file
from .config import VARIANTS, ModelConfig
from .vitmatte import published_variant

__all__ = ["PICKLED", "START", "config_of", "mistaken_for", "read_table"]

# Bytes from a file's beginning that tell what it is.
START = 1024
# What PyTorch's files begin with, archives and older ones.
PICKLED = (b"PK\x03\x04", b"\x80\x02")
MOST_HEADER = 4 * 2**20  # bytes; those of the largest networks here take a fortieth
_ARCHIVES = rb"\x1f\x8b|BZh\d|\xfd7zXZ\0|7z\xbc\xaf\x27\x1c|Rar!\x1a|\x28\xb5\x2f\xfd|[^\0]{1,100}\0[\s\S]{156,}ustar"
_PICTURES = rb"\x89PNG|\xff\xd8\xff|GIF8|II\*\0|MM\0\*|RIFF....WEBP|\x76\x2f\x31\x01"
# What a file begins with, what that is, and what to do. The first that fits counts.
_KINDS = (
    (rb"$", "empty", "get it again"),
    (
        rb"version https://git-lfs",
        "a pointer of Git LFS, not the file itself",
        "run `git lfs pull` where it was cloned, or download the file itself",
    ),
    (
        rb"(?i)\s*<(?!\?xml)|\s*<\?xml[\s\S]*<(?:!doctype )?html",
        "a web page, not {wanted}",
        "open its link in a browser and save the file",
    ),
    (rb"\s*<\?xml", "an XML text, such as a server's error message, not {wanted}", "get the file itself"),
    (rb"\s*[{\[][^\0]{8}", "a JSON text, such as a server's error message, not {wanted}", "get the file itself"),
    (_ARCHIVES, "an archive", "unpack it first"),
    (_PICTURES, "a picture, not {wanted}", "check the path"),
    (rb"\x89HDF", "an HDF5 file, as Keras writes them, not {wanted}", "get the weights for PyTorch"),
    (rb"GGUF", "a GGUF file of a language model, not {wanted}", "check the path"),
)


def mistaken_for(start: bytes, wanted: str) -> str | None:
    """Return what a file is that begins with ``start``, and what to do; None if it may be what is ``wanted``."""
    if start[4:9] == b"\0\0\0\0{":  # a length, whose first bytes may be anything, and a table: safetensors
        return None
    text = start.removeprefix(b"\xef\xbb\xbf")
    for pattern, what, cure in _KINDS:
        if re.match(pattern, text):
            return f"is {what.format(wanted=wanted)}: {cure}"
    if _is_text(text):
        return f"is a text, not {wanted}: get the file itself"
    return None


def _is_text(start: bytes) -> bool:
    # A character may be cut at the end.
    found = start.decode("utf-8", "ignore")
    return len(found.encode()) > len(start) - 4 and all(c.isprintable() or c.isspace() for c in found)


def read_table(file: BinaryIO) -> tuple[dict[str, str], dict[str, Any], bytes]:
    """Read the header of a safetensors file: metadata, a row for each tensor, unchecked, and the bytes of both.

    Raises ValueError for what is none.
    """
    start, left = file.read(8), os.fstat(file.fileno()).st_size - 8
    length = int.from_bytes(start, "little")
    if not 2 <= length <= left:
        raise ValueError("its header is cut off")
    if length > MOST_HEADER:
        raise ValueError(f"its header takes more than {MOST_HEADER >> 20} MiB")
    content = file.read(length)
    try:
        table = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError("its header is not JSON") from error
    if not isinstance(table, dict):
        raise ValueError("its header is not a table")
    metadata = table.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its metadata are not texts")
    return metadata, table, start + content


def config_of(weights: Path | str) -> ModelConfig | None:
    """Return a variant's row, or that of the one a weights file is of, by its metadata or its names; else None.

    What is wrong with a file is told when it is loaded. Of PyTorch's own files ViTMatte's alone are: its smaller
    variant stands for both.
    """
    if isinstance(weights, str):
        return VARIANTS[weights]
    with suppress(OSError, ValueError, TypeError, KeyError), open_file(weights) as file:
        start = file.read(9)
        if start[8:] != b"{" and start.startswith(PICKLED):
            return next(row for row in VARIANTS.values() if not row.iterates)
        file.seek(0)
        metadata, table, _ = read_table(file)
        shapes = {key: row["shape"] for key, row in table.items()}
        return VARIANTS.get(metadata.get("variant") or published_variant(shapes) or "")
    return None
