"""Find models by their names, and their weights on disk.

Nothing heavy is imported, so that a wrong name is told and a listing printed at once. Nothing here uses the network:
``diffmatte_cli.weights.hub`` does.
"""

import os
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import ModuleType

from ..errors import UsageError, WeightsError
from ..model.config import VARIANTS, ModelConfig
from ..model.recognising import config_of
from .files import Check, file_sha256, go_on
from .records import PACKAGE, WeightsRecord, read_records
from .remembered import read_pulled

__all__ = ["Copy", "Identity", "ModelSource", "WeightsStore", "check_copy", "client_settings", "file_or_variant"]
__all__ += ["hashed", "resolve_model"]

FILE_VARIABLE = "DIFFMATTE_WEIGHTS_FILE"
_IMPORTED = re.compile(r"[0-9a-f]{64}\.safetensors")


@dataclass(frozen=True)
class Copy:
    """Hold a weights file on disk: ``kind`` is imported, bundled or cached, ``sha256`` the expected one.

    ``download`` is the sha256 of the file that it was converted from when it was pulled.
    """

    kind: str
    path: Path
    sha256: str
    download: str | None = None


@dataclass(frozen=True)
class Identity:
    """Say which weights made a result: the sha256 of the file, and of the ``download`` that it was converted from.

    ``preprocessing`` is what a record chooses, of ``PREPROCESSING``.
    """

    sha256: str
    download: str | None = None
    preprocessing: str | None = None


@dataclass(frozen=True)
class ModelSource:
    """Hold a model as the user named it: where its file is, or will be once it is pulled.

    Without a ``record`` it is a file of the user's own, of which nothing is known beforehand; with one and no ``copy``
    it has to be pulled. ``sha256`` is what is loaded: with another one, loading fails; it is None where that is known
    only once the file is there.
    """

    name: str
    path: Path
    record: WeightsRecord | None = None
    copy: Copy | None = None
    sha256: str | None = None

    @property
    def config(self) -> ModelConfig | None:
        """Its row of ``VARIANTS``, by its table or by its file; None where a file does not say."""
        return config_of(self.path if self.record is None else self.record.variant)

    @property
    def iterates(self) -> bool:
        """Whether it takes steps, as far as is known before it is loaded."""
        return self.config is None or self.config.iterates

    @property
    def identity(self) -> Identity:
        """Which weights these are, once their sha256 is known."""
        download = self.copy.download if self.copy is not None else None
        preprocessing = self.record.preprocessing if self.record is not None else None
        return Identity(str(self.sha256), download, preprocessing)


@dataclass(frozen=True)
class WeightsStore:
    """Say where to look for weights: in an organisation's own tables, in which cache, on the network or not.

    ``weights_file`` defaults to ``DIFFMATTE_WEIGHTS_FILE``, ``cache_dir`` to the Hub client's own folders;
    ``HF_HUB_OFFLINE`` switches the network off, too.
    """

    weights_file: Path | None = None
    cache_dir: Path | None = None
    offline: bool = False

    def records(self) -> dict[str, WeightsRecord]:
        """Return all known models by name; an organisation's tables replace built-in ones of the same names.

        Raises UsageError for a weights file that is missing or wrong.
        """
        if self.weights_file is not None:
            return _built_in() | read_records(self.weights_file)
        named = os.environ.get(FILE_VARIABLE)
        return _built_in() | (read_records(Path(named), f" (named by {FILE_VARIABLE})") if named else {})

    def record(self, name: str) -> WeightsRecord:
        """Return a model's record; raises UsageError for an unknown name."""
        known = self.records()
        if name not in known:
            raise UsageError(f"there is no model named {name!r}: use one of {', '.join(known)}, or add a weights file")
        return known[name]

    @property
    def hub_cache(self) -> Path:
        """The cache folder of the Hub's client."""
        return _absolute(self.cache_dir or client_settings().HF_HUB_CACHE)

    @property
    def imports(self) -> Path:
        """The folder of imported weights: a folder for each model, with one file, named by its sha256."""
        return _absolute(self.cache_dir or client_settings().HF_HOME) / "diffmatte"

    @property
    def is_offline(self) -> bool:
        """Whether the network must not be used."""
        return self.offline or client_settings().is_offline_mode()

    def cached_path(self, record: WeightsRecord) -> Path:
        """Return the path of a pinned file in the Hub's cache, whether it exists or not."""
        # The client's own function takes long to import; a test compares the two.
        repo = f"models--{str(record.repo).replace('/', '--')}"
        return self.hub_cache / repo / "snapshots" / str(record.revision) / str(record.filename)

    def pulled_folder(self, record: WeightsRecord) -> Path:
        """Return the folder of what is remembered of a file on the Hub, and of what it was converted to."""
        # No model's name begins with a dot.
        return self.imports / ".pulled" / self.cached_path(record).relative_to(self.hub_cache)

    def copies(self, record: WeightsRecord) -> tuple[Copy, ...]:
        """Return a model's files on disk; the first is the one in use."""
        copies = self._imported(record.name)
        if record.bundled is not None:
            copies.append(Copy("bundled", PACKAGE / "bundled" / record.bundled, str(record.sha256)))
        if record.repo is not None and (copy := self.pulled(record)) is not None:
            copies.append(copy)
        return tuple(copies)

    def pulled(self, record: WeightsRecord) -> Copy | None:
        """Return the pulled file of a model on the Hub, as far as it is known what it must be."""
        try:
            path, sha256, download = self.cached_path(record), record.sha256, None
            if record.is_pickled or sha256 is None:
                known = read_pulled(folder := self.pulled_folder(record))
                if known is None or sha256 not in (None, known.download):
                    return None
                sha256 = known.loaded
                if record.is_pickled:
                    path, download = folder / f"{sha256}.safetensors", known.download
        except UsageError:
            if self.cache_dir is not None:
                raise
            return None  # nobody without a home has pulled anything
        return Copy("cached", path, sha256, download) if os.path.isfile(path) else None

    def _imported(self, name: str) -> list[Copy]:
        try:
            return [Copy("imported", path, path.stem) for path in _newest_first(self.imports / name)]
        except UsageError:
            if self.cache_dir is not None:
                raise
            return []  # nor imported

    def where(self, record: WeightsRecord) -> str:
        """Say where a model is: imported, bundled, cached, on the Hub, or import needed."""
        if copies := self.copies(record):
            return copies[0].kind
        return "on the Hub" if record.repo is not None else "import needed"


