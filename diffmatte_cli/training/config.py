"""Training configuration: a TOML file read into frozen records and checked once."""

import tomllib
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from ..errors import UsageError
from ..model.checkpoint import WIDEST_DECODER
from ..model.config import SCHEDULE_NAMES, VARIANTS, ModelConfig
from .losses import LossWeights
from .objective import ALIGNMENTS

__all__ = ["DataConfig", "OptimiserConfig", "RunConfig", "SelfAlignConfig", "TrainConfig", "read_config"]


@dataclass(frozen=True)
class DataConfig:
    """What samples are composed from. Folders are relative to the working directory.

    From ``late_start`` (a share of the steps) on, crops are of ``late_crop`` pixels, ``late_batch`` at a time.
    """

    backgrounds: str
    mattes: str = ""
    procedural_share: float = 0.6
    crop: int = 192
    batch: int = 8
    late_start: float = 1.0
    late_crop: int = 192
    late_batch: int = 8
    workers: int = 1
    validation: str = ""
    validation_limit: int = 4

    def stage(self, step: int, steps: int) -> tuple[int, int]:
        """Return the crop's side in pixels and the batch's size at ``step`` of ``steps``."""
        return (self.late_crop, self.late_batch) if step >= self.late_start * steps else (self.crop, self.batch)


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW, its multi-stage learning rate and the average of the weights.

    From ``milestones[i]`` (a share of ``steps``) on, the rate is ``learning_rate * factors[i]``.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    steps: int = 6000
    warmup: int = 100
    milestones: tuple[float, ...] = (0.6, 0.85)
    factors: tuple[float, ...] = (0.3, 0.05)
    clip_norm: float = 1.0
    ema_decay: float = 0.999


@dataclass(frozen=True)
class SelfAlignConfig:
    """The self-aligned strategy and the share of the steps after which it starts."""

    alignment: str = "uti"
    start: float = 0.5


@dataclass(frozen=True)
class RunConfig:
    """Seed, arithmetic, and how often things are written (in steps, or minutes for checkpoints)."""

    seed: int = 0
    precision: str = "fp32"
    threads: int = 0
    log_every: int = 20
    validate_every: int = 1000
    validation_steps: tuple[int, ...] = (1, 10)
    checkpoint_minutes: float = 5.0


@dataclass(frozen=True)
class TrainConfig:
    """A whole training run."""

    model: ModelConfig
    data: DataConfig
    loss: LossWeights = field(default_factory=LossWeights)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    self_align: SelfAlignConfig = field(default_factory=SelfAlignConfig)
    run: RunConfig = field(default_factory=RunConfig)
    notes: dict[str, str] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """Return nested dictionaries of plain values, to compare with a checkpoint's."""
        return asdict(self)


def read_config(path: Path) -> TrainConfig:
    """Read and check a configuration. Raises UsageError naming the table and the key at fault."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}): check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from error
    known = [f.name for f in fields(TrainConfig)]
    for name in tables.keys() - set(known):
        raise UsageError(f"{path} has an unknown table [{name}]: the tables are {', '.join(known)}")
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise UsageError(f"{path}: {name} must be a table, written [{name}]")
    if "data" not in tables:
        raise UsageError(f"{path} has no [data] table: it must name a folder of backgrounds")
    config = TrainConfig(
        model=_model(path, tables.get("model", {})),
        data=_record(path, DataConfig, "data", tables),
        loss=_record(path, LossWeights, "loss", tables),
        optimiser=_record(path, OptimiserConfig, "optimiser", tables),
        self_align=_record(path, SelfAlignConfig, "self_align", tables),
        run=_record(path, RunConfig, "run", tables),
        notes={key: str(value) for key, value in tables.get("notes", {}).items()},
    )
    _check(path, config)
    return config


def _model(path: Path, table: dict[str, Any]) -> ModelConfig:
    changes = dict(table)
    variant = VARIANTS.get(str(changes.pop("variant", "")))
    if variant is None:
        raise UsageError(f"{path} must name a variant in [model]: one of {', '.join(VARIANTS)}")
    allowed = ("decoder_width", "schedule", "input_scale")
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
    try:
        return kind(**table)
    except TypeError as error:
        raise UsageError(f"{path} is incomplete in [{name}]: {error}") from error


def _check_types(path: Path, kind: type[Any], name: str, table: dict[str, Any]) -> None:
    hints = get_type_hints(kind)
    for key, value in table.items():
        if not _is(value, hints[key]):
            raise UsageError(f"{path}: {key} in [{name}] cannot be {value!r}, see docs/training.md for what it takes")


def _is(value: Any, kind: Any) -> bool:
    """Tell whether a TOML value fits an annotation: a plain type, or tuple[plain type, ...]."""
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(_is(item, get_args(kind)[0]) for item in value)
    return isinstance(value, int | float if kind is float else kind) and not isinstance(value, bool)


def _check(path: Path, config: TrainConfig) -> None:
    data, optimiser, run = config.data, config.optimiser, config.run
    rules = [
        (config.model.schedule in SCHEDULE_NAMES, f"schedule must be one of {', '.join(SCHEDULE_NAMES)}"),
        (0 < config.model.input_scale <= 1, "input_scale must be in (0, 1]"),
        (2 <= config.model.decoder_width <= WIDEST_DECODER, f"decoder_width must be in [2, {WIDEST_DECODER}]"),
        (data.crop >= 64 and data.crop % 32 == 0, "crop must be a multiple of 32, at least 64"),
        (data.batch >= 1 and data.workers >= 0, "batch must be at least 1 and workers at least 0"),
        (0 <= data.late_start <= 1, "late_start must be in [0, 1]"),
        (
            data.late_crop >= 64 and data.late_crop % 32 == 0 and data.late_batch >= 1,
            "late_crop must be a multiple of 32, at least 64, and late_batch at least 1",
        ),
        (0 <= data.procedural_share <= 1, "procedural_share must be in [0, 1]"),
        (optimiser.steps >= 1 and optimiser.learning_rate > 0, "steps and learning_rate must be positive"),
        (len(optimiser.milestones) == len(optimiser.factors), "milestones and factors must be of one length"),
        (list(optimiser.milestones) == sorted(optimiser.milestones), "milestones must rise"),
        (config.self_align.alignment in ALIGNMENTS, f"alignment must be one of {', '.join(ALIGNMENTS)}"),
        (0 <= optimiser.ema_decay < 1, "ema_decay must be in [0, 1)"),
        (run.seed >= 0 and run.threads >= 0, "seed and threads must be at least 0"),
        (min(run.validation_steps, default=0) >= 1, "validation_steps must list numbers of at least 1"),
        (optimiser.clip_norm > 0 and run.checkpoint_minutes > 0, "clip_norm and checkpoint_minutes must be positive"),
        (
            all(0 <= m <= 1 for m in (*optimiser.milestones, config.self_align.start)),
            "milestones and start are in [0, 1]",
        ),
        (data.validation_limit >= 1 and run.seed < 2**32, "validation_limit must be at least 1 and seed below 2**32"),
        (run.precision in ("fp32", "bf16"), "precision must be fp32 or bf16"),
        (min(run.log_every, run.validate_every) >= 1, "log_every and validate_every must be at least 1"),
    ]
    for holds, sentence in rules:
        if not holds:
            raise UsageError(f"{path}: {sentence}")
