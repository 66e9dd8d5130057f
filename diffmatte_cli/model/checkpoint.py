"""Weights files: safetensors with metadata that says what the tensors are."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ..errors import WeightsError, listed
from ..settings import SCHEDULE_NAMES
from .config import PREPROCESSING, VARIANTS, ModelConfig
from .diffmatte import DiffMatte
from .pickles import REPLACED
from .tensorfile import Header, opened, read_header, read_tensors
from .tensors import is_pickled, read_state_dict
from .vitmatte import hub_name, our_name, published_variant

__all__ = [
    "RESERVED",
    "WIDEST_DECODER",
    "Metadata",
    "assemble",
    "differences",
    "is_finite",
    "parameter_count",
    "read_model",
    "write_model",
]

Metadata = dict[str, str]
Tensors = dict[str, Tensor]
FORMAT = "diffmatte"
# What a file says of itself, beside free notes.
RESERVED = frozenset({"format", "variant", "decoder_width", "schedule", "input_scale", "noise", "preprocessing"})
# Five times the widest of Table 6c.
WIDEST_DECODER = 256
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def write_model(path: Path, model: DiffMatte, notes: Metadata, dtype: str = "fp32") -> None:
    """Write weights with their configuration and free ``notes``; ``dtype``, of DTYPE_NAMES, is for matrices.

    Raises WeightsError for a number that ``dtype`` cannot hold, OSError where the disk refuses.
    """
    config = model.config
    metadata = {
        **notes,
        "format": FORMAT,
        "variant": config.variant,
        "decoder_width": str(config.decoder_width),
        "schedule": config.schedule,
        "input_scale": str(config.input_scale),
        **({} if config.noise else {"noise": "none"}),
        **({} if config.preprocessing == PREPROCESSING[0] else {"preprocessing": config.preprocessing}),
    }
    tensors = {key: _stored(value, DTYPES[dtype]) for key, value in model.state_dict().items()}
    if not all(is_finite(tensor) for tensor in tensors.values()):
        raise WeightsError(f"the weights hold numbers that {dtype} cannot: use bf16 or fp32")
    path.touch()
    permissions = path.stat().st_mode
    try:
        save_file(tensors, path, metadata)
    except SafetensorError as error:  # how a full disk reads there
        raise OSError(f"{error}; make room, or choose another place") from error
    path.chmod(permissions)  # safetensors gives them to nobody else
    _sort_header(path)


def _sort_header(path: Path) -> None:
    """Put the metadata in order, which safetensors writes in any, so that the same weights are the same bytes."""
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        content = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(content) <= length:
            file.seek(8)
            file.write(content.ljust(length))


def read_model(path: Path, sha256: str | None = None, preprocessing: str | None = None) -> tuple[DiffMatte, Metadata]:
    """Read a weights file into a model in evaluation mode, on the CPU, in float32.

    Files of ViTMatte as they are published, safetensors or PyTorch's, are read, too. ``preprocessing``, of
    ``PREPROCESSING``, is used instead of the file's own.

    Raises WeightsError when the file is damaged, of another program or model, holds code or a number that is not
    finite, or is not the one of ``sha256``, if given. Every key must be there with its shape, and no other.
    """
    config, tensors, metadata = _read_pickled(path, sha256) if is_pickled(path) else _read(path, sha256)
    config = replace(config, preprocessing=preprocessing or config.preprocessing)
    return assemble(path, config, tensors, _naming(metadata)), metadata


def _read(path: Path, sha256: str | None) -> tuple[ModelConfig, Tensors, Metadata]:
    """Read a safetensors file, whose header is checked before anything large is read."""
    with opened(path, "a weights file", _advice(path)) as file:
        header = read_header(file)
        config = _config(path, header)
        _check_fit(path, config, _by_our_names(path, header.stand_ins()), _naming(header.metadata))
        tensors, found = read_tensors(file, header, computable=True)
    if sha256 not in (None, found):
        raise WeightsError(REPLACED.format(path))
    return config, _by_our_names(path, tensors), header.metadata


def _read_pickled(path: Path, sha256: str | None) -> tuple[ModelConfig, Tensors, Metadata]:
    tensors = read_state_dict(path, ("model", "state_dict"), sha256)
    config = _published(path, {key: tensor.shape for key, tensor in tensors.items()})
    return config, _by_our_names(path, tensors), {}


def _by_our_names(path: Path, tensors: Tensors) -> Tensors:
    renamed = {our_name(key): tensor for key, tensor in tensors.items()}
    if len(renamed) < len(tensors):
        raise WeightsError(f"{path} names some tensors twice, in two ways: get the weights again")
    return renamed


def _naming(metadata: Metadata) -> Callable[[str], str]:
    """Return what turns a key of ours into what the file calls it."""
    return str if metadata.get("format") == FORMAT else hub_name


def _advice(path: Path) -> str:
    """Say what to do with a file that is not safetensors; a checkpoint is what one might give by mistake."""
    return f"if it is an official checkpoint, run `diffmatte weights import NAME {path}`; else get the weights again"


def assemble(path: Path, config: ModelConfig, tensors: Tensors, named: Callable[[str], str] = str) -> DiffMatte:
    """Make the model of ``tensors``, which came from ``path``, in evaluation mode and float32.

    ``named`` turns a key of ours into what the file calls it. Raises WeightsError unless exactly
    the configuration's tensors are there, finite and with their shapes.
    """
    model = _check_fit(path, config, tensors, named)
    tensors = {key: tensor.float() if tensor.is_floating_point() else tensor for key, tensor in tensors.items()}
    broken = sorted(key for key, tensor in tensors.items() if not is_finite(tensor))
    if broken:
        raise WeightsError(f"{path} holds NaN or infinity (first in {named(broken[0])}): get the weights again")
    model.load_state_dict(tensors, assign=True)
    return model.eval().requires_grad_(False)


def _check_fit(path: Path, config: ModelConfig, tensors: Tensors, named: Callable[[str], str] = str) -> DiffMatte:
    """Return a configuration's model without numbers; raises WeightsError unless it has exactly these tensors."""
    model = _skeleton(config)
    if problems := differences(model.state_dict(), tensors, named):
        fitting = [row for row in VARIANTS if _fits(row, config.decoder_width, tensors)]
        hint = f"it fits {fitting[0]}, choose that" if fitting else "choose another file"
        raise WeightsError(f"{path} does not fit {config.variant}: {'; '.join(problems)}: {hint}")
    return model


