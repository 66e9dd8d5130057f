"""Discs around pixels, the widths of a band, and trimaps made of masks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from diffmatte_cli.errors import ImageError, UsageError
from diffmatte_cli.imaging.grey import GreyImage
from diffmatte_cli.imaging.read import ColourImage
from diffmatte_cli.trimaps.band import Band
from diffmatte_cli.trimaps.masks import fit_mask, trimap_from_mask
from diffmatte_cli.trimaps.morphology import dilate, erode

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))
MASKS = hnp.arrays(np.bool_, SHAPES)
LEVELS = hnp.arrays(np.float32, SHAPES, elements=st.floats(0, 1, width=32))
RADII = st.integers(0, 30)


def _within(mask: np.ndarray, radius: int) -> np.ndarray:
    """Return which pixels lie at most ``radius`` from one of ``mask``, by looking at every pair."""
    rows, columns = np.indices(mask.shape).reshape(2, -1)
    squares = np.subtract.outer(rows, rows) ** 2 + np.subtract.outer(columns, columns) ** 2
    near: np.ndarray = ((squares <= radius**2) & mask.ravel()).any(axis=1).reshape(mask.shape)
    return near


@given(MASKS, RADII)
def test_dilating_is_euclidean(mask: np.ndarray, radius: int) -> None:
    before = mask.copy()
    np.testing.assert_array_equal(dilate(mask, radius), _within(mask, radius))
    np.testing.assert_array_equal(mask, before)


@given(MASKS, RADII)
def test_eroding_is_euclidean_and_the_border_is_no_edge(mask: np.ndarray, radius: int) -> None:
    np.testing.assert_array_equal(erode(mask, radius), ~_within(~mask, radius))


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (7, 11)])
@pytest.mark.parametrize("radius", [0, 1, 5, 2000])
def test_nothing_stays_nothing_and_everything_everything(shape: tuple[int, int], radius: int) -> None:
    for function in (dilate, erode):
        assert not function(np.zeros(shape, np.bool_), radius).any()
        assert function(np.ones(shape, np.bool_), radius).all()


def test_a_point_is_dilated_to_a_disc() -> None:
    point = np.zeros((301, 401), np.bool_)
    point[150, 200] = True
    rows, columns = np.ogrid[-150:151, -200:201]
    np.testing.assert_array_equal(dilate(point, 97), rows**2 + columns**2 <= 97**2)


@pytest.mark.parametrize(
    ("band", "shape", "expected"),
    [
        (Band(), (1000, 2000), (20, 20)),
        (Band(), (2000, 1000), (20, 20)),
        (Band(), (1, 1), (1, 1)),
        (Band(percent=4), (100, 200), (8, 8)),
        (Band(percent=50), (10, 20_000), (2000, 2000)),
        (Band(erode=3), (1000, 1000), (3, 0)),
        (Band(dilate=5), (1000, 1000), (0, 5)),
        (Band(erode=0, dilate=0), (1000, 1000), (0, 0)),
        (Band(erode=7, dilate=2000), (1, 1), (7, 2000)),
    ],
)
def test_widths_in_pixels(band: Band, shape: tuple[int, int], expected: tuple[int, int]) -> None:
    assert band.pixels(*shape) == expected


@pytest.mark.parametrize(
    ("band", "name"),
    [
        (Band(), "1 %, less in gaps"),
        (Band(percent=1), "1 %"),
        (Band(percent=2.5), "2.5 %"),
        (Band(erode=3), "3 px inside, 0 px outside"),
        (Band(0, 5), "0 px inside, 5 px outside"),
    ],
)
def test_names_for_receipts(band: Band, name: str) -> None:
    assert band.name == name


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"erode": -1}, "the width to erode must be from 0 to 2000 pixels, not -1"),
        ({"dilate": 2001}, "the width to dilate must be from 0 to 2000 pixels, not 2001"),
        ({"percent": 0.0}, "the band must be above 0 and at most 50 percent, not 0"),
        ({"percent": -2.0}, "not -2"),
        ({"percent": 50.5}, "not 50.5"),
        ({"percent": float("nan")}, "not nan"),
        ({"percent": float("inf")}, "not inf"),
        ({"percent": 2.0, "erode": 0}, "a band gives both sides their width"),
        ({"percent": 2.0, "dilate": 3}, "a band gives both sides their width"),
    ],
)
def test_widths_that_make_no_sense(settings: dict[str, float], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Band(**settings)  # type: ignore[arg-type]


@given(LEVELS, st.integers(0, 12), st.integers(0, 12))
def test_what_is_known_was_sure_and_far_from_the_edge(levels: np.ndarray, erode: int, dilate: int) -> None:
    trimap = trimap_from_mask(levels, Band(erode, dilate))
    assert trimap.dtype == np.uint8
    assert trimap.shape == levels.shape
    assert set(np.unique(trimap)) <= {0, 128, 255}
    white, black = levels >= np.float32(0.95), levels <= np.float32(0.05)
    np.testing.assert_array_equal(trimap == 255, white & ~_within(~white, erode))
    np.testing.assert_array_equal(trimap == 0, black & ~_within(~black, dilate))


@given(LEVELS, st.integers(0, 6))
def test_a_wider_band_only_makes_more_unknown(levels: np.ndarray, width: int) -> None:
    narrow, wide = (trimap_from_mask(levels, Band(pixels, pixels)) for pixels in (width, width + 1))
    assert (wide[narrow == 128] == 128).all()
    np.testing.assert_array_equal(wide[wide != 128], narrow[wide != 128])


def test_soft_levels_are_unknown_without_any_band() -> None:
    levels = np.array([[0, 0.05, 0.06, 0.5, 0.94, 0.95, 1]], np.float32)
    np.testing.assert_array_equal(trimap_from_mask(levels, Band(0, 0)), [[0, 0, 128, 128, 128, 255, 255]])


def test_each_side_gets_its_own_width() -> None:
    levels = np.repeat(np.array([[0, 1]], np.float32), 10, axis=1).repeat(3, axis=0)
    expected = np.repeat(np.array([0, 128, 255], np.uint8), [6, 6, 8])
    np.testing.assert_array_equal(trimap_from_mask(levels, Band(erode=2, dilate=4)), [expected] * 3)


@pytest.mark.parametrize(("level", "label"), [(0, 0), (1, 255), (0.5, 128)])
def test_a_mask_without_an_edge_gets_no_band_along_the_border(level: float, label: int) -> None:
    assert (trimap_from_mask(np.full((5, 7), level, np.float32), Band(3, 3)) == label).all()


def _animal() -> np.ndarray:
    """Draw a body and legs of 15 pixels with gaps of 15 and 8 in an image whose usual band is 10 wide."""
    levels = np.zeros((600, 1000), np.float32)
    levels[100:300, 200:600] = 1
    for left in (300, 330, 353):
        levels[300:500, left : left + 15] = 1
    return levels


def test_gaps_keep_a_core_unless_a_width_is_given() -> None:
    levels = _animal()
    usual, given = (trimap_from_mask(levels, band) for band in (Band(), Band(percent=1)))
    expected = np.repeat([128, 0, 128], [30, 5, 43])  # the other gap is too narrow, and legs have none
    np.testing.assert_array_equal(usual[400, 290:368], expected)
    assert (given[400, 290:368] == 128).all()
    np.testing.assert_array_equal(usual[:, :280], given[:, :280])
    np.testing.assert_array_equal(usual[given != 128], given[given != 128])


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 3), (90, 120)])
@pytest.mark.parametrize(("level", "label"), [(0, 0), (1, 255), (0.5, 128)])
def test_a_mask_of_one_level_has_no_band(shape: tuple[int, int], level: float, label: int) -> None:
    assert (trimap_from_mask(np.full(shape, level, np.float32), Band()) == label).all()


@pytest.mark.parametrize("value", [0, 1])
def test_an_edge_along_the_frame(value: int) -> None:
    levels = np.pad(np.full((194, 294), value, np.float32), 3, constant_values=1 - value)
    trimap = trimap_from_mask(levels, Band())
    assert (trimap[6:-6, 6:-6] == 255 * value).all()
    assert (trimap[:6, 6:-6] == 128).all()


def test_a_gap_that_the_border_cuts_keeps_its_core_up_to_there() -> None:
    levels = np.ones((600, 1000), np.float32)
    levels[300:, 315:330] = 0
    assert (trimap_from_mask(levels, Band())[400:, 320:325] == 0).all()


@given(LEVELS)
def test_the_usual_band_knows_nothing_that_was_unsure(levels: np.ndarray) -> None:
    trimap = trimap_from_mask(levels, Band())
    assert (levels[trimap == 255] >= 0.95).all()
    assert (levels[trimap == 0] <= 0.05).all()


def _photograph(height: int, width: int, orientation: int = 1) -> ColourImage:
    return ColourImage(np.zeros((height, width, 3), np.uint8), orientation)


@pytest.mark.parametrize("size", [(30, 40), (15, 20), (60, 80), (301, 400)])
def test_a_mask_of_another_size_is_scaled(size: tuple[int, int]) -> None:
    mask = np.zeros(size, np.float32)
    mask[:, size[1] // 2 :] = 1
    levels, told = fit_mask(GreyImage(mask), _photograph(30, 40))
    assert (levels.shape, levels.dtype, told) == ((30, 40), np.float32, "")
    assert (levels[:, :18] == 0).all()
    assert (levels[:, 22:] == 1).all()


def test_a_mask_of_another_shape_is_stretched_and_told() -> None:
    levels, told = fit_mask(GreyImage(np.ones((32, 32), np.float32)), _photograph(30, 40))
    assert (levels == 1).all()
    assert told == "is 32x32 and the photograph 40x30: it is stretched to that shape"


@pytest.mark.parametrize(("own", "of_photograph"), [(6, 1), (1, 6)])
def test_a_smaller_mask_is_turned_by_an_orientation(own: int, of_photograph: int) -> None:
    mask = np.zeros((20, 15), np.float32)
    mask[:10] = 1
    levels, told = fit_mask(GreyImage(mask, own), _photograph(30, 40, of_photograph))
    assert told == ""
    white_left = levels[:, :18].mean() > 0.9
    assert white_left == (own == 6)  # that of the photograph turns it clockwise, its own back


def test_a_mask_on_its_side_is_refused() -> None:
    with pytest.raises(ImageError, match="the mask is 15x20 and the photograph 40x30, and which way to turn it"):
        fit_mask(GreyImage(np.zeros((20, 15), np.float32)), _photograph(30, 40))


@pytest.mark.parametrize("gap", [0, 1, 3, 5])
def test_a_subject_that_the_frame_cuts_has_no_band_along_it(gap: int) -> None:
    mask = np.zeros((600, 1000), np.float32)
    mask[200 : 600 - gap, 300:700] = 1
    trimap = trimap_from_mask(mask, Band())
    assert (trimap[560:, 330:670] == 255).all()
    assert (trimap[595:, :280] == 0).all()


def test_a_subject_that_ends_inside_has_its_band() -> None:
    mask = np.zeros((600, 1000), np.float32)
    mask[200:590, 300:700] = 1
    assert (trimap_from_mask(mask, Band())[580:, 330:670] == 128).all()
