"""The training loop: Algorithm 1 with AdamW, averaged weights, checkpoints, logs and validation."""

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date
from math import inf
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..diffusion.samplers import Diffusion
from ..errors import TrainingError, UsageError
from ..inference.matter import compute_alike
from ..model.checkpoint import read_model, write_model
from ..model.diffmatte import DiffMatte
from ..process.threads import local_threads
from ..progress import Progress
from ..storage.atomic import staged_file
from ..weights.pulling import obtain
from ..weights.store import WeightsStore, resolve_model
from .config import OptimiserConfig, TrainConfig
from .data import Batch, recipe_batches
from .groups import parameter_groups
from .initialisation import initialise_encoder
from .logs import Log
from .losses import Scales, scales_of, total_loss
from .materials import Pair, read_validation
from .objective import Objective, draw
from .processes import Processes
from .resuming import read_state
from .validation import validate

__all__ = ["CHECKPOINT", "WEIGHTS", "Reached", "Trainer", "learning_rate"]

CHECKPOINT = "checkpoint.pt"
WEIGHTS = "weights.safetensors"
# Spectral norm's buffers: a mean of unit vectors is shorter than one.
UNIT_VECTORS = (".u", ".v")

Terms = dict[str, Tensor]


@dataclass(frozen=True)
class Reached:
    """How far a run came: steps done of the steps planned, and where its weights are."""

    step: int
    steps: int
    weights: Path


def learning_rate(config: OptimiserConfig, step: int, first: int = 0, minutes: float = 0.0) -> float:
    """Return the rate of ``step``: a linear warm-up, then one stage after another.

    With ``call_minutes`` it is warmed up from the call's ``first`` step on, and falls with the ``minutes`` that have
    passed in the call.
    """
    passed = sum(step >= config.step_of(epoch) for epoch in config.milestones)
    stage = 1.0 if passed == 0 else config.factors[passed - 1]
    done = step + 1 - (first if config.call_minutes < inf else 0)
    left = max(0.0, 1 - minutes / config.call_minutes)  # 1 where there is no end
    return config.learning_rate * stage * min(1.0, done / max(config.warmup, 1)) * left


