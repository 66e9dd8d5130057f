"""Begin an encoder with what others trained on ImageNet: DINO, MAE, EfficientNet, ResNet-34 and Swin-T, strictly."""

import importlib.metadata
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import UsageError, WeightsError
from ..model.checkpoint import differences, is_finite
from ..model.config import VARIANTS, ModelConfig
from ..model.diffmatte import DiffMatte
from ..model.encoders.resnet import SpectralNorm
from ..model.tensors import read_state_dict
from ..weights.hub import fetch
from ..weights.store import WeightsStore
from .pretrained import LAYOUTS, NETWORKS, Layout, reason

__all__ = ["EncoderReport", "initialise_encoder"]

Tensors = dict[str, Tensor]
# A tensor's name, and what there is to say of it.
Noted = tuple[str, str]
# Where the network is in a file that has more; of DINO's two the teacher is the better one.
WRAPPED_UNDER = ("teacher", "student", "model", "state_dict")
SPECTRAL = ".parametrizations.weight.original"
PREFIX = re.compile(r"^(?:module\.|backbone\.)+")


@dataclass(frozen=True)
class EncoderReport:
    """What became of every tensor of a checkpoint and of the encoder that began with it.

    ``loaded`` are the encoder's tensors that are exactly the file's, ``widened`` those that have more planes or
    rows, ``fresh`` those that stay as they were made, or follow from loaded ones as spectral norm's vectors do;
    ``unused`` are the file's that no tensor of the encoder is for. All but ``loaded`` stand with the reason, which
    many share.
    """

    file: Path
    layout: str
    loaded: tuple[str, ...]
    widened: tuple[Noted, ...]
    fresh: tuple[Noted, ...]
    unused: tuple[Noted, ...]

    def lines(self) -> list[str]:
        """Return a summary for people, one line a kind; a reason stands with the number of its tensors."""
        groups = {"widened": self.widened, "fresh": self.fresh, "unused": self.unused}
        return [
            f"encoder from {self.file} ({self.layout}): {len(self.loaded)} tensors loaded",
            *(f"{len(rows)} {word} ({_counted(rows)})" for word, rows in groups.items() if rows),
        ]


def _counted(rows: tuple[Noted, ...]) -> str:
    counts = Counter(note for _, note in rows)
    return ", ".join(f"{note} {count}" for note, count in counts.items())


def initialise_encoder(
    model: DiffMatte, source: str, *, store: WeightsStore | None = None, progress: bool = True
) -> EncoderReport:
    """Begin the encoder of a freshly made ``model`` with a public checkpoint, in place.

    ``source`` is the path of a ``.pth`` or safetensors file, or ``hf://OWNER/REPO[@REVISION]/FILE``, which is
    pulled into the cache of ``store``, with a bar on a terminal if ``progress``, or ``package:NAME``, the one
    checkpoint that an installed package brings. The layouts are those of
    ``diffmatte_cli.training.pretrained``; their networks expect RGB normalised by ImageNet's statistics, as ours gets
    it.

    Raises UsageError for a variant that no checkpoint is for, or a file that is not there; WeightsError for a file
    that is damaged, holds code, or is not exactly of a layout, when the model is as before.
    """
    _check_variant(model.config)
    path = _located(source, store or WeightsStore(), progress)
    tensors = _read(path)
    layout = _layout(path, tensors, model.config)
    match = _match(path, layout, tensors, model.encoder)
    _check(path, layout, tensors, match, model.config)
    return _load(path, layout, match, model.encoder)


def _located(source: str, store: WeightsStore, progress: bool) -> Path:
    """Return the file of a checkpoint, which is pulled first if it lies on the Hub."""
    if source.startswith("hf://"):
        return fetch(source, store, progress=progress)
    kind, colon, name = source.partition(":")
    path = _packaged(name) if colon and kind == "package" else Path(source)
    if not path.is_file():
        raise UsageError(
            f"there is no checkpoint {path}: check the path, or write hf://OWNER/REPO/FILE for one on the Hub"
        )
    return path


def _packaged(name: str) -> Path:
    """Return the one checkpoint among the files of an installed package."""
    try:
        files = [file for file in importlib.metadata.files(name) or () if file.suffix in (".pth", ".safetensors")]
    except (importlib.metadata.PackageNotFoundError, ValueError) as error:
        raise UsageError(f"there is no package {name}: install it, or give the path of a checkpoint") from error
    if len(files) != 1:
        raise UsageError(f"the package {name} holds {len(files)} checkpoints, not one: give the path of a checkpoint")
    return Path(str(files[0].locate()))


def _check_variant(config: ModelConfig) -> None:
    if config.variant not in NETWORKS:
        raise UsageError(
            f"{config.variant} has an encoder of its own, which no public checkpoint fits: train it from nothing, or"
            f" choose one of {', '.join(NETWORKS)}"
        )


def _read(path: Path) -> Tensors:
    state = read_state_dict(path, WRAPPED_UNDER)
    if any(tensor.is_meta or tensor.layout != torch.strided for tensor in state.values()):
        raise WeightsError(f"{path} has tensors without plain numbers: choose another file")
    names = _renamed(path, state, lambda key: PREFIX.sub("", key))
    return {name: state[key] for name, key in names.items()}


