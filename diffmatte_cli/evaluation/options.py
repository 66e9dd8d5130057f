"""The options of scoring. Standard library only."""

from dataclasses import dataclass

from ..errors import UsageError
from ..extras import require
from ..settings import check_choice

__all__ = ["DEFINITIONS", "HEADINGS", "REGIONS", "ScoreOptions"]

# Of metrics, by name, in the order of tables.
HEADINGS = {"sad": "SAD /1000", "mse": "MSE x1000", "grad": "Grad /1000", "conn": "Conn /1000"}
REGIONS = ("unknown", "image")
DEFINITIONS = ("matlab", "python")


@dataclass(frozen=True)
class ScoreOptions:
    """Hold how mattes are scored: which metrics, over which region, by which definition of Grad and Conn.

    ``metrics`` are keys of ``HEADINGS``; what is wrong or needs a missing extra raises UsageError.
    """

    metrics: tuple[str, ...] = tuple(HEADINGS)
    region: str = REGIONS[0]
    definition: str = DEFINITIONS[0]

    def __post_init__(self) -> None:
        """Check everything."""
        for metric in self.metrics:
            check_choice("metrics", metric, tuple(HEADINGS))
        if not self.metrics or len(set(self.metrics)) < len(self.metrics):
            raise UsageError(f"the metrics must be some of {','.join(HEADINGS)}, each once", "metrics")
        check_choice("region", self.region, REGIONS)
        check_choice("definition", self.definition, DEFINITIONS)
        if {"grad", "conn"} & set(self.metrics):
            require("eval", "scoring by grad and conn", "metrics", otherwise="score by sad,mse alone")