def resolve_model(model: str | Path, store: WeightsStore | None = None) -> ModelSource:
    """Find a model by its name in a weights file's tables, or by the path of its safetensors file.

    Uses neither the network nor the content of a file.

    Raises UsageError for an unknown name, a missing file, a model that only its authors have, and, offline, for one
    that is not on disk.
    """
    store = store or WeightsStore()
    known, path = store.records(), Path(model)
    if (record := known.get(str(model))) is not None:
        return _source(record, store)
    if os.path.isfile(path):
        return ModelSource(path.stem, path)
    if os.path.exists(path):
        raise UsageError(f"{path} is not a file: name a weights file, or one of the models {', '.join(known)}")
    names = ", ".join(known)
    if path.suffix or path.name != str(model):
        raise UsageError(f"there is no weights file {path}: check the path, or use one of the models {names}")
    raise UsageError(f"there is no model named {model!r}: use one of {names}, or the path of a weights file")


def file_or_variant(model: str, store: WeightsStore | None = None) -> Path | str:
    """Return a model's file if it is on disk, else its variant, which is enough to measure with random weights.

    Raises UsageError for an unknown name and a missing file, WeightsError for a damaged one.
    """
    store = store or WeightsStore()
    record = store.records().get(model)
    if record is None:
        return model if model in VARIANTS else resolve_model(model, store).path
    if not (copies := store.copies(record)):
        return record.variant
    check_copy(model, copies[0])
    return copies[0].path


def _source(record: WeightsRecord, store: WeightsStore) -> ModelSource:
    if copies := store.copies(record):
        return ModelSource(record.name, copies[0].path, record, copies[0], copies[0].sha256)
    if record.repo is None:
        raise UsageError(
            f"{record.name} cannot be pulled, since only its authors' file exists so far: get it from {record.upstream}"
            f" and run `diffmatte weights import {record.name} FILE`"
        )
    if store.is_offline:
        raise UsageError(
            f"{record.name} is not in the cache {store.hub_cache} and the network is switched off: run"
            f" `diffmatte weights pull {record.name}` online first, or copy a cache that has it"
        )
    sha256 = None if record.is_pickled else record.sha256
    return ModelSource(record.name, store.cached_path(record), record, sha256=sha256)


def _newest_first(folder: Path) -> list[Path]:
    """Return a folder's imports, named by their sha256; none where the folder is missing or cannot be read."""
    try:
        paths = [path for path in folder.iterdir() if _IMPORTED.fullmatch(path.name) and os.path.isfile(path)]
        return sorted(paths, key=os.path.getmtime, reverse=True)
    except OSError:
        return []


def check_copy(name: str, copy: Copy, check: Check = go_on) -> None:
    """Raise WeightsError unless a file on disk has the expected sha256; ``check`` as for ``file_sha256``."""
    found = file_sha256(copy.path, check)
    if found != copy.sha256:
        cure = {
            "imported": f"import it again with `diffmatte weights import {name} FILE`",
            "bundled": "install diffmatte again",
            "cached": f"run `diffmatte weights pull {name}`",
        }[copy.kind]
        raise WeightsError(f"{copy.path} is damaged, sha256 {found} instead of {copy.sha256}: {cure}")


def hashed(source: ModelSource) -> ModelSource:
    """Return a model with the sha256 that its file has or must have; raises WeightsError if it cannot be read."""
    return source if source.sha256 is not None else replace(source, sha256=file_sha256(source.path))


def client_settings() -> ModuleType:
    """Return the settings that the Hub's client reads from environment variables when it is first imported.

    Raises UsageError for a variable that it cannot parse.
    """
    try:
        from huggingface_hub import constants
    except ValueError as error:
        raise UsageError(f"HF_HUB_ETAG_TIMEOUT and HF_HUB_DOWNLOAD_TIMEOUT must be whole numbers: {error}") from error
    return constants


def _absolute(path: str | Path) -> Path:
    try:
        return Path(path).expanduser().resolve()
    except RuntimeError as error:  # an unknown user, no home, or symlinks in a circle
        raise UsageError(f"the folder {path} cannot be found ({error}): name another one", "cache_dir") from error


@cache
def _built_in() -> dict[str, WeightsRecord]:
    """Read the package's own tables, in an installed package or at the top of a checkout."""
    for place in (PACKAGE / "weights.toml", PACKAGE.parent / "weights.toml"):
        if place.is_file():
            return read_records(place)
    raise WeightsError("weights.toml is missing from the installation: install diffmatte again")