@dataclass
class Trainer:
    """One run in one folder, of which this is one process.

    ``stopping`` is asked after every step; when it says yes in any process the run is checkpointed and ends. So it is
    when the ``call_minutes`` of the configuration have passed by the ``clock``, in seconds, since the trainer was made.
    """

    config: TrainConfig
    folder: Path
    processes: Processes = field(default_factory=lambda: Processes("cpu"))
    stopping: Callable[[], bool] = lambda: False
    progress: bool = True
    clock: Callable[[], float] = time.monotonic
    step: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        config, device = self.config, self.processes.device
        self.began, self.first, self.rate = self.clock(), 0, 0.0
        self.share = self.processes.share(config)
        compute_alike()
        torch.manual_seed(config.run.seed)
        model = DiffMatte(config.model)
        if config.model.priors:
            # The first prediction is the colour prior itself, and training only corrects it.
            for parameter in model.decoder.matting_head.matting_convs[-1].parameters():
                torch.nn.init.zeros_(parameter)
        self.model = model.on(device)
        self.average = copy.deepcopy(self.model).requires_grad_(False)
        diffusion = Diffusion(config.model.schedule, config.model.input_scale, config.model.noise)
        autocast = torch.autocast(device.type, torch.bfloat16, config.run.precision == "bf16")
        self.objective = Objective(self.model, diffusion, autocast)
        options = config.optimiser
        groups = parameter_groups(self.model, options.weight_decay, options.layer_decay, options.encoder_rate)
        self.optimiser = torch.optim.AdamW(groups, lr=options.learning_rate)

    def start_from(self, weights: str | Path) -> None:
        """Take the weights, but nothing else, of a model of the same shape, by its name or its safetensors file."""
        store = WeightsStore()
        source = obtain(resolve_model(weights, store), store, progress=self.progress)
        other, _ = read_model(source.path, source.sha256)
        for key in ("variant", "decoder_width"):
            if (theirs := getattr(other.config, key)) != (ours := getattr(self.config.model, key)):
                raise UsageError(f"{weights} has {key} {theirs}, not {ours}: set it in [model], or choose others")
        for model in (self.model, self.average):
            model.load_state_dict(other.state_dict())

    def initialise(self) -> list[str]:
        """Begin the encoder with the public checkpoint that the configuration names; say what became of it."""
        report = initialise_encoder(self.model, self.config.initial.encoder, progress=self.progress)
        self.average.load_state_dict(self.model.state_dict())
        return report.lines()

    def resume(self) -> None:
        """Go on from the folder's checkpoint, exactly as if there had been no interruption."""
        path = self.folder / CHECKPOINT
        if not path.is_file():
            raise UsageError(f"{self.folder} has no {CHECKPOINT} to resume from", "resume")
        state = read_state(path)
        if changed := _differences(_completed(state.config, self.config), self.config.plain()):
            raise UsageError(
                f"{path} was made with another configuration ({', '.join(changed)}): use that one, or another folder"
            )
        state.check_fit(path, self.model, self.optimiser, self.config.optimiser.steps)
        self.model.load_state_dict(state.model)
        self.average.load_state_dict(state.average)
        self.optimiser.load_state_dict(self.optimiser.state_dict() | {"state": state.moments})
        self.step = self.first = state.step

    def run(self) -> Reached:
        """Train to the last step, or until ``stopping`` says so."""
        batches = recipe_batches(self.config, self.step, self.processes.device, self.share)
        with local_threads(self.config.run.threads), closing(batches) as source:
            return self._run(source)

    def _run(self, source: Iterator[Batch]) -> Reached:
        config, steps, is_main = self.config, self.config.optimiser.steps, self.processes.is_main
        pairs = read_validation(config.data)
        objective = self.processes.wrap(self.objective)
        log = Log(self.folder, self.step, config.run.tensorboard) if is_main else None
        saved = time.monotonic()
        if pairs and self._validates():  # before the first step, or where a resumed run had not come to it
            self._validate(pairs, log)
        stopped = self.processes.any(self._ends())
        with Progress("training", steps, "step", shown=self.progress and is_main, done=self.step) as progress:
            for parts in () if stopped else zip(*[source] * config.run.accumulate, strict=True):
                terms, norm = self._train(objective, parts)
                self.step += 1
                self._show(terms, progress)
                if self.step % config.run.log_every == 0 or self.step == steps:
                    self._tell(terms, norm, log)
                validates = bool(pairs) and self._validates()
                if is_main and (validates or time.monotonic() - saved > 60 * config.run.checkpoint_minutes):
                    self._save()
                    saved = time.monotonic()
                if validates:
                    self._validate(pairs, log)
                if self.processes.any(self._ends()):
                    break
        if log is not None:
            self._save()
            log.close()
        self.processes.wait()
        return Reached(self.step, steps, self.folder / WEIGHTS)

    def _minutes(self) -> float:
        """Return the minutes that have passed in this call."""
        return (self.clock() - self.began) / 60

    def _ends(self) -> bool:
        return self.stopping() or self._minutes() >= self.config.optimiser.call_minutes

    def _validate(self, pairs: list[Pair], log: Log | None) -> None:
        scores, sheets = validate(self.average, pairs, self.config.run, self.processes, self.stopping)
        if log is not None:
            for name, sheet in sheets.items():
                log.preview(self.step, name, sheet)
            for steps, row in scores.items():
                log.validation(self.step, steps, row)

    def _validates(self) -> bool:
        return self.step % self.config.run.validate_every == 0 or self.step == self.config.optimiser.steps

    def _show(self, terms: Terms, progress: Progress) -> None:
        if progress.is_due:  # seldom, since a GPU's work has to be awaited for it
            progress.note(f"loss {float(total_loss(terms, self.config.loss)):.4g}")
        progress.advance()

    def _train(self, objective: nn.Module, parts: tuple[Batch, ...]) -> tuple[Terms, float]:
        """Make one optimiser step; return the loss terms and the gradient's norm before clipping."""
        config = self.config.optimiser
        _training_mode(self.model, self.config.run.frozen_batch_norm, config.encoder_rate == 0)
        self.optimiser.zero_grad(set_to_none=True)
        terms = self._gradients(objective, parts)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.clip_norm)
        if not torch.isfinite(norm):
            raise TrainingError(f"loss or gradient of step {self.step} is not finite: lower learning_rate or use fp32")
        self.rate = learning_rate(config, self.step, self.first, self._minutes())
        for group in self.optimiser.param_groups:
            group["lr"] = group["lr_scale"] * self.rate
        self.optimiser.step()
        self._update_average()
        return terms, float(norm)

    def _gradients(self, objective: nn.Module, parts: tuple[Batch, ...]) -> Terms:
        """Work on a step's micro-batches one after another; return their mean terms."""
        stage, alignment = self.config.stage(self.step), self.config.alignment(self.step)
        scales, seed, drops = self._scales(parts, stage.batch), self.config.run.seed, self.model.encoder.drops
        device = self.processes.device
        at_once = device if self.config.data.recipe == "packed" else None
        found = []
        for number, batch in enumerate(parts):
            indices = self.share.indices(stage.first_sample, stage.batch, number)
            draws = draw(alignment, stage.crop, seed, self.step, indices, drops, at_once).to(device)
            with self.processes.alone(objective, number < len(parts) - 1):
                terms = objective(*batch, draws, alignment, scales)
                loss = total_loss(terms, self.config.loss) / len(parts)
                torch.autograd.backward(loss)
            found.append({name: term.detach() for name, term in terms.items()})
        return {name: torch.stack([terms[name] for terms in found]).mean() for name in found[0]}

    def _scales(self, parts: tuple[Batch, ...], samples: int) -> Scales:
        """Return the losses' scales, from the unknown and known pixels of the whole step in all processes."""
        unknown = torch.stack([(batch.trimap == 0.5).sum() for batch in parts]).sum().float()
        total = float(sum(batch.trimap.numel() for batch in parts))
        return scales_of(samples, *self.processes.sum(torch.stack([unknown, total - unknown])))

    def _tell(self, terms: Terms, norm: float, log: Log | None) -> None:
        means = self.processes.sum(torch.stack(list(terms.values()))) / self.processes.count
        if log is not None:
            log.losses(self.step, self.rate, norm, dict(zip(terms, means.tolist(), strict=True)))

    @torch.no_grad()
    def _update_average(self) -> None:
        """Move the averaged weights towards the current ones, faster in the first steps."""
        decay = min(self.config.optimiser.ema_decay, (1 + self.step) / (10 + self.step))
        current = self.model.state_dict()
        for name, ours in self.average.state_dict().items():
            theirs = current[name]
            if ours.is_floating_point() and not name.endswith(UNIT_VECTORS):
                ours.lerp_(theirs, 1 - decay)
            else:
                ours.copy_(theirs)

    def _save(self) -> None:
        """Write the checkpoint and the averaged weights, each all at once."""
        state: dict[str, Any] = {
            "config": self.config.plain(),
            "step": self.step,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        with staged_file(self.folder / CHECKPOINT) as path:
            try:
                torch.save(state, path)
            except RuntimeError as error:  # how a full disk reads there
                raise OSError(f"{error}; make room, or choose another place") from error
        progress = {"steps": f"{self.step} of {self.config.optimiser.steps}", "date": date.today().isoformat()}
        with staged_file(self.folder / WEIGHTS) as path:
            write_model(path, self.average, self.config.notes | progress, "fp16")


def _completed(theirs: dict[str, Any], ours: TrainConfig) -> dict[str, Any]:
    """Give an older checkpoint's tables the keys that came later: the variant's, and defaults that change nothing."""
    later = TrainConfig(ours.model).plain()
    return {name: later.get(name, {}) | table for name, table in theirs.items()}


def _differences(theirs: dict[str, Any], ours: dict[str, Any], within: str = "") -> list[str]:
    """Name the keys in which two nested tables differ."""
    found = []
    for key in sorted(theirs.keys() | ours.keys()):
        one, other = theirs.get(key), ours.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            found += _differences(one, other, f"{within}{key}.")
        elif one != other:
            found.append(f"{within}{key}")
    return found


def _training_mode(model: DiffMatte, frozen_batch_norm: bool, frozen_encoder: bool) -> None:
    """Put a model in training mode, but for an encoder, or batch normalisation, that stays as it is."""
    model.train()
    model.encoder.train(not frozen_encoder)
    for module in model.modules():
        if frozen_batch_norm and isinstance(module, nn.BatchNorm2d):
            module.eval()
