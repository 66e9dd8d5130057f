"""Read safetensors files: the header first, then every byte once, hashed as it is read.

The library's own reader maps the file instead, which can be changed meanwhile: what is hashed here is what is loaded.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch
from torch import Tensor

from ..errors import WeightsError
from ..storage.pieces import open_file
from .recognising import START, mistaken_for, read_table

__all__ = ["Header", "opened", "read_header", "read_tensors"]

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
MOST_DIMENSIONS = 8
PIECE = 2**22


@dataclass(frozen=True)
class Header:
    """What a file says before its numbers: metadata, and each tensor's type and shape in the order of the file."""

    metadata: dict[str, str]
    tensors: dict[str, tuple[torch.dtype, tuple[int, ...]]]
    content: bytes

    def stand_ins(self) -> dict[str, Tensor]:
        """Return tensors of the same types and shapes that take no memory."""
        return {name: torch.zeros((), dtype=dtype).expand(shape) for name, (dtype, shape) in self.tensors.items()}


@contextmanager
def opened(path: Path, wanted: str, advice: str) -> Iterator[BufferedReader]:
    """Open a safetensors file, and raise whatever is wrong with it as WeightsError.

    ``wanted`` says what it should be, ``advice`` what to do if it is damaged.
    """
    try:
        with open_file(path) as file:
            if told := mistaken_for(file.read(START), wanted):
                raise WeightsError(f"{path} {told}")
            file.seek(0)
            before = _state_of(file)
            yield cast("BufferedReader", file)
            after = _state_of(file)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror or error}): check the path") from error
    except ValueError as error:
        raise WeightsError(f"{path} is not a readable safetensors file ({error}): {advice}") from error
    if before != after:
        raise WeightsError(f"{path} was changed while it was read: run the command again")


def _state_of(file: BinaryIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def read_header(file: BinaryIO) -> Header:
    """Read and check a header; raises ValueError unless the tensors that it tells of fill the file exactly."""
    metadata, table, content = read_table(file)
    return Header(metadata, _entries(table, os.fstat(file.fileno()).st_size - len(content)), content)


def _entries(table: dict[str, Any], size: int) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    """Return types and shapes by name, in the order of the ``size`` bytes that they must fill without a gap."""
    places, found = {}, {}
    for name, row in table.items():
        try:
            dtype, shape, (first, last) = DTYPES[row["dtype"]], tuple(row["shape"]), row["data_offsets"]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"it does not say type, shape and place of {name}") from error
        numbers = (first, last, *shape)
        if len(shape) > MOST_DIMENSIONS or not all(type(number) is int and 0 <= number <= size for number in numbers):
            raise ValueError(f"shape or place of {name} is impossible")
        if last - first != prod(shape) * dtype.itemsize:
            raise ValueError(f"{name} has not the numbers of its shape")
        places[name], found[name] = (first, last), (dtype, shape)
    end = 0
    names = sorted(places, key=places.__getitem__)
    for name in names:
        if places[name][0] != end:
            raise ValueError(f"{name} does not follow the tensor before it")
        end = places[name][1]
    if end != size:
        raise ValueError("its tensors are not all of it")
    return {name: found[name] for name in names}


def read_tensors(file: BufferedReader, header: Header, computable: bool = False) -> tuple[dict[str, Tensor], str]:
    """Read all tensors after the header, fractions as float32 if ``computable``, and the file's sha256.

    Raises ValueError where the file ends before its time.
    """
    digest, tensors, buffer = hashlib.sha256(header.content), {}, memoryview(bytearray(PIECE))
    for name, (dtype, shape) in header.tensors.items():
        kept = torch.float32 if computable and dtype.is_floating_point else dtype
        numbers, each = torch.empty(prod(shape), dtype=kept), PIECE // dtype.itemsize
        for first in range(0, len(numbers), each):  # signals are heard between pieces
            part = numbers[first : first + each]
            piece = buffer[: len(part) * dtype.itemsize]
            if file.readinto(piece) != len(piece):
                raise ValueError("it ends too early")
            digest.update(piece)
            part.copy_(torch.frombuffer(piece, dtype=dtype))
        tensors[name] = numbers.reshape(shape)
    return tensors, digest.hexdigest()
