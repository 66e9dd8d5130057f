"""Places of results, refused where they are in the way of inputs, of each other, or of what is on disk.

Standard library only.
"""

import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from ..errors import OutputError
from ..storage.paths import STREAM, identity, is_inside, kind, location, place
from ..storage.remotes import is_remote, listing

__all__ = ["LONGEST_NAME", "Targets"]

LONGEST_NAME = 255  # in bytes, on every usual file system


class Targets:
    """Take results' paths one after another and tell each one's conflicts.

    Arguments: ``folder`` is the one that all results have to lie in, made where it is missing, or None
    where the folder of each has to be there; ``inputs`` may not be replaced. After the last, ask ``nested``.
    """

    def __init__(self, folder: Path | None, inputs: Iterable[Path | None], *, overwrite: bool = True) -> None:
        self.folder, self.overwrite = folder, overwrite
        self.inputs = {identity(path): path for path in inputs if path not in (None, STREAM)}
        self.places = {identity(path.parent): path for path in self.inputs.values() if path is not None}
        self._taken: dict[str, str] = {}
        self._looked_at: set[Path] = set()
        self._stored = cache(_contents)

    def add(self, path: Path, owner: str, inside: Path | None = None) -> Iterator[str]:
        """Yield a sentence for what is wrong with the result ``path`` of the input ``owner``.

        ``inside`` is a folder for this result in place of the common one; what is there is then not looked at.

        Raises OutputError for a lone result in a folder that is read-only.
        """
        if path == STREAM:
            return
        within = self.folder if inside is None else inside
        if within is not None and not is_inside(path, within):
            yield f"the result {path} of {owner} would lie outside the folder {within}"
            return
        where, key = place(path), identity(path)
        if where in self._taken:
            yield f"{self._taken[where]} and {owner} would both be written to {path}: rename one"
            return
        self._taken[where] = owner
        if key in self.inputs:
            yield f"the result {path} would replace the input {self.inputs[key]}: name another"
        elif inside is None:
            yield from self._in_store(path) if is_remote(path) else self._on_disk(path)

    def nested(self) -> Iterator[str]:
        """Yield a sentence for every input or result that lies in the place of a result."""
        known = {place(path): f"the input {path}" for path in self.inputs.values() if path is not None}
        known |= {where: f"the result of {owner}" for where, owner in self._taken.items()}
        for where, name in known.items():
            for parent in map(str, location(where).parents):
                if parent in self._taken:
                    yield f"{self._taken[parent]} would be written to {parent}, which is also the place of {name}"

    def _in_store(self, path: Path) -> Iterator[str]:
        """Tell what is in the way at a URL; whether the place can be written to shows only when it is."""
        # One listing for all results of a folder, and no request for each.
        found = kind(path) if self.folder is None else self._stored(path.parent).get(path.name)
        if found == "folder":
            yield f"the result {path} is an existing folder: name a file"
        elif found is not None and not self.overwrite:
            yield f"the result {path} exists already, and --no-overwrite keeps it"

    def _on_disk(self, path: Path) -> Iterator[str]:
        if len(os.fsencode(path.name)) > LONGEST_NAME:
            yield f"the name of the result {path} is too long: give the input a shorter one"
            return
        try:
            exists = bool(os.lstat(path))
        except (FileNotFoundError, NotADirectoryError):
            exists = False
        except OSError as error:
            yield f"the result {path} cannot be: {error.strerror}"
            return
        if os.path.isdir(path):
            yield f"the result {path} is an existing folder: name a file"
        elif os.path.exists(path) and not os.path.isfile(path):
            yield f"the result {path} is there already and is no file: name another"
        elif exists and not self.overwrite:
            yield f"the result {path} exists already, and --no-overwrite keeps it"
        elif text := self._of_parent(Path(os.path.realpath(path)).parent, path):
            yield text

    def _of_parent(self, parent: Path, path: Path) -> str | None:
        """Say once for all results of a folder what is wrong with it."""
        if parent in self._looked_at:
            return None
        self._looked_at.add(parent)
        return self._unfit(parent, path)

    def _unfit(self, parent: Path, path: Path) -> str | None:
        """Say why no file can be made in a folder that is there, or that the run would make."""
        if self.folder is None and not os.path.isdir(parent):
            return f"the folder of the result {path} does not exist: make it first"
        there = next(folder for folder in (parent, *parent.parents) if os.path.lexists(folder))
        if not os.path.isdir(there):
            return f"the folder of the result {path} cannot be made: {there} is a file"
        if not os.access(there, os.W_OK | os.X_OK):
            if self.folder is None:
                raise OutputError(f"cannot write {path}: the folder is read-only")
            return f"the folder of the result {path} cannot be written to: {there} is read-only"
        return None


def _contents(folder: Path) -> dict[str, str]:
    return {name: "folder" if has_more else "file" for name, has_more in listing(folder)}
