"""Trimaps as people have them: classes, sizes, and the signs of a mistake."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from diffmatte_cli.errors import ImageError
from diffmatte_cli.imaging.grey import GreyImage
from diffmatte_cli.imaging.orientation import orient
from diffmatte_cli.imaging.read import ColourImage
from diffmatte_cli.trimaps.trimap import diagnose, fit_to_image, parse_trimap, unknown_share

LEVELS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 8), st.integers(1, 8)),
    elements=st.floats(0, 1, width=32),
)


@given(LEVELS)
def test_every_level_falls_into_its_class(levels: np.ndarray) -> None:
    trimap = parse_trimap(levels)
    assert trimap.dtype == np.uint8
    for level, label in zip(levels.ravel(), trimap.ravel(), strict=True):
        assert label == (0 if level < np.float32(0.1) else 255 if level > np.float32(0.9) else 128)


@given(LEVELS)
def test_parsing_its_own_result_changes_nothing(levels: np.ndarray) -> None:
    trimap = parse_trimap(levels)
    np.testing.assert_array_equal(parse_trimap(trimap.astype(np.float32) / 255), trimap)


@given(hnp.arrays(np.uint8, (4, 4)))
def test_thresholds_in_8_bits(values: np.ndarray) -> None:
    # 10 % of 255 is 25.5 and 90 % is 229.5.
    expected = np.where(values <= 25, 0, np.where(values >= 230, 255, 128))
    np.testing.assert_array_equal(parse_trimap(values.astype(np.float32) / 255), expected)


def _photo(height: int, width: int, orientation: int = 1) -> ColourImage:
    return ColourImage(np.zeros((height, width, 3), np.uint8), orientation)


MARKED = np.arange(12, dtype=np.float32).reshape(3, 4) / 12


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_fitting_trimap_is_used_as_it_is(orientation: int) -> None:
    np.testing.assert_array_equal(fit_to_image(GreyImage(MARKED), _photo(3, 4, orientation)), MARKED)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_trimap_of_the_unrotated_pixels_is_turned_along(orientation: int) -> None:
    turned = fit_to_image(GreyImage(MARKED), _photo(4, 3, orientation))
    np.testing.assert_array_equal(turned, orient(MARKED, orientation))


@pytest.mark.parametrize("copied", [5, 6, 7, 8])
def test_a_copied_orientation_tag_that_spoils_the_fit_is_ignored(copied: int) -> None:
    upright = GreyImage(orient(MARKED, copied), copied)
    np.testing.assert_array_equal(fit_to_image(upright, _photo(3, 4, 6)), MARKED)


@pytest.mark.parametrize(
    ("shape", "photo"),
    [((3, 4), _photo(6, 8)), ((3, 4), _photo(4, 3)), ((3, 4), _photo(4, 3, 3)), ((3, 4), _photo(3, 5, 6))],
)
def test_other_sizes_are_refused_naming_both(shape: tuple[int, int], photo: ColourImage) -> None:
    height, width = photo.pixels.shape[:2]
    with pytest.raises(ImageError, match=rf"trimap is 4x3 but the photograph is {width}x{height}: "):
        fit_to_image(GreyImage(np.zeros(shape, np.float32)), photo)


def _disc(inside: float, band: float, outside: float, size: int = 120) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size] - size / 2
    radius = np.hypot(rows, columns)
    levels = np.full((size, size), outside, np.float32)
    levels[radius < size * 0.35] = band
    levels[radius < size * 0.25] = inside
    return levels


def _portrait(inverted: bool) -> np.ndarray:
    levels = _disc(1, 0.5, 0)
    levels[60:, 30:90] = 1  # shoulders that leave the picture at its foot
    return 1 - levels if inverted else levels


def _blurred(levels: np.ndarray, times: int) -> np.ndarray:
    for _ in range(times):
        padded = np.pad(levels, 1, mode="edge")
        levels = (padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]) / 4
    return levels.astype(np.float32)


NOISE = np.random.default_rng(0).normal(0, 0.03, (120, 120)).astype(np.float32)
CLOSE_UP = np.ones((90, 90), np.float32)
CLOSE_UP[:20, :20], CLOSE_UP[20:25, :25] = 0, 0.5

# what it is -> (levels, the one word of each finding expected)
CASES = {
    "good": (_disc(1, 0.5, 0), []),
    "128 of 255": (_disc(1, 128 / 255, 0), []),
    "another grey": (_disc(1, 0.7, 0), []),
    "soft brush": (_blurred(_disc(1, 0.5, 0, 400), 2), []),
    "portrait": (_portrait(inverted=False), []),
    "close-up with a corner of background": (CLOSE_UP, []),
    "no unknown": (_disc(1, 1, 0), ["no unknown"]),
    "no foreground": (_disc(0.5, 0.5, 0), ["no known foreground"]),
    "no background": (_disc(1, 0.5, 0.5), ["no known background"]),
    "all unknown": (np.full((9, 9), 0.5, np.float32), ["no known foreground", "no known background"]),
    "one unknown pixel": (np.full((1, 1), 0.5, np.float32), ["no known foreground", "no known background"]),
    "white": (np.ones((9, 9), np.float32), ["no unknown", "no known background"]),
    "inverted": (_disc(0, 0.5, 1), ["inverted"]),
    "inverted portrait": (_portrait(inverted=True), ["inverted"]),
    "inverted mask": (_disc(0, 0, 1), ["inverted", "no unknown"]),
    "a matte": (_blurred(_disc(1, 0.5, 0), 60), ["neither black, white nor one grey"]),
    "noise": (np.clip(_disc(1, 0.5, 0) + NOISE, 0, 1), ["neither black, white nor one grey"]),
}


@pytest.mark.parametrize("case", CASES)
def test_diagnosis(case: str) -> None:
    levels, expected = CASES[case]
    findings = diagnose(levels, parse_trimap(levels))
    assert len(findings) == len(expected), findings
    for finding, word in zip(findings, expected, strict=True):
        assert word in finding.text
        assert "\n" not in finding.text
        assert not finding.mended


@given(LEVELS)
def test_diagnosis_never_fails(levels: np.ndarray) -> None:
    assert all(finding.text and finding.code for finding in diagnose(levels, parse_trimap(levels)))


def test_unknown_share() -> None:
    assert unknown_share(np.array([[0, 128], [255, 128]], np.uint8)) == 0.5
