"""The published checkpoints: PyTorch files in detectron2's layout, turned into weights files of ours."""

import re
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from ..errors import WeightsError
from .checkpoint import WIDEST_DECODER, Metadata, assemble, read_model, write_model
from .config import VARIANTS
from .tensors import is_safetensors, read_state_dict

__all__ = ["convert_checkpoint", "official_name"]

# Trainers wrap the network once or more; what follows is backbone or decoder.
WRAPPERS = re.compile(r"^(?:module\.|model\.)+(?=(?:backbone|decoder)\.)")
# Where trainers put the network among what they save.
WRAPPED_UNDER = ("model", "state_dict")
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


def convert_checkpoint(
    source: Path,
    destination: Path,
    variant: str,
    notes: Metadata,
    dtype: str = "fp32",
    preprocessing: str | None = None,
) -> None:
    """Write the weights of ``source`` as a weights file with ``dtype`` (of DTYPE_NAMES) matrices.

    ``source`` is a published ``.pth``, its state dict bare or under ``model``, a file of ViTMatte, or a weights file
    of ours, whose own metadata are kept. N_d is read from the tensors; schedule and b are the variant's;
    ``notes`` are added to the metadata; ``preprocessing``, of PREPROCESSING, is by default the file's own.

    Raises WeightsError when the file is damaged, holds code, or is not exactly of ``variant``.
    """
    if is_safetensors(source) or not VARIANTS[variant].iterates:
        model, metadata = read_model(source, preprocessing=preprocessing)
        if model.config.variant != variant:
            raise WeightsError(f"{source} holds {model.config.variant}, not {variant}: choose that model's name")
        write_model(destination, model, notes | metadata, dtype)
        return
    state = read_state_dict(source, WRAPPED_UNDER)
    names = {_ours(key): key for key in state if not key.endswith(DERIVED)}
    if len(names) < sum(not key.endswith(DERIVED) for key in state):
        raise WeightsError(f"{source} names some tensors twice, with and without a prefix: save one state dict only")
    tensors = {ours: state[key] for ours, key in names.items()}
    config = replace(VARIANTS[variant], decoder_width=_decoder_width(source, tensors))
    model = assemble(source, config, tensors, lambda key: names.get(key) or official_name(key))
    write_model(destination, model, notes, dtype)


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
