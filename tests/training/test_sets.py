"""Foreground sets: how they are read, what the paper's recipe makes of them, and what is found wrong with data."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

pytest.importorskip("cv2", reason="training needs the [train] extra")

import cv2

from diffmatte_cli.errors import TrainingError
from diffmatte_cli.training import checking
from diffmatte_cli.training.checking import Material, check_data, list_materials, list_validation
from diffmatte_cli.training.synthesis import recipe
from diffmatte_cli.training.synthesis.files import Foreground, Sets, left_out
from diffmatte_cli.training.synthesis.finishing import finish, stack
from diffmatte_cli.training.synthesis.layers import Bytes, Layers
from diffmatte_cli.training.synthesis.noise import smooth_noise
from diffmatte_cli.training.synthesis.recipe import compose_paper, pick_foreground
from diffmatte_cli.training.synthesis.sets import read_foreground, read_sets
from diffmatte_cli.training.synthesis.trimaps import erode_known

GREEN, GARBAGE = (20, 200, 30), (255, 0, 255)


def disc(height: int, width: int) -> Bytes:
    """Return a soft disc in the middle, opaque inside and clear outside."""
    hard = cv2.circle(np.zeros((height, width), np.uint8), (width // 2, height // 2), min(height, width) // 3, 255, -1)
    return np.asarray(cv2.GaussianBlur(hard, (0, 0), 2), np.uint8)


def even(shape: tuple[int, ...], colour: tuple[int, int, int]) -> Bytes:
    return np.full((*shape, 3), colour, np.uint8)


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Sets:
    """Five foregrounds, tiny to larger than the crop, with one colour where they have alpha; two photographs."""
    folder = tmp_path_factory.mktemp("sets")
    rng = np.random.default_rng(0)
    for number, shape in enumerate([(60, 40), (200, 300), (97, 131), (700, 90), (64, 64)]):
        alpha = disc(*shape)
        colours = np.where(alpha[..., None] > 0, even(shape, GREEN), even(shape, GARBAGE))
        save(folder / "fg" / f"{number}.png", colours)
        save(folder / "alpha" / f"{number}.png", alpha)
    for name in "ab":
        save(folder / "coco" / f"{name}.png", np.uint8(255 * np.dstack([smooth_noise(rng, 90, 9)] * 3)))
    return read_sets(folder / "fg", folder / "alpha", folder / "coco")


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Leave foregrounds as they are: neither joined nor moved nor of other colours."""
    still = {"ROTATION": 0, "SHEAR": 0, "SCALES": (1, 1), "FLIP_SHARE": 0, "COMBINED_SHARE": 0, "WHOLE_SHARE": 0}
    for name, value in {**still, "HUE": 0, "SATURATIONS": (1, 1), "VALUES": (1, 1)}.items():
        monkeypatch.setattr(recipe, name, value)
    return monkeypatch


def single(folder: Path, colours: Bytes, alpha: Bytes) -> Sets:
    front = Foreground(save(folder / "front.png", np.dstack([colours, alpha])))
    return Sets((front,), (save(folder / "back.png", even((64, 64), (9, 99, 199))),))


# Reading


@pytest.mark.parametrize(
    ("fronts", "alphas", "told"),
    [
        (["a", "b"], ["a"], "fg has 1 of 2 pictures without one of the same name in .*alpha: b; add"),
        (["a"], ["a", "b", "c", "d", "e"], "alpha has 4 of 5 pictures .* in .*fg: b, c, d, and 1 more; add"),
        (["a", "deep/a"], ["a"], "fg has several pictures of one name: a.png and deep/a.png; leave one"),
        (["a"], ["a", "a.jpg"], "alpha has several pictures of one name: a.jpg and a.png; leave one"),
        (["a"], [], "alpha holds no pictures"),
    ],
)
def test_partners_that_do_not_match_are_told(tmp_path: Path, fronts: list[str], alphas: list[str], told: str) -> None:
    for part, names in (("fg", fronts), ("alpha", alphas), ("coco", ["x"])):
        for name in names:
            save(tmp_path / part / (name if name.endswith("jpg") else f"{name}.png"), disc(9, 9))
    with pytest.raises(TrainingError, match=told):
        read_sets(tmp_path / "fg", tmp_path / "alpha", tmp_path / "coco")


