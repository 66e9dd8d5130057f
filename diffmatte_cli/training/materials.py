"""What a configuration's folders hold: pictures to compose samples from, and with ground truth for validation."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import TrainingError
from ..imaging.grey import read_grey, read_matte
from ..imaging.read import read_image
from ..process.threads import local_threads
from ..trimaps.trimap import UNKNOWN, parse_trimap
from .checking import Material, check_data, list_materials, list_validation
from .config import MADE, DataConfig
from .synthesis.files import Assets, Sets, find_pictures, left_out
from .synthesis.finishing import finish, stack
from .synthesis.layers import Layers

__all__ = [
    "VALIDATION",
    "Compose",
    "Pair",
    "check_materials",
    "composer",
    "left_out_of",
    "read_materials",
    "read_validation",
]

# (seed, index, crop) -> one sample's layers.
Compose = Callable[[int, int, int], Layers]
Pair = tuple[str, NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]
# Validation pictures that are made: drawn, or of rendered subjects, of which every twelfth is held out.
DRAWN, RENDERED = MADE
HELD_OUT = 12
# They come from this seed, which no run can have, and are so large.
MADE_SEED, MADE_SIZE = 2**32, 320
# Those of rendered subjects in a packed folder.
VALIDATION = "validation"


def read_materials(config: DataConfig) -> Assets | Sets:
    """List the files that samples are composed from; a missing or empty folder is an error."""
    if config.recipe == "paper":
        from .synthesis.sets import read_sets

        alphas = Path(config.alphas) if config.alphas else None
        return read_sets(Path(config.foregrounds), alphas, Path(config.backgrounds))
    mattes = find_pictures(Path(config.mattes)) if config.mattes else ()
    photographs = find_pictures(Path(config.backgrounds)) if config.backgrounds else ()
    shown, _ = _rendered(config)
    return Assets(photographs, mattes, config.procedural_share, shown, config.rendered_share)


def _rendered(config: DataConfig) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """List the rendered pictures to train on, and those held out for validation."""
    found = find_pictures(Path(config.rendered)) if config.rendered else ()
    if config.validation != RENDERED:
        return found, ()
    return tuple(path for number, path in enumerate(found) if number % HELD_OUT), found[::HELD_OUT]


def composer(config: DataConfig) -> Compose:
    """Return what composes samples by the configuration's recipe, ``drawn`` or ``paper``."""
    # Here, since they need OpenCV, which packed pictures do without.
    from .synthesis.composition import compose
    from .synthesis.recipe import compose_paper

    materials = read_materials(config)
    return partial(compose, materials) if isinstance(materials, Assets) else partial(compose_paper, materials)


def left_out_of(config: DataConfig) -> list[str]:
    """Say of each folder that the configuration names how many files training cannot read, if there are any."""
    named = (config.backgrounds, config.mattes, config.rendered, config.foregrounds, config.alphas, config.validation)
    told = [left_out(Path(folder)) for folder in dict.fromkeys(named) if folder not in ("", *MADE)]
    return [text for text in told if text is not None]


def check_materials(config: DataConfig, remembered: Path, progress: bool) -> list[str]:
    """Raise TrainingError if a picture that the configuration names cannot be used; see ``check_data``.

    Packed ones are all read when training begins, and are not checked before. Returns sentences on how pictures for
    validation are read, and on those that are left out.
    """
    checked: list[Material] = []
    if config.recipe != "packed":
        materials = read_materials(config)
        foregrounds = materials.foregrounds if isinstance(materials, Sets) else ()
        mattes = materials.mattes if isinstance(materials, Assets) else ()
        shown, held_out = _rendered(config)
        checked += list_materials(materials.backgrounds, foregrounds, mattes + shown + held_out)
    folder = _validation_folder(config)
    check_data(checked + (list_validation(folder) if folder else []), remembered, progress)
    return _read_folder(folder, config.validation_limit)[1] if folder else []


def read_validation(config: DataConfig) -> list[Pair]:
    """Read up to ``validation_limit`` pictures of a folder with ``image/``, ``trimap/`` and ``alpha/`` by one stem.

    For ``drawn`` and ``rendered`` there is no folder: pictures are drawn, or composed of subjects that are held out,
    like no sample of any run. Pictures without an unknown region, which would be scored over nothing, are left out.
    Returns name, image uint8 [H, W, 3], trimap uint8 [H, W], alpha float32 [H, W] in [0, 1].
    """
    folder, limit = _validation_folder(config), config.validation_limit
    if config.validation == DRAWN:
        return [_made_pair(Assets((), ()), f"drawn{number}", number) for number in range(limit)]
    if not folder and config.validation == RENDERED:
        materials, (_, held_out) = read_materials(config), _rendered(config)
        return [
            _made_pair(Assets(materials.backgrounds, (), 1, (path,), 1), path.stem, number)
            for number, path in enumerate(held_out[:limit])
        ]
    return _read_folder(folder, limit)[0] if folder else []


def _validation_folder(config: DataConfig) -> Path | None:
    """Return where validation pictures are read from, if they are; packed ones were made when they were packed."""
    if config.validation == RENDERED and config.recipe == "packed":
        return Path(config.packed) / VALIDATION
    return None if config.validation in ("", *MADE) else Path(config.validation)


def _read_folder(folder: Path, limit: int) -> tuple[list[Pair], list[str]]:
    """Read the pictures of a folder; return what is to be told of them, too."""
    found = sorted((material.files for material in list_validation(folder)), key=lambda files: files[0].stem)
    if not found:
        raise TrainingError(f"{folder} has no picture that is in image/, trimap/ and alpha/ alike: check the names")
    pairs: list[Pair] = []
    told: list[str] = []
    for image, trimap, alpha in found[:limit]:
        greys = {trimap: read_grey(trimap), alpha: read_matte(alpha)}
        told += [f"{path} {note}" for path, grey in greys.items() for note in grey.notes]
        pixels, classes, truth = read_image(image).pixels, parse_trimap(greys[trimap].levels), greys[alpha].levels
        if not pixels.shape[:2] == classes.shape == truth.shape:
            raise TrainingError(f"{image}, its trimap and its alpha have different sizes: scale them alike")
        if (classes == UNKNOWN).any():
            pairs.append((image.stem, pixels, classes, truth))
        else:
            told.append(f"{trimap} has no unknown region, and its picture is left out of validation")
    if found[:limit] and not pairs:
        raise TrainingError(f"no trimap of {folder} has an unknown region: make them of masks by `diffmatte trimap`")
    return pairs, told


def _made_pair(assets: Assets, name: str, number: int) -> Pair:
    from .synthesis.composition import compose

    with local_threads(1):
        image, trimap, alpha = finish(stack([compose(assets, MADE_SEED, number, MADE_SIZE)]))
    levels = (trimap[0, 0] * 255).ceil().to(torch.uint8).numpy()
    pixels = (image[0] * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    return name, pixels, levels, alpha[0, 0].numpy()
