"""Natural image matting by diffusion: photograph and trimap in, alpha out.

``load_model`` gives a ``Matter``; ``Matter.matte(image, trimap)`` gives alpha. The
names are imported on first use, so that importing the package stays instant.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .matting import Encoding, Matter, load_model

__all__ = ["Encoding", "Matter", "load_model"]

try:
    __version__ = version("diffmatte")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0.0.0"


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(".matting", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
