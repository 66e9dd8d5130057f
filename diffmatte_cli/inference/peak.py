"""The most memory that this process has needed so far. Standard library only."""

import re
import sys
from pathlib import Path

__all__ = ["peak_memory"]


def peak_memory() -> int | None:
    """Return the most memory that the process has had resident so far, in bytes; None if unknown."""
    status = Path("/proc/self/status")
    if status.exists():  # the resource module may report the parent's
        found = re.search(r"^VmHWM:\s*(\d+) kB", status.read_text(), re.MULTILINE)
        if found:
            return int(found[1]) * 1024
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
