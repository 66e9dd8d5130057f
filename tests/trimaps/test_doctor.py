"""What is found wrong with a photograph and its trimap, and what becomes of it."""

import io
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageFilter

from diffmatte_cli.imaging.grey import GreyImage
from diffmatte_cli.imaging.orientation import orient
from diffmatte_cli.imaging.read import ColourImage
from diffmatte_cli.trimaps.doctor import Diagnosis, examine

HEIGHT, WIDTH = 240, 320
CLASSES = st.sampled_from([0, 128, 255])


@cache
def _drawn(height: int = HEIGHT, width: int = WIDTH, gap: float = 20) -> np.ndarray:
    """Draw an ellipse that leaves the picture on the left, with ``gap`` unknown pixels around it, uint8 [H, W]."""
    rows, columns = np.ogrid[:height, :width]
    radius = np.hypot((rows - height * 0.45) / 0.7, columns - width * 0.25)
    labels = np.select([radius < width * 0.3, radius < width * 0.3 + gap / 0.7], [255, 128], 0)
    return labels.astype(np.uint8)


def _levels(labels: np.ndarray) -> np.ndarray:
    return (labels / np.float32(255)).astype(np.float32)


def _examined(labels: np.ndarray, size: tuple[int, int] | None = None, turned: tuple[int, int] = (1, 1)) -> Diagnosis:
    """Examine a trimap with a photograph of ``size`` (default: its own); ``turned`` are both EXIF orientations."""
    photo = ColourImage(np.zeros((*(size or labels.shape), 3), np.uint8), turned[0])
    return examine(photo, GreyImage(_levels(labels), turned[1]))


def _codes(diagnosis: Diagnosis) -> dict[str, bool]:
    for finding in diagnosis.findings:
        assert "\n" not in finding.text
    return {finding.code: finding.mended for finding in diagnosis.findings}


def _mended(diagnosis: Diagnosis) -> np.ndarray:
    """Return the trimap, in which nothing that was mended is found again."""
    trimap = diagnosis.trimap
    assert trimap is not None
    assert trimap.dtype == np.uint8
    assert set(np.unique(trimap)) <= {0, 128, 255}
    again = _examined(trimap)
    assert not {code for code, mended in _codes(diagnosis).items() if mended} & _codes(again).keys()
    return trimap


