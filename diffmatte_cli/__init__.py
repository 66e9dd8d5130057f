"""Natural image matting by diffusion: photograph and trimap in, alpha out.

``load_model`` gives a ``Matter``; ``Matter.matte(image, trimap)`` gives alpha. The
names are imported on first use, so that importing the package stays instant.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import __version__ as __version__

if TYPE_CHECKING:
    from .inference.loading import load_model
    from .inference.matter import Encoding, Matter

__all__ = ["Encoding", "Matter", "load_model"]

_MODULES = {"Encoding": "matter", "Matter": "matter", "load_model": "loading"}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f".inference.{_MODULES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
