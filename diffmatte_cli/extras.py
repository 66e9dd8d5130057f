"""Optional packages: which extra provides them, and the error when one is missing.

Standard library only; the packages are not imported.
"""

from importlib.util import find_spec

from .errors import UsageError

__all__ = ["EXTRAS", "install", "is_installed", "require"]

# The import names of each extra's packages.
EXTRAS = {
    "auto": ("rembg", "onnxruntime"),
    "eval": ("scipy", "matplotlib"),
    "ml": ("pymatting",),
    "ray": ("ray",),
    "tensorboard": ("tensorboard",),
    "train": ("cv2", "accelerate"),
    "vfx": ("OpenImageIO",),
    "web": ("starlette", "uvicorn"),
}


def install(extra: str) -> str:
    """Return the command that installs an extra."""
    return f"pip install 'diffmatte[{extra}]'"


def is_installed(extra: str) -> bool:
    """Tell whether an extra is installed."""
    return all(find_spec(package) is not None for package in EXTRAS[extra])


def require(extra: str, what: str, *settings: str, otherwise: str = "") -> None:
    """Raise UsageError about ``settings`` if ``what``, which they request, needs an extra that is not installed.

    ``otherwise`` is the alternative.
    """
    if not is_installed(extra):
        raise UsageError(f"{what} needs an extra: {install(extra)}{otherwise and f', or {otherwise}'}", *settings)
