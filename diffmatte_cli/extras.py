"""Optional packages: which extra of the project has them, and what to say where one is missing.

Standard library only; the packages are not imported.
"""

from importlib.util import find_spec

from .errors import UsageError

__all__ = ["EXTRAS", "install", "is_installed", "require"]

# The packages of each extra, as they are imported.
EXTRAS = {
    "eval": ("scipy", "matplotlib"),
    "ml": ("pymatting",),
    "ray": ("ray",),
    "tensorboard": ("tensorboard",),
    "train": ("cv2", "accelerate"),
    "vfx": ("OpenImageIO",),
}


def install(extra: str) -> str:
    """Return the command that installs an extra."""
    return f"pip install 'diffmatte[{extra}]'"


def is_installed(extra: str) -> bool:
    """Tell whether an extra is installed."""
    return all(find_spec(package) is not None for package in EXTRAS[extra])


def require(extra: str, what: str, *settings: str, otherwise: str = "") -> None:
    """Raise UsageError about ``settings`` where ``what``, which they ask for, needs an extra that is not installed.

    ``otherwise`` says what to do without it.
    """
    if not is_installed(extra):
        raise UsageError(f"{what} needs an extra: {install(extra)}{otherwise and f', or {otherwise}'}", *settings)
