"""Settings of sampling and computing: each default and each check once. Standard library only."""

import re
from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import TypedDict

from .errors import UsageError

__all__ = ["DTYPE_NAMES", "MOST_STEPS", "SAMPLER_NAMES", "SCHEDULE_NAMES"]
__all__ += ["Computing", "Sampling", "SamplingFields", "check_choice", "check_device", "without_effect"]

SCHEDULE_NAMES = ("linear", "cosine", "sigmoid", "power")
SAMPLER_NAMES = ("ddim", "ddpm")
DTYPE_NAMES = ("fp32", "fp16", "bf16")
# All that a model makes use of that does not iterate.
_AT_ONCE = ("keep_known", "whole")
# Far beyond any use: the paper stops at 15.
MOST_STEPS = 10_000
# The authors' interleaved attention uses 3; more than this leaves few positions per grid.
MOST_GRIDS = 16
MOST_THREADS = 512
LEAST_MEMORY = 2**20


@dataclass(frozen=True)
class Sampling:
    """How alpha is sampled; values out of range raise UsageError.

    Attributes:
        steps: T of Algorithm 2.
        seed: of the noise, 0 to 2**63 - 1.
        sampler: one of ``SAMPLER_NAMES``.
        schedule: one of ``SCHEDULE_NAMES``; None for the one the weights were trained with.
        input_scale: b in (0, 1], likewise.
        keep_known: hold the trimap's alpha at known pixels in every step; False computes the whole image, as the
            paper does, and gives the raw prediction.
        until_stable: stop after a step that changes no unknown pixel by more than this many of 255 levels.
        whole: compute the whole image instead of the unknown region alone; equal up to rounding.
    """

    steps: int = 10
    seed: int = 0
    sampler: str = "ddim"
    schedule: str | None = None
    input_scale: float | None = None
    keep_known: bool = True
    until_stable: float | None = None
    whole: bool = False

    def __post_init__(self) -> None:
        """Check everything."""
        if not 1 <= self.steps <= MOST_STEPS or self.steps != int(self.steps):
            raise UsageError(f"steps must be a whole number from 1 to {MOST_STEPS}, not {self.steps}", "steps")
        if not 0 <= self.seed < 2**63:
            raise UsageError(f"the seed must be from 0 to 2**63 - 1, not {self.seed}", "seed")
        check_choice("sampler", self.sampler, SAMPLER_NAMES)
        check_choice("schedule", self.schedule, SCHEDULE_NAMES)
        if self.input_scale is not None and not 0 < self.input_scale <= 1:
            raise UsageError(f"the input scale must be above 0 and at most 1, not {self.input_scale}", "input_scale")
        if self.until_stable is not None and not 0 <= self.until_stable <= 255:
            raise UsageError(
                f"the change to stop at must be from 0 to 255 levels, not {self.until_stable:g}", "until_stable"
            )

    def at_once(self) -> "Sampling":
        """Return the settings of a model that does not iterate: one step, in which nothing is drawn."""
        return Sampling(steps=1, **{name: getattr(self, name) for name in _AT_ONCE})


class SamplingFields(TypedDict, total=False):
    """The fields of ``Sampling`` as keywords, for editors and type checkers."""

    steps: int
    seed: int
    sampler: str
    schedule: str | None
    input_scale: float | None
    keep_known: bool
    until_stable: float | None
    whole: bool


@dataclass(frozen=True)
class Computing:
    """How a model computes, whatever its device; values out of range raise UsageError.

    Attributes:
        precision: floating-point precision of the network, one of ``DTYPE_NAMES``.
        memory: budget in bytes; None for half of the device's.
        plain: compute as the paper's own code does, for comparison: the whole image at once, and only F shared
            between steps.
        attention_grids: restrict a ViT's global attention to n x n interleaved grids; None for 1, and 3 for
            images beyond ``model.config.MOST_POSITIONS`` patches.
        threads: CPU threads of the process; None for torch's default.
    """

    precision: str = DTYPE_NAMES[0]
    memory: int | None = None
    plain: bool = False
    attention_grids: int | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        """Check everything."""
        check_choice("precision", self.precision, DTYPE_NAMES)
        if self.plain and self.precision != "fp32":
            raise UsageError(f"the plain path computes in fp32, not in {self.precision}", "plain", "precision")
        if self.memory is not None and self.memory < LEAST_MEMORY:
            raise UsageError(f"the memory must be at least 1 MiB, not {self.memory} bytes", "memory")
        if self.attention_grids is not None and not 1 <= self.attention_grids <= MOST_GRIDS:
            raise UsageError(
                f"attention grids must be from 1 to {MOST_GRIDS}, not {self.attention_grids}",
                "attention_grids",
            )
        if self.threads is not None and not 1 <= self.threads <= MOST_THREADS:
            raise UsageError(f"threads must be from 1 to {MOST_THREADS}, not {self.threads}", "threads")


def check_device(device: str) -> None:
    """Raise UsageError for a malformed device name."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]{1,3})?", device):
        raise UsageError(f"unknown device {device!r}: choose auto, cpu, cuda, cuda:N or mps", "device")


def check_choice(setting: str, value: str | None, choices: tuple[str, ...]) -> None:
    """Raise UsageError if a setting's value is not among the choices; None is."""
    if value is not None and value not in choices:
        raise UsageError(f"the {setting.replace('_', ' ')} must be one of {', '.join(choices)}, not {value!r}", setting)


def without_effect(given: Collection[str], sampling: Sampling = Sampling()) -> str:
    """Say which settings mean nothing to a model that does not iterate: those ``given``, and what is no default.

    Empty if there are none.
    """
    idle = (Sampling(), sampling.at_once())
    names = [
        field.name.replace("_", " ")
        for field in fields(Sampling)
        if field.name not in _AT_ONCE
        and (field.name in given or all(getattr(sampling, field.name) != getattr(other, field.name) for other in idle))
    ]
    return f"without effect, since the model does not iterate: {', '.join(names)}" if names else ""