def _as_jpeg(labels: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(labels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def _blurred(labels: np.ndarray, radius: float) -> np.ndarray:
    return np.asarray(Image.fromarray(labels).filter(ImageFilter.GaussianBlur(radius)))


def _stripes(shape: tuple[int, int], *starts: int) -> np.ndarray:
    """Draw background, unknown and foreground side by side."""
    labels = np.zeros(shape, np.uint8)
    labels[:, starts[0] :], labels[:, starts[1] :] = 128, 255
    return labels


GOOD = {
    "one row": _stripes((1, 9), 3, 6),
    "one column": _stripes((1, 9), 3, 6).T,
    "tiny": _stripes((4, 4), 1, 3),
    "small": _drawn(24, 32, 4),
    "medium": _drawn(),
    "large": _drawn(900, 1200, 20),
    "another grey": np.where(_drawn() == 128, np.uint8(90), _drawn()),
}


@pytest.mark.parametrize("case", GOOD)
def test_a_good_trimap_is_fine_and_stays_as_it_is(case: str) -> None:
    diagnosis = _examined(GOOD[case])
    assert diagnosis.findings == ()
    expected = np.where((GOOD[case] > 0) & (GOOD[case] < 255), 128, GOOD[case])
    np.testing.assert_array_equal(_mended(diagnosis), expected)


def test_shares_are_those_of_the_trimap() -> None:
    shares = _examined(_stripes((2, 20), 10, 15)).shares
    assert shares == {"unknown": 0.25, "foreground": 0.25, "background": 0.5}


@pytest.mark.parametrize("value", [0, 128, 255])
def test_one_pixel_lacks_what_it_is_not(value: int) -> None:
    codes = _codes(_examined(np.full((1, 1), value, np.uint8)))
    lacking = {"no-background": 0, "no-unknown": 128, "no-foreground": 255}
    assert codes.keys() - {"wide"} == {code for code, level in lacking.items() if level != value}
    assert not any(codes.values())


@pytest.mark.parametrize(
    "size", [(HEIGHT * 2, WIDTH * 2), (HEIGHT // 2, WIDTH // 2), (HEIGHT * 3 + 1, WIDTH * 3), (48, 64), (5, 7)]
)
def test_another_size_of_the_same_shape_is_mended(size: tuple[int, int]) -> None:
    diagnosis = _examined(_drawn(), size)
    assert _codes(diagnosis)["size"]
    assert f"the trimap is 320x240 but the photograph is {size[1]}x{size[0]}" in diagnosis.findings[0].text
    assert _mended(diagnosis).shape == size


def test_scaling_moves_nothing() -> None:
    np.testing.assert_array_equal(_mended(_examined(_drawn(), (480, 640)))[::2, ::2], _drawn())


@pytest.mark.parametrize("size", [(HEIGHT, WIDTH + 5), (HEIGHT + 5, WIDTH), (2 * WIDTH, 2 * HEIGHT), (1, 9)])
def test_another_shape_is_not(size: tuple[int, int]) -> None:
    diagnosis = _examined(_drawn(), size)
    assert _codes(diagnosis) == {"size": False}
    assert diagnosis.trimap is None
    assert diagnosis.shares == {}


def test_a_crop_by_a_few_pixels_is_no_scaling_however_large() -> None:
    assert _codes(_examined(np.full((1000, 1009), 128, np.uint8), (1000, 1000))) == {"size": False}


def test_a_mask_of_another_shape_is_told_to_be_one() -> None:
    diagnosis = _examined(np.where(_drawn() == 255, np.uint8(255), np.uint8(0)), (HEIGHT, WIDTH + 5))
    assert _codes(diagnosis) == {"size": False, "no-unknown": False}
    assert diagnosis.findings[-1].text.endswith("if it is a mask, `diffmatte trimap` makes a trimap of it")


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_trimap_of_the_stored_pixels_is_turned_along(orientation: int) -> None:
    diagnosis = _examined(_drawn(), (WIDTH, HEIGHT), (orientation, 1))
    assert _codes(diagnosis) == {"orientation": True}
    assert "as the camera stored it" in diagnosis.findings[0].text
    np.testing.assert_array_equal(_mended(diagnosis), orient(_drawn(), orientation))


@pytest.mark.parametrize("photo", [1, 6])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_an_orientation_copied_to_the_trimap_is_undone(orientation: int, photo: int) -> None:
    diagnosis = _examined(orient(_drawn(), orientation), (HEIGHT, WIDTH), (photo, orientation))
    assert _codes(diagnosis) == {"orientation": True}
    assert "the trimap's own EXIF orientation" in diagnosis.findings[0].text
    np.testing.assert_array_equal(_mended(diagnosis), _drawn())


@pytest.mark.parametrize("orientation", [1, 2, 3, 4])
def test_a_trimap_on_its_side_is_not_turned_by_guess(orientation: int) -> None:
    diagnosis = _examined(_drawn(), (WIDTH, HEIGHT), (orientation, 1))
    assert _codes(diagnosis) == {"orientation": False}
    assert diagnosis.trimap is None


@pytest.mark.parametrize("quality", range(30, 100, 5))
@pytest.mark.parametrize("shape", [(60, 80, 8), (HEIGHT, WIDTH, 20), (900, 1200, 20)])
def test_jpeg_noise_is_taken_out(quality: int, shape: tuple[int, int, int]) -> None:
    diagnosis = _examined(_as_jpeg(_drawn(*shape), quality))
    assert _codes(diagnosis) == {"noise": True}
    assert (_mended(diagnosis) != _drawn(*shape)).mean() < 0.003


@pytest.mark.parametrize("quality", [50, 85])
def test_a_jpeg_of_another_grey_is_sorted_around_it(quality: int) -> None:
    diagnosis = _examined(_as_jpeg(GOOD["another grey"], quality))
    assert _codes(diagnosis) == {"noise": True}
    assert (_mended(diagnosis) != _drawn()).mean() < 0.003


@pytest.mark.parametrize("quality", [50, 85, 95])
def test_a_jpeg_of_a_mask_gets_a_band(quality: int) -> None:
    diagnosis = _examined(_as_jpeg(_drawn(gap=0), quality))
    codes = _codes(diagnosis)
    assert codes.pop("noise")
    assert codes in ({"no-unknown": True}, {"thin": True})
    assert 0.01 < (_mended(diagnosis) == 128).mean() < 0.1


@pytest.mark.parametrize("radius", [0.4, 0.7, 1, 1.5, 2, 3, 4, 6])
@pytest.mark.parametrize("shape", [(60, 80, 8), (HEIGHT, WIDTH, 20), (900, 1200, 40)])
def test_soft_brushes_are_no_noise(radius: float, shape: tuple[int, int, int]) -> None:
    codes = _codes(_examined(_blurred(_drawn(*shape), radius)))
    assert "noise" not in codes
    assert codes.keys() <= {"in-between"}


@pytest.mark.parametrize("method", [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS])
def test_smooth_scaling_is_no_noise(method: Image.Resampling) -> None:
    labels = np.asarray(Image.fromarray(_drawn(480, 640)).resize((WIDTH, HEIGHT), method))
    assert _codes(_examined(labels)) == {}


def test_a_matte_is_sorted_into_classes() -> None:
    diagnosis = _examined(_blurred(_drawn(gap=0), 8))
    assert _codes(diagnosis) == {"in-between": True}
    assert (_mended(diagnosis) == 128).any()


def test_an_inverted_trimap_is_turned_over() -> None:
    labels = _drawn().copy()
    labels[:, :100] = 0  # a subject in the middle of the picture
    diagnosis = _examined(np.where(labels == 128, 128, 255 - labels).astype(np.uint8))
    assert _codes(diagnosis)["inverted"]
    assert "inverted" not in _codes(_examined(_mended(diagnosis)))


def test_an_inverted_mask_is_turned_over_and_gets_a_band() -> None:
    rows, columns = np.ogrid[:HEIGHT, :WIDTH]
    disc = np.hypot(rows - 120, columns - 160) < 70
    diagnosis = _examined(np.where(disc, 0, 255).astype(np.uint8))
    assert _codes(diagnosis) == {"inverted": True, "no-unknown": True}
    trimap = _mended(diagnosis)
    assert (trimap[0, 0], trimap[120, 160]) == (0, 255)
    assert disc[trimap == 255].all()
    assert not disc[trimap == 0].any()


def test_a_mask_gets_a_band() -> None:
    mask = _drawn(gap=0)
    diagnosis = _examined(mask)
    assert _codes(diagnosis) == {"no-unknown": True}
    trimap = _mended(diagnosis)
    np.testing.assert_array_equal(trimap[trimap != 128], mask[trimap != 128])


@pytest.mark.parametrize(
    "mask", [np.array([[0, 255]], np.uint8), np.array([[0, 0], [0, 255]], np.uint8), np.zeros((9, 9), np.uint8)]
)
def test_a_band_that_would_leave_nothing_known_is_not_laid(mask: np.ndarray) -> None:
    diagnosis = _examined(mask)
    assert _codes(diagnosis)["no-unknown"] is False
    np.testing.assert_array_equal(_mended(diagnosis), mask)


@pytest.mark.parametrize(
    ("lacking", "code"), [(255, "no-foreground"), (0, "no-background")], ids=["no-foreground", "no-background"]
)
def test_a_class_that_was_never_painted_cannot_be_mended(lacking: int, code: str) -> None:
    labels = np.where(_drawn() == lacking, np.uint8(128), _drawn())
    codes = _codes(_examined(labels))
    assert codes.pop(code) is False
    assert codes.keys() <= {"wide"}


@pytest.mark.parametrize(("share", "expected"), [(0.55, {}), (0.65, {"wide": False})])
def test_too_much_unknown(share: float, expected: dict[str, bool]) -> None:
    assert _codes(_examined(_stripes((10, 200), 30, 30 + round(200 * share)))) == expected


@pytest.mark.parametrize(
    ("size", "gap", "expected"),
    [
        ((20, 40), 1, {"thin": True}),
        ((20, 40), 2, {}),
        ((240, 320), 1, {"thin": True}),
        ((240, 320), 2, {}),
        ((30, 1600), 2, {"thin": True}),
        ((30, 1600), 3, {}),
        ((1600, 100), 2, {"thin": True}),
        ((40, 6000), 11, {"thin": True}),
        ((40, 6000), 12, {}),
    ],
)
def test_a_band_too_thin_for_the_resolution(size: tuple[int, int], gap: int, expected: dict[str, bool]) -> None:
    middle = size[1] // 2
    diagnosis = _examined(_stripes(size, middle, middle + gap))
    assert _codes(diagnosis) == expected
    trimap = _mended(diagnosis)
    assert {0, 128, 255} == set(np.unique(trimap))


@pytest.mark.parametrize(("part", "expected"), [(0.2, {}), (0.3, {"thin": True})])
def test_a_few_thin_places_are_let_pass(part: float, expected: dict[str, bool]) -> None:
    labels = _stripes((1000, 200), 90, 110)
    labels[: round(1000 * part), 90:109] = 0
    diagnosis = _examined(labels)
    assert _codes(diagnosis) == expected
    np.testing.assert_array_equal(_mended(diagnosis)[500:], labels[500:])


def test_a_thin_band_whose_widening_would_leave_nothing_known_stays() -> None:
    labels = np.array([[0, 128, 255]], np.uint8)
    diagnosis = _examined(labels)
    assert _codes(diagnosis) == {"thin": False}
    np.testing.assert_array_equal(_mended(diagnosis), labels)


SMALL = st.tuples(st.integers(1, 12), st.integers(1, 12))


@given(hnp.arrays(np.uint8, SMALL, elements=st.one_of(CLASSES, st.integers(0, 255))))
def test_what_is_mended_is_not_found_again(labels: np.ndarray) -> None:
    _mended(_examined(labels))


@given(hnp.arrays(np.uint8, SMALL, elements=CLASSES), SMALL, st.integers(1, 8), st.integers(1, 8))
def test_no_pair_is_too_odd_to_examine(labels: np.ndarray, size: tuple[int, int], photo: int, trimap: int) -> None:
    diagnosis = _examined(labels, size, (photo, trimap))
    assert diagnosis.trimap is None or _mended(diagnosis).shape == size
