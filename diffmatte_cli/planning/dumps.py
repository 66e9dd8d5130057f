"""Step folders: their place in a plan, and what in them may be replaced. Standard library only."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ..errors import Problem, UsageError
from ..imaging.formats import names_picture
from ..storage.paths import Place
from .targets import LONGEST_NAME, Targets

__all__ = ["TRAJECTORY", "foreign_in", "is_dumped", "step_name", "top_problem", "with_dump"]

TRAJECTORY = "trajectory.png"
_DUMPED = re.compile(r"step_\d+\.png|" + re.escape(TRAJECTORY))


def step_name(number: int, steps: int) -> str:
    """Return the file name of step ``number`` of ``steps``."""
    return f"step_{number:0{max(2, len(str(steps)))}}.png"


def is_dumped(name: str) -> bool:
    """Tell whether a file is named like an image of a step, or like the sheet of all."""
    return _DUMPED.fullmatch(name) is not None


def foreign_in(folder: Path) -> str | None:
    """Return the name of an entry that is not a step's image; None if there is none."""
    strange = (p.name for p in folder.iterdir() if not (is_dumped(p.name) and p.is_file()))
    return min(strange, default=None)


def top_problem(top: Place) -> str | None:
    """Say why a folder cannot hold the jobs' step folders."""
    if top.is_remote:
        return f"the folder of steps {top} must be on this machine"
    if len(os.fsencode(top.path.name)) > LONGEST_NAME:
        return "the name of the folder of steps is too long"
    if top.parent.kind != "folder":
        return f"the parent of the folder of steps {top} does not exist: create it first"
    if top.kind not in (None, "folder"):
        return f"the folder of steps {top} is a file: name a folder"
    if top.kind is None and names_picture(top.path):
        return f"the folder of steps {top} is named like a single image: name a folder"
    if not os.access((top if top.kind else top.parent).path, os.W_OK | os.X_OK):
        return f"the folder of steps {top} cannot be written to: it, or its parent, is read-only"
    return None


def with_dump(folder: Place, top: Place, owner: str, targets: Targets) -> Iterator[Problem]:
    """Yield the problems of one job's step folder in ``top``."""
    if folder.path.name in ("", "..") or folder.identity == top.identity:
        yield UsageError(
            f"a folder of steps is named after its photograph, and {owner} has no usable name", "dump_steps"
        )
        return
    yield from targets.add(folder, owner, inside=top, looked_at=True)
    if folder.kind is None:
        return
    if not targets.overwrite:
        yield UsageError(f"the folder of steps {folder} already exists, and overwriting is off", "overwrite")
    elif folder.kind != "folder":
        yield f"the folder of steps {folder} already exists as a file"
    elif foreign := foreign_in(folder.path):
        yield UsageError(
            f"the steps would replace the folder {folder}, which contains other files ({foreign})", "dump_steps"
        )
