"""Training configuration: a TOML file read into frozen records and checked once."""

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from math import inf
from pathlib import Path
from typing import Annotated, Any

from ..errors import UsageError
from ..model.checkpoint import RESERVED, WIDEST_DECODER
from ..model.config import VARIANTS, ModelConfig
from ..model.encoders.base import encoder_class
from ..settings import MOST_STEPS as MOST_SAMPLING_STEPS
from ..settings import MOST_THREADS, SCHEDULE_NAMES
from ..storage.toml import Rule, above, one_of, read_toml, record_of, within
from .losses import LossWeights
from .objective import ALIGNMENTS

__all__ = [
    "MADE",
    "DataConfig",
    "InitialConfig",
    "OptimiserConfig",
    "RunConfig",
    "SelfAlignConfig",
    "Stage",
    "TrainConfig",
    "read_config",
]

# How samples are made: by drawing, as Appendix C has it, and of packed pictures in the device's memory.
RECIPES = ("drawn", "paper", "packed")
# Validation pictures that need no folder of their own.
MADE = ("drawn", "rendered")
# Many times the longest row of the paper.
MOST_STEPS = 10**8

Fraction = Annotated[float, within(0, 1)]
Positive = Annotated[int, within(1)]
Natural = Annotated[int, within(0)]
Factor = Annotated[float, Rule("at least 0 and finite", lambda number: 0 <= number < inf)]
SIDE = Rule("a multiple of 32, at least 64", lambda pixels: pixels >= 64 and pixels % 32 == 0)
LATE_SIDE = Rule(f"{SIDE.must}, or 0", lambda pixels: pixels == 0 or SIDE.holds(pixels))
RISING = Rule("epochs that rise, from 0 on", lambda row: list(row) == sorted(row) and min(row, default=0) >= 0)


@dataclass(frozen=True)
class ModelTable:
    """What a configuration says of the model: a variant, and what of its row is to be otherwise."""

    variant: Annotated[str, one_of(VARIANTS)]
    decoder_width: Annotated[int | None, within(2, WIDEST_DECODER)] = None
    schedule: Annotated[str | None, one_of(SCHEDULE_NAMES)] = None
    input_scale: Annotated[float | None, above(0, 1)] = None
    noise: bool | None = None

    def config(self) -> ModelConfig:
        """Return the variant's row, changed."""
        return replace(VARIANTS[self.variant], **{key: value for key, value in vars(self).items() if value is not None})


