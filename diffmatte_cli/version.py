"""The version, for the package and, through ``pyproject.toml``, for its installation."""

__all__ = ["__version__"]

__version__ = "0.1.0"
