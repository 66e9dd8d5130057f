"""Read PyTorch's own files in bounded time and memory: tensors only, no code of theirs runs."""

import hashlib
import os
import pickle
import pickletools
import re
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import torch

from ..errors import WeightsError, is_shortage
from ..process.limits import memory_capped
from ..process.sharing import silence
from ..storage.pieces import open_file
from .recognising import PICKLED, START, mistaken_for

__all__ = ["REPLACED", "read_checkpoint"]

REPLACED = "{} was replaced since the command began: run it again"


class _Ignored:
    """Stand in for what trainers save beside the tensors, so that no code of its own runs."""

    def __init__(self, *_: object) -> None:
        """Take any arguments."""

    def __setstate__(self, _: object) -> None:
        """Take any state."""


# Trainers' options, and NumPy's numbers where its versions 1 and 2 have what their pickles call.
IGNORED_NAMES = (
    "argparse.Namespace",
    "numpy.dtype",
    "numpy.ndarray",
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
)
# A file's own size, and as much again for what is copied; and room for what reading itself takes.
ROOM = 256 * 2**20
# Bounds of the pickle, which tells of the tensors: a thousandth of that is usual.
MOST_BYTES, MOST_STEPS = 2**26, 3_000_000
# A file without this, saved before 2020, holds that many pickles before its numbers.
ZIP, OLD_PICKLES = PICKLED[0], 5
# A text that PyTorch quotes in an error it searches in quadratic time for what follows words without a blank.
LONGEST_WORD = 10_000


def read_checkpoint(path: Path, sha256: str | None = None) -> Any:
    """Read whatever a PyTorch file holds, on the CPU.

    Raises WeightsError when it is damaged, holds code, takes more time or memory than its size accounts for, or is
    not the file of ``sha256``, if given.
    """
    try:
        with open_file(path) as file:
            start = file.read(START)
            if told := mistaken_for(start, "a checkpoint"):
                raise WeightsError(f"{path} {told}")
            file.seek(0)
            size = os.fstat(file.fileno()).st_size
            with memory_capped(2 * size + ROOM):
                known = file if sha256 is None else _hashed(path, file, sha256)
                _check(path, known, size, start)
                known.seek(0)
                return _loaded(known)
    except WeightsError:
        raise
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]{1,80})", str(error))
        what = f"wants to run Python code ({found[1]})" if found else "is not a checkpoint of tensors alone"
        raise WeightsError(f"{path} {what}, so it was not loaded: get a file of tensors from its authors") from error
    except Exception as error:  # torch raises nearly every kind on damaged files
        if isinstance(error, OSError) and error.strerror:
            raise WeightsError(f"{path} cannot be read ({error.strerror}): check the path") from error
        if is_shortage(error):
            raise WeightsError(f"{path} takes more memory than its size accounts for: get it again") from error
        raise WeightsError(f"{path} is not a readable checkpoint ({type(error).__name__}): get it again") from error


def _hashed(path: Path, file: BinaryIO, sha256: str) -> BinaryIO:
    """Return a file's content, read once, so that what is hashed is what is loaded."""
    content = file.read()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise WeightsError(REPLACED.format(path))
    return BytesIO(content)


def _loaded(file: BinaryIO) -> Any:
    with torch.serialization.safe_globals([(_Ignored, name) for name in IGNORED_NAMES]), silence:
        # Of old formats is warned, which are read all the same.
        return torch.load(file, map_location="cpu", weights_only=True)


def _check(path: Path, file: BinaryIO, size: int, start: bytes) -> None:
    """Raise WeightsError for what would keep PyTorch busy for long, and other errors for what it cannot read."""
    if not start.startswith(ZIP):
        for _ in range(OLD_PICKLES):
            if file.tell() < size:
                _check_pickle(path, file)
        return
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        pickles = [entry for entry in entries if Path(entry.filename).name == "data.pkl"]
        if not pickles:
            raise WeightsError(f"{path} is a zip archive without a checkpoint: unpack it first, or get another file")
        if sum(entry.file_size for entry in entries) > 2 * size + ROOM:
            raise WeightsError(f"{path} unpacks to many times its size, as no checkpoint does: get it again")
        for entry in pickles:
            with archive.open(entry) as packed:
                _check_pickle(path, BytesIO(packed.read(MOST_BYTES + 1)))


def _check_pickle(path: Path, file: BinaryIO) -> None:
    for number, (name, text) in enumerate(_texts(file)):
        if number > MOST_STEPS or file.tell() > MOST_BYTES:
            raise WeightsError(f"{path} tells of more than any network has: get it again")
        if name == "GLOBAL" and text.partition(" ")[2] == "bytearray":  # of any length, at no cost to the file
            raise pickle.UnpicklingError("GLOBAL builtins.bytearray")
        if len(text) > LONGEST_WORD and (not text.isascii() or max(map(len, text.split())) > LONGEST_WORD):
            raise WeightsError(f"{path} holds a name of {len(text)} letters: get it again")


def _texts(file: BinaryIO) -> Iterator[tuple[str, str]]:
    """Yield each step of a pickle, with the text that belongs to it, if any; none is carried out."""
    for step, argument, _ in pickletools.genops(file):
        yield step.name, argument if isinstance(argument, str) else ""
