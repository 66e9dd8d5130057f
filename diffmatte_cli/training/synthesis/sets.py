"""Sets of foregrounds and backgrounds, as Adobe Image Matting and Distinctions-646 come with."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from ...errors import TrainingError, listed
from ...imaging.folders import by_stem, respelled
from .files import Foreground, Sets, find_pictures
from .layers import Bytes
from .pictures import read_pixels

__all__ = ["read_foreground", "read_sets"]


def read_sets(foregrounds: Path, alphas: Path | None, backgrounds: Path) -> Sets:
    """List the pictures of two or three folders, each foreground with the alpha of its stem, ordered by path.

    Folders are searched as a whole. Without ``alphas``, foregrounds are RGBA.

    Raises:
        TrainingError: a folder without pictures, a foreground or an alpha without partner, a stem that is there twice.
    """
    colours = find_pictures(foregrounds)
    behind = find_pictures(backgrounds)
    if alphas is None:
        return Sets(tuple(Foreground(path) for path in colours), behind)
    fronts = _by_stem(foregrounds, colours)
    covers = respelled(_by_stem(alphas, find_pictures(alphas)), fronts)
    for here, ours, there, theirs in ((foregrounds, fronts, alphas, covers), (alphas, covers, foregrounds, fronts)):
        if lonely := [stem for stem in ours if stem not in theirs]:
            raise TrainingError(
                f"{here} has {len(lonely)} of {len(ours)} pictures without one of the same name in {there}: "
                f"{listed(lonely)}; add what is missing, or remove these"
            )
    return Sets(tuple(Foreground(path, covers[stem]) for stem, path in fronts.items()), behind)


def read_foreground(foreground: Foreground) -> tuple[Bytes, Bytes]:
    """Read straight colours, RGB uint8 [H, W, 3], and alpha, uint8 [H, W]; 16 bits are cut to 8.

    Raises:
        TrainingError: a file cannot be read, has no alpha channel where it needs one, or another size than its alpha.
    """
    if foreground.alpha is None:
        pixels = read_pixels(foreground.colours, cv2.IMREAD_UNCHANGED)
        if pixels.ndim == 2 or pixels.shape[2] != 4:
            raise TrainingError(f"{foreground.colours} has no alpha channel: name the folder of alphas, or remove it")
        return _rgb(pixels), np.ascontiguousarray(pixels[..., 3])
    pixels = read_pixels(foreground.colours, cv2.IMREAD_COLOR)
    alpha = read_pixels(foreground.alpha, cv2.IMREAD_GRAYSCALE)
    if pixels.shape[:2] != alpha.shape:
        sizes = [f"{shape[1]} x {shape[0]}" for shape in (pixels.shape, alpha.shape)]
        raise TrainingError(
            f"{foreground.colours} has {sizes[0]} pixels and its alpha {foreground.alpha} {sizes[1]}: scale them alike"
        )
    return _rgb(pixels), alpha


def _rgb(pixels: Bytes) -> Bytes:
    code = cv2.COLOR_BGRA2RGB if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(pixels, code), np.uint8)


def _by_stem(folder: Path, paths: Iterable[Path]) -> dict[str, Path]:
    found = by_stem(paths)
    twice = [" and ".join(str(path.relative_to(folder)) for path in same) for same in found.values() if len(same) > 1]
    if twice:
        raise TrainingError(f"{folder} has several pictures of one name: {listed(twice)}; leave one of each")
    return {stem: same[0] for stem, same in found.items()}