@dataclass(frozen=True)
class DataConfig:
    """What samples are composed from. Folders are relative to the working directory.

    ``rendered`` are pictures with alpha that are shown up to their own size, in ``rendered_share`` of the foregrounds;
    ``procedural_share`` of the others are drawn. With ``validation = "rendered"`` one in twelve is held out for that.
    ``packed`` is a folder that holds all that its recipe composes from.
    From epoch ``late_start`` on, crops are of ``late_crop`` pixels, ``late_batch`` a step; 0 for no change.
    """

    recipe: Annotated[str, one_of(RECIPES)] = "drawn"
    backgrounds: str = ""
    mattes: str = ""
    procedural_share: Fraction = 0.6
    rendered: str = ""
    rendered_share: Fraction = 0.33
    foregrounds: str = ""
    alphas: str = ""
    packed: str = ""
    crop: Annotated[int, SIDE] = 192
    batch: Positive = 8
    late_start: Annotated[float, within(0)] = inf
    late_crop: Annotated[int, LATE_SIDE] = 0
    late_batch: Natural = 0
    workers: Natural = 1
    validation: str = ""
    validation_limit: Positive = 4

    @property
    def batches(self) -> tuple[int, ...]:
        """Samples a step: all numbers that occur."""
        return (self.batch, self.late_batch or self.batch)


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW, its multi-stage learning rate and the average of the weights.

    The run lasts ``epochs`` of ``epoch_steps`` steps. From epoch ``milestones[i]`` on, the rate is
    ``learning_rate * factors[i]``. A ViT's blocks get ``layer_decay`` times the rate of the block above,
    and an encoder as a whole ``encoder_rate`` times the rate; 0 freezes it. With ``call_minutes`` a call of ``train``
    ends after so many, and the rate falls to 0 within them by the clock, after a warm-up of its own.
    """

    learning_rate: Annotated[float, Rule("above 0 and finite", lambda rate: 0 < rate < inf)] = 1e-3
    weight_decay: Factor = 0.01
    layer_decay: Annotated[float, above(0, 1)] = 1.0
    encoder_rate: Fraction = 1.0
    epochs: float = 60
    epoch_steps: Positive = 100
    warmup: Natural = 100
    call_minutes: Annotated[float, above(0)] = inf
    milestones: Annotated[tuple[float, ...], RISING] = ()
    factors: tuple[Factor, ...] = ()
    clip_norm: Annotated[float, above(0)] = 1.0
    ema_decay: Annotated[float, Rule("at least 0 and below 1", lambda decay: 0 <= decay < 1)] = 0.999

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

    alignment: Annotated[str, one_of(ALIGNMENTS)] = "uti"
    start: Annotated[float, within(0)] = 0.0


@dataclass(frozen=True)
class InitialConfig:
    """What training starts from: a whole model's ``weights``, by name or path, or a public checkpoint of the encoder.

    ``encoder`` is a path, or a file on the Hub or in a package.
    """

    weights: str = ""
    encoder: str = ""


@dataclass(frozen=True)
class RunConfig:
    """Seed, arithmetic, and how often things are written (in steps, or minutes for checkpoints).

    A batch is worked on in ``accumulate`` parts, one after another.
    """

    seed: Annotated[int, within(0, 2**32 - 1)] = 0
    precision: Annotated[str, one_of(("fp32", "bf16"))] = "fp32"
    threads: Annotated[int, within(0, MOST_THREADS)] = 0
    accumulate: Positive = 1
    frozen_batch_norm: bool = False
    tensorboard: bool = False
    log_every: Positive = 20
    validate_every: Positive = 1000
    validation_steps: tuple[Annotated[int, within(1, MOST_SAMPLING_STEPS)], ...] = (1, 10)
    previews: Natural = 1
    checkpoint_minutes: Annotated[float, above(0)] = 5.0


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
    tables, known = read_toml(path, f"the configuration {path}"), [f.name for f in fields(TrainConfig)]
    for change in changes:
        _change(tables, change)
    for name in tables.keys() - set(known):
        raise UsageError(f"{path} has an unknown table [{name}]: the tables are {', '.join(known)}")
    model, notes = tables.pop("model", {}), tables.pop("notes", {})
    if not isinstance(notes, dict):
        raise UsageError(f"{path}, [notes] must be a table of keys and values")
    config = record_of(
        TrainConfig,
        tables,
        str(path),
        model=record_of(ModelTable, model, f"{path}, [model]").config(),
        notes={key: str(value) for key, value in notes.items()},
    )
    for holds, sentence in _rules(config):
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
    except (ValueError, RecursionError):
        parsed = value.strip()
    tables.setdefault(table, {})[key] = parsed


def _rules(config: TrainConfig) -> Iterator[tuple[bool, str]]:
    """Yield whether what several keys have to keep to together holds, and what to say if not."""
    data, options = config.data, config.optimiser
    if data.recipe == "paper":
        complete = bool(data.foregrounds and data.backgrounds and not data.mattes and not data.rendered)
        yield complete, 'recipe = "paper" needs foregrounds and backgrounds, and neither mattes nor rendered'
    else:
        foreign = bool(data.foregrounds or data.alphas)
        yield not foreign, 'foregrounds and alphas are for recipe = "paper": name pictures with alpha as mattes'
    yield config.model.iterates, f"{config.model.variant} does not iterate, and Algorithm 1 trains what does"
    if data.recipe == "packed":
        alone = bool(data.packed and not (data.backgrounds or data.mattes or data.rendered))
        yield alone, 'recipe = "packed" needs packed, and neither backgrounds, mattes nor rendered'
    else:
        yield not data.packed, 'packed is for recipe = "packed"'
        yield data.validation != "rendered" or bool(data.rendered), 'validation = "rendered" needs rendered'
    one = not (config.initial.weights and config.initial.encoder)
    yield one, "weights and encoder in [initial] conflict: the weights already include an encoder"
    divides = not any(batch % config.run.accumulate for batch in data.batches)
    yield divides, "accumulate must divide batch and late_batch"
    long = 0.5 < options.epochs * float(options.epoch_steps) <= MOST_STEPS
    yield long, f"epochs of epoch_steps steps must give at least one step, and at most {MOST_STEPS}"
    has_blocks = options.layer_decay == 1 or encoder_class(config.model.encoder).depth > 0
    yield has_blocks, f"layer_decay is for the blocks of a ViT, which {config.model.variant} does not have"
    yield len(options.milestones) == len(options.factors), "milestones and factors must be of one length"
    yield all(0 <= weight < inf for weight in asdict(config.loss).values()), "weights of [loss] must be at least 0"
    yield bool(config.run.validation_steps), "validation_steps must list at least one number"
    reserved = sorted(RESERVED & config.notes.keys())
    yield not reserved, f"[notes] cannot have {', '.join(reserved)}, which weights files say of themselves"
