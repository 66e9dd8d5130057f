"""Check the places of results for conflicts with inputs, each other, and existing files.

Standard library only.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import OutputError, Problem, UsageError
from ..storage.paths import Place, alike

__all__ = ["LONGEST_NAME", "Targets", "painted"]

LONGEST_NAME = 255  # in bytes, on every usual file system


class Targets:
    """Check results one after another for conflicts.

    Arguments: ``folder`` must contain all results, and is created if missing; with None, the folder of each
    result must exist; ``inputs``, some found in ``folders``, may not be replaced. After the last result, call
    ``nested``.
    """

    def __init__(
        self,
        folder: Place | None,
        inputs: Iterable[Place | None],
        folders: Iterable[Place] = (),
        *,
        overwrite: bool = True,
    ) -> None:
        self.folder, self.overwrite = folder, overwrite
        self.inputs = {place.identity: place for place in inputs if place is not None and not place.is_stream}
        self._input_folders = {place.identity for place in (*folders, *(file.parent for file in self.inputs.values()))}
        self._taken: dict[str, tuple[str, Place]] = {}  # owner and result, by what is alike in paths
        self._looked_at: set[str] = set()

    def holds_inputs(self, folder: Place) -> bool:
        """Tell whether a folder contains inputs, so that results in it would be taken for inputs."""
        return folder.identity in self._input_folders

    def add(
        self, result: Place, owner: str, inside: Place | None = None, *, looked_at: bool = False
    ) -> Iterator[Problem]:
        """Yield the problems of the ``result`` of the input ``owner``.

        ``inside`` replaces the common folder for this result; with ``looked_at`` what lies there is not checked.

        Raises OutputError for a lone result in a read-only folder.
        """
        if result.is_stream:
            return
        within = self.folder if inside is None else inside
        if within is not None and not result.is_inside(within):
            yield f"the result {result} of {owner} would be outside the folder {within}"
            return
        if (name := alike(result.target)) in self._taken:
            other, taken = self._taken[name]
            if taken.target == result.target:
                yield f"{other} and {owner} would both be written to {result}: rename one"
            else:
                both = f"{taken} and {result}, which are one file on disks that ignore case or Unicode form"
                yield f"{other} and {owner} would be written to {both}: rename one"
            return
        self._taken[name] = owner, result
        if result.identity in self.inputs:
            yield f"the result {result} would replace the input {self.inputs[result.identity]}: name another"
        elif not looked_at:
            yield from self._in_store(result, within) if result.is_remote else self._on_disk(result, within)

    def nested(self) -> Iterator[Problem]:
        """Yield a problem for every input or result inside the path of another result."""
        known = {alike(place.target): f"the input {place}" for place in self.inputs.values()}
        known |= {where: f"the result of {owner}" for where, (owner, _) in self._taken.items()}
        for where, name in known.items():
            while (parent := os.path.dirname(where)) != where:
                if parent in self._taken:
                    owner, result = self._taken[parent]
                    yield f"{owner} would be written to {result.target}, which is also the folder of {name}"
                where = parent

    def _in_store(self, result: Place, within: Place | None) -> Iterator[Problem]:
        """Yield the problems at a URL; whether it is writable shows only on writing."""
        # One listing per folder instead of one request per result.
        found = result.kind if within is None else result.parent.kinds.get(result.path.name)
        if found == "folder":
            yield f"the result {result} is an existing folder: name a file"
        elif found is not None and not self.overwrite:
            yield UsageError(f"the result {result} already exists, and overwriting is off", "overwrite")

    def _on_disk(self, result: Place, within: Place | None) -> Iterator[Problem]:
        if len(os.fsencode(result.path.name)) > LONGEST_NAME:
            yield f"the name of the result {result} is too long: rename the input"
        elif result.refusal is not None:
            yield f"cannot use the result {result}: {result.refusal}"
        elif result.kind == "folder":
            yield f"the result {result} is an existing folder: name a file"
        elif result.kind == "other":
            yield f"the result {result} already exists and is not a file: name another"
        elif result.kind is not None and not self.overwrite:
            yield UsageError(f"the result {result} already exists, and overwriting is off", "overwrite")
        else:
            parent = result.at(Path(result.target)).parent if result.is_link else result.parent
            yield from self._of_parent(parent, result, within)

    def _of_parent(self, parent: Place, result: Place, within: Place | None) -> Iterator[Problem]:
        """Say why no file can be created in a folder, once for all its results."""
        if parent.target in self._looked_at:
            return
        self._looked_at.add(parent.target)
        if within is None and parent.kind != "folder":
            yield f"the folder of the result {result} does not exist: create it first"
            return
        there = parent
        while there.kind is None:  # the run would create it
            there = there.parent
        if there.kind != "folder":
            yield f"the folder of the result {result} cannot be created: {there} is a file"
        elif not os.access(there.path, os.W_OK | os.X_OK):
            if within is None:
                raise OutputError(f"cannot write {result}: the folder is read-only")
            yield f"the folder of the result {result} is not writable: {there} is read-only"


def painted(trimap: Place, *settings: str) -> Iterator[Problem]:
    """Yield a problem for an existing trimap that holds somebody's work: it is not as this program has made it.

    ``settings`` are those that name another place, or allow to replace it.
    """
    if trimap.kind != "file":
        return
    from ..imaging.receipts import read_receipt

    receipt = read_receipt(trimap.path)
    if receipt is None or receipt.result != "trimap":
        text = f"{trimap} already exists, painted or changed by hand, and would be lost: name another place"
        yield UsageError(text, *settings)
