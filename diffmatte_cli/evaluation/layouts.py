"""The layouts of published matting test sets, as data; find each image with its alpha and trimap.

Standard library only, until a trimap is made.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from ..errors import UsageError, listed
from ..imaging.folders import find_alike, folders_in, images_in, one_by_stem, told_unread
from ..settings import check_choice
from ..storage.paths import Place

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["LAYOUTS", "DatasetLayout", "Example", "examples", "made_trimap"]

# Distinctions-646 comes without trimaps, and no two papers share theirs. Usually the known regions are eroded by a
# kernel of random size from 1 to this many pixels (ViTMatte; for training also DiffMatte, Appendix C).
WIDEST_KERNEL = 30

PARTS = ("image", "alpha", "trimap")  # what the folders of a set hold
_EACH = "*"


@dataclass(frozen=True)
class Example:
    """Hold one image of a test set; a missing ``trimap`` is made from alpha."""

    name: str
    image: Path
    alpha: Path
    trimap: Path | None

    @property
    def files(self) -> list[Path]:
        """The image, its alpha and, if there is one, its trimap."""
        return [path for path in (self.image, self.alpha, self.trimap) if path is not None]


@dataclass(frozen=True)
class DatasetLayout:
    """Describe the layout of a test set in a folder DIR; the case of names does not matter.

    Attributes:
        title: the set's name in messages.
        expected: the files in DIR, a line for each kind.
        folders: names of the folders that make up a set, by ``PARTS``, the usual ones first; without one of trimaps,
            these are made from alpha.
        below: where these may be in DIR: "" is DIR itself, "*" every folder in it.
        composites: whether NAME_K.png may go with the alpha NAME.png of its foreground.
        foregrounds: folders that show, where composites are missing, that they are still to be made.
        making: what makes them.
    """

    title: str
    expected: str
    folders: tuple[tuple[str, ...], ...]
    below: tuple[str, ...] = ("",)
    composites: bool = False
    foregrounds: tuple[str, ...] = ()
    making: str = ""


LAYOUTS: Mapping[str, DatasetLayout] = MappingProxyType(
    {
        "composition-1k": DatasetLayout(
            "Composition-1k",
            "DIR/merged/NAME_K.png\nDIR/alpha_copy/NAME_K.png or DIR/alpha/NAME.png\nDIR/trimaps/NAME_K.png",
            folders=(
                ("merged", "alpha_copy", "trimaps"),
                ("merged", "alpha", "trimaps"),
                ("merged", "Adobe-licensed images/alpha", "Adobe-licensed images/trimaps"),
            ),
            below=("", "Test_set", "Combined_Dataset/Test_set"),
            composites=True,
            foregrounds=("Adobe-licensed images/fg", "fg"),
            making="the set's own Composition_code.py makes them from VOC 2012 by its test_fg_names.txt and"
            " test_bg_names.txt",
        ),
        "distinctions-646": DatasetLayout(
            "Distinctions-646",
            "DIR/Image/NAME_K.png\nDIR/GT/NAME_K.png or DIR/GT/NAME.png",
            folders=(("Image", "GT"), ("merged", "GT"), ("merged", "alpha_copy"), ("merged", "alpha")),
            below=("", "Test"),
            composites=True,
            foregrounds=("FG",),
            making="gen_dataset.py of github.com/yuhaoliu7456/CVPR2020-HAttMatting makes them from VOC 2012",
        ),
        "simd": DatasetLayout(
            "the Semantic Image Matting Dataset",
            "DIR/CLASS/merged/NAME_K.png\nDIR/CLASS/alpha/NAME_K.png or DIR/CLASS/alpha/NAME.png\n"
            "DIR/CLASS/trimap/NAME_K.png or DIR/CLASS/trimap/NAME.png",
            folders=(("merged", "alpha", "trimap"),),
            below=("", _EACH),
            composites=True,
            foregrounds=("fg",),
            making="generate_testset.py of github.com/nowsyn/SIM makes them from VOC 2012",
        ),
        "aim-500": DatasetLayout(
            "AIM-500",
            "DIR/original/NAME.jpg\nDIR/mask/NAME.png\nDIR/trimap/NAME.png",
            folders=(("original", "mask", "trimap"),),
        ),
        "alphamatting": DatasetLayout(
            "the training set of alphamatting.com",
            "DIR/input_training_lowres/NAME.png\nDIR/gt_training_lowres/NAME.png\n"
            "DIR/trimap_training_lowres/Trimap1/NAME.png",
            folders=tuple(
                (f"input_training_{size}", f"gt_training_{size}", f"trimap_training_{size}/{trimap}")
                for size in ("lowres", "highres")
                for trimap in ("Trimap1", "Trimap2")
            ),
        ),
        "plain": DatasetLayout(
            "images of your own",
            "DIR/image/NAME.png\nDIR/alpha/NAME.png\nDIR/trimap/NAME.png",
            folders=(("image", "alpha", "trimap"),),
        ),
    }
)


def examples(layout: str, folder: Path, warn: Callable[[str], None] = lambda _: None) -> list[Example]:
    """Return the images of a test set in the folder DIR, by name; ``warn`` is told of files of no readable kind.

    Raises:
        UsageError: the layout is unknown, the folder, one in it or a partner is missing, or two images share a name.
    """
    check_choice("layout", layout, tuple(LAYOUTS))
    top = Place(folder)
    if top.kind != "folder":
        raise UsageError(f"the folder {folder} does not exist")
    places = _fitting(LAYOUTS[layout], top)
    if not places:
        raise UsageError(_misfit(layout, top), "layout")
    named: dict[str, Example] = {}
    for example in (example for place in places for example in _paired(LAYOUTS[layout], place, warn)):
        if (other := named.setdefault(example.name, example)) is not example:
            both = f"{other.image} and {example.image}"
            raise UsageError(f"{both} would both be called {example.name}: rename one")
    return list(named.values())


def made_trimap(name: str, alpha: "NDArray[np.float32]") -> "NDArray[np.uint8]":
    """Make an example's trimap [H, W] in {0, 128, 255} from its alpha [H, W] in [0, 1].

    Alphas between 0 and 1 are unknown, and a band on either side whose widths depend on the example's name only.
    """
    from ..trimaps.masks import trimap_from_alpha

    # The only draw that is promised to be the same in every version of Python.
    draw = random.Random(name).random
    inside, outside = ((1 + int(draw() * WIDEST_KERNEL)) // 2 for _ in range(2))
    return trimap_from_alpha(alpha, inside, outside)


@dataclass(frozen=True)
class _Candidate:
    """Hold the folders of a layout that were ``found``, by ``PARTS``, and the names of those ``missing``."""

    base: Place
    found: Mapping[str, Place]
    missing: tuple[str, ...]
    prefix: str = ""


def _fitting(layout: DatasetLayout, folder: Place) -> list[_Candidate]:
    """Return the first places where nothing is missing, or none."""
    ways = _ways(layout, folder)
    return next((places for places in ways if not any(place.missing for place in places)), [])


def _ways(layout: DatasetLayout, folder: Place) -> Iterator[list[_Candidate]]:
    """Yield the places, at least one each time, that may make up the set: in the folder, or the only one in it."""
    inner = folders_in(folder)
    for top in (folder, *(inner if len(inner) == 1 else ())):
        for below in layout.below:
            if below == _EACH:
                each = [_place(layout, base, f"{base.path.name}_") for base in folders_in(top)]
                if each:
                    yield [place for place in each if place.found] or each
            elif (base := _descend(top, below)) is not None:
                yield [_place(layout, base)]


def _place(layout: DatasetLayout, base: Place, prefix: str = "") -> _Candidate:
    """Look for the folders of a layout, in the way of its several that lacks least."""

    def look(names: tuple[str, ...]) -> _Candidate:
        found = {part: _descend(base, name) for part, name in zip(PARTS, names, strict=False)}
        missing = tuple(name for name, path in zip(names, found.values(), strict=True) if path is None)
        return _Candidate(base, {part: path for part, path in found.items() if path is not None}, missing, prefix)

    return min(map(look, layout.folders), key=lambda place: len(place.missing))


def _descend(base: Place, names: str) -> Place | None:
    """Return a folder below another by its path, in any case; None where it is missing."""
    found: Place | None = base
    for name in filter(None, names.split("/")):
        alike = [other for other in folders_in(found) if other.path.name.lower() == name.lower()] if found else []
        found = min(alike, key=lambda other: other.path.name != name, default=None)
    return found


def _misfit(name: str, folder: Place) -> str:
    """Say what is missing, what is expected, and which layout fits instead."""
    layout = LAYOUTS[name]
    nearest = max(_ways(layout, folder), key=lambda places: max(len(place.found) for place in places))
    if uncomposed := list(_uncomposed(layout, nearest)):
        text = f"the composites of {layout.title} are not made yet: {listed(uncomposed)}; {layout.making}"
    else:
        lacking = [place for place in nearest if place.missing]
        texts = [f"{place.base} holds no folder {' and no '.join(place.missing)}" for place in lacking]
        text = f"{folder} does not have the layout {name}: {listed(texts)}"
    # Where there are trimaps, a layout without any is the worse guess.
    others = {other: len(places[0].found) for other, row in LAYOUTS.items() if (places := _fitting(row, folder))}
    fits = f"; {max(others, key=others.__getitem__)} fits" if others else ""
    return f"{text}; {_expected(layout)}{fits}"


def _uncomposed(layout: DatasetLayout, places: Iterable[_Candidate]) -> Iterator[str]:
    """Yield the places that hold foregrounds instead of composites."""
    for place in places:
        fg = next((fg for fg in layout.foregrounds if _descend(place.base, fg)), None)
        if fg is not None and "image" not in place.found:
            yield f"{place.base} holds {fg} and no {layout.folders[0][0]}"


def _expected(layout: DatasetLayout) -> str:
    return f"expected {', '.join(layout.expected.splitlines())}"


def _paired(layout: DatasetLayout, place: _Candidate, warn: Callable[[str], None]) -> list[Example]:
    """Match a place's images with their alphas and trimaps."""
    files = {part: _images(folder, warn) for part, folder in place.found.items()}
    images = files.pop("image")
    if not images:
        raise UsageError(f"the folder {place.found['image']} holds no images; {_expected(layout)}")
    partners = {part: _matched(images, found, layout.composites) for part, found in files.items()}
    lacking = {part: [name for name in images if name not in found] for part, found in partners.items()}
    problems = [
        f"no {part} in {place.found[part]} for {len(names)} of {len(images)} images: {listed(names)}"
        for part, names in lacking.items()
        if names
    ]
    if problems:
        raise UsageError(f"{'; '.join(problems)}; {_expected(layout)}")
    alphas, trimaps = partners["alpha"], partners.get("trimap", {})
    return [Example(f"{place.prefix}{name}", path, alphas[name], trimaps.get(name)) for name, path in images.items()]


def _matched(names: Iterable[str], found: Mapping[str, Path], composites: bool) -> dict[str, Path]:
    """Return each name's partner: the file of the same name or, if more names have that, the foreground's."""
    ways = [find_alike(found, names)]
    if composites:
        known = find_alike(found, {beginning for name in names for beginning in _beginnings(name)})
        owners = {name: next((known[part] for part in _beginnings(name) if part in known), None) for name in names}
        ways.append({name: owner for name, owner in owners.items() if owner is not None})
    return max(ways, key=len)


def _beginnings(name: str) -> Iterator[str]:
    """Yield the names that a composite's name extends by an underscore and more, the longest first."""
    while name := name.rpartition("_")[0]:
        yield name


def _images(folder: Place, warn: Callable[[str], None]) -> dict[str, Path]:
    others: list[Place] = []
    images = one_by_stem(image.path for image in images_in(folder, others=others))
    if others:
        warn(f"in {folder} {told_unread(others)}")
    return images
