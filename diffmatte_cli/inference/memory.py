"""Memory: what an image needs, what may be used, and advice if it does not fit."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import ResourceError, is_shortage
from ..model.config import ModelConfig
from ..model.encoders.base import encoder_class
from ..process.memory import free_memory, total_memory

__all__ = [
    "BASE",
    "LADDER",
    "MemoryBudget",
    "available_bytes",
    "default_limit",
    "guard_memory",
    "plain_bytes",
    "total_bytes",
]

FLOAT = 4
# Sides of tiles in pixels: fixed, so that equal settings give equal bytes.
LADDER = (1024, 512, 256)
# Default budget, as a share of the device's memory.
DEFAULT_SHARE = 0.5
# The program itself with torch.
BASE = 450 * 2**20
# Side of the cells that estimate the decoder's working area, and its reach in cells.
CELL, REACH = 32, 2


def plain_bytes(config: ModelConfig, height: int, width: int) -> int:
    """Estimate the peak of the plain path, in bytes.

    In the decoder it comes in the last up block: its input upsampled (three times N_d planes) beside two results of N_d
    planes, at the image's size, and the tensors of every level. In the encoder it comes in global attention, if any.
    """
    planes = 10 * config.decoder_width + 4 * config.condition_channels
    attention = encoder_class(config.encoder).attention_bytes(config, height, width)
    return max(FLOAT * planes * height * width, attention)


@dataclass(frozen=True)
class MemoryBudget:
    """A memory limit in bytes, divided for an image of ``height`` x ``width``.

    The estimates are measured upper bounds; the rest of the limit determines the tiles.
    """

    config: ModelConfig
    limit: int
    height: int
    width: int

    @property
    def image(self) -> int:
        """Bytes held for the whole image while sampling: pixels, samples and feature."""
        planes = 9 + (3 if self.config.priors else 0)
        feature = self.config.feature_channels / self.config.feature_stride**2
        return BASE + int(self.height * self.width * FLOAT * (planes + feature))

    @property
    def encoding(self) -> int:
        """Bytes while encoding, priors included."""
        pixel = encoder_class(self.config.encoder).bytes_per_pixel
        return BASE + pixel * self.config.feature_channels * self.height * self.width // 384

    @property
    def smallest_tile(self) -> int:
        """Bytes of one step over a tile of the smallest side, all of it unknown."""
        window = (min(LADDER[-1], max(self.height, self.width)) + 2 * CELL * REACH) ** 2
        return self._tile(window, window)

    def plan(self, wanted: Tensor) -> tuple[int, bool, int]:
        """Return the side of the tiles, from ``LADDER``, whether to keep what all steps share, and the total bytes.

        ``wanted`` [H, W] is boolean. Keeping has priority over larger tiles, which gain little speed.
        """
        cells = _cells(wanted)
        shared = int(FLOAT * float(cells.sum()) * CELL**2 * (1.2 * self.config.decoder_width + 8))
        for kept in (True, False):
            for side in LADDER:
                busy = float(_sums(cells, side // CELL).max()) * CELL**2
                window = (min(side, max(self.height, self.width)) + 2 * CELL * REACH) ** 2
                total = self.image + self._tile(window, busy) + kept * shared
                if total <= self.limit:
                    return side, kept, total
        return LADDER[-1], False, total

    def _tile(self, window: float, busy: float) -> int:
        """Return bytes for a tile that sees ``window`` pixels and works on ``busy`` of them."""
        planes = 3 * self.config.condition_channels + 4
        return int(FLOAT * (window * planes + busy * (6 * self.config.decoder_width + 20)))


def _cells(wanted: Tensor) -> Tensor:
    """Return which cells the decoder works on for wanted pixels, [1, 1, H / CELL, W / CELL]."""
    cells = F.max_pool2d(wanted[None, None].float(), CELL, ceil_mode=True)
    return F.max_pool2d(cells, 2 * REACH + 1, 1, REACH)


def _sums(cells: Tensor, side: int) -> Tensor:
    """Return the number of cells of each tile, including its neighbours' within reach."""
    return F.avg_pool2d(cells, side + 2 * REACH, side, REACH, ceil_mode=True, divisor_override=1)


def default_limit(device: torch.device) -> int:
    """Return the default limit in bytes: half of the device's memory, or the control group's."""
    total = total_bytes(device)
    return int(DEFAULT_SHARE * total) if total else 4 * 2**30


def total_bytes(device: torch.device) -> int | None:
    """Return all memory of a device in bytes, within the control group's limits; None if unknown."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return total_memory() if device.type == "cpu" else None


def available_bytes(device: torch.device) -> int | None:
    """Return the free memory of a device in bytes, within the process's limits; None if unknown."""
    if device.type == "cuda":
        # Memory that torch reserves but does not use is free too.
        spare = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + spare
    return free_memory() if device.type == "cpu" else None


@contextmanager
def guard_memory(need: int, device: torch.device, height: int, width: int) -> Iterator[None]:
    """Turn a lack of memory, predicted from ``need`` bytes or met, into a ResourceError that says what would fit."""
    room = available_bytes(device)
    if room is not None and need > room:
        raise ResourceError(_advice(need, device, height, width, room))
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_shortage(error):
            raise
        # The memory that seemed free was not enough: assume half of what this needs.
        met = need // 2
        raise ResourceError(_advice(need, device, height, width, min(met, room or met))) from error


def _advice(need: int, device: torch.device, height: int, width: int, room: int) -> str:
    scale = min(1.0, 0.9 * room / need) ** 0.5
    smaller = f"{max(1, int(width * scale))}x{max(1, int(height * scale))}"
    return (
        f"not enough memory on {device}: {width}x{height} pixels need about {need / 2**30:.2g} GiB beyond what is"
        f" in use; about {smaller} would fit"
    )
