"""Limit what this process may take."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["memory_capped"]


@contextmanager
def memory_capped(more: int) -> Iterator[None]:
    """Refuse this process, for the block, memory beyond ``more`` bytes; only Linux can.

    A refusal shows as MemoryError, or as whatever a library makes of it. Other threads are refused as well.
    """
    try:
        import resource

        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (ImportError, OSError):
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    cap = used + more if soft == resource.RLIM_INFINITY else min(soft, used + more)
    resource.setrlimit(resource.RLIMIT_AS, (cap, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
