"""What commands are to do beyond their paths, as records that are checked once. Standard library only."""

from dataclasses import dataclass, field

from ..errors import UsageError
from ..extras import require
from ..model.config import (
    SAMPLER_NAMES,
    SCHEDULE_NAMES,
    check_attention_grids,
    check_device,
    check_precision,
    check_seed,
    check_stable,
    check_steps,
)
from ..weights.store import Store
from .sizes import parse_memory

__all__ = ["BACKGROUNDS", "BLUR", "CHECKER", "ENGINES", "FOREGROUND_NAMES", "INPUT_SPACES", "SPACES"]
__all__ += ["DEFINITIONS", "HEADINGS", "REGIONS"]
__all__ += ["MOST_THREADS", "MatteOptions", "ScoreOptions", "TrialOptions", "check_choice", "check_threads"]

FOREGROUND_NAMES = ("blur-fusion", "ml", "none")
SPACES = ("linear", "srgb")
INPUT_SPACES = ("auto", *SPACES)
# Backgrounds that are neither a colour nor a file.
BACKGROUNDS = BLUR, CHECKER = "blur", "checker"
_MOST_SEEDS = 1000

ENGINES = ("local", "ray")
# Of metrics, by name, in the order of tables.
HEADINGS = {"sad": "SAD /1000", "mse": "MSE x1000", "grad": "Grad /1000", "conn": "Conn /1000"}
REGIONS = ("unknown", "image")
DEFINITIONS = ("matlab", "python")
MOST_THREADS = 512


@dataclass(frozen=True)
class MatteOptions:
    """Hold the settings of a run; wrong ones raise UsageError at once.

    ``schedule`` and ``input_scale`` (above 0, at most 1) default to the weights' own;
    ``memory`` is a size like 4GB, ``until_stable`` a number of 255 levels; ``uncertainty`` is how many seeds it is of;
    ``premultiplied`` defaults to what the format's users expect; a ``background`` makes a cutout opaque;
    ``devices`` is one device, or several with a comma between; ``ray_address`` is a cluster's, None for one of its own.
    """

    model: str = "tiny"
    store: Store = field(default_factory=Store)
    sampler: str = "ddim"
    schedule: str | None = None
    input_scale: float | None = None
    keep_known: bool = True
    devices: str = "auto"
    threads: int | None = None
    attention_grids: int | None = None
    plain: bool = False
    whole: bool = False
    precision: str = "fp32"
    until_stable: float | None = None
    memory: str | None = None
    uncertainty: int | None = None
    cutout: bool = False
    foreground: str = FOREGROUND_NAMES[0]
    background: str | None = None
    linear_light: bool = False
    premultiplied: bool | None = None
    input_space: str = INPUT_SPACES[0]
    exr_space: str = SPACES[0]
    skip_existing: bool = False
    fail_fast: bool = False
    engine: str = "local"
    ray_address: str | None = None
    quiet: bool = False
    verbose: bool = False

    def __post_init__(self) -> None:
        """Check everything that needs neither torch nor a file."""
        if self.input_scale is not None and not 0 < self.input_scale <= 1:
            raise UsageError(f"--input-scale must be above 0 and at most 1, not {self.input_scale}")
        if self.attention_grids is not None:
            check_attention_grids(self.attention_grids)
        check_precision(self.precision, self.plain)
        check_stable(self.until_stable)
        if self.memory is not None:
            parse_memory(self.memory)
        check_choice("--sampler", self.sampler, SAMPLER_NAMES)
        check_choice("--schedule", self.schedule, SCHEDULE_NAMES)
        check_choice("--engine", self.engine, ENGINES)
        if self.ray_address is not None and self.engine != "ray":
            raise UsageError("--ray-address goes with --engine ray")
        check_threads(self.threads)
        self._check_colours()
        names = self.device_names
        for name in names:
            check_device(name)
        if len(names) > 1 and (len(set(names)) < len(names) or "auto" in names):
            raise UsageError(f"--device {self.devices} must name each device once, and not auto among them")

    def _check_colours(self) -> None:
        if self.uncertainty is not None and not 2 <= self.uncertainty <= _MOST_SEEDS:
            raise UsageError(f"--uncertainty must be from 2 to {_MOST_SEEDS} seeds, not {self.uncertainty}")
        check_choice("--foreground", self.foreground, FOREGROUND_NAMES)
        check_choice("--input-space", self.input_space, INPUT_SPACES)
        check_choice("--exr-space", self.exr_space, SPACES)
        if self.foreground == "ml":
            require("ml", "--foreground ml")
        if self.linear_light and self.background is None:
            raise UsageError("--linear-light says how a --background is mixed in: name one")
        if self.premultiplied is not None and (self.background is not None or not self.cutout):
            raise UsageError("--premultiplied and --straight are of a --cutout without --background: leave them out")

    @property
    def device_names(self) -> tuple[str, ...]:
        """The devices one by one."""
        return tuple(self.devices.split(","))


@dataclass(frozen=True)
class ScoreOptions:
    """Hold how mattes are scored: which metrics, over which region, by which definition of Grad and Conn.

    ``metrics`` are keys of ``HEADINGS``; what is wrong or needs a missing extra raises UsageError.
    """

    metrics: tuple[str, ...] = tuple(HEADINGS)
    region: str = REGIONS[0]
    definition: str = DEFINITIONS[0]

    def __post_init__(self) -> None:
        """Check everything."""
        for metric in self.metrics:
            check_choice("--metrics", metric, tuple(HEADINGS))
        if not self.metrics or len(set(self.metrics)) < len(self.metrics):
            raise UsageError(f"--metrics must name some of {','.join(HEADINGS)}, each once")
        check_choice("--region", self.region, REGIONS)
        check_choice("--definition", self.definition, DEFINITIONS)
        if {"grad", "conn"} & set(self.metrics):
            require("eval", "scoring by grad and conn", otherwise="leave them out with --metrics sad,mse")


@dataclass(frozen=True)
class TrialOptions:
    """Hold how a model is tried on each picture: with which numbers of ``steps``, from which ``seed``.

    ``consistent`` makes x_t of each step from the true alpha (Appendix A.2), which no real picture has. Without
    ``keep_known`` x_t holds predictions where the trimap knows better, too, as in the paper's own evaluation.
    """

    steps: tuple[int, ...]
    seed: int = 0
    consistent: bool = False
    keep_known: bool = True

    def __post_init__(self) -> None:
        """Check everything."""
        check_seed(self.seed)
        for steps in self.steps:
            check_steps(steps)


def check_threads(threads: int | None) -> None:
    """Raise UsageError for a number of CPU threads that is out of range; none given is fine."""
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise UsageError(f"--threads must be at least 1 and at most {MOST_THREADS}, not {threads}")


def check_choice(option: str, value: str | None, choices: tuple[str, ...]) -> None:
    """Raise UsageError for a value that is not among the choices; none given is fine."""
    if value is not None and value not in choices:
        raise UsageError(f"{option} must be one of {', '.join(choices)}, not {value!r}")
