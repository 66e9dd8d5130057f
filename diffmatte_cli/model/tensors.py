"""Read the state dicts of other programs' checkpoints, PyTorch's or safetensors."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ..errors import WeightsError
from ..storage.pieces import open_file
from .pickles import read_checkpoint
from .recognising import PICKLED
from .tensorfile import opened, read_header, read_tensors

__all__ = ["is_pickled", "is_safetensors", "read_state_dict"]


def read_state_dict(path: Path, wrappers: tuple[str, ...], sha256: str | None = None) -> dict[str, Tensor]:
    """Read the state dict that a checkpoint is, or has under the first of ``wrappers`` that it knows.

    Raises WeightsError when the file is damaged, holds code, has no state dict, or is a PyTorch file other than that of
    ``sha256``, if given.
    """
    content = _read_safetensors(path) if is_safetensors(path) else read_checkpoint(path, sha256)
    for wrapper in wrappers:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
            break
    if not isinstance(content, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    ):
        raise WeightsError(f"{path} holds no state dict of a network: choose another checkpoint")
    return dict(content)


def is_safetensors(path: Path) -> bool:
    """Tell by the content, eight bytes of length, then JSON; raises WeightsError for what cannot be read."""
    return _start(path)[8:] == b"{"


def is_pickled(path: Path) -> bool:
    """Tell a PyTorch file, a zip archive or older, by the content; raises WeightsError for what cannot be read."""
    return not is_safetensors(path) and _start(path).startswith(PICKLED)


def _start(path: Path) -> bytes:
    try:
        with open_file(path) as file:
            return file.read(9)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror or error}): check the path") from error


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    with opened(path, "a checkpoint", "get it again") as file:
        return read_tensors(file, read_header(file))[0]
