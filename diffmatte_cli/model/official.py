"""The published checkpoints: PyTorch files in detectron2's layout, turned into weights files of ours."""

import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import WeightsError
from .checkpoint import WIDEST_DECODER, Metadata, assemble, read_model, write_model
from .config import VARIANTS

__all__ = ["convert_checkpoint", "official_name"]

# Trainers wrap the network once or more; what follows is backbone or decoder.
WRAPPERS = re.compile(r"^(?:module\.|model\.)+(?=(?:backbone|decoder)\.)")
# Computed by the network itself, so the file's copy is not needed.
DERIVED = ".attn.relative_position_index"
# Ours and theirs; spectral norm's three tensors have other names here.
NAMES = (
    ("encoder.", "backbone."),
    (".parametrizations.weight.original", ".module.weight_bar"),
    (".parametrizations.weight.0.u", ".module.weight_u"),
    (".parametrizations.weight.0.v", ".module.weight_v"),
)
WIDTH_KEY = "decoder.matting_head.matting_convs.0.weight"


class _Ignored:
    """Stand in for NumPy's numbers, which trainers save beside the tensors, so that no code of NumPy's runs."""

    def __init__(self, *_: object) -> None:
        """Take any arguments."""

    def __setstate__(self, _: object) -> None:
        """Take any state."""


# Where versions 1 and 2 of NumPy have what their pickles call.
NUMPY_NAMES = (
    "numpy.dtype",
    "numpy.ndarray",
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
)


def convert_checkpoint(source: Path, destination: Path, variant: str, notes: Metadata, dtype: str = "fp32") -> None:
    """Write the weights of ``source`` as a weights file with ``dtype`` (of DTYPE_NAMES) matrices.

    ``source`` is a published ``.pth``, its state dict bare or under ``model``, or a weights file of
    ours, whose own metadata are kept. N_d is read from the tensors; schedule and b are the variant's;
    ``notes`` are added to the metadata.

    Raises WeightsError when the file is damaged, holds code, or is not exactly of ``variant``.
    """
    if _is_safetensors(source):
        model, metadata = read_model(source)
        if model.config.variant != variant:
            raise WeightsError(f"{source} holds {model.config.variant}, not {variant}: choose that model's name")
        write_model(destination, model, notes | metadata, dtype)
        return
    state = _state_dict(source)
    names = {_ours(key): key for key in state if not key.endswith(DERIVED)}
    if len(names) < sum(not key.endswith(DERIVED) for key in state):
        raise WeightsError(f"{source} names some tensors twice, with and without a prefix: save one state dict only")
    tensors = {ours: state[key] for ours, key in names.items()}
    config = replace(VARIANTS[variant], decoder_width=_decoder_width(source, tensors))
    model = assemble(source, config, tensors, lambda key: names.get(key) or official_name(key))
    write_model(destination, model, notes, dtype)


def _state_dict(path: Path) -> dict[str, Tensor]:
    """Read a checkpoint, tensors only, and take the network's state dict out of it."""
    content = _load(path)
    for wrapper in ("model", "state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
            break
    if not isinstance(content, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    ):
        raise WeightsError(f"{path} holds no state dict of a network: choose a checkpoint of DiffMatte")
    return dict(content)


def _load(path: Path) -> Any:
    with path.open("rb") as file:
        if file.read(64).lstrip().startswith(b"<"):
            raise WeightsError(f"{path} is a web page, not a checkpoint: open its link in a browser and save the file")
    try:
        with torch.serialization.safe_globals([(_Ignored, name) for name in NUMPY_NAMES]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old formats, which are read all the same
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"wants to run Python code ({found[1]})" if found else "is not a checkpoint of tensors alone"
        raise WeightsError(f"{path} {what}, so it was not loaded: get the file from its authors") from error
    except Exception as error:  # torch raises nearly every kind on damaged files
        raise WeightsError(f"{path} is not a readable checkpoint ({type(error).__name__}): get it again") from error


def _ours(key: str) -> str:
    key = WRAPPERS.sub("", key)
    for ours, theirs in NAMES:
        key = key.replace(theirs, ours)
    return key


def official_name(key: str) -> str:
    """Return what a published checkpoint calls the tensor that is ``key`` in a weights file of ours."""
    for ours, theirs in NAMES:
        key = key.replace(ours, theirs)
    return f"model.{key}"


def _decoder_width(path: Path, tensors: dict[str, Tensor]) -> int:
    tensor = tensors.get(WIDTH_KEY)
    if tensor is None or tensor.ndim != 4 or not 2 <= tensor.shape[1] <= WIDEST_DECODER:
        raise WeightsError(f"{path} has no diffusion decoder of a usable width: choose a checkpoint of DiffMatte")
    return tensor.shape[1]


def _is_safetensors(path: Path) -> bool:
    """Tell by the content: eight bytes of length, then JSON."""
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"
