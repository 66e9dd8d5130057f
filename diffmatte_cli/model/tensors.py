"""Read other programs' checkpoints, PyTorch's or safetensors, tensors only: no code of theirs runs."""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ..errors import WeightsError
from ..process.sharing import silence

__all__ = ["is_safetensors", "read_checkpoint", "read_state_dict"]


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


def read_state_dict(path: Path, wrappers: tuple[str, ...]) -> dict[str, Tensor]:
    """Read the state dict that a checkpoint is, or has under the first of ``wrappers`` that it knows.

    Raises WeightsError when the file is damaged, holds code, or has no state dict.
    """
    try:
        content = _read_safetensors(path) if is_safetensors(path) else read_checkpoint(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror or error}): check the path") from error
    for wrapper in wrappers:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
            break
    if not isinstance(content, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    ):
        raise WeightsError(f"{path} holds no state dict of a network: choose another checkpoint")
    return dict(content)


def read_checkpoint(path: Path) -> Any:
    """Read whatever a PyTorch file holds, on the CPU; raises WeightsError when it is damaged or holds code."""
    with path.open("rb") as file:
        if file.read(64).lstrip().startswith(b"<"):
            raise WeightsError(f"{path} is a web page, not a checkpoint: open its link in a browser and save the file")
    try:
        with torch.serialization.safe_globals([(_Ignored, name) for name in IGNORED_NAMES]), silence:
            # Of old formats is warned, which are read all the same.
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"wants to run Python code ({found[1]})" if found else "is not a checkpoint of tensors alone"
        raise WeightsError(f"{path} {what}, so it was not loaded: get a file of tensors from its authors") from error
    except Exception as error:  # torch raises nearly every kind on damaged files
        raise WeightsError(f"{path} is not a readable checkpoint ({type(error).__name__}): get it again") from error


def is_safetensors(path: Path) -> bool:
    """Tell by the content: eight bytes of length, then JSON."""
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise WeightsError(f"{path} is not a readable safetensors file ({error}): get it again") from error
