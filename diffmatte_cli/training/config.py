"""Training configuration: a TOML file read into frozen records and checked once."""

import math
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from ..errors import UsageError
from ..model.config import VARIANTS, ModelConfig
from .losses import LossWeights
from .rules import rules

__all__ = [
    "DataConfig",
    "InitialConfig",
    "OptimiserConfig",
    "RunConfig",
    "SelfAlignConfig",
    "Stage",
    "TrainConfig",
    "read_config",
]


@dataclass(frozen=True)
class DataConfig:
    """What samples are composed from. Folders are relative to the working directory.

    ``rendered`` are pictures with alpha that are shown up to their own size, in ``rendered_share`` of the foregrounds;
    ``procedural_share`` of the others are drawn. With ``validation = "rendered"`` one in twelve is held out for that.
    From epoch ``late_start`` on, crops are of ``late_crop`` pixels, ``late_batch`` a step; 0 for no change.
    """

    recipe: str = "drawn"
    backgrounds: str = ""
    mattes: str = ""
    procedural_share: float = 0.6
    rendered: str = ""
    rendered_share: float = 0.33
    foregrounds: str = ""
    alphas: str = ""
    crop: int = 192
    batch: int = 8
    late_start: float = math.inf
    late_crop: int = 0
    late_batch: int = 0
    workers: int = 1
    validation: str = ""
    validation_limit: int = 4

    @property
    def batches(self) -> tuple[int, ...]:
        """Samples a step: all numbers that occur."""
        return (self.batch, self.late_batch or self.batch)


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW, its multi-stage learning rate and the average of the weights.

    The run lasts ``epochs`` of ``epoch_steps`` steps. From epoch ``milestones[i]`` on, the rate is
    ``learning_rate * factors[i]``. A ViT's blocks get ``layer_decay`` times the rate of the block above,
    and an encoder as a whole ``encoder_rate`` times the rate; 0 freezes it.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    layer_decay: float = 1.0
    encoder_rate: float = 1.0
    epochs: float = 60
    epoch_steps: int = 100
    warmup: int = 100
    milestones: tuple[float, ...] = ()
    factors: tuple[float, ...] = ()
    clip_norm: float = 1.0
    ema_decay: float = 0.999

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return round(self.epochs * self.epoch_steps)

    def step_of(self, epoch: float) -> int:
        """Return the first step of an epoch, of the whole run's at most."""
        return round(min(epoch, self.epochs) * self.epoch_steps)


@dataclass(frozen=True)
class SelfAlignConfig:
    """The self-aligned strategy and the epoch that it starts with."""

    alignment: str = "uti"
    start: float = 0.0


@dataclass(frozen=True)
class InitialConfig:
    """What training starts from: ``encoder``, a public checkpoint of it, as a path, on the Hub or in a package."""

    encoder: str = ""


@dataclass(frozen=True)
class RunConfig:
    """Seed, arithmetic, and how often things are written (in steps, or minutes for checkpoints).

    A batch is worked on in ``accumulate`` parts, one after another.
    """

    seed: int = 0
    precision: str = "fp32"
    threads: int = 0
    accumulate: int = 1
    frozen_batch_norm: bool = False
    tensorboard: bool = False
    log_every: int = 20
    validate_every: int = 1000
    validation_steps: tuple[int, ...] = (1, 10)
    previews: int = 1
    checkpoint_minutes: float = 5.0


@dataclass(frozen=True)
class Stage:
    """What a step is made of: crops of ``crop`` pixels, ``batch`` of them, of which the first is ``first_sample``."""

    crop: int
    batch: int
    first_sample: int


