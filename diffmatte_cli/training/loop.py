"""The training loop: Algorithm 1 with AdamW, averaged weights, checkpoints, logs and validation."""

import copy
import csv
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from ..encoding import Result
from ..errors import TrainingError, UsageError
from ..files import staged_file
from ..matting import Matter
from ..metrics import mse, sad
from ..model.checkpoint import read_model, write_model
from ..model.diffmatte import DiffMatte
from ..sampling import Diffusion
from ..writing import write_images
from .config import OptimiserConfig, TrainConfig
from .data import Batch, Pair, batches, read_assets, read_validation
from .losses import total_loss
from .objective import draw, training_losses

__all__ = ["Outcome", "Trainer", "learning_rate"]

CHECKPOINT = "checkpoint.pt"
WEIGHTS = "weights.safetensors"
# Spectral norm's buffers: a mean of unit vectors is shorter than one.
UNIT_VECTORS = (".u", ".v")


@dataclass(frozen=True)
class Outcome:
    """How far a run came: steps done of the steps planned, and where its weights are."""

    step: int
    steps: int
    weights: Path


def learning_rate(config: OptimiserConfig, step: int) -> float:
    """Return the rate of ``step``: a linear warm-up, then one stage after another."""
    passed = sum(step >= share * config.steps for share in config.milestones)
    stage = 1.0 if passed == 0 else config.factors[passed - 1]
    return config.learning_rate * stage * min(1.0, (step + 1) / max(config.warmup, 1))


@dataclass
class Trainer:
    """One run in one folder.

    ``stopping`` is asked after every step; when it says yes the run is checkpointed and ends.
    """

    config: TrainConfig
    folder: Path
    device: torch.device
    stopping: Callable[[], bool] = lambda: False
    progress: bool = True
    step: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        torch.manual_seed(self.config.run.seed)
        if self.config.run.threads:
            torch.set_num_threads(self.config.run.threads)
        model = DiffMatte(self.config.model)
        if self.config.model.priors:
            # The first prediction is the colour prior itself, and training only corrects it.
            for parameter in model.decoder.matting_head.matting_convs[-1].parameters():
                torch.nn.init.zeros_(parameter)
        self.model = model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.model).requires_grad_(False)
        self.diffusion = Diffusion(self.config.model.schedule, self.config.model.input_scale)
        options = self.config.optimiser
        self.optimiser = torch.optim.AdamW(
            _parameter_groups(self.model, options.weight_decay), lr=options.learning_rate
        )

    def start_from(self, path: Path) -> None:
        """Take the weights, but nothing else, from a safetensors file of the same shape."""
        other, _ = read_model(path)
        for key in ("variant", "decoder_width"):
            if getattr(other.config, key) != getattr(self.config.model, key):
                raise UsageError(f"{path} has {key} {getattr(other.config, key)}: set it in [model]")
        for model in (self.model, self.average):
            model.load_state_dict(other.state_dict())

    def resume(self) -> None:
        """Go on from the folder's checkpoint, exactly as if there had been no interruption."""
        path = self.folder / CHECKPOINT
        if not path.is_file():
            raise UsageError(f"{self.folder} has no {CHECKPOINT} to resume from: leave out --resume")
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            config = state["config"]
        except Exception as error:  # torch raises nearly every kind on damaged files
            raise TrainingError(f"{path} is damaged ({type(error).__name__}): start the run again") from error
        if config != self.config.plain():
            raise UsageError(f"{path} was made with another configuration: use that one, or another folder")
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]

    def run(self) -> Outcome:
        """Train to the last step, or until ``stopping`` says so."""
        config, steps = self.config, self.config.optimiser.steps
        assets = read_assets(config.data)
        validation = read_validation(config.data.validation, config.data.validation_limit)
        log = _Log(self.folder, self.step)
        saved = time.monotonic()
        source = batches(config.data, assets, config.run.seed, self.step, steps, self.device, config.model.priors)
        for batch in self._bar(source, steps):
            terms, norm = self._train(batch)
            self.step += 1
            if self.step % config.run.log_every == 0 or self.step == steps:
                log.losses(self.step, learning_rate(config.optimiser, self.step - 1), norm, terms)
            if validation and (self.step % config.run.validate_every == 0 or self.step == steps):
                self._validate(validation, log)
            if self.stopping():
                break
            if time.monotonic() - saved > 60 * config.run.checkpoint_minutes:
                self._save()
                saved = time.monotonic()
        self._save()
        return Outcome(self.step, steps, self.folder / WEIGHTS)

    def _bar(self, source: Iterable[Batch], steps: int) -> Iterable[Batch]:
        bar: Iterable[Batch] = tqdm(
            source, "training", steps, initial=self.step, unit="step", disable=None if self.progress else True
        )
        return bar

    def _alignment(self) -> str:
        begins = self.config.self_align.start * self.config.optimiser.steps
        return self.config.self_align.alignment if self.step >= begins else "none"

    def _train(self, batch: Batch) -> tuple[dict[str, float], float]:
        """Make one optimiser step; return the loss terms and the gradient's norm before clipping."""
        config, alignment = self.config.optimiser, self._alignment()
        image, trimap, alpha, priors = batch
        # Seeded by the step, so that a resumed run draws what an uninterrupted one would have.
        generator = torch.Generator().manual_seed(self.config.run.seed * 1_000_003 + self.step)
        draws = draw(alignment, alpha.shape, generator, self.device)
        autocast = torch.autocast(self.device.type, torch.bfloat16, self.config.run.precision == "bf16")
        self.model.train()
        terms = training_losses(self.model, self.diffusion, image, trimap, alpha, priors, draws, alignment, autocast)
        loss = total_loss(terms, self.config.loss)
        if not torch.isfinite(loss):
            raise TrainingError(f"the loss of step {self.step} is not finite: lower learning_rate or use fp32")
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.clip_norm)
        if not torch.isfinite(norm):
            raise TrainingError(f"the gradient of step {self.step} is not finite: lower learning_rate or use fp32")
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(config, self.step)
        self.optimiser.step()
        self._update_average()
        return {name: float(term.detach()) for name, term in terms.items()}, float(norm)

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

    def _validate(self, pairs: list[Pair], log: "_Log") -> None:
        matter = Matter(copy.deepcopy(self.average).eval(), self.device)
        for steps in self.config.run.validation_steps:
            alphas = [matter.matte(image, trimap, steps=steps) for _, image, trimap, _ in pairs]
            scores = [
                (sad(a, truth, trimap), mse(a, truth, trimap))
                for a, (_, _, trimap, truth) in zip(alphas, pairs, strict=True)
            ]
            log.validation(self.step, steps, *np.mean(scores, axis=0).tolist())
        name, image, trimap, truth = pairs[0]
        grey = [trimap, *(np.round(a * 255).astype(np.uint8) for a in (alphas[0], truth))]
        sheet = np.hstack([image, *(np.repeat(g[..., None], 3, axis=2) for g in grey)])
        write_images([Result(self.folder / f"preview_{self.step:07d}_{name}.png", sheet)])

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
            torch.save(state, path)
        progress = {"steps": f"{self.step} of {self.config.optimiser.steps}", "date": date.today().isoformat()}
        with staged_file(self.folder / WEIGHTS) as path:
            write_model(path, self.average, self.config.notes | progress, "fp16")


