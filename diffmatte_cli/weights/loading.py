"""Load the network of a model as its record says."""

from pathlib import Path

from ..errors import WeightsError
from ..model.checkpoint import Metadata, read_model
from ..model.diffmatte import DiffMatte
from .records import WeightsRecord

__all__ = ["load_network"]


def load_network(path: Path, sha256: str | None, record: WeightsRecord | None) -> tuple[DiffMatte, Metadata]:
    """Read the weights file of a model, as ``read_model`` does, with its record's preprocessing, if any.

    Raises WeightsError if the variant differs from the record's, or the bytes from those that ``sha256`` is of.
    """
    network, metadata = read_model(path, sha256, None if record is None else record.preprocessing)
    found = network.config.variant
    if record is not None and record.variant != found:
        raise WeightsError(
            f"{path} holds {found}, but {record.name} is {record.variant} by its table: correct the weights file"
        )
    return network, metadata
