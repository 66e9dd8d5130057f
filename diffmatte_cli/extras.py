"""Optional packages: which extra of the project brings them, and what to say where one is missing.

Standard library only; nothing is imported to find out.
"""

from importlib.util import find_spec

from .errors import UsageError

__all__ = ["EXTRAS", "install", "is_installed", "require"]

# The extra's name and the package that it is imported as, or the first of several.
EXTRAS = {"eval": "scipy", "vfx": "OpenImageIO", "ml": "pymatting", "ray": "ray"}


def install(extra: str) -> str:
    """Return the command that installs an extra."""
    return f"pip install 'diffmatte[{extra}]'"


def is_installed(extra: str, package: str | None = None) -> bool:
    """Tell whether an extra is there, by its first ``package`` or another one."""
    return find_spec(package or EXTRAS[extra]) is not None


def require(extra: str, what: str, package: str | None = None, otherwise: str = "") -> None:
    """Raise UsageError where ``what``, as the user named it, needs an extra that is missing.

    ``otherwise`` says what can be done without it.
    """
    if not is_installed(extra, package):
        raise UsageError(f"{what} needs an extra: {install(extra)}{otherwise and f', or {otherwise}'}")
