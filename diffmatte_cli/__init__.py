"""Natural image matting by diffusion: photograph and trimap in, alpha out.

``load_model`` gives a ``Matter``; ``Matter.matte(image, trimap)`` gives alpha. The
names are imported on first use, so that importing the package stays instant.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import __version__ as __version__

if TYPE_CHECKING:
    from .inference.matter import Encoding, Matter, load_model

__all__ = ["Encoding", "Matter", "load_model"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(".inference.matter", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
