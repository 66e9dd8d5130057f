"""Files that samples are composed from."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import TrainingError
from ...imaging.folders import images_in, told_unread
from ...imaging.formats import suffixes_of
from ...storage.paths import Place

__all__ = ["Assets", "Foreground", "Sets", "find_pictures", "left_out"]

# What OpenCV and the check before the first step both read.
SUFFIXES = suffixes_of(("JPEG", "MPO", "PNG", "WEBP", "TIFF"))


@dataclass(frozen=True)
class Assets:
    """Files to compose from: opaque photographs, and pictures with alpha (or grey level as density).

    Without photographs scenery is drawn in their place, without mattes every foreground is drawn, but for the
    ``rendered_share`` of those that show one of ``rendered``.
    """

    backgrounds: tuple[Path, ...]
    mattes: tuple[Path, ...]
    procedural_share: float = 0.6
    rendered: tuple[Path, ...] = ()
    rendered_share: float = 0.0


@dataclass(frozen=True)
class Foreground:
    """A foreground's file of colours and its file of alpha; without the latter, colours are RGBA."""

    colours: Path
    alpha: Path | None = None


@dataclass(frozen=True)
class Sets:
    """Files to compose from as the paper does: any foreground over any background."""

    foregrounds: tuple[Foreground, ...]
    backgrounds: tuple[Path, ...]


def find_pictures(folder: Path) -> tuple[Path, ...]:
    """List the pictures below a folder in a stable order, without hidden ones; an empty folder is an error."""
    found = tuple(sorted(place.path for place in _listed(folder)))
    if not found:
        raise TrainingError(f"{folder} holds no pictures: check the path in the configuration's [data] table")
    return found


def left_out(folder: Path) -> str | None:
    """Say how many files below a folder training cannot read, by their suffixes; None if there are none."""
    others: list[Place] = []
    list(_listed(folder, others))
    return f"in {folder} {told_unread(others)}" if others else None


def _listed(folder: Path, others: list[Place] | None = None) -> Iterator[Place]:
    place = Place(folder)
    return images_in(place, recursive=True, suffixes=SUFFIXES, others=others) if place.kind == "folder" else iter(())
