"""What a training configuration must keep to: rules with a sentence each, for where they are broken."""

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from ..model.checkpoint import RESERVED, WIDEST_DECODER
from ..model.encoders.base import encoder_class
from ..settings import MOST_STEPS as MOST_SAMPLING_STEPS
from ..settings import MOST_THREADS, SCHEDULE_NAMES
from .objective import ALIGNMENTS

if TYPE_CHECKING:
    from .config import TrainConfig

__all__ = ["MADE", "RECIPES", "rules"]

# How samples are made: by drawing, and as Appendix C has it.
RECIPES = ("drawn", "paper")
# Validation pictures that need no folder of their own.
MADE = ("drawn", "rendered")
# Many times the longest row of the paper.
MOST_STEPS = 10**8

Rule = tuple[bool, str]


def rules(config: "TrainConfig") -> Iterator[Rule]:
    """Yield whether each rule holds, and what to say if not."""
    yield from _model_rules(config)
    yield from _data_rules(config)
    yield from _optimiser_rules(config)
    yield from _run_rules(config)


def _model_rules(config: "TrainConfig") -> Iterator[Rule]:
    model = config.model
    yield model.schedule in SCHEDULE_NAMES, f"schedule must be one of {', '.join(SCHEDULE_NAMES)}"
    yield 0 < model.input_scale <= 1, "input_scale must be in (0, 1]"
    yield 2 <= model.decoder_width <= WIDEST_DECODER, f"decoder_width must be in [2, {WIDEST_DECODER}]"
    reserved = sorted(RESERVED & config.notes.keys())
    yield not reserved, f"[notes] cannot have {', '.join(reserved)}, which weights files say of themselves"


def _data_rules(config: "TrainConfig") -> Iterator[Rule]:
    data, parts = config.data, config.run.accumulate
    yield data.recipe in RECIPES, f"recipe must be one of {', '.join(RECIPES)}"
    if data.recipe == "paper":
        complete = bool(data.foregrounds and data.backgrounds and not data.mattes and not data.rendered)
        yield complete, 'recipe = "paper" needs foregrounds and backgrounds, and neither mattes nor rendered'
    else:
        foreign = bool(data.foregrounds or data.alphas)
        yield not foreign, 'foregrounds and alphas are for recipe = "paper": name pictures with alpha as mattes'
    yield data.crop >= 64 and data.crop % 32 == 0, "crop must be a multiple of 32, at least 64"
    yield data.batch >= 1 and data.workers >= 0, "batch must be at least 1 and workers at least 0"
    yield data.late_start >= 0, "late_start must be at least 0, in epochs"
    late = (data.late_crop or 64) >= 64 and data.late_crop % 32 == 0 and data.late_batch >= 0
    yield late, "late_crop must be a multiple of 32, at least 64, and late_batch at least 1, or 0 for no change"
    shares = 0 <= data.procedural_share <= 1 and 0 <= data.rendered_share <= 1
    yield shares, "procedural_share and rendered_share must be in [0, 1]"
    yield data.validation != "rendered" or bool(data.rendered), 'validation = "rendered" needs rendered'
    yield data.validation_limit >= 1, "validation_limit must be at least 1"
    divides = parts >= 1 and not any(batch % parts for batch in data.batches)
    yield divides, "accumulate must be at least 1 and divide batch and late_batch"


def _optimiser_rules(config: "TrainConfig") -> Iterator[Rule]:
    options = config.optimiser
    long = options.epoch_steps >= 1 and 0.5 < options.epochs * float(options.epoch_steps) <= MOST_STEPS
    yield long, f"epochs of epoch_steps steps must give at least one step, and at most {MOST_STEPS}"
    yield 0 < options.learning_rate < math.inf, "learning_rate must be positive"
    yield 0 < options.layer_decay <= 1, "layer_decay must be in (0, 1]"
    yield 0 <= options.encoder_rate <= 1, "encoder_rate must be in [0, 1]"
    has_blocks = options.layer_decay == 1 or encoder_class(config.model.encoder).depth > 0
    yield has_blocks, f"layer_decay is for the blocks of a ViT, which {config.model.variant} does not have"
    yield 0 <= options.weight_decay < math.inf, "weight_decay must be at least 0"
    yield options.warmup >= 0, "warmup must be at least 0"
    yield len(options.milestones) == len(options.factors), "milestones and factors must be of one length"
    yield list(options.milestones) == sorted(options.milestones), "milestones must rise"
    yield all(0 <= factor < math.inf for factor in options.factors), "factors must be at least 0"
    begins = min((config.self_align.start, *options.milestones)) >= 0
    yield begins, "milestones and start must be at least 0, in epochs"
    yield options.clip_norm > 0, "clip_norm must be positive"
    yield 0 <= options.ema_decay < 1, "ema_decay must be in [0, 1)"
    weights = asdict(config.loss).values()
    yield all(0 <= weight < math.inf for weight in weights), "weights of [loss] must be at least 0"
    yield config.self_align.alignment in ALIGNMENTS, f"alignment must be one of {', '.join(ALIGNMENTS)}"


def _run_rules(config: "TrainConfig") -> Iterator[Rule]:
    run = config.run
    yield 0 <= run.seed < 2**32, "seed must be in [0, 2**32)"
    yield 0 <= run.threads <= MOST_THREADS, f"threads must be in [0, {MOST_THREADS}]"
    steps = bool(run.validation_steps) and all(1 <= count <= MOST_SAMPLING_STEPS for count in run.validation_steps)
    yield steps, f"validation_steps must list numbers from 1 to {MOST_SAMPLING_STEPS}"
    yield run.checkpoint_minutes > 0, "checkpoint_minutes must be positive"
    yield run.previews >= 0, "previews must be at least 0"
    yield run.precision in ("fp32", "bf16"), "precision must be fp32 or bf16"
    yield min(run.log_every, run.validate_every) >= 1, "log_every and validate_every must be at least 1"
