"""How many threads compute, and how they wait for each other."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["kept_threads", "one_thread", "wait_without_spinning"]

# Turns that a waiting OpenMP thread makes before it sleeps. Of libgomp's own 300,000 most processor time goes into
# waiting where other programs run, too; with this many a run on an idle machine is as fast.
SPINS = "10000"


def wait_without_spinning() -> None:
    """Let waiting OpenMP threads sleep soon, unless the environment says how they wait; before torch is imported."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)


@contextmanager
def kept_threads() -> Iterator[None]:
    """Leave torch's number of threads, and OpenCV's if it is loaded, as it was before the block."""
    import torch

    cv2 = sys.modules.get("cv2")
    threads, theirs = torch.get_num_threads(), cv2.getNumThreads() if cv2 else 0
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        if cv2:
            cv2.setNumThreads(theirs)


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit torch, and OpenCV if it is loaded, to one thread for the block."""
    import torch

    with kept_threads():
        torch.set_num_threads(1)
        if cv2 := sys.modules.get("cv2"):
            cv2.setNumThreads(1)
        yield
