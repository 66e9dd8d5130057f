"""How many threads compute, and how they wait for each other."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["local_threads", "wait_without_spinning"]

# Turns that a waiting OpenMP thread makes before it sleeps. Of libgomp's own 300,000 most processor time goes into
# waiting where other programs run, too; with this many a run on an idle machine is as fast.
SPINS = "1000"


def wait_without_spinning() -> None:
    """Let waiting OpenMP threads sleep soon, unless the environment says how they wait; before torch is imported."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)


@contextmanager
def local_threads(number: int | None = None) -> Iterator[None]:
    """Leave the number of threads as it was before the block, torch's and, if it is loaded, OpenCV's.

    Within the block they compute with ``number`` threads, if it is given.
    """
    import torch

    cv2 = sys.modules.get("cv2")
    settings = [(torch.set_num_threads, torch.get_num_threads())]
    if cv2:
        settings.append((cv2.setNumThreads, cv2.getNumThreads()))
    try:
        if number:
            for setting, _ in settings:
                setting(number)
        yield
    finally:
        for setting, before in settings:
            setting(before)
