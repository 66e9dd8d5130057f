import pytest
import torch
from torch import Tensor

from diffmatte_cli.priors import colours as priors_module
from diffmatte_cli.priors import guess, laplacian
from diffmatte_cli.priors.colours import colour_priors, fill_colours


def scene(size: int = 96) -> tuple[Tensor, Tensor, Tensor]:
    """A soft disc of one colour over another: image, trimap and true alpha."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    distance = ((rows - size / 2) ** 2 + (columns - size / 2) ** 2).sqrt()
    alpha = ((size / 3 - distance) / 12 + 0.5).clamp(0, 1)[None, None]
    inner, outer = (torch.tensor(c).reshape(1, 3, 1, 1) for c in ([0.8, 0.3, 0.2], [0.1, 0.4, 0.7]))
    trimap = torch.where(distance < size / 3 - 10, 1.0, torch.where(distance > size / 3 + 10, 0.0, 0.5))
    return alpha * inner + (1 - alpha) * outer, trimap[None, None], alpha


def test_two_flat_colours_are_solved() -> None:
    image, trimap, alpha = scene()
    priors = colour_priors(image, trimap)
    unknown = trimap == 0.5
    assert (priors.alpha - alpha)[unknown].abs().mean() < 0.01
    torch.testing.assert_close(priors.alpha[~unknown], trimap[~unknown])
    assert priors.planes(image, trimap).shape == (1, 7, 96, 96)


def test_a_sample_does_not_depend_on_its_batch() -> None:
    image, trimap, _ = scene(64)
    noise = torch.rand(image.shape, generator=torch.Generator().manual_seed(0))
    alone = colour_priors(image, trimap).planes(image, trimap)
    both = torch.cat([noise, image]), torch.cat([trimap, trimap])
    together = colour_priors(*both).planes(*both)
    torch.testing.assert_close(together[1:], alone)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 3), (33, 50)])
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_any_size_and_any_trimap_gives_finite_planes(size: tuple[int, int], level: float) -> None:
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(1))
    trimap = torch.full((1, 1, *size), level)
    priors = colour_priors(image, trimap)
    assert torch.isfinite(priors.planes(image, trimap)).all()
    assert priors.alpha.min() >= 0
    assert priors.alpha.max() <= 1


def test_known_colours_are_kept_and_spread() -> None:
    image = torch.rand(1, 3, 40, 30, generator=torch.Generator().manual_seed(2))
    known = torch.zeros(1, 1, 40, 30)
    known[..., :20, :] = 1
    filled = fill_colours(image, known)
    torch.testing.assert_close(filled[..., :20, :], image[..., :20, :])
    low, high = image[..., :20, :].amin(), image[..., :20, :].amax()
    assert filled.min() >= low - 1e-4
    assert filled.max() <= high + 1e-4
    torch.testing.assert_close(fill_colours(image, torch.zeros_like(known)), torch.full_like(image, 0.5))


def test_computing_in_parts_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither strips of rows, nor parts of the unknown pixels, nor looking through a window."""
    image, trimap, _ = scene(90)
    image = image + 0.1 * torch.rand(image.shape, generator=torch.Generator().manual_seed(3))
    whole = colour_priors(image, trimap)
    monkeypatch.setattr(priors_module, "STRIP", 90 * 14)
    monkeypatch.setattr(laplacian, "PART", 100)
    monkeypatch.setattr(guess, "BLOCKS", 7)
    parts = colour_priors(image, trimap)
    torch.testing.assert_close(parts.alpha, whole.alpha, rtol=0, atol=2e-5)  # windows are summed in another order
    planes = whole.planes(image, trimap)
    torch.testing.assert_close(parts.planes(image, trimap), planes, rtol=0, atol=2e-5)
    window = slice(32, 71), slice(10, 90)
    seen = whole.planes(image[..., *window], trimap[..., *window], window)
    torch.testing.assert_close(seen, planes[..., *window])


def test_too_many_unknown_pixels_leave_out_the_last_size(monkeypatch: pytest.MonkeyPatch) -> None:
    image, trimap, alpha = scene()
    monkeypatch.setattr(priors_module, "MOST_UNKNOWN", int((trimap == 0.5).sum()) - 1)
    found = colour_priors(image, trimap).alpha
    unknown = trimap == 0.5
    assert torch.equal(found[~unknown], trimap[~unknown])
    assert (found - alpha)[unknown].abs().mean() < 0.03
