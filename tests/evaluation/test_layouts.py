"""Layouts of published test sets: what is found, what is told where something is not, and trimaps made from alpha."""

import os
from pathlib import Path

import fsspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support.processes import finish

from diffmatte_cli.errors import UsageError
from diffmatte_cli.evaluation.layouts import LAYOUTS, WIDEST_KERNEL, Example, examples, made_trimap
from diffmatte_cli.storage.paths import location
from diffmatte_cli.trimaps.masks import trimap_from_alpha

NAMES = ("black_cat_2", "dog")  # names that look like a composite's on purpose
CLASSES = ("fur", "net")
ALPHAS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    elements=st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1, width=32)),
)


def _touch(*paths: Path) -> None:
    """Make files that are never opened."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"never opened")


def _files(pattern: str, folder: Path) -> list[Path]:
    """Return the files of one line of an expected tree, two of each name."""
    names = [pattern.replace("NAME", name) for name in NAMES]
    composites = {name.replace("_K.", f"_{number}.") for name in names for number in (0, 11)}
    files = {name.removeprefix("DIR/").replace("CLASS", kind) for name in composites for kind in CLASSES}
    return [folder / name for name in sorted(files)]


def _make(layout: str, folder: Path, choice: int = 0) -> list[list[Path]]:
    """Make the tree that a layout expects, by the first or the last of what it offers, and return the files."""
    kinds = [_files(line.split(" or ")[choice], folder) for line in LAYOUTS[layout].expected.splitlines()]
    _touch(*(path for kind in kinds for path in kind))
    return kinds


def _touched(folder: Path, tree: str) -> None:
    """Make a tree of folders with their files: ``merged: a_0 a_1; alpha: a``."""
    for part in tree.split("; "):
        where, _, names = part.partition(": ")
        _touch(*(folder / where / (name if "." in name else f"{name}.png") for name in names.split()))


def _error(layout: str, folder: Path) -> str:
    with pytest.raises(UsageError) as caught:
        examples(layout, folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("choice", [0, -1])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_a_layout_expects_it_finds(layout: str, choice: int, tmp_path: Path) -> None:
    pictures, alphas, *trimaps = _make(layout, tmp_path, choice)
    found = examples(layout, tmp_path)
    assert [example.image for example in found] == pictures
    assert {example.alpha for example in found} == set(alphas)
    assert {example.trimap for example in found} == (set(trimaps[0]) if trimaps else {None})
    for example in found:
        assert example.image.stem.startswith(example.alpha.stem)
        assert example.name.endswith(example.image.stem)
    assert len({example.name for example in found}) == len(pictures)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_letter_case_archives_and_litter_do_no_harm(layout: str, tmp_path: Path) -> None:
    before = [example.name for example in _found_in_a_fresh(layout, tmp_path / "plain")]
    inner = tmp_path / "archive" / "unpacked"
    for path in (path for kind in _make(layout, tmp_path / "lower") for path in kind):
        *folders, name = path.relative_to(tmp_path / "lower").parts
        swapped = inner.joinpath(*(folder if folder in CLASSES else folder.swapcase() for folder in folders))
        _touch(swapped / name, swapped / f"._{name}", swapped / ".DS_Store", swapped / "Thumbs.db", swapped / "a.txt")
    _touch(
        tmp_path / "archive" / "__MACOSX" / "x.png",
        tmp_path / "archive" / "lost+found" / "x",
        tmp_path / "archive" / "readme.txt",
        inner / "licence.pdf",
    )
    assert [example.name for example in examples(layout, tmp_path / "archive")] == before


def _found_in_a_fresh(layout: str, folder: Path) -> list[Example]:
    _make(layout, folder)
    return examples(layout, folder)


@pytest.mark.parametrize(
    ("layout", "tree", "expected"),
    [
        (  # alphas of composites
            "composition-1k",
            "merged: a_0 a_1; alpha_copy: a_0 a_1; trimaps: a_0 a_1",
            {"a_0": ("alpha_copy/a_0", "trimaps/a_0"), "a_1": ("alpha_copy/a_1", "trimaps/a_1")},
        ),
        (  # both there: the usual one
            "composition-1k",
            "merged: a_0; alpha_copy: a_0; alpha: a; trimaps: a_0",
            {"a_0": ("alpha_copy/a_0", "trimaps/a_0")},
        ),
        (  # foregrounds that are called like another's composite
            "composition-1k",
            "merged: a_0 a_1 a_1_0 a_1_1; alpha: a a_1; trimaps: a_0 a_1 a_1_0 a_1_1",
            {
                "a_0": ("alpha/a", "trimaps/a_0"),
                "a_1": ("alpha/a", "trimaps/a_1"),
                "a_1_0": ("alpha/a_1", "trimaps/a_1_0"),
                "a_1_1": ("alpha/a_1", "trimaps/a_1_1"),
            },
        ),
        (  # the archive, with composites beside what it holds
            "composition-1k",
            "Combined_Dataset/Training_set/Other/fg: x; Combined_Dataset/Test_set/merged: a_0;"
            " Combined_Dataset/Test_set/Adobe-licensed images/fg: a;"
            " Combined_Dataset/Test_set/Adobe-licensed images/alpha: a;"
            " Combined_Dataset/Test_set/Adobe-licensed images/trimaps: a_0",
            {
                "a_0": (
                    "Combined_Dataset/Test_set/Adobe-licensed images/alpha/a",
                    "Combined_Dataset/Test_set/Adobe-licensed images/trimaps/a_0",
                )
            },
        ),
        ("distinctions-646", "Test/Image: a_0 b_20; Test/GT: a_0 b_20; Test/FG: a_0; Train/FG: c; Train/GT: c", None),
        ("distinctions-646", "merged: a_0; GT: a", {"a_0": ("GT/a", None)}),
        ("distinctions-646", "merged: a_0; alpha: a; trimaps: a_0", {"a_0": ("alpha/a", None)}),
        (
            "simd",
            "hair_easy/merged: sea_2008_000185; hair_easy/alpha: sea.jpg; hair_easy/trimap: sea.jpg;"
            " fur/merged: sea_2007_005281; fur/alpha: sea_2007_005281; fur/trimap: sea_2007_005281; net/fg: x",
            {
                "fur_sea_2007_005281": ("fur/alpha/sea_2007_005281", "fur/trimap/sea_2007_005281"),
                "hair_easy_sea_2008_000185": ("hair_easy/alpha/sea.jpg", "hair_easy/trimap/sea.jpg"),
            },
        ),
        ("simd", "merged: a_0; alpha: a_0; trimap: a_0", {"a_0": ("alpha/a_0", "trimap/a_0")}),
        ("aim-500", "original: o_1.jpg; mask: o_1; trimap: o_1; usr: o_1", {"o_1": ("mask/o_1", "trimap/o_1")}),
        (
            "alphamatting",
            "input_training_highres: GT01; gt_training_highres: GT01; trimap_training_highres/Trimap2: GT01;"
            " input_lowres: troll; trimap_lowres/Trimap1: troll",
            {"GT01": ("gt_training_highres/GT01", "trimap_training_highres/Trimap2/GT01")},
        ),
        (  # sizes are never mixed
            "alphamatting",
            "input_training_lowres: GT01; input_training_highres: GT01; gt_training_highres: GT01;"
            " trimap_training_highres/Trimap1: GT01; trimap_training_lowres/Trimap1: GT01",
            {"GT01": ("gt_training_highres/GT01", "trimap_training_highres/Trimap1/GT01")},
        ),
        ("plain", "image: a.JPG; alpha: a.tif spare; trimap: a; weights: w", {"a": ("alpha/a.tif", "trimap/a")}),
    ],
)
def test_layouts_in_use(
    layout: str, tree: str, expected: dict[str, tuple[str, str | None]] | None, tmp_path: Path
) -> None:
    _touched(tmp_path, tree)
    found = examples(layout, tmp_path)
    if expected is None:
        assert [example.alpha.name for example in found] == ["a_0.png", "b_20.png"]
        return
    where = {
        example.name: tuple(
            None if path is None else str(path.relative_to(tmp_path)).removesuffix(".png")
            for path in (example.alpha, example.trimap)
        )
        for example in found
    }
    assert where == expected


def test_a_folder_of_exactly_that_case_comes_first(tmp_path: Path) -> None:
    _touched(tmp_path, "Image: a; image: a; IMAGE: a; alpha: a; trimap: a")
    (example,) = examples("plain", tmp_path)
    assert example.image.parent.name == "image"


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_links_to_folders_are_followed(tmp_path: Path) -> None:
    _make("plain", tmp_path / "elsewhere")
    (tmp_path / "set").mkdir()
    for part in ("image", "alpha", "trimap"):
        (tmp_path / "set" / part).symlink_to(tmp_path / "elsewhere" / part)
    assert [example.name for example in examples("plain", tmp_path / "set")] == sorted(NAMES)


def test_a_set_may_lie_at_a_url() -> None:
    for part in ("image", "alpha", "trimap"):
        fsspec.filesystem("memory").pipe(f"/layouts/{part}/a.png", b"never opened")
    (example,) = examples("plain", location("memory://layouts"))
    assert str(example.trimap) == "memory://layouts/trimap/a.png"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_empty_folder_fits_nothing(layout: str, tmp_path: Path) -> None:
    text = _error(layout, tmp_path)
    wanted, *_ = LAYOUTS[layout].folders[0]
    assert text.startswith(f"{tmp_path} does not have the layout {layout}: {tmp_path} holds no folder {wanted}")
    assert text.endswith(f"; expected {', '.join(LAYOUTS[layout].expected.splitlines())}")


@pytest.mark.parametrize(("layout", "other"), [(a, b) for a in LAYOUTS for b in LAYOUTS if a != b])
def test_another_layout_that_fits_is_named(layout: str, other: str, tmp_path: Path) -> None:
    _make(other, tmp_path)
    if (layout, other) == ("distinctions-646", "composition-1k"):
        assert all(example.trimap is None for example in examples(layout, tmp_path))
    else:
        assert _error(layout, tmp_path).endswith(f"; {other} fits")


@pytest.mark.parametrize(
    ("layout", "tree", "begins"),
    [
        ("plain", "image: a; trimap: a", "{0} does not have the layout plain: {0} holds no folder alpha; expected"),
        (
            "alphamatting",
            "input_training_lowres: GT01; gt_training_lowres: GT01",
            "{0} does not have the layout alphamatting: {0} holds no folder trimap_training_lowres/Trimap1; expected",
        ),
        (
            "simd",
            "fur/merged: a_0; fur/alpha: a_0; fur/trimap: a_0; hair/merged: b_0; hair/trimap: b_0",
            "{0} does not have the layout simd: {0}/hair holds no folder alpha; expected",
        ),
        (  # a class is never passed by because its composites are missing
            "simd",
            "fur/merged: a_0; fur/alpha: a_0; fur/trimap: a_0; hair/alpha: b_0; net/trimap: c_0; net/alpha: c_0;"
            " smoke/alpha: d_0; smoke/trimap: d_0",
            "{0} does not have the layout simd: {0}/hair holds no folder merged and no trimap, {0}/net holds no folder"
            " merged, {0}/smoke holds no folder merged; expected",
        ),
        (
            "simd",
            "fur/merged: a_0; fur/alpha: a_0; fur/trimap: a_0; hair/fg: b_0; hair/alpha: b_0; net/fg: c; net/alpha: c",
            "the composites of the Semantic Image Matting Dataset are not made yet: {0}/hair holds fg and no merged,"
            " {0}/net holds fg and no merged; generate_testset.py",
        ),
        (
            "composition-1k",
            "Test_set/Adobe-licensed images/fg: a; Test_set/Adobe-licensed images/alpha: a;"
            " Test_set/Adobe-licensed images/trimaps: a_0; Training_set/Other/fg: b",
            "the composites of Composition-1k are not made yet: {0}/Test_set holds Adobe-licensed images/fg and no"
            " merged; the set's own Composition_code.py",
        ),
        (
            "distinctions-646",
            "Distinctions-646/Test/FG: a; Distinctions-646/Test/GT: a; Distinctions-646/Train/FG: b",
            "the composites of Distinctions-646 are not made yet: {0}/Distinctions-646/Test holds FG and no Image;"
            " gen_dataset.py",
        ),
        (
            "simd",
            "fur/fg: a.jpg; fur/alpha: a.jpg; net/fg: b.jpg; net/alpha: b.jpg",
            "the composites of the Semantic Image Matting Dataset are not made yet: {0}/fur holds fg and no merged,"
            " {0}/net holds fg and no merged; generate_testset.py",
        ),
        ("plain", "image: notes.txt; alpha: a; trimap: a", "the folder {0}/image holds no images; expected"),
        ("plain", "image: a b; alpha: a; trimap: a b", "no alpha in {0}/alpha for 1 of 2 images: b; expected"),
        (
            "plain",
            "image: a b c d e; alpha: a; trimap: b",
            "no alpha in {0}/alpha for 4 of 5 images: b, c, d, and 1 more;"
            " no trimap in {0}/trimap for 4 of 5 images: a, c, d, and 1 more; expected",
        ),
        (
            "composition-1k",  # one alpha short: that of the foreground a is not taken for the composite a_1_0
            "merged: a_0 a_1 a_1_0; alpha_copy: a_0 a_1; trimaps: a_0 a_1 a_1_0",
            "no alpha in {0}/alpha_copy for 1 of 3 images: a_1_0; expected",
        ),
        (
            "simd",
            "fur/merged: long_a_0; fur/alpha: long_a_0; fur/trimap: long_a_0; fur_long/merged: a_0;"
            " fur_long/alpha: a_0; fur_long/trimap: a_0",
            "{0}/fur/merged/long_a_0.png and {0}/fur_long/merged/a_0.png would both be called fur_long_a_0: rename one",
        ),
        ("aim-500", "original: a.jpg a.png; mask: a; trimap: a", "{0}/original/a.jpg and {0}/original/a.png go by"),
    ],
)
def test_what_is_missing_is_said_in_one_sentence(layout: str, tree: str, begins: str, tmp_path: Path) -> None:
    _touched(tmp_path, tree)
    text = _error(layout, tmp_path)
    assert text.startswith(begins.format(tmp_path)), text


def test_an_unknown_layout_and_a_missing_folder(tmp_path: Path) -> None:
    assert _error("d646", tmp_path) == f"the layout must be one of {', '.join(LAYOUTS)}, not 'd646'"
    assert _error("plain", tmp_path / "gone") == f"the folder {tmp_path / 'gone'} does not exist"
    _touch(tmp_path / "file.zip")
    assert _error("plain", tmp_path / "file.zip") == f"the folder {tmp_path / 'file.zip'} does not exist"


def test_layouts_load_nothing_heavy() -> None:
    code = "import sys, diffmatte_cli.evaluation.layouts; print({'numpy', 'torch', 'PIL'} & set(sys.modules) or 'none')"
    assert finish("-c", code).stdout.strip() == "none"


@given(ALPHAS, st.text(max_size=9))
def test_a_made_trimap_is_true_and_always_the_same(alpha: np.ndarray, name: str) -> None:
    trimap = made_trimap(name, alpha)
    assert trimap.shape == alpha.shape
    assert trimap.dtype == np.uint8
    assert set(np.unique(trimap)) <= {0, 128, 255}
    assert (trimap[(alpha > 0) & (alpha < 1)] == 128).all()
    assert (alpha[trimap == 255] == 1).all()
    assert (alpha[trimap == 0] == 0).all()
    np.testing.assert_array_equal(trimap, made_trimap(name, alpha))


@given(ALPHAS, st.integers(0, 9), st.integers(0, 9))
def test_wider_bands_only_add_to_the_unknown(alpha: np.ndarray, inside: int, outside: int) -> None:
    narrow, wide = trimap_from_alpha(alpha, inside, outside), trimap_from_alpha(alpha, inside + 1, outside + 2)
    assert (wide[narrow == 128] == 128).all()
    np.testing.assert_array_equal(trimap_from_alpha(alpha, 0, 0) == 128, (alpha > 0) & (alpha < 1))


@pytest.mark.parametrize(("inside", "outside"), [(0, 0), (3, 0), (0, 4), (5, 7)])
def test_an_edge_gets_exactly_the_widths_asked_for(inside: int, outside: int) -> None:
    alpha = np.tile(np.repeat(np.float32([0, 0.5, 1]), [20, 2, 20]), (3, 1))
    row = [0] * (20 - outside) + [128] * (outside + 2 + inside) + [255] * (20 - inside)
    assert trimap_from_alpha(alpha, inside, outside).tolist() == [row] * 3


def test_widths_are_drawn_by_name_from_the_whole_range() -> None:
    alpha = np.repeat(np.float32([[0, 1]]), 40, axis=1)
    rows = [made_trimap(f"name_{number}", alpha)[0] == 128 for number in range(500)]
    widths = [(int(row[40:].sum()), int(row[:40].sum())) for row in rows]
    for side in zip(*widths, strict=True):
        assert set(side) == set(range(WIDEST_KERNEL // 2 + 1))
    assert sum(inside != outside for inside, outside in widths) > 400
    # The same on every machine and in every version of Python, or figures could not be compared.
    assert widths[:4] == [(3, 6), (11, 3), (13, 1), (3, 10)]
