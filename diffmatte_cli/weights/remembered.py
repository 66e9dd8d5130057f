"""What is remembered of a file on the Hub where its record alone does not say what is loaded. Standard library only."""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from ..storage.atomic import staged_file
from ..storage.pieces import open_file

__all__ = ["Pulled", "read_pulled", "write_pulled"]

NOTE, MOST_BYTES = "pulled.json", 2**12


@dataclass(frozen=True)
class Pulled:
    """The sha256 of a file as it came, and of the one to load, another one if it was converted."""

    download: str
    loaded: str


def read_pulled(folder: Path) -> Pulled | None:
    """Return what a folder remembers; None where that is nothing, or damaged, which a pull makes good."""
    try:
        with open_file(folder / NOTE) as file:
            found = Pulled(**json.loads(file.read(MOST_BYTES)))
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    is_whole = all(re.fullmatch(r"[0-9a-f]{64}", str(value)) for value in asdict(found).values())
    return found if is_whole else None


def write_pulled(folder: Path, pulled: Pulled) -> None:
    """Let a folder remember; raises OutputError where the disk refuses."""
    with staged_file(folder / NOTE) as staged:
        staged.write_text(json.dumps(asdict(pulled)) + "\n")
