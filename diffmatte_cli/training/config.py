"""Training configuration: a TOML file read into frozen records and checked once."""

import math
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from ..errors import UsageError
from ..model.checkpoint import WIDEST_DECODER
from ..model.config import SCHEDULE_NAMES, VARIANTS, ModelConfig
from .losses import LossWeights
from .objective import ALIGNMENTS

__all__ = [
    "RECIPES",
    "DataConfig",
    "InitialConfig",
    "OptimiserConfig",
    "RunConfig",
    "SelfAlignConfig",
    "Stage",
    "TrainConfig",
    "read_config",
]

# How samples are made: by drawing, and as Appendix C has it.
RECIPES = ("drawn", "paper")


@dataclass(frozen=True)
class DataConfig:
    """What samples are composed from. Folders are relative to the working directory.

    From epoch ``late_start`` on, crops are of ``late_crop`` pixels, ``late_batch`` a step.
    """

    recipe: str = "drawn"
    backgrounds: str = ""
    mattes: str = ""
    procedural_share: float = 0.6
    foregrounds: str = ""
    alphas: str = ""
    crop: int = 192
    batch: int = 8
    late_start: float = math.inf
    late_crop: int = 192
    late_batch: int = 8
    workers: int = 1
    validation: str = ""
    validation_limit: int = 4

    @property
    def batches(self) -> tuple[int, ...]:
        """Samples a step: all numbers that occur."""
        return (self.batch,) if math.isinf(self.late_start) else (self.batch, self.late_batch)


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW, its multi-stage learning rate and the average of the weights.

    The run lasts ``epochs`` of ``epoch_steps`` steps. From epoch ``milestones[i]`` on, the rate is
    ``learning_rate * factors[i]``. A ViT's blocks get ``layer_decay`` times the rate of the block above.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    layer_decay: float = 1.0
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


@dataclass(frozen=True)
class SelfAlignConfig:
    """The self-aligned strategy and the epoch that it starts with."""

    alignment: str = "uti"
    start: float = 0.0


@dataclass(frozen=True)
class InitialConfig:
    """What training starts from: ``encoder``, a public checkpoint of the encoder, as a path or on the Hub."""

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
    data: DataConfig
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
        late = min(data.late_start * self.optimiser.epoch_steps, self.optimiser.steps)
        if step < late:
            return Stage(data.crop, data.batch, step * data.batch)
        begin = math.ceil(late)
        return Stage(data.late_crop, data.late_batch, begin * data.batch + (step - begin) * data.late_batch)

    def alignment(self, step: int) -> str:
        """Return how the samples of ``step`` are aligned."""
        begins = self.self_align.start * self.optimiser.epoch_steps
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
    _check(path, config)
    return config


def _change(tables: dict[str, Any], change: str) -> None:
    """Set one key of the tables; a value that is not TOML is taken as text."""
    place, is_set, value = change.partition("=")
    table, dot, key = place.strip().partition(".")
    if not (is_set and dot and key) or not isinstance(tables.get(table, {}), dict):
        raise UsageError(f"--set {change} is not TABLE.KEY=VALUE, as in --set model.schedule=cosine")
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


def _check(path: Path, config: TrainConfig) -> None:
    data, optimiser, run = config.data, config.optimiser, config.run
    rules = [
        (config.model.schedule in SCHEDULE_NAMES, f"schedule must be one of {', '.join(SCHEDULE_NAMES)}"),
        (0 < config.model.input_scale <= 1, "input_scale must be in (0, 1]"),
        (2 <= config.model.decoder_width <= WIDEST_DECODER, f"decoder_width must be in [2, {WIDEST_DECODER}]"),
        (data.recipe in RECIPES, f"recipe must be one of {', '.join(RECIPES)}"),
        (
            data.recipe != "paper" or (data.foregrounds and data.backgrounds and not data.mattes),
            'recipe = "paper" needs foregrounds and backgrounds, and no mattes',
        ),
        (
            data.recipe != "drawn" or not (data.foregrounds or data.alphas),
            'foregrounds and alphas are for recipe = "paper": name pictures with alpha as mattes',
        ),
        (data.crop >= 64 and data.crop % 32 == 0, "crop must be a multiple of 32, at least 64"),
        (data.batch >= 1 and data.workers >= 0, "batch must be at least 1 and workers at least 0"),
        (data.late_start >= 0, "late_start must be at least 0, in epochs"),
        (
            data.late_crop >= 64 and data.late_crop % 32 == 0 and data.late_batch >= 1,
            "late_crop must be a multiple of 32, at least 64, and late_batch at least 1",
        ),
        (0 <= data.procedural_share <= 1, "procedural_share must be in [0, 1]"),
        (
            optimiser.epoch_steps >= 1 and math.isfinite(optimiser.epochs) and optimiser.steps >= 1,
            "epochs of epoch_steps steps must give at least one step",
        ),
        (0 < optimiser.learning_rate < math.inf, "learning_rate must be positive"),
        (0 < optimiser.layer_decay <= 1, "layer_decay must be in (0, 1]"),
        (optimiser.weight_decay >= 0, "weight_decay must be at least 0"),
        (len(optimiser.milestones) == len(optimiser.factors), "milestones and factors must be of one length"),
        (list(optimiser.milestones) == sorted(optimiser.milestones), "milestones must rise"),
        (config.self_align.alignment in ALIGNMENTS, f"alignment must be one of {', '.join(ALIGNMENTS)}"),
        (min((config.self_align.start, *optimiser.milestones)) >= 0, "milestones and start must be at least 0"),
        (0 <= optimiser.ema_decay < 1, "ema_decay must be in [0, 1)"),
        (0 <= run.seed < 2**32 and run.threads >= 0, "seed must be in [0, 2**32) and threads at least 0"),
        (min(run.validation_steps, default=0) >= 1, "validation_steps must list numbers of at least 1"),
        (optimiser.clip_norm > 0 and run.checkpoint_minutes > 0, "clip_norm and checkpoint_minutes must be positive"),
        (data.validation_limit >= 1 and run.previews >= 0, "validation_limit must be at least 1 and previews 0"),
        (run.precision in ("fp32", "bf16"), "precision must be fp32 or bf16"),
        (min(run.log_every, run.validate_every) >= 1, "log_every and validate_every must be at least 1"),
        (
            run.accumulate >= 1 and not any(batch % run.accumulate for batch in data.batches),
            "accumulate must be at least 1 and divide batch and late_batch",
        ),
    ]
    for holds, sentence in rules:
        if not holds:
            raise UsageError(f"{path}: {sentence}")