def _parameter_groups(model: DiffMatte, weight_decay: float) -> list[dict[str, Any]]:
    """Decay matrices only; biases and normalisation stay free."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


class _Log:
    """Two CSV files, ``losses.csv`` and ``validation.csv``; rows after the resumed step are dropped."""

    def __init__(self, folder: Path, step: int) -> None:
        self.folder, self.began = folder, time.monotonic()
        for path in (folder / "losses.csv", folder / "validation.csv"):
            if path.exists():
                head, *rows = path.read_text().splitlines()
                kept = [row for row in rows if (first := row.split(",")[0]).isdecimal() and int(first) <= step]
                with staged_file(path) as temporary:
                    temporary.write_text("".join(f"{row}\n" for row in (head, *kept)))

    def losses(self, step: int, rate: float, norm: float, terms: dict[str, float]) -> None:
        """Append one row of loss terms."""
        seconds = round(time.monotonic() - self.began, 1)
        values = {name: f"{value:.5g}" for name, value in terms.items()}
        head = {"step": step, "seconds": seconds, "rate": rate, "norm": f"{norm:.4g}"}
        self._append("losses.csv", head | values)

    def validation(self, step: int, steps: int, mean_sad: float, mean_mse: float) -> None:
        """Append one row of validation errors at ``steps`` sampling steps."""
        self._append("validation.csv", {"step": step, "steps": steps, "sad": mean_sad, "mse": mean_mse})

    def _append(self, name: str, row: dict[str, Any]) -> None:
        path = self.folder / name
        fresh = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, row)
            if fresh:
                writer.writeheader()
            writer.writerow(row)
