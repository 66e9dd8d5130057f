"""Places of results, refused where they are in the way of inputs, of each other, or of what is on disk.

Standard library only.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import OutputError, Problem, UsageError
from ..storage.paths import Place

__all__ = ["LONGEST_NAME", "Targets"]

LONGEST_NAME = 255  # in bytes, on every usual file system


class Targets:
    """Take results one after another and tell each one's conflicts.

    Arguments: ``folder`` is the one that all results have to lie in, made where it is missing, or None
    where the folder of each has to be there; ``inputs``, some found in ``folders``, may not be replaced. After the
    last result, ask ``nested``.
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
        self._taken: dict[str, str] = {}
        self._looked_at: set[str] = set()

    def holds_inputs(self, folder: Place) -> bool:
        """Tell whether inputs lie in a folder, so that its results would be taken for such themselves."""
        return folder.identity in self._input_folders

    def add(self, result: Place, owner: str, inside: Place | None = None) -> Iterator[Problem]:
        """Yield a sentence for what is wrong with the ``result`` of the input ``owner``.

        ``inside`` is a folder for this result in place of the common one; what is there is then not looked at.

        Raises OutputError for a lone result in a folder that is read-only.
        """
        if result.is_stream:
            return
        within = self.folder if inside is None else inside
        if within is not None and not result.is_inside(within):
            yield f"the result {result} of {owner} would lie outside the folder {within}"
            return
        if result.target in self._taken:
            yield f"{self._taken[result.target]} and {owner} would both be written to {result}: rename one"
            return
        self._taken[result.target] = owner
        if result.identity in self.inputs:
            yield f"the result {result} would replace the input {self.inputs[result.identity]}: name another"
        elif inside is None:
            yield from self._in_store(result) if result.is_remote else self._on_disk(result)

    def nested(self) -> Iterator[Problem]:
        """Yield a sentence for every input or result that lies in the place of a result."""
        known = {place.target: f"the input {place}" for place in self.inputs.values()}
        known |= {where: f"the result of {owner}" for where, owner in self._taken.items()}
        for where, name in known.items():
            while (parent := os.path.dirname(where)) != where:
                if parent in self._taken:
                    yield f"{self._taken[parent]} would be written to {parent}, which is also the place of {name}"
                where = parent

    def _in_store(self, result: Place) -> Iterator[Problem]:
        """Tell what is in the way at a URL; whether the place can be written to shows only when it is."""
        # One listing for all results of a folder, and no request for each.
        found = result.kind if self.folder is None else result.parent.kinds.get(result.path.name)
        if found == "folder":
            yield f"the result {result} is an existing folder: name a file"
        elif found is not None and not self.overwrite:
            yield UsageError(f"the result {result} exists already, and is to be kept", "overwrite")

    def _on_disk(self, result: Place) -> Iterator[Problem]:
        if len(os.fsencode(result.path.name)) > LONGEST_NAME:
            yield f"the name of the result {result} is too long: give the input a shorter one"
        elif result.refusal is not None:
            yield f"the result {result} cannot be: {result.refusal}"
        elif result.kind == "folder":
            yield f"the result {result} is an existing folder: name a file"
        elif result.kind == "other":
            yield f"the result {result} is there already and is no file: name another"
        elif result.kind is not None and not self.overwrite:
            yield UsageError(f"the result {result} exists already, and is to be kept", "overwrite")
        else:
            parent = result.at(Path(result.target)).parent if result.is_link else result.parent
            yield from self._of_parent(parent, result)

    def _of_parent(self, parent: Place, result: Place) -> Iterator[Problem]:
        """Tell once for all results of a folder why no file can be made in it."""
        if parent.target in self._looked_at:
            return
        self._looked_at.add(parent.target)
        if self.folder is None and parent.kind != "folder":
            yield f"the folder of the result {result} does not exist: make it first"
            return
        there = parent
        while there.kind is None:  # the run would make it
            there = there.parent
        if there.kind != "folder":
            yield f"the folder of the result {result} cannot be made: {there} is a file"
        elif not os.access(there.path, os.W_OK | os.X_OK):
            if self.folder is None:
                raise OutputError(f"cannot write {result}: the folder is read-only")
            yield f"the folder of the result {result} cannot be written to: {there} is read-only"
