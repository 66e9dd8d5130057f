"""Compute in one thread."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["one_thread"]


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit torch, and OpenCV if it is loaded, to one thread for the block."""
    import torch

    cv2 = sys.modules.get("cv2")
    threads, theirs = torch.get_num_threads(), cv2.getNumThreads() if cv2 else 0
    torch.set_num_threads(1)
    if cv2:
        cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        if cv2:
            cv2.setNumThreads(theirs)
