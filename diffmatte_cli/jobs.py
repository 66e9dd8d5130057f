"""Plan before any work: names, pairs and every conflict. Standard library only, no picture is opened."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .errors import OutputError, UsageError
from .formats import READABLE_SUFFIXES, writer_for

__all__ = ["Job", "Pair", "pair", "plan"]

_NO_TRIMAP = (
    "no --trimap given: a trimap is a grey picture of the photograph's size, black where the background is"
    " sure, white where the subject (foreground) is sure and grey where it is unknown (hair, fur, blurred"
    " edges); paint a rough one over the photograph in any editor, or make one from a mask: white where the"
    " eroded mask is, black outside the dilated mask, grey between"
)
_DUMPED = re.compile(r"step_\d+\.png|trajectory\.png")


@dataclass(frozen=True)
class Job:
    """Hold the paths of one matting job.

    Attributes:
        image: the photograph.
        trimap: its trimap.
        output: the result, alpha or cutout.
        alpha_output: the alpha beside a cutout, if wanted.
        dump_dir: the folder that will hold the pictures of each step, if wanted.
    """

    image: Path
    trimap: Path
    output: Path
    alpha_output: Path | None = None
    dump_dir: Path | None = None


@dataclass(frozen=True)
class Pair:
    """Hold one picture to evaluate: prediction, ground truth and trimap under a common name."""

    name: str
    pred: Path
    gt: Path
    trimap: Path


def plan(
    image: Path,
    trimap: Path | None,
    output: Path | None = None,
    *,
    cutout: bool = False,
    with_alpha: bool = False,
    bits: int = 8,
    dump_steps: Path | None = None,
    overwrite: bool = True,
) -> Job:
    """Name the results of one photograph and refuse every conflict that shows before a picture is opened.

    Raises:
        UsageError: a missing path, a result that would replace an input, no target folder, and the like.
        OutputError: the target folder exists and is read-only.
    """
    _check_picture(image, "photograph")
    if trimap is None:
        raise UsageError(_NO_TRIMAP)
    _check_picture(trimap, "trimap")
    if _same(image, trimap):
        raise UsageError(f"{image} is given both as the photograph and as its trimap")
    _check_switches(cutout, with_alpha, bits)
    result = output if output is not None else Path(f"{image.stem}_{'cutout' if cutout else 'alpha'}.png")
    beside = alpha_beside(result) if with_alpha else None
    dump = _dump_folder(dump_steps, image) if dump_steps is not None else None
    _check_result(result, (image, trimap), 8 if cutout else bits, overwrite)
    if beside is not None:
        _check_result(beside, (image, trimap), bits, overwrite)
    if dump is not None:
        _check_dump(dump, (image, trimap, result), overwrite)
    return Job(image, trimap, result, beside, dump)


def alpha_beside(cutout: Path) -> Path:
    """Name the alpha that is written along with a cutout."""
    return cutout.with_name(f"{cutout.stem.removesuffix('_cutout')}_alpha.png")


def _check_switches(cutout: bool, with_alpha: bool, bits: int) -> None:
    if with_alpha and not cutout:
        raise UsageError("--with-alpha goes with --cutout; without --cutout the alpha is the result anyway")
    if bits == 16 and cutout and not with_alpha:
        raise UsageError("--bit-depth 16 is for the alpha, and a cutout has 8 bits: add --with-alpha or leave one out")


def _check_picture(path: Path, role: str) -> None:
    if not os.path.exists(path):
        raise UsageError(f"the {role} {path} does not exist")
    if not os.path.isfile(path):
        raise UsageError(f"the {role} {path} is not a file: give a picture's path")


def _check_result(path: Path, inputs: Iterable[Path], bits: int, overwrite: bool) -> None:
    if os.path.isdir(path):
        raise UsageError(f"the result {path} is an existing folder: name a file")
    writer_for(path, bits)
    _check_folder(path)
    for source in inputs:
        if _same(path, source):
            raise UsageError(f"the result {path} would replace the input {source}: name another file with --output")
    if os.path.lexists(path) and not overwrite:
        raise UsageError(f"the result {path} exists already, and --no-overwrite keeps it")


def _check_folder(path: Path) -> None:
    folder = Path(os.path.realpath(path)).parent
    if not os.path.isdir(folder):
        raise UsageError(f"the folder of the result {path} does not exist: make it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {path}: the folder is read-only")


def _dump_folder(parent: Path, image: Path) -> Path:
    if image.stem in (".", ".."):
        raise UsageError(f"--dump-steps names its folder like the photograph, and {image} has no usable name")
    return parent / image.stem


def _check_dump(folder: Path, others: Iterable[Path], overwrite: bool) -> None:
    parent = folder.parent
    if not os.path.isdir(parent.parent):
        raise UsageError(f"the folder of --dump-steps {parent} does not exist: make it first")
    if os.path.lexists(parent) and not os.path.isdir(parent):
        raise UsageError(f"--dump-steps {parent} is a file: name a folder")
    inside = [path for path in others if _same(path.parent, folder) or _same(path, folder)]
    if inside:
        raise UsageError(f"--dump-steps would replace the folder {folder}, which is also the place of {inside[0]}")
    if os.path.lexists(folder):
        _check_old_dump(folder, overwrite)


def _check_old_dump(folder: Path, overwrite: bool) -> None:
    if not overwrite:
        raise UsageError(f"the folder of steps {folder} exists already, and --no-overwrite keeps it")
    if not os.path.isdir(folder):
        raise UsageError(f"the folder of steps {folder} exists already as a file")
    foreign = sorted(p.name for p in folder.iterdir() if not (_DUMPED.fullmatch(p.name) and p.is_file()))
    if foreign:
        raise UsageError(f"--dump-steps would replace the folder {folder}, which holds other files ({foreign[0]})")


def _same(first: Path, second: Path) -> bool:
    if os.path.exists(first) and os.path.exists(second):
        return os.path.samefile(first, second)
    return os.path.realpath(first) == os.path.realpath(second)


def pair(pred: Path, gt: Path, trimap: Path) -> list[Pair]:
    """Pair predictions, ground truths and trimaps: three files, or three folders matched by name.

    In folders, ``cat_alpha.png`` and ``cat_trimap.png`` go with ``cat.png``. Spare trimaps do no harm.

    Raises:
        UsageError: a missing path or partner, two files for one name, files among folders, an empty folder.
    """
    paths = {"prediction": pred, "ground truth": gt, "trimap": trimap}
    for role, path in paths.items():
        if not os.path.exists(path):
            raise UsageError(f"the {role} {path} does not exist")
    folders = [os.path.isdir(path) for path in paths.values()]
    if not any(folders):
        return [Pair(_key(pred), pred, gt, trimap)]
    if not all(folders):
        raise UsageError("give three files or three folders: prediction, ground truth and trimap")
    return _match(_pictures(pred), _pictures(gt), _pictures(trimap), pred)


def _match(preds: dict[str, Path], gts: dict[str, Path], trimaps: dict[str, Path], folder: Path) -> list[Pair]:
    names = sorted(preds.keys() | gts.keys())
    if not names:
        raise UsageError(f"the folder {folder} holds no pictures")
    roles = (("prediction", preds), ("ground truth", gts), ("trimap", trimaps))
    missing = [f"{name} ({role})" for name in names for role, found in roles if name not in found]
    if missing:
        raise UsageError(f"no partner for: {', '.join(missing)}")
    return [Pair(name, preds[name], gts[name], trimaps[name]) for name in names]


def _key(path: Path) -> str:
    return path.stem.removesuffix("_alpha").removesuffix("_trimap")


def _pictures(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in _listed(folder):
        if path.suffix.lower() not in READABLE_SUFFIXES or path.name.startswith("."):
            continue
        if (key := _key(path)) in found:
            raise UsageError(f"{found[key]} and {path} go by the same name, {key}")
        found[key] = path
    return found


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise UsageError(f"cannot look into the folder {folder}: {error.strerror}") from error