def test_sets_match_other_spellings_and_leave_out_what_is_no_picture(tmp_path: Path) -> None:
    composed, apart = (normalize(form, "Zoë") for form in ("NFC", "NFD"))
    for name in (f"fg/{composed}.JFIF", f"alpha/{apart}.png", "fg/cat.jpg", "alpha/CAT.PNG", "bg/a.jpe"):
        _touch(tmp_path / name)
    for name in ("bg/@eaDir/a.jpg/thumb.jpg", "bg/._a.jpg", "bg/Thumbs.db", "bg/.trash/b.jpg"):
        _touch(tmp_path / name)
    sets = read_sets(tmp_path / "fg", tmp_path / "alpha", tmp_path / "bg")
    alphas = {front.colours.name: front.alpha.name for front in sets.foregrounds if front.alpha}
    assert alphas == {f"{composed}.JFIF": f"{apart}.png", "cat.jpg": "CAT.PNG"}
    assert sets.backgrounds == (tmp_path / "bg/a.jpe",)
    assert left_out(tmp_path / "bg") is None
    _touch(tmp_path / "bg/b.heic")
    told = f"in {tmp_path / 'bg'} 1 file is of no readable kind, and left out: .heic"
    assert left_out(tmp_path / "bg") == told


def _touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_sets_match_by_stem_in_a_stable_order(tmp_path: Path) -> None:
    for name in ("fg/b.jpg", "fg/deep/a.png", "alpha/a.png", "alpha/b.png", "coco/x.jpg"):
        save(tmp_path / name, disc(9, 9))
    found = read_sets(tmp_path / "fg", tmp_path / "alpha", tmp_path / "coco")
    assert [front.colours.name for front in found.foregrounds] == ["b.jpg", "a.png"]
    assert [front.alpha and front.alpha.name for front in found.foregrounds] == ["b.png", "a.png"]
    assert found.backgrounds == (tmp_path / "coco" / "x.jpg",)
    assert read_sets(tmp_path / "fg", None, tmp_path / "coco").foregrounds[0] == Foreground(tmp_path / "fg" / "b.jpg")


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("kind", ["rgba", "grey alpha", "colour alpha"])
def test_foregrounds_come_in_8_bits(tmp_path: Path, kind: str, deep: bool) -> None:
    rng = np.random.default_rng(1)
    colours, alpha = rng.integers(0, 256, (7, 11, 3), np.uint8), rng.integers(0, 256, (7, 11), np.uint8)
    paths = [tmp_path / "front.png", tmp_path / "alpha.png"]
    pixels = [colours[..., ::-1], np.dstack([alpha] * 3) if kind == "colour alpha" else alpha]
    if kind == "rgba":
        pixels = [np.dstack([pixels[0], alpha])]
    for path, part in zip(paths, pixels, strict=False):
        cv2.imwrite(str(path), part.astype(np.uint16) * 256 + 255 if deep else part)
    read = read_foreground(Foreground(paths[0], paths[1] if len(pixels) > 1 else None))
    assert [part.dtype for part in read] == [np.uint8, np.uint8]
    np.testing.assert_array_equal(read[0], colours)
    np.testing.assert_array_equal(read[1], alpha)


# Composing


def test_samples_depend_on_seed_and_index_alone(sets: Sets) -> None:
    first = [compose_paper(sets, 3, index, 64) for index in range(8)]
    again = [compose_paper(sets, 3, index, 64) for index in reversed(range(8))][::-1]
    for ours, theirs in zip(first, again, strict=True):
        for name in vars(ours):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    assert (first[0].back != compose_paper(sets, 4, 0, 64).back).any()


@given(count=st.integers(1, 700), seed=st.integers(0, 2**32 - 1), epoch=st.integers(0, 10**6))
@settings(max_examples=30)
def test_every_epoch_holds_each_foreground_once(count: int, seed: int, epoch: int) -> None:
    picked = [pick_foreground(count, seed, epoch * count + place) for place in range(count)]
    assert sorted(picked) == list(range(count))


