"""Memory: what a picture needs, what there is, and a plain answer when it does not fit."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from .errors import ResourceError, is_shortage
from .model.config import ModelConfig

__all__ = ["available_bytes", "guard_memory", "needed_bytes"]

FLOAT = 4
# Limit, use, and the statistics that hold the file cache, which counts as used but gives way: versions 2 and 1.
CGROUPS = (
    ("/sys/fs/cgroup", "memory.max", "memory.current"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
)


def needed_bytes(config: ModelConfig, height: int, width: int) -> int:
    """Estimate the peak of one decoder step in bytes.

    It comes in the last up block: its input enlarged (three times N_d planes) beside two
    results of N_d planes, at the picture's size, and what every level holds.
    """
    planes = 10 * config.decoder_width + 4 * config.condition_channels
    return planes * FLOAT * height * width


def available_bytes(device: torch.device) -> int | None:
    """Return the free memory of a device in bytes, within the process's limits; None when it cannot be told."""
    if device.type == "cuda":
        # What torch keeps for itself and does not use is free too.
        spare = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + spare
    if device.type != "cpu":
        return None
    rooms = [_meminfo(), _address_space(), *(_cgroup(Path(folder), limit, use) for folder, limit, use in CGROUPS)]
    return min((room for room in rooms if room is not None), default=None)


@contextmanager
def guard_memory(config: ModelConfig, device: torch.device, height: int, width: int) -> Iterator[None]:
    """Turn a lack of memory, foreseen or met, into a ResourceError that says what would fit."""
    room = available_bytes(device)
    if room is not None and needed_bytes(config, height, width) > room:
        raise ResourceError(_advice(config, device, height, width, room))
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_shortage(error):
            raise
        # What there seemed to be was not enough: advise on half of what this needs.
        met = needed_bytes(config, height, width) // 2
        raise ResourceError(_advice(config, device, height, width, min(met, room or met))) from error


def _advice(config: ModelConfig, device: torch.device, height: int, width: int, room: int) -> str:
    need = needed_bytes(config, height, width)
    scale = min(1.0, 0.9 * room / need) ** 0.5
    smaller = f"{max(1, int(width * scale))}x{max(1, int(height * scale))}"
    return (
        f"not enough memory on {device}: {width}x{height} pixels need about {need / 2**30:.2g} GiB beyond what is"
        f" in use; about {smaller} would fit"
    )


def _meminfo() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in fields else None


def _address_space() -> int | None:
    """Return what a limit on the process's addresses (ulimit -v) leaves; None without one."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    if most == resource.RLIM_INFINITY:
        return None
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    return max(0, most - pages * resource.getpagesize())


def _cgroup(folder: Path, limit: str, use: str) -> int | None:
    try:
        most, used, statistics = ((folder / name).read_text() for name in (limit, use, "memory.stat"))
    except OSError:
        return None
    if not most.strip().isdecimal():
        return None
    values = dict(line.split() for line in statistics.splitlines())
    return int(most) - int(used) + int(values.get("inactive_file", 0))
