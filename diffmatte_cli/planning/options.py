"""The settings of ``diffmatte matte`` other than paths, checked once. Standard library only."""

from dataclasses import dataclass, field

from ..errors import UsageError
from ..extras import require
from ..imaging.formats import QUALITY
from ..settings import Computing, check_choice, check_device
from ..trimaps.band import Band
from ..weights.store import WeightsStore

__all__ = ["BACKGROUNDS", "BLUR", "CHECKER", "ENGINES", "FOREGROUND_NAMES", "INPUT_SPACES", "MASK_MODEL", "SPACES"]
__all__ += ["MatteOptions"]

FOREGROUND_NAMES = ("blur-fusion", "ml", "none")
SPACES = ("linear", "srgb")
INPUT_SPACES = ("auto", *SPACES)
# Backgrounds that are neither a colour nor a file.
BACKGROUNDS = BLUR, CHECKER = "blur", "checker"
ENGINES = ("local", "ray")
_MOST_SEEDS = 1000
# Its author puts the model, not the code alone, under the Apache licence, version 2.
MASK_MODEL = "u2net"


@dataclass(frozen=True)
class MatteOptions:
    """The settings of a run; invalid ones raise UsageError.

    ``device`` is one or several, separated by commas; ``uncertainty`` is a number of seeds; ``premultiplied``
    defaults to the format's convention; a ``background`` makes a cutout opaque; ``ray_address`` is None for a local
    cluster; ``layer`` and ``channel`` choose in files of several, see ``imaging.read.decode_image`` and
    ``imaging.grey.decode_grey``; ``band`` is that of trimaps which are made of masks, and ``mask_model`` makes
    masks, see ``inference.masking.MaskModel``; ``quality`` is that of JPEG. Each job has its own
    ``Sampling``.
    """

    model: str = "tiny"
    store: WeightsStore = field(default_factory=WeightsStore)
    device: str = "auto"
    computing: Computing = Computing()
    uncertainty: int | None = None
    cutout: bool = False
    foreground: str = FOREGROUND_NAMES[0]
    background: str | None = None
    linear_light: bool = False
    premultiplied: bool | None = None
    input_space: str = INPUT_SPACES[0]
    layer: str | None = None
    channel: str | None = None
    exr_space: str = SPACES[0]
    skip_existing: bool = False
    fail_fast: bool = False
    engine: str = ENGINES[0]
    ray_address: str | None = None
    quiet: bool = False
    verbose: bool = False
    band: Band = Band()
    mask_model: str = MASK_MODEL
    quality: int = QUALITY

    def __post_init__(self) -> None:
        """Check what needs neither torch nor files."""
        check_choice("engine", self.engine, ENGINES)
        if self.ray_address is not None and self.engine != "ray":
            raise UsageError("the address of a Ray cluster requires the engine ray", "ray_address", "engine")
        for name in self.devices:
            check_device(name)
        if len(self.devices) > 1 and (len(set(self.devices)) < len(self.devices) or "auto" in self.devices):
            raise UsageError(f"several devices must be different and cannot include auto, not {self.device}", "device")
        self._check_colours()

    def _check_colours(self) -> None:
        if self.uncertainty is not None and not 2 <= self.uncertainty <= _MOST_SEEDS:
            raise UsageError(f"the uncertainty needs 2 to {_MOST_SEEDS} seeds, not {self.uncertainty}", "uncertainty")
        if not 1 <= self.quality <= 100:
            raise UsageError(f"the quality must be from 1 to 100, not {self.quality}", "quality")
        check_choice("foreground", self.foreground, FOREGROUND_NAMES)
        check_choice("input_space", self.input_space, INPUT_SPACES)
        check_choice("exr_space", self.exr_space, SPACES)
        if self.foreground == "ml":
            require("ml", "the foreground method ml", "foreground")
        if self.linear_light and self.background is None:
            raise UsageError("mixing in linear light requires a background: name one", "linear_light", "background")
        if self.premultiplied is not None and (self.background is not None or not self.cutout):
            raise UsageError(
                "premultiplied or straight colour requires a cutout without a background: omit it", "premultiplied"
            )

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices one by one."""
        return tuple(self.device.split(","))