def test_epochs_differ_in_order_and_samples_are_of_the_foreground_picked(
    tmp_path: Path, plain: pytest.MonkeyPatch
) -> None:
    fronts = [
        Foreground(save(tmp_path / f"{level}.png", np.dstack([even((64, 64), (level, 0, 0)), disc(64, 64)])))
        for level in range(50, 250, 50)
    ]
    found = Sets(tuple(fronts), (save(tmp_path / "back.png", even((64, 64), (0, 9, 0))),))
    seen = [int(np.median(compose_paper(found, 0, index, 64).front[24:40, 24:40, 0])) for index in range(40)]
    epochs = [seen[first : first + 4] for first in range(0, 40, 4)]
    assert all(Counter(epoch) == Counter([50, 100, 150, 200]) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 3


def test_finished_samples_are_eq_1_rounded(sets: Sets) -> None:
    samples = [compose_paper(sets, 0, index, 96) for index in range(12)]
    image, trimap, alpha = finish(stack(samples))
    for number, sample in enumerate(samples):
        exact = np.float64(sample.alpha[..., None]) / 255 * (np.float64(sample.front) - sample.back) + sample.back
        assert np.abs(image[number].permute(1, 2, 0).numpy() * 255 - exact).max() < 0.501
        np.testing.assert_array_equal(alpha[number, 0].numpy() * 255, sample.alpha)
        np.testing.assert_array_equal(trimap[number, 0].numpy() * 2, sample.trimap // 127)
    assert (image * 255 - (image * 255).round()).abs().max() < 1e-4


def check_layers(sample: Layers, crop: int) -> None:
    assert sample.front.shape == sample.back.shape == sample.grain.shape == (crop, crop, 3)
    assert sample.alpha.shape == sample.trimap.shape == (crop, crop)
    assert (sample.trimap[(sample.alpha > 0) & (sample.alpha < 255)] == 128).all()
    assert (sample.alpha[sample.trimap == 255] == 255).all()
    assert (sample.alpha[sample.trimap == 0] == 0).all()
    assert (sample.trimap == 128).any()


@given(seed=st.integers(0, 2**32 - 1), index=st.integers(0, 10**6))
@settings(max_examples=60)
def test_what_is_partial_is_unknown_and_colours_never_leak(sets: Sets, seed: int, index: int) -> None:
    sample = compose_paper(sets, seed, index, 64)
    check_layers(sample, 64)
    # All foregrounds have one colour, whatever became of it: nothing shows of the garbage where they are clear.
    shown = sample.alpha > 0
    leak = np.abs(sample.front[shown] - np.median(sample.front[sample.alpha > sample.alpha.max() // 2], axis=0))
    # Beside the rounding to a level, there is that of products of low alpha, of which the picture shows nothing.
    assert ((leak - 1) * (sample.alpha[shown, None] / 255)).max() <= 0.5


@pytest.mark.parametrize("shape", [(1, 1), (2, 900), (40, 60), (1500, 2000), (3, 40000)])
def test_foregrounds_of_any_size_fill_the_crop(tmp_path: Path, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(5)
    alpha = np.where(rng.random(shape) < 0.5, 200, 255).astype(np.uint8)
    alpha[0, 0] = 200
    found = single(tmp_path, even(shape, GREEN), alpha)
    for index in range(6):
        sample = compose_paper(found, 0, index, 64)
        check_layers(sample, 64)
        # Nowhere is the foreground clear, so there is nothing but its reflection beyond its borders.
        assert sample.alpha.min() > 140


def test_foregrounds_are_cut_where_they_are_unknown(tmp_path: Path, plain: pytest.MonkeyPatch) -> None:
    """One soft spot in a picture that is twenty times the crop: it is in the middle, in the picture's scale."""
    alpha = np.zeros((1280, 1280), np.uint8)
    alpha[200:208, 900:908] = 150
    sample = compose_paper(single(tmp_path, even((1280, 1280), GREEN), alpha), 0, 0, 64)
    rows, columns = np.nonzero(sample.alpha)
    assert 22 <= rows.min() <= rows.max() <= 42
    assert 22 <= columns.min() <= columns.max() <= 42
    assert int(sample.alpha.astype(int).sum()) == pytest.approx(64 * 150, rel=0.05)
    np.testing.assert_allclose(sample.front[sample.alpha == 150], [GREEN] * int((sample.alpha == 150).sum()), atol=1)


@pytest.mark.parametrize("index", range(8))
def test_enlarged_foregrounds_stay_in_place(tmp_path: Path, plain: pytest.MonkeyPatch, index: int) -> None:
    """By whatever method: half of a picture of 4 pixels is half of the crop."""
    alpha = np.repeat(np.uint8([0, 255]), 2)[None].repeat(4, axis=0)
    sample = compose_paper(single(tmp_path, even((4, 4), GREEN), alpha), 0, index, 64)
    assert sample.alpha.mean() == pytest.approx(127.5, abs=2.5)


def test_hard_edges_have_unknown_pixels_too(tmp_path: Path) -> None:
    alpha = np.repeat(np.uint8([0, 255]), 200)[None].repeat(400, axis=0)
    for index in range(12):
        check_layers(compose_paper(single(tmp_path, even((400, 400), GREEN), alpha), 0, index, 64), 64)


@pytest.mark.parametrize("sizes", [((80, 80), (80, 80)), ((80, 120), (300, 200)), ((200, 300), (70, 90))])
def test_two_foregrounds_are_laid_over_each_other(
    tmp_path: Path, plain: pytest.MonkeyPatch, sizes: tuple[tuple[int, int], ...]
) -> None:
    plain.setattr(recipe, "COMBINED_SHARE", 1)
    levels, colours = (100, 180), ((200, 40, 10), (30, 60, 250))
    fronts = [
        Foreground(save(tmp_path / f"{level}.png", np.dstack([even(size, colour), np.full(size, level, np.uint8)])))
        for size, level, colour in zip(sizes, levels, colours, strict=True)
    ]
    found = Sets(tuple(fronts), (save(tmp_path / "back.png", even((64, 64), (0, 9, 0))),))
    for index in range(4):
        sample, upper = compose_paper(found, 0, index, 64), pick_foreground(2, 0, index)
        first, second = levels[upper] / 255, levels[1 - upper] / 255
        alpha = 1 - (1 - first) * (1 - second)
        over = first * np.array(colours[upper]) + (1 - first) * second * np.array(colours[1 - upper])
        np.testing.assert_allclose(sample.alpha, 255 * alpha, atol=0.51)
        np.testing.assert_allclose(sample.front, np.broadcast_to(over / alpha, sample.front.shape), atol=0.6)


def test_at_times_the_whole_foreground_is_seen(tmp_path: Path, plain: pytest.MonkeyPatch) -> None:
    plain.setattr(recipe, "WHOLE_SHARE", 1)
    sample = compose_paper(single(tmp_path, even((900, 1200), GREEN), disc(900, 1200)), 0, 1, 64)
    # The disc of 600 pixels is 40 wide now and 53 high, as the picture became a square of 80.
    assert 46 <= np.ptp(np.nonzero((sample.alpha > 127).any(axis=1))) <= 54
    assert 37 <= np.ptp(np.nonzero((sample.alpha > 127).any(axis=0))) <= 41


def test_hue_saturation_and_value_change_as_drawn(tmp_path: Path, plain: pytest.MonkeyPatch) -> None:
    found = single(tmp_path, even((64, 64), (100, 60, 60)), disc(64, 64))
    plain.setattr(recipe, "VALUES", (1.5, 1.5))
    plain.setattr(recipe, "SATURATIONS", (0.5, 0.5))
    # Saturation 0.4 becomes 0.2, the brightest channel 150.
    np.testing.assert_array_equal(compose_paper(found, 0, 0, 64).front[32, 32], [150, 120, 120])
    plain.setattr(recipe, "HUE", 20)
    reds = {tuple(compose_paper(found, 0, index, 64).front[32, 32].tolist()) for index in range(6)}
    assert len(reds) == 6
    assert all(max(red) == red[0] == 150 and min(red) == 120 for red in reds)


@pytest.mark.parametrize("shape", [(64, 64), (20, 90), (700, 300)])
def test_backgrounds_cover_the_crop_and_fill_it(tmp_path: Path, shape: tuple[int, int]) -> None:
    found = single(tmp_path, even((64, 64), GREEN), disc(64, 64))
    ramp = np.linspace(0, 255, max(shape))
    photo = np.broadcast_to(ramp[None, :] if shape[1] >= shape[0] else ramp[:, None], shape).astype(np.uint8)
    back = save(tmp_path / "ramp.png", np.dstack([photo] * 3))
    seen = [compose_paper(Sets(found.foregrounds, (back,)), 0, index, 64).back for index in range(8)]
    share = min(shape) / max(shape)
    for part in seen:
        assert int(part.max()) - int(part.min()) == pytest.approx(255 * share, abs=30)
    if share < 1:
        assert len({int(part.mean()) for part in seen}) > 4


def test_kernels_are_drawn_for_either_side(tmp_path: Path, plain: pytest.MonkeyPatch) -> None:
    """The unknown band's reach into a disc and out of it is of 1 to 30 pixels across, and not the same."""
    drawn = []
    plain.setattr(recipe, "erode_known", lambda *parts: drawn.append(parts[2]) or erode_known(*parts))
    found = single(tmp_path, even((300, 300), GREEN), disc(300, 300))
    for index in range(200):
        compose_paper(found, 0, index, 64)
    sides = np.array(drawn)
    assert sides.min() == 1
    assert sides.max() == 30
    assert abs(np.corrcoef(sides.T)[0, 1]) < 0.3


# Checking


def write_cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-60])
    return path


def no_trailer(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-12])
    return path


def scribble(path: Path) -> Path:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x55
    path.write_bytes(bytes(content))
    return path


def noise(folder: Path, name: str) -> Path:
    return save(folder / name, np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8))


def rgba(folder: Path, low: int, high: int) -> Path:
    return save(folder / "front.png", np.dstack([even((40, 60), GREEN), ramp(low, high)]))


def ramp(low: int, high: int) -> Bytes:
    return np.linspace(low, high, 40 * 60).reshape(40, 60).astype(np.uint8)


def text(folder: Path) -> Path:
    (folder / "text.png").write_text("not a picture")
    return folder / "text.png"


def gif(folder: Path) -> Path:
    Image.fromarray(ramp(0, 255)).save(folder / "moving.png", format="GIF")
    return folder / "moving.png"


def floats(folder: Path) -> Path:
    return save(folder / "floats.tif", np.zeros((4, 4), np.float32) + 0.5)


def deep(folder: Path, low: int, high: int) -> Path:
    return save(folder / "deep.png", np.linspace(low, high, 2400).reshape(40, 60).astype(np.uint16))


def pair(folder: Path, alpha: Bytes) -> Foreground:
    return Foreground(noise(folder, "front.png"), save(folder / "a.png", alpha))


Made = Callable[[Path], list[Material]]
FINDINGS: dict[str, tuple[Made, str]] = {
    "cut jpeg": (lambda f: list_materials([write_cut(noise(f, "x.jpg"))]), "x.jpg is damaged or cut short"),
    "cut png": (lambda f: list_materials([write_cut(noise(f, "x.png"))]), "x.png is damaged or cut short"),
    "png without end": (lambda f: list_materials([no_trailer(noise(f, "x.png"))]), "x.png is damaged or cut short"),
    "changed png": (lambda f: list_materials([scribble(noise(f, "x.png"))]), "x.png is damaged or cut short"),
    "cut tiff": (lambda f: list_materials([write_cut(noise(f, "x.tif"))]), "x.tif is damaged or cut short"),
    "cut webp": (lambda f: list_materials([write_cut(noise(f, "x.webp"))]), "x.webp is"),
    "text": (lambda f: list_materials([text(f)]), "text.png is not a picture of JPEG, PNG, WebP or TIFF: remove"),
    "gif": (lambda f: list_materials([gif(f)]), "moving.png is not a picture of JPEG, PNG, WebP or TIFF"),
    "floats": (lambda f: list_materials([floats(f)]), "floats.tif has neither 8 nor 16 bits a channel: save it"),
    "missing": (lambda f: list_materials([f / "gone.jpg"]), "gone.jpg cannot be read (No such file or directory)"),
    "missing alpha": (
        lambda f: list_materials(foregrounds=[Foreground(noise(f, "x.png"), f / "gone.png")]),
        "gone.png cannot be read",
    ),
    "no alpha channel": (
        lambda f: list_materials(foregrounds=[Foreground(noise(f, "x.png"))]),
        "x.png has no alpha channel: name the folder of alphas",
    ),
    "sizes": (
        lambda f: list_materials(foregrounds=[pair(f, disc(40, 50))]),
        "front.png has 60 x 40 and {}/a.png has 50 x 40 pixels: scale them alike",
    ),
    "opaque": (lambda f: list_materials(foregrounds=[pair(f, ramp(255, 255))]), "a.png is opaque everywhere"),
    "clear": (lambda f: list_materials(foregrounds=[pair(f, ramp(0, 0))]), "a.png is transparent everywhere"),
    "even": (lambda f: list_materials(foregrounds=[pair(f, ramp(77, 77))]), "a.png has one level everywhere"),
    "opaque rgba": (lambda f: list_materials(foregrounds=[Foreground(rgba(f, 255, 255))]), "is opaque everywhere"),
    "opaque matte": (lambda f: list_materials(mattes=[rgba(f, 255, 255)]), "front.png is opaque everywhere"),
    "black density": (lambda f: list_materials(mattes=[save(f / "d.png", ramp(0, 0))]), "d.png is transparent"),
    "black deep density": (lambda f: list_materials(mattes=[deep(f, 0, 0)]), "deep.png is transparent"),
    "shallow density": (lambda f: list_materials(mattes=[deep(f, 0, 200)]), "deep.png goes up to 200 of 65535 only"),
    "alpha of 0 and 1": (
        lambda f: list_materials(foregrounds=[Foreground(rgba(f, 0, 1))]),
        "the alpha of {}/front.png goes up to 1 of 255 only: save it with 255 as white",
    ),
    "grey of 0 and 1": (
        lambda f: list_materials(foregrounds=[pair(f, ramp(0, 1))]),
        "a.png holds the levels 0 and 1 of 255 alone, taken as black and white, where training needs alpha as grey",
    ),
    "cutouts for alphas": (
        lambda f: list_materials(foregrounds=[Foreground(noise(f, "x.png"), rgba(f, 0, 255))]),
        "front.png was read by its alpha channel, not by its colour, where training needs alpha as grey",
    ),
    "coloured alpha": (
        lambda f: list_materials(foregrounds=[Foreground(noise(f, "x.png"), noise(f, "y.png"))]),
        "y.png: its colours are",
    ),
    "validation": (
        lambda f: [
            Material(
                (noise(f, "image/x.png"), save(f / "trimap/x.png", disc(40, 60)), save(f / "alpha/x.png", disc(9, 9)))
            )
        ],
        "alpha/x.png has 9 x 9 pixels: scale them alike",
    ),
}


@pytest.mark.parametrize("name", FINDINGS)
def test_what_is_wrong_is_told_and_nothing_else_is_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    make, told = FINDINGS[name]
    sources = make(tmp_path)
    with pytest.raises(TrainingError) as caught:
        check_data(sources)
    assert str(caught.value).startswith("the training data have a problem: ")
    assert told.format(tmp_path) in str(caught.value)
    assert capfd.readouterr() == ("", "")


SOUND: dict[str, Made] = {
    "backgrounds": lambda f: list_materials([noise(f, name) for name in ("a.jpg", "b.PNG", "c.webp", "d.tif")]),
    "wrong ending": lambda f: list_materials([noise(f, "a.jpg").rename(f / "a.png")]),
    "foregrounds": lambda f: list_materials(foregrounds=[pair(f, ramp(0, 255)), Foreground(rgba(f, 0, 255))]),
    "deep alpha": lambda f: list_materials(foregrounds=[Foreground(noise(f, "x.png"), deep(f, 0, 65535))]),
    "colour alpha": lambda f: list_materials(foregrounds=[pair(f, np.dstack([ramp(0, 255)] * 3))]),
    "never opaque": lambda f: list_materials(foregrounds=[pair(f, ramp(3, 90))]),
    "mattes": lambda f: list_materials(mattes=[rgba(f, 0, 255), noise(f, "glow.png"), deep(f, 0, 65535)]),
    "foul profile": lambda f: list_materials(mattes=[foul_profile(f)]),
}


def foul_profile(folder: Path) -> Path:
    Image.fromarray(ramp(0, 255)).save(folder / "p.png", icc_profile=b"no profile" * 30)
    return folder / "p.png"


@pytest.mark.parametrize("name", SOUND)
def test_sound_pictures_pass_in_silence(tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str) -> None:
    sources = SOUND[name](tmp_path)
    assert sources
    check_data(sources)
    assert capfd.readouterr() == ("", "")


def test_turned_photographs_fit_an_upright_alpha(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(even((40, 60), GREEN)).save(tmp_path / "x.jpg", exif=exif)
    front = Foreground(tmp_path / "x.jpg", save(tmp_path / "a.png", disc(60, 40)))
    check_data(list_materials(foregrounds=[front]))
    assert read_foreground(front)[0].shape == (60, 40, 3)


def test_validation_is_checked_by_common_stems(tmp_path: Path) -> None:
    for name in ("image/a.jpg", "trimap/a.png", "alpha/a.png", "image/b.jpg", "alpha/b.png"):
        save(tmp_path / name, disc(40, 40))
    paths = tuple(tmp_path / name for name in ("image/a.jpg", "trimap/a.png", "alpha/a.png"))
    assert list_validation(tmp_path) == [Material(paths)]
    check_data(list_validation(tmp_path))


def test_all_is_found_and_five_are_told(tmp_path: Path) -> None:
    sources = list_materials([tmp_path / f"{number}.jpg" for number in range(9)])
    with pytest.raises(TrainingError, match=r"have 9 problems: .*4\.jpg cannot[^;]*; and 4 more$"):
        check_data(sources)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the files that are decoded from now on."""
    names: list[str] = []
    decode = checking._decoded
    monkeypatch.setattr(checking, "_decoded", lambda path: names.append(path.name) or decode(path))
    return names


def test_what_was_sound_is_not_decoded_again(tmp_path: Path, decoded: list[str]) -> None:
    memory = tmp_path / "checked.json"
    paths = [noise(tmp_path, name) for name in ("a.png", "b.png", "c.png")]
    scribble(paths[2])
    with pytest.raises(TrainingError, match=r"c\.png"):
        check_data(list_materials(paths), memory)
    decoded.clear()
    with pytest.raises(TrainingError, match=r"c\.png"):
        check_data(list_materials(paths), memory)
    assert decoded == ["c.png"]
    noise(tmp_path, "c.png")
    save(paths[0], disc(50, 50))
    decoded.clear()
    check_data(list_materials(paths), memory)
    assert sorted(decoded) == ["a.png", "c.png"]
    decoded.clear()
    check_data(list_materials(paths), memory)
    assert decoded == []
    assert len(json.loads(memory.read_text())["sound"]) == 3


def test_what_is_sound_for_one_purpose_is_checked_for_another(tmp_path: Path, decoded: list[str]) -> None:
    memory, path = tmp_path / "checked.json", rgba(tmp_path, 255, 255)
    check_data(list_materials([path]), memory)
    with pytest.raises(TrainingError, match="opaque"):
        check_data(list_materials(mattes=[path]), memory)
    assert decoded == ["front.png"] * 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[1, 2]",
        b"[" * 100_000,
        b'{"sound": 3}',
        b'{"format": "diffmatte sound pictures", "version": 1, "sound": [MARK]}',
        b'{"format": "of another program", "version": 2, "sound": [MARK]}',
    ],
    ids=lambda content: content[:48].decode(errors="replace"),
)
def test_a_foreign_memory_is_ignored_and_replaced(tmp_path: Path, decoded: list[str], content: bytes) -> None:
    memory, path = tmp_path / "checked.json", noise(tmp_path, "a.png")
    check_data(list_materials([path]), memory)
    entry = json.dumps(json.loads(memory.read_text())["sound"][0])
    memory.write_bytes(content.replace(b"MARK", entry.encode()))
    decoded.clear()
    check_data(list_materials([path]), memory)
    assert decoded == ["a.png"]
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["a.png", "checked.json"]
    decoded.clear()
    check_data(list_materials([path]), memory)
    assert decoded == []


def test_an_interrupted_check_keeps_what_it_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = tmp_path / "checked.json"
    paths = [noise(tmp_path, f"{number}.png") for number in range(3)]
    decode = checking._decoded

    def interrupted(path: Path) -> Image.Image:
        if path.name == "2.png":
            raise KeyboardInterrupt
        return decode(path)

    monkeypatch.setattr(checking, "_decoded", interrupted)
    with pytest.raises(KeyboardInterrupt):
        check_data(list_materials(paths), memory)
    assert len(json.loads(memory.read_text())["sound"]) == 2


@pytest.mark.parametrize("progress", [False, True])
def test_the_bar_shows_on_a_terminal_only_when_asked(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, progress: bool
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    check_data(list_materials([noise(tmp_path, "a.png")]), progress=progress)
    assert ("checking: 100%" in capfd.readouterr().err) == progress
