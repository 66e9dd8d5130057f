"""Cutout colours: close to the true foreground, exact where opaque, smooth where transparent."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from diffmatte_cli.composition import foreground
from diffmatte_cli.composition.background import cutout as cutout_of
from diffmatte_cli.composition.foreground import estimate_foreground

SIZE = 200


def cutout(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Cut out as the program does by default, in 8 bits."""
    return cutout_of(estimate_foreground(image, alpha), alpha, 8, premultiplied=False)


def _scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make a soft, frayed yellowish disc over a bluish noise; returns the composite, alpha and true foreground."""
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    generator = np.random.default_rng(0)
    colour = np.stack([0.8 + 0.15 * np.sin(columns / 40), 0.6 + 0.1 * np.cos(rows / 30), 0.2 + 0 * rows], axis=-1)
    behind = np.stack([0.1 + 0 * rows, 0.3 + 0.1 * np.sin(columns / 60), 0.8 + 0.1 * np.cos(columns / 25)], axis=-1)
    behind += generator.normal(0, 0.03, behind.shape)
    angle = np.arctan2(rows - SIZE / 2, columns - SIZE / 2)
    radius = np.hypot(rows - SIZE / 2, columns - SIZE / 2) + 6 * np.sin(angle * 30)
    alpha = np.clip((75 - radius) / 25, 0, 1).astype(np.float32)
    shown = np.clip(alpha[..., None] * colour + (1 - alpha[..., None]) * behind, 0, 1)
    return np.rint(shown * 255).astype(np.uint8), alpha, colour


def test_soft_edges_lose_the_old_background() -> None:
    image, alpha, true = _scene()
    soft = (alpha > 0.02) & (alpha < 0.98)
    own = np.abs(image / 255 - true)[soft].mean()
    estimated = np.abs(estimate_foreground(image, alpha) - true)[soft].mean()
    assert own > 0.25
    assert estimated < own / 5


def test_a_cutout_over_a_new_background_is_right() -> None:
    image, alpha, true = _scene()
    picture = cutout(image, alpha) / 255
    magenta = np.array([1, 0, 1])
    expected = alpha[..., None] * true + (1 - alpha[..., None]) * magenta
    shown = picture[..., 3:] * picture[..., :3] + (1 - picture[..., 3:]) * magenta
    naive = alpha[..., None] * image / 255 + (1 - alpha[..., None]) * magenta
    soft = (alpha > 0.02) & (alpha < 0.98)
    assert np.abs(shown - expected)[soft].mean() < np.abs(naive - expected)[soft].mean() / 4


def test_opaque_pixels_are_the_photographs_own() -> None:
    image, alpha, _ = _scene()
    picture = cutout(image, alpha)
    np.testing.assert_array_equal(picture[alpha == 1][:, :3], image[alpha == 1])
    np.testing.assert_array_equal(picture[..., 3], np.rint(alpha * 255))


def test_transparent_pixels_are_filled_with_foreground() -> None:
    image, alpha, true = _scene()
    far = estimate_foreground(image, alpha)[:5, :5].mean(axis=(0, 1))
    mean = true[alpha > 0.9].mean(axis=0)
    np.testing.assert_allclose(far, mean, atol=0.15)


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (300, 2), (3, 3)])
def test_any_size_and_any_constant_alpha(shape: tuple[int, int], value: float) -> None:
    image = np.full((*shape, 3), 90, np.uint8)
    estimated = estimate_foreground(image, np.full(shape, value, np.float32))
    assert estimated.shape == (*shape, 3)
    assert estimated.dtype == np.float32
    if value:
        np.testing.assert_allclose(estimated, 90 / 255, atol=1e-4)
    else:
        np.testing.assert_array_equal(estimated, 0)


@settings(max_examples=30)
@given(st.integers(1, 70), st.integers(1, 130), st.integers(1, 40))
def test_box_sums_agree_with_plain_slicing(height: int, width: int, radius: int) -> None:
    values = np.random.default_rng(height * width).random((height, width), np.float32)
    ours = foreground._box_sum(torch.from_numpy(values), radius).numpy()
    generator = np.random.default_rng(radius)
    for row, column in zip(generator.integers(0, height, 40), generator.integers(0, width, 40), strict=True):
        window = values[
            max(0, row - radius) : row + radius + 1,
            max(0, column - radius) : column + radius + 1,
        ]
        assert ours[row, column] == pytest.approx(window.sum(dtype=np.float64), rel=1e-5)


def test_the_estimate_is_finite_and_in_range_for_hard_noise() -> None:
    generator = np.random.default_rng(3)
    image = generator.integers(0, 256, (70, 65, 3)).astype(np.uint8)
    alpha = generator.choice(np.array([0, 1e-6, 0.5, 1 - 1e-6, 1], np.float32), (70, 65))
    estimated = estimate_foreground(image, alpha)
    assert np.isfinite(estimated).all()
    assert 0 <= estimated.min() <= estimated.max() <= 1


def test_strips_of_rows_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    image, alpha = rng.random((150, 40, 3)).astype(np.float32), rng.random((150, 40)).astype(np.float32)
    whole = estimate_foreground(image, alpha)
    for rows in (1, 16, 149):
        monkeypatch.setattr(foreground, "_ROWS", rows)
        np.testing.assert_allclose(estimate_foreground(image, alpha), whole, rtol=0, atol=1e-6)


def test_the_input_is_left_alone() -> None:
    image, alpha, _ = _scene()
    before = image.copy(), alpha.copy()
    cutout(image, alpha)
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(alpha, before[1])
