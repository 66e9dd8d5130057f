"""Find pictures that training could not use, before its first step: damaged, of unequal sizes, or of no alpha."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..errors import ImageError, TrainingError, joined, listed
from ..imaging.exif import stored_orientation
from ..imaging.folders import find_alike
from ..imaging.grey import LOST, read_matte
from ..imaging.levels import FEW
from ..imaging.opening import tolerant_pillow
from ..imaging.orientation import swaps_sides
from ..progress import Progress
from ..storage.atomic import staged_file
from .synthesis.files import Foreground, find_pictures

__all__ = ["Material", "check_data", "list_materials", "list_validation"]

# What OpenCV reads as well, by content; the name's ending says nothing.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF")
# Findings that the error lists before it counts the rest.
FINDINGS_TOLD = 5
# What a file of remembered pictures begins with; another format or version is not read.
HEADER = {"format": "diffmatte sound pictures", "version": 2}
EVEN = "has one level everywhere, which shows no edge: remove it or replace it"
UNUSABLE = {
    255: "is opaque everywhere, with no pixel below 255: use it as a background, or remove it",
    0: "is transparent everywhere, with no pixel above 0: remove it or replace it",
}


@dataclass(frozen=True)
class Material:
    """Pictures that must be of one size, and where the last of them has its opacity.

    ``opacity``: ``alpha`` for its alpha channel, ``grey`` for its grey level, ``density`` for its alpha channel or else
    its brightest channel, or nothing where opacity does not matter.
    """

    files: tuple[Path, ...]
    opacity: str = ""


def list_materials(
    backgrounds: Iterable[Path] = (), foregrounds: Iterable[Foreground] = (), mattes: Iterable[Path] = ()
) -> list[Material]:
    """List what is to be checked of photographs, of foregrounds, and of the pictures with alpha or density."""
    fronts = [
        Material((front.colours,), "alpha") if front.alpha is None else Material((front.colours, front.alpha), "grey")
        for front in foregrounds
    ]
    return [*fronts, *(Material((path,), "density") for path in mattes), *(Material((path,)) for path in backgrounds)]


def list_validation(folder: Path) -> list[Material]:
    """List every stem that ``image/``, ``trimap/`` and ``alpha/`` of a folder have alike."""
    parts = [{path.stem: path for path in find_pictures(folder / part)} for part in ("image", "trimap", "alpha")]
    images, *others = parts
    matched = [images, *(find_alike(other, images) for other in others)]
    return [Material(tuple(part[stem] for part in matched)) for stem in images if all(stem in part for part in matched)]


def check_data(materials: Sequence[Material], remembered: Path | None = None, progress: bool = False) -> None:
    """Decode every picture, and tell all that is wrong with them.

    What the file ``remembered`` names as sound, and has its size and time of change still, is not decoded again; the
    file is written anew at the end, also where something was found or Ctrl-C came. ``progress`` shows a bar on stderr.

    Raises:
        TrainingError: some picture cannot be used; it tells the first five.
        OutputError: ``remembered`` cannot be written.
    """
    marks = {material: _mark(material) for material in materials}
    sound = _recall(remembered) & set(marks.values())
    left = [material for material, mark in marks.items() if mark not in sound]
    found: list[str] = []
    try:
        for material, problems in _examined(left, progress):
            found += problems
            if not problems:
                sound.add(marks[material])
    finally:
        if remembered is not None and left:
            _remember(remembered, sound)
    if found:
        count = "a problem" if len(found) == 1 else f"{len(found)} problems"
        raise TrainingError(f"the training data have {count}: {listed(found, FINDINGS_TOLD, '; ')}")


def _examined(materials: Sequence[Material], progress: bool) -> Iterator[tuple[Material, list[str]]]:
    pool = ThreadPoolExecutor()
    with tolerant_pillow():
        try:
            with Progress("checking", len(materials), "picture", shown=progress) as shown:
                for material, problems in zip(materials, pool.map(_problems, materials), strict=True):
                    yield material, problems
                    shown.advance()
        finally:
            pool.shutdown(cancel_futures=True)


def _problems(material: Material) -> list[str]:
    """Say in one sentence each what is wrong with a material; nothing if it is sound."""
    found: list[str] = []
    sizes: dict[Path, str] = {}
    low, high = 0, 255
    for path in material.files:
        try:
            picture = _decoded(path)
            sizes[path] = "{} x {}".format(*_upright_size(picture))
            if material.opacity and path == material.files[-1]:
                low, high = _levels(path, picture, material.opacity)
        except TrainingError as error:
            found.append(str(error))
    if len(set(sizes.values())) > 1:
        each = " and ".join(f"{path} has {size}" for path, size in sizes.items())
        found.append(f"{each} pixels: scale them alike")
    if low == high:
        found.append(f"the alpha of {material.files[-1]} {UNUSABLE.get(low, EVEN)}")
    return found


def _decoded(path: Path) -> Image.Image:
    """Decode a whole file, or raise a TrainingError that says what is wrong with it."""
    try:
        content = path.read_bytes()
        with Image.open(BytesIO(content), formats=FORMATS) as picture:
            picture.verify()  # sums of PNG's chunks, which loading does not compare
        with Image.open(BytesIO(content), formats=FORMATS) as picture:
            picture.load()
    except MemoryError:
        raise
    except UnidentifiedImageError as error:
        raise TrainingError(f"{path} is not a picture of JPEG, PNG, WebP or TIFF: remove it or replace it") from error
    except Exception as error:  # Pillow's decoders raise nearly every kind on damaged data.
        if isinstance(error, OSError) and error.strerror:
            raise TrainingError(f"{path} cannot be read ({error.strerror}): restore it or remove it") from error
        raise TrainingError(f"{path} is damaged or cut short ({error}): remove it or replace it") from error
    if picture.mode in ("F", "I"):
        raise TrainingError(f"{path} has neither 8 nor 16 bits a channel: save it with one of these")
    return picture


def _upright_size(picture: Image.Image) -> tuple[int, int]:
    width, height = picture.size
    return (height, width) if swaps_sides(stored_orientation(picture.getexif)) else (width, height)


def _levels(path: Path, picture: Image.Image, opacity: str) -> tuple[int, int]:
    """Return the lowest and the highest opacity of a picture, of 255."""
    # OpenCV, which reads samples, knows no transparent grey or colour beside channels and palettes.
    has_alpha = picture.has_transparency_data and picture.mode in ("RGBA", "LA", "PA", "P")
    if opacity != "grey" and has_alpha:
        levels = np.asarray(picture.convert("RGBA").getchannel("A"))
    elif opacity == "alpha":
        raise TrainingError(f"{path} has no alpha channel: name the folder of alphas, or remove it")
    elif picture.mode.startswith("I"):  # 16 bits of grey, which Pillow would not convert by their upper half
        levels = np.asarray(picture) >> 8
    else:
        levels = np.asarray(picture.convert("RGB")).max(axis=2)
    if opacity == "grey":
        _check_grey(path)
    if levels.max() <= FEW:
        _check_white(path, opacity)
    return int(levels.min()), int(levels.max())


def _check_grey(path: Path) -> None:
    """Refuse what is a matte to a reader that interprets it, and not to OpenCV, which takes its luma as it is."""
    try:
        notes = [note for note in read_matte(path).notes if note != LOST]
    except ImageError as error:
        raise TrainingError(str(error)) from error
    if notes:
        raise TrainingError(f"{path} {joined(notes)}, where training needs alpha as grey from 0 to 255: save it so")


def _check_white(path: Path, opacity: str) -> None:
    """Refuse alphas of 0 and 1, and those of 0 to 255 in 16 bits."""
    import cv2  # which packed pictures do without

    from .synthesis.pictures import opacity_of, read_deep

    opacities = opacity_of(read_deep(path, cv2.IMREAD_GRAYSCALE if opacity == "grey" else cv2.IMREAD_UNCHANGED))
    if peak := int(opacities.max()):
        white = np.iinfo(opacities.dtype).max
        raise TrainingError(f"the alpha of {path} goes up to {peak} of {white} only: save it with {white} as white")


def _mark(material: Material) -> str:
    """Return what tells a checked material from any other, and from itself once a file has changed."""
    return json.dumps([material.opacity, *([os.path.abspath(path), *_state(path)] for path in material.files)])


def _state(path: Path) -> tuple[int, int]:
    try:
        state = path.stat()
    except OSError:  # told when it is decoded
        return -1, -1
    return state.st_size, state.st_mtime_ns


def _recall(remembered: Path | None) -> set[str]:
    """Read the marks of sound materials; none from a file that is missing, damaged, or of another kind."""
    try:
        kept = json.loads(remembered.read_text(encoding="utf-8")) if remembered else None
    except (OSError, ValueError, RecursionError):
        return set()
    if not isinstance(kept, dict) or not isinstance(kept.get("sound"), list):
        return set()
    return {json.dumps(entry) for entry in kept["sound"]} if kept.items() >= HEADER.items() else set()


def _remember(remembered: Path, sound: Iterable[str]) -> None:
    with staged_file(remembered) as temporary:
        entries = [json.loads(mark) for mark in sorted(sound)]
        temporary.write_text(json.dumps({**HEADER, "sound": entries}, indent=0), encoding="utf-8")