def _renamed(path: Path, keys: Collection[str], rename: Callable[[str], str]) -> dict[str, str]:
    """Return keys by their new names, of which no two may be the same."""
    names = {rename(key): key for key in keys}
    if len(names) < len(keys):
        raise WeightsError(f"{path} names some tensors twice, in two ways: save one state dict only")
    return names


def _layout(path: Path, tensors: Tensors, config: ModelConfig) -> Layout:
    """Tell the layout of a file's tensors; raises WeightsError for one that is not of the variant's encoder."""
    wanted = [layout for layout in LAYOUTS if layout.encoder == config.encoder]
    found = next((layout for layout in LAYOUTS if layout.recognised(tensors)), None)
    if found in wanted:
        return found
    what = "of no known layout" if found is None else f"of the layout {found.name}"
    raise WeightsError(
        f"{path} is {what}: choose a checkpoint of {NETWORKS[config.variant]}, which {config.variant} begins with, in"
        f" the layout {' or '.join(layout.name for layout in wanted)}"
    )


@dataclass(frozen=True)
class _Match:
    """A file's tensors beside those of an encoder, by our names.

    ``wanted`` are the parts of ours that the file has to fill, and ``found`` what it has, which it calls ``names``.
    ``fresh`` and ``unused`` are the tensors without a counterpart, with the reason.
    """

    wanted: Tensors
    found: Tensors
    names: dict[str, str]
    fresh: dict[str, str]
    unused: dict[str, str]

    def problems(self) -> list[str]:
        """Say what does not fit; nothing when all does."""
        return differences(self.wanted, self.found, lambda key: self.names.get(key, key))


def _match(path: Path, layout: Layout, tensors: Tensors, encoder: nn.Module) -> _Match:
    ours = encoder.state_dict()
    fresh, unused = _reasons(layout.fresh, ours), _reasons(layout.unused, tensors)
    wanted = {}
    for key in (key for key in ours if key not in fresh):
        widening = layout.widening(key)
        wanted[key] = widening.part(ours[key]) if widening else ours[key]
    names = _renamed(path, [key for key in tensors if key not in unused], layout.ours)
    return _Match(wanted, {key: tensors[name] for key, name in names.items()}, names, fresh, unused)


def _reasons(table: tuple[Noted, ...], keys: Iterable[str]) -> dict[str, str]:
    """Return the keys that have no counterpart, with the reason."""
    return {key: found for key in keys if (found := reason(table, key))}


def _check(path: Path, layout: Layout, tensors: Tensors, match: _Match, config: ModelConfig) -> None:
    """Raise WeightsError unless a file has exactly what the encoder needs, in finite numbers."""
    problems, variant = match.problems(), config.variant
    other = _fitting(path, layout, tensors) if problems else None
    if other:
        raise WeightsError(
            f"{path} holds {NETWORKS[other]}, but {variant} begins with {NETWORKS[variant]}: choose a checkpoint of"
            f" that, or the variant {other}"
        )
    if problems:
        raise WeightsError(
            f"{path} does not fit {NETWORKS[variant]}, which {variant} begins with: {'; '.join(problems)}: choose"
            " another file"
        )
    broken = sorted(key for key, tensor in match.found.items() if not is_finite(tensor.float()))
    if broken:
        raise WeightsError(f"{path} holds NaN or infinity (first in {match.names[broken[0]]}): get it again")


def _fitting(path: Path, layout: Layout, tensors: Tensors) -> str | None:
    """Return a variant that a file fits, if any."""
    for variant in (name for name in NETWORKS if VARIANTS[name].encoder == layout.encoder):
        with torch.device("meta"):
            encoder = DiffMatte(VARIANTS[variant]).encoder
        if not _match(path, layout, tensors, encoder).problems():
            return variant
    return None


def _load(path: Path, layout: Layout, match: _Match, encoder: nn.Module) -> EncoderReport:
    state, filled, widened = encoder.state_dict(), layout.converted(match.found), {}
    for key, tensor in tuple(filled.items()):
        if widening := layout.widening(key):
            filled[key], widened[key] = widening.filled(state[key], tensor), widening.name
    encoder.load_state_dict(state | filled)
    for key in filled:
        if key.endswith(SPECTRAL):
            _estimate_norm(encoder, key)
    return EncoderReport(
        path,
        layout.name,
        tuple(key for key in match.found if key not in widened),
        tuple(widened.items()),
        tuple(match.fresh.items()),
        tuple(match.unused.items()),
    )


def _estimate_norm(encoder: nn.Module, key: str) -> None:
    """Make u and v of spectral norm the first singular vectors of a new weight."""
    norm = encoder.get_submodule(key.removesuffix("original") + "0")
    assert isinstance(norm, SpectralNorm)
    matrix = encoder.get_parameter(key).detach().flatten(1)
    # From training's own power iteration alone they would come only slowly where two singular values are close.
    products = (matrix @ matrix.T).cpu()  # not every device finds eigenvectors
    norm.u.copy_(torch.linalg.eigh(products).eigenvectors[:, -1])
    norm.iterate(matrix)
