"""Where a model's weights are: ``weights.toml`` read into records, names resolved to files.

Standard library only, so that a wrong name is told before torch is imported.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .errors import UsageError, WeightsError

__all__ = ["ModelSource", "WeightsRecord", "records", "resolve_model"]

PACKAGE = Path(__file__).parent


@dataclass(frozen=True)
class WeightsRecord:
    """One table of ``weights.toml``: ``size`` in bytes, ``bundled`` a file name inside the package."""

    name: str
    variant: str
    bundled: str
    sha256: str
    size: int
    licence: str
    trained_on: str

    @property
    def path(self) -> Path:
        """Where the weights are on disk."""
        return PACKAGE / "bundled" / self.bundled


@dataclass(frozen=True)
class ModelSource:
    """A model as the user named it, and the safetensors file it stands for."""

    name: str
    path: Path


@cache
def records() -> dict[str, WeightsRecord]:
    """Read ``weights.toml``, from inside an installed package or from the top of a checkout."""
    places = PACKAGE / "weights.toml", PACKAGE.parent / "weights.toml"
    for place in places:
        if place.is_file():
            tables = tomllib.loads(place.read_text(encoding="utf-8"))
            return {name: WeightsRecord(name=name, **table) for name, table in tables.items()}
    raise WeightsError("weights.toml is missing from the installation: install diffmatte again")


def resolve_model(model: str | Path) -> ModelSource:
    """Find the file for a name of ``weights.toml`` or for a path to a safetensors file.

    Raises UsageError for a name that is not known or a file that is not there.
    """
    record = records().get(str(model))
    if record is not None:
        return ModelSource(record.name, record.path)
    path = Path(model)
    if path.is_file():
        return ModelSource(path.stem, path)
    known = ", ".join(records())
    if path.suffix or path.name != str(model):
        raise UsageError(f"there is no weights file {path}: check the path, or use one of the models {known}")
    raise UsageError(f"there is no model named {model!r}: use one of {known}, or the path of a weights file")
