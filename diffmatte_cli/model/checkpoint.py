"""Weights files: safetensors with metadata that says what the tensors are."""

from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..errors import WeightsError
from .config import SCHEDULE_NAMES, VARIANTS, ModelConfig
from .diffmatte import DiffMatte

__all__ = ["WIDEST_DECODER", "Metadata", "read_model", "write_model"]

Metadata = dict[str, str]
FORMAT = "diffmatte"
# Five times the widest of Table 6c.
WIDEST_DECODER = 256


def write_model(path: Path, model: DiffMatte, notes: Metadata, half: bool = False) -> None:
    """Write weights with their configuration and free ``notes``; ``half`` stores matrices as float16."""
    config = model.config
    metadata = {
        "format": FORMAT,
        "variant": config.variant,
        "decoder_width": str(config.decoder_width),
        "schedule": config.schedule,
        "input_scale": str(config.input_scale),
        **notes,
    }
    tensors = {key: _stored(value, half) for key, value in model.state_dict().items()}
    path.write_bytes(save(tensors, metadata))


def read_model(path: Path) -> tuple[DiffMatte, Metadata]:
    """Read a weights file into a model in evaluation mode, on the CPU, in float32.

    Raises WeightsError when the file is damaged, of another program or model, or holds a number
    that is not finite. Every key must be there with its shape, and no other.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            config = _config(path, metadata)
            tensors = {key: _loaded(file.get_tensor(key)) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path} is not a readable safetensors file ({error}): get or convert the weights again"
        ) from error
    with torch.device("meta"):
        model = DiffMatte(config)
    _check(path, model.state_dict(), tensors)
    model.load_state_dict(tensors, assign=True)
    return model.eval().requires_grad_(False), metadata


def _config(path: Path, metadata: Metadata) -> ModelConfig:
    variant = VARIANTS.get(metadata.get("variant", ""))
    if metadata.get("format") != FORMAT or variant is None:
        raise WeightsError(
            f"{path} is not a diffmatte weights file of a known variant ({', '.join(VARIANTS)}): choose another file"
        )
    try:
        config = replace(
            variant,
            decoder_width=int(metadata["decoder_width"]),
            schedule=metadata["schedule"],
            input_scale=float(metadata["input_scale"]),
        )
    except (KeyError, ValueError) as error:
        raise WeightsError(f"{path} has unusable metadata ({error}): get or convert the weights again") from error
    sound = 0 < config.input_scale <= 1 and 2 <= config.decoder_width <= WIDEST_DECODER
    if config.schedule not in SCHEDULE_NAMES or not sound:
        raise WeightsError(f"{path} has unusable metadata: get or convert the weights again")
    return config


def _check(path: Path, expected: dict[str, Tensor], found: dict[str, Tensor]) -> None:
    missing = sorted(expected.keys() - found.keys())
    unexpected = sorted(found.keys() - expected.keys())
    common = expected.keys() & found.keys()
    reshaped = sorted(k for k in common if expected[k].shape != found[k].shape)
    retyped = sorted(k for k in common if expected[k].dtype != found[k].dtype)
    findings = {
        "missing": missing,
        "unexpected": unexpected,
        "of another shape": reshaped,
        "of another type": retyped,
    }
    problems = [f"{len(keys)} {word} (first: {keys[0]})" for word, keys in findings.items() if keys]
    if problems:
        raise WeightsError(f"{path} does not fit its variant, tensors {', '.join(problems)}: choose another file")
    broken = sorted(key for key, tensor in found.items() if not torch.isfinite(tensor).all())
    if broken:
        raise WeightsError(f"{path} holds NaN or infinity (first in {broken[0]}): get or train the weights again")


def _stored(tensor: Tensor, half: bool) -> Tensor:
    """Prepare a tensor for writing; vectors stay float32, since tiny variances would vanish in float16."""
    tensor = tensor.detach().cpu().contiguous()
    return tensor.half() if half and tensor.is_floating_point() and tensor.ndim > 1 else tensor


def _loaded(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
