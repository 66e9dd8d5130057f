"""The memory that the machine has, and what it may still give within all limits. Standard library only."""

import ctypes
import sys
from pathlib import Path

from ..errors import ResourceError

__all__ = ["check_room", "free_memory", "give_back", "total_memory"]

# Limit and use of control groups, versions 2 and 1; the file cache counts as used but can be reclaimed.
CGROUPS = (
    ("/sys/fs/cgroup", "memory.max", "memory.current"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
)


def total_memory() -> int | None:
    """Return all memory of the machine in bytes, within the control group's limits; None if unknown."""
    limits = [_meminfo("MemTotal"), *(_number(Path(folder) / limit) for folder, limit, _ in CGROUPS)]
    return min((limit for limit in limits if limit), default=None)


def free_memory() -> int | None:
    """Return the free memory of the machine in bytes, within the process's limits; None if unknown."""
    rooms = [
        _meminfo("MemAvailable"),
        _address_space(),
        *(_cgroup(Path(folder), limit, use) for folder, limit, use in CGROUPS),
    ]
    return min((room for room in rooms if room is not None), default=None)


def give_back() -> None:
    """Return freed memory to the system: the C library of Linux keeps that of each thread for the same thread."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)


def check_room(need: int, what: str) -> None:
    """Raise ResourceError if ``what``, the subject of a sentence, needs more bytes than are free."""
    room = free_memory()
    if room is not None and need > room:
        raise ResourceError(
            f"{what} needs about {need / 2**30:.2g} GiB of memory, and {room / 2**30:.2g} GiB are free:"
            " close other programs, or make it smaller"
        )


def _meminfo(field: str) -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields[field].split()[0]) * 1024 if field in fields else None


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


def _address_space() -> int | None:
    """Return the rest of the address space limit (ulimit -v); None without one."""
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
