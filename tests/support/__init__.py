"""What tests lean on: fakes, local servers, a browser, checkpoints as others publish them."""

from pathlib import Path

__all__ = ["ROOT"]

ROOT = Path(__file__).parents[2]  # the project's folder
