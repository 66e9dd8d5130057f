"""Pair predictions with ground truths and trimaps by name. Standard library only."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError, listed
from ..imaging.folders import images_in, one_by_stem, respelled, told_unread
from ..planning.sequences import remarked, unmarked
from ..storage.paths import Place, alike

__all__ = ["Pair", "pair"]


@dataclass(frozen=True)
class Pair:
    """Hold one image to evaluate: prediction, ground truth and, if there is one, trimap by a common name."""

    name: str
    pred: Path
    gt: Path
    trimap: Path | None = None

    @property
    def files(self) -> list[Path]:
        """The prediction, the ground truth and, if there is one, the trimap."""
        return [path for path in (self.pred, self.gt, self.trimap) if path is not None]


def pair(pred: Path, gt: Path, trimap: Path | None = None, warn: Callable[[str], None] = lambda _: None) -> list[Pair]:
    """Pair predictions, ground truths and, where they are given, trimaps: files, or folders matched by name.

    In folders, ``cat_alpha.png`` and ``cat_trimap.png`` go with ``cat.png``. Trimaps without partners are ignored, and
    so are files of no readable kind, of which ``warn`` is told.

    Raises:
        UsageError: a path or partner is missing, two files share a name, files are mixed with folders, or one is empty.
    """
    paths = {"prediction": pred, "ground truth": gt} | ({"trimap": trimap} if trimap is not None else {})
    places = {role: Place(path).found for role, path in paths.items()}
    for role, place in places.items():
        if place.kind in (None, "stream", "broken symlink"):
            raise UsageError(f"the {role} {place} does not exist")
    folders = [place.kind == "folder" for place in places.values()]
    if not any(folders):
        return [Pair(_key(pred), *(place.path for place in places.values()))]
    if not all(folders):
        count = {2: "two", 3: "three"}[len(paths)]
        raise UsageError(f"give {count} files or {count} folders: {', '.join(paths)}")
    return _match({role: _images(place, warn) for role, place in places.items()}, pred)


def _match(images: dict[str, dict[str, Path]], folder: Path) -> list[Pair]:
    """Match the images of each role by name; trimaps without a prediction or a ground truth are left out."""
    images = {role: respelled(found, images["prediction"]) for role, found in images.items()}
    names = sorted(images["prediction"].keys() | images["ground truth"].keys())
    if not names:
        raise UsageError(f"the folder {folder} holds no images")
    missing = [f"{name} ({role})" for name in names for role, found in images.items() if name not in found]
    if missing:
        raise UsageError(f"no partner for: {listed(missing)}")
    return [Pair(name, *(found[name] for found in images.values())) for name in names]


def _key(path: Path) -> str:
    return unmarked(path.stem, ("alpha", "trimap"))[0]


def _images(folder: Place, warn: Callable[[str], None]) -> dict[str, Path]:
    """Return a folder's images by their common names, without what accompanies an alpha."""
    others: list[Place] = []
    paths = [place.path for place in images_in(folder, others=others)]
    stems = {alike(path.stem) for path in paths}
    if others:
        warn(f"in {folder} {told_unread(others)}")

    def accompanies(path: Path) -> bool:
        mark = unmarked(path.stem, ("cutout", "uncertainty"))[1]
        return mark == "uncertainty" or (mark == "cutout" and alike(remarked(path.stem, "alpha", ("cutout",))) in stems)

    return one_by_stem((path for path in paths if not accompanies(path)), _key)