def parameter_count(variant: str, decoder_width: int | None = None) -> int:
    """Return how many numbers of a variant are trained; ``decoder_width`` is N_d, by default the variant's own."""
    config = VARIANTS[variant]
    model = _skeleton(replace(config, decoder_width=decoder_width or config.decoder_width))
    return sum(parameter.numel() for parameter in model.parameters())


def _skeleton(config: ModelConfig) -> DiffMatte:
    """Return a model without numbers."""
    with torch.device("meta"):
        return DiffMatte(config)


def _published(path: Path, shapes: Mapping[str, Sequence[int]]) -> ModelConfig:
    """Return the configuration of a published file of ViTMatte."""
    if (variant := published_variant(shapes)) is None:
        raise WeightsError(
            f"{path} is not a diffmatte weights file of a known variant ({', '.join(VARIANTS)}), nor ViTMatte's:"
            f" {_advice(path)}"
        )
    return VARIANTS[variant]


def _config(path: Path, header: Header) -> ModelConfig:
    metadata = header.metadata
    variant = VARIANTS.get(metadata.get("variant", ""))
    if metadata.get("format") != FORMAT or variant is None:
        return _published(path, {key: shape for key, (_, shape) in header.tensors.items()})
    try:
        config = replace(
            variant,
            decoder_width=int(metadata["decoder_width"]),
            schedule=metadata["schedule"],
            input_scale=float(metadata["input_scale"]),
            noise=metadata.get("noise") != "none",
            preprocessing=metadata.get("preprocessing", variant.preprocessing),
        )
    except (KeyError, ValueError) as error:
        raise WeightsError(f"{path} has unusable metadata ({error}): get or convert the weights again") from error
    is_known = config.schedule in SCHEDULE_NAMES and config.preprocessing in PREPROCESSING
    if not (is_known and 0 < config.input_scale <= 1 and 2 <= config.decoder_width <= WIDEST_DECODER):
        raise WeightsError(f"{path} has unusable metadata: get or convert the weights again")
    return config


def differences(expected: Tensors, found: Tensors, named: Callable[[str], str] = str) -> list[str]:
    """Say in which tensors a file differs from what is expected, three keys a kind; nothing when it fits.

    ``named`` turns a key of ours into what the file calls it.
    """
    common = sorted(expected.keys() & found.keys())
    reshaped = [key for key in common if expected[key].shape != found[key].shape]
    retyped = [key for key in common if not _is_alike(expected[key], found[key])]
    findings = {
        "missing": [named(key) for key in sorted(expected.keys() - found.keys())],
        "unexpected": [named(key) for key in sorted(found.keys() - expected.keys())],
        "of another shape": [
            f"{named(key)} {list(found[key].shape)} instead of {list(expected[key].shape)}" for key in reshaped
        ],
        "of another type": [f"{named(key)} {_kind(found[key])}" for key in retyped],
    }
    return [f"{len(keys)} {word} ({listed(keys)})" for word, keys in findings.items() if keys]


def _is_alike(expected: Tensor, found: Tensor) -> bool:
    """Tell whether a tensor holds plain numbers of the expected kind; any precision of fractions will do."""
    is_plain = found.layout == torch.strided and not found.is_meta
    is_kind = found.is_floating_point() if expected.is_floating_point() else found.dtype == expected.dtype
    return is_plain and is_kind


def _kind(tensor: Tensor) -> str:
    if tensor.is_meta:
        return "without numbers"
    return str(tensor.dtype if tensor.layout == torch.strided else tensor.layout)


def _fits(variant: str, decoder_width: int, tensors: Tensors) -> bool:
    config = replace(VARIANTS[variant], decoder_width=decoder_width)
    return not differences(_skeleton(config).state_dict(), tensors)


def is_finite(tensor: Tensor) -> bool:
    """Tell whether no number is NaN or infinite, without a mask as large as the tensor."""
    return all(bool(torch.isfinite(bound)) for bound in torch.aminmax(tensor))


def _stored(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Prepare a tensor for writing; vectors stay float32, since tiny variances would vanish in float16."""
    tensor = tensor.detach().cpu().contiguous().clone()  # some files tie two tensors, which safetensors cannot
    return tensor.to(dtype) if tensor.is_floating_point() and tensor.ndim > 1 else tensor