@dataclass(frozen=True)
class TrainConfig:
    """A whole training run."""

    model: ModelConfig
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossWeights = field(default_factory=LossWeights)
    initial: InitialConfig = field(default_factory=InitialConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    self_align: SelfAlignConfig = field(default_factory=SelfAlignConfig)
    run: RunConfig = field(default_factory=RunConfig)
    notes: dict[str, str] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """Return nested dictionaries of plain values, to compare with a checkpoint's."""
        return asdict(self)

    def stage(self, step: int) -> Stage:
        """Return what ``step``, counted from 0, is made of."""
        data = self.data
        late = self.optimiser.step_of(data.late_start)
        if step < late:
            return Stage(data.crop, data.batch, step * data.batch)
        batch = data.late_batch or data.batch
        return Stage(data.late_crop or data.crop, batch, late * data.batch + (step - late) * batch)

    def alignment(self, step: int) -> str:
        """Return how the samples of ``step`` are aligned."""
        begins = self.optimiser.step_of(self.self_align.start)
        return self.self_align.alignment if step >= begins else "none"


def read_config(path: Path, changes: Sequence[str] = ()) -> TrainConfig:
    """Read and check a configuration, with ``changes`` such as ``model.schedule=cosine``.

    Raises UsageError naming the table and the key at fault.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}): check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from error
    known = [f.name for f in fields(TrainConfig)]
    for change in changes:
        _change(tables, change)
    for name in tables.keys() - set(known):
        raise UsageError(f"{path} has an unknown table [{name}]: the tables are {', '.join(known)}")
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise UsageError(f"{path}: {name} must be a table, written [{name}]")
    config = TrainConfig(
        model=_model(path, tables.get("model", {})),
        data=_record(path, DataConfig, "data", tables),
        loss=_record(path, LossWeights, "loss", tables),
        initial=_record(path, InitialConfig, "initial", tables),
        optimiser=_record(path, OptimiserConfig, "optimiser", tables),
        self_align=_record(path, SelfAlignConfig, "self_align", tables),
        run=_record(path, RunConfig, "run", tables),
        notes={key: str(value) for key, value in tables.get("notes", {}).items()},
    )
    for holds, sentence in rules(config):
        if not holds:
            raise UsageError(f"{path}: {sentence}")
    return config


def _change(tables: dict[str, Any], change: str) -> None:
    """Set one key of the tables; a value that is not TOML is taken as text."""
    place, is_set, value = change.partition("=")
    table, dot, key = place.strip().partition(".")
    if not (is_set and dot and key) or not isinstance(tables.get(table, {}), dict):
        raise UsageError(f"{change} is not TABLE.KEY=VALUE, as in model.schedule=cosine", "changes")
    try:
        parsed = tomllib.loads(f"value = {value.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    tables.setdefault(table, {})[key] = parsed


def _model(path: Path, table: dict[str, Any]) -> ModelConfig:
    changes = dict(table)
    variant = VARIANTS.get(str(changes.pop("variant", "")))
    if variant is None:
        raise UsageError(f"{path} must name a variant in [model]: one of {', '.join(VARIANTS)}")
    allowed = ("decoder_width", "schedule", "input_scale", "noise")
    for key in changes.keys() - set(allowed):
        raise UsageError(f"{path} has an unknown key {key} in [model]: besides variant it knows {', '.join(allowed)}")
    _check_types(path, ModelConfig, "model", changes)
    return replace(variant, **changes)


def _record(path: Path, kind: type[Any], name: str, tables: dict[str, Any]) -> Any:
    table = {key: tuple(v) if isinstance(v, list) else v for key, v in tables.get(name, {}).items()}
    known = [f.name for f in fields(kind)]
    for key in table.keys() - set(known):
        raise UsageError(f"{path} has an unknown key {key} in [{name}]: the keys are {', '.join(known)}")
    _check_types(path, kind, name, table)
    return kind(**table)


def _check_types(path: Path, kind: type[Any], name: str, table: dict[str, Any]) -> None:
    hints = get_type_hints(kind)
    for key, value in table.items():
        if not _is(value, hints[key]):
            raise UsageError(f"{path}: {key} in [{name}] cannot be {value!r}, see docs/training.md for what it takes")


def _is(value: Any, kind: Any) -> bool:
    """Tell whether a TOML value fits an annotation: a plain type, or tuple[plain type, ...]."""
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(_is(item, get_args(kind)[0]) for item in value)
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    return isinstance(value, int | float if kind is float else kind) and value == value  # not NaN
