"""Load a model by its name, fetching it where it is not on disk."""

from collections.abc import Callable
from pathlib import Path

import torch

from ..settings import Computing
from ..weights.pulling import obtain
from ..weights.store import WeightsStore, resolve_model
from .matter import Matter, load_file, pick_device

__all__ = ["load_model"]


def load_model(
    model: str | Path = "tiny",
    device: str | torch.device = "auto",
    *,
    precision: str = "fp32",
    threads: int | None = None,
    memory: int | None = None,
    attention_grids: int | None = None,
    plain: bool = False,
    weights_file: str | Path | None = None,
    cache_dir: str | Path | None = None,
    offline: bool = False,
    tell: Callable[[str], None] = lambda text: None,
) -> Matter:
    """Load a model, ready to matte; fetch it from the Hub on first use.

    Arguments:
        model: a name of ``diffmatte weights list``, or a file.
        device: auto, cpu, cuda, cuda:N or mps; auto takes a GPU if there is one.
        precision, threads, memory, attention_grids, plain: see ``Computing``.
        weights_file: a table of your own models.
        cache_dir: holds pulled and imported weights.
        offline: use only files on disk.
        tell: receives messages on pulling, short memory, divided attention and guesses at what a picture holds.

    Raises UsageError for an unknown name or absent device, WeightsError for an unusable file or a
    failed download.
    """
    where = pick_device(str(device))
    computing = Computing(
        precision=precision, threads=threads, memory=memory, attention_grids=attention_grids, plain=plain
    )
    store = WeightsStore(Path(weights_file) if weights_file else None, Path(cache_dir) if cache_dir else None, offline)
    return load_file(obtain(resolve_model(model, store), store, tell=tell), where, computing, tell)
