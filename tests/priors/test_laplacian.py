import numpy as np
import pytest
import torch
from torch import Tensor

from diffmatte_cli.priors.laplacian import NEIGHBOURS, REACH, REGULARISATION, MattingLaplacian


def dense_laplacian(image: np.ndarray) -> np.ndarray:
    """Eq. 12 of the closed-form paper, window by window, [H W, H W] in float64."""
    height, width, _ = image.shape
    numbers = np.arange(height * width).reshape(height, width)
    total = np.zeros((height * width, height * width))
    for row in range(height - 2):
        for column in range(width - 2):
            window = numbers[row : row + 3, column : column + 3].ravel()
            colours = image[row : row + 3, column : column + 3].reshape(9, 3)
            centred = colours - colours.mean(0)
            covariance = centred.T @ centred / 9 + REGULARISATION / 9 * np.eye(3)
            affinity = (1 + centred @ np.linalg.solve(covariance, centred.T)) / 9
            total[np.ix_(window, window)] += np.eye(9) - affinity
    return total


def picture(height: int, width: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    trimap = torch.full((1, 1, height, width), 0.5)
    trimap[..., : width // 4], trimap[..., -width // 4 :] = 0, 1
    trimap[..., 0, :] = 0
    return torch.rand(1, 3, height, width, generator=generator), trimap


def test_the_solution_equals_that_of_the_dense_system() -> None:
    image, trimap = picture(9, 14)
    weight = torch.rand(trimap.shape, generator=torch.Generator().manual_seed(1)) / 10
    guess = torch.rand(trimap.shape, generator=torch.Generator().manual_seed(2))
    start = torch.where(trimap == 0.5, guess, trimap)
    found = MattingLaplacian(image, trimap).solve(start, guess, weight, 300)
    matrix = dense_laplacian(image[0].permute(1, 2, 0).double().numpy())
    unknown = (trimap == 0.5).flatten().numpy()
    pull = weight.flatten().double().numpy()[unknown]
    right = pull * guess.flatten().double().numpy()[unknown]
    right -= matrix[np.ix_(unknown, ~unknown)] @ trimap.flatten().double().numpy()[~unknown]
    truth = np.linalg.solve(matrix[np.ix_(unknown, unknown)] + np.diag(pull), right)
    np.testing.assert_allclose(found.flatten().numpy()[unknown], truth.clip(0, 1), atol=2e-4)


def test_half_of_the_matrix_is_that_of_the_dense_one() -> None:
    """Each entry that an unknown pixel has a part in; the other half is its mirror image."""
    image, trimap = picture(12, 20)
    laplacian, matrix = MattingLaplacian(image, trimap), dense_laplacian(image[0].permute(1, 2, 0).double().numpy())
    unknown, compared = (trimap == 0.5)[0, 0], 0
    for number, (down, right) in enumerate(NEIGHBOURS):
        for place, value in zip(laplacian.places.tolist(), laplacian.values[number, REACH:].tolist(), strict=False):
            row, column = place // 20, place % 20
            there = row + down, column + right
            if there[0] < 12 and 0 <= there[1] < 20 and (unknown[row, column] or unknown[there]):
                assert value == pytest.approx(matrix[place, there[0] * 20 + there[1]], abs=1e-5)
                compared += 1
    assert compared > 13 * int(unknown.sum())


def test_known_pixels_stay() -> None:
    image, trimap = picture(12, 20)
    found = MattingLaplacian(image, trimap).solve(trimap, trimap, torch.zeros_like(trimap), 5)
    assert torch.equal(found[trimap != 0.5], trimap[trimap != 0.5])


def test_two_layers_of_one_colour_each_are_told_apart() -> None:
    alpha = torch.rand(1, 1, 16, 24, generator=torch.Generator().manual_seed(4))
    alpha[..., :4], alpha[..., -4:] = 0, 1
    trimap = torch.full_like(alpha, 0.5)
    trimap[..., :4], trimap[..., -4:] = 0, 1
    inner, outer = (torch.tensor(c).reshape(1, 3, 1, 1) for c in ([0.9, 0.4, 0.1], [0.1, 0.2, 0.8]))
    image = alpha * inner + (1 - alpha) * outer
    half = torch.where(trimap == 0.5, 0.5, trimap)
    found = MattingLaplacian(image, trimap).solve(half, half, torch.zeros_like(alpha), 200)
    torch.testing.assert_close(found, alpha, atol=0.02, rtol=0)


@pytest.mark.parametrize("size", [(1, 1), (2, 30), (30, 2), (3, 3)])
def test_without_windows_the_start_is_kept(size: tuple[int, int]) -> None:
    image, trimap = torch.rand(1, 3, *size), torch.full((1, 1, *size), 0.5)
    start = torch.rand(1, 1, *size)
    found = MattingLaplacian(image, trimap).solve(start, start, torch.zeros_like(start), 10)
    assert torch.isfinite(found).all()
    if min(size) < 3:
        torch.testing.assert_close(found, start)


def test_without_unknown_pixels_nothing_changes() -> None:
    image, trimap = torch.rand(2, 3, 8, 8), torch.ones(2, 1, 8, 8)
    assert torch.equal(MattingLaplacian(image, trimap).solve(trimap, trimap, trimap, 3), trimap)
