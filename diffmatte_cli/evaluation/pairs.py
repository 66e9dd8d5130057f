"""Pair predictions with their truth and trimaps by name, for scoring. Standard library only."""

from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError, listed
from ..imaging.folders import one_by_stem, pictures_in
from ..planning.sequences import remarked, unmarked
from ..storage.paths import Place

__all__ = ["Pair", "pair"]


@dataclass(frozen=True)
class Pair:
    """Hold one picture to evaluate: prediction, ground truth and, if there is one, trimap under a common name."""

    name: str
    pred: Path
    gt: Path
    trimap: Path | None = None

    @property
    def files(self) -> list[Path]:
        """The prediction, the ground truth and, where there is one, the trimap."""
        return [path for path in (self.pred, self.gt, self.trimap) if path is not None]


def pair(pred: Path, gt: Path, trimap: Path | None = None) -> list[Pair]:
    """Pair predictions, ground truths and, where they are given, trimaps: files, or folders matched by name.

    In folders, ``cat_alpha.png`` and ``cat_trimap.png`` go with ``cat.png``. Spare trimaps do no harm.

    Raises:
        UsageError: a missing path or partner, two files for one name, files among folders, an empty folder.
    """
    paths = {"prediction": pred, "ground truth": gt} | ({"trimap": trimap} if trimap is not None else {})
    places = {role: Place(path) for role, path in paths.items()}
    for role, place in places.items():
        if place.kind in (None, "stream", "broken symlink"):
            raise UsageError(f"the {role} {place} does not exist")
    folders = [place.kind == "folder" for place in places.values()]
    if not any(folders):
        return [Pair(_key(pred), pred, gt, trimap)]
    if not all(folders):
        count = {2: "two", 3: "three"}[len(paths)]
        raise UsageError(f"give {count} files or {count} folders: {', '.join(paths)}")
    return _match({role: _pictures(place) for role, place in places.items()}, pred)


def _match(pictures: dict[str, dict[str, Path]], folder: Path) -> list[Pair]:
    """Match what each role's folder holds by name; trimaps without a prediction or a truth are left out."""
    names = sorted(pictures["prediction"].keys() | pictures["ground truth"].keys())
    if not names:
        raise UsageError(f"the folder {folder} holds no pictures")
    missing = [f"{name} ({role})" for name in names for role, found in pictures.items() if name not in found]
    if missing:
        raise UsageError(f"no partner for: {listed(missing)}")
    return [Pair(name, *(found[name] for found in pictures.values())) for name in names]


def _key(path: Path) -> str:
    return unmarked(path.stem, ("alpha", "trimap"))[0]


def _pictures(folder: Place) -> dict[str, Path]:
    """Return a folder's pictures by their common names, without what lies beside an alpha."""
    paths = [place.path for place in pictures_in(folder)]
    stems = {path.stem for path in paths}

    def is_beside(path: Path) -> bool:
        mark = unmarked(path.stem, ("cutout", "uncertainty"))[1]
        return mark == "uncertainty" or (mark == "cutout" and remarked(path.stem, "alpha", ("cutout",)) in stems)

    return one_by_stem((path for path in paths if not is_beside(path)), _key)
