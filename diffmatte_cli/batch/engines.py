"""Models on devices, each loaded when the first image needs it."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import UsageError, described
from ..planning.options import MatteOptions
from ..weights.files import Check, go_on
from ..weights.store import ModelSource

if TYPE_CHECKING:
    from ..inference.matter import Matter

__all__ = ["Engine", "engines"]


class Engine:
    """A model on one device, loaded when the first image needs it."""

    def __init__(self, name: str, load: Callable[[], "Matter"]) -> None:
        self.name, self._load = name, load
        self._matter: Matter | None = None

    @property
    def matter(self) -> "Matter":
        """The loaded model; raises WeightsError, or UsageError for an absent device."""
        if self._matter is None:
            try:
                self._matter = self._load()
            except (MemoryError, OSError, RuntimeError) as error:  # a device's driver: so it would be each time
                raise UsageError(f"the model {self.name} cannot be loaded: {described(error)}", "device") from error
        return self._matter


def engines(
    source: ModelSource, options: MatteOptions, tell: Callable[[str], None], check: Check = go_on
) -> list[Engine]:
    """Return an engine for each device of ``options``.

    ``tell`` receives loading messages; ``check`` is called while weights are looked up, and may raise to end it.
    """
    one_at_a_time = threading.Lock()

    def loader(device: str) -> Callable[[], "Matter"]:
        def load() -> "Matter":
            with one_at_a_time:  # the second device finds the file that the first pulled
                return _load(source, device, options, tell, check)

        return load

    return [Engine(source.name, loader(device)) for device in options.devices]


def _load(
    source: ModelSource, device: str, options: MatteOptions, tell: Callable[[str], None], check: Check
) -> "Matter":
    from ..inference.matter import load_file, pick_device
    from ..weights.pulling import obtain

    where = pick_device(device)
    if device == "auto":
        tell(f"device: {where}")
    found = obtain(source, options.store, progress=not options.quiet, tell=tell, check=check)
    return load_file(found, where, options.computing, tell)
