import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffmatte_cli.model.config import VARIANTS
from diffmatte_cli.model.decoder import Decoder, time_embedding
from diffmatte_cli.model.diffmatte import pad


@pytest.mark.parametrize(("stride", "feature_side"), [(16, 4), (32, 2)])
@pytest.mark.parametrize("width", [8, 16])
def test_every_parameter_gets_a_gradient(stride: int, feature_side: int, width: int) -> None:
    torch.manual_seed(0)
    decoder = Decoder(width, 6, 24, stride)
    x_0 = decoder(torch.randn(2, 7, 64, 64), torch.tensor([0.2, 0.9]), torch.randn(2, 24, feature_side, feature_side))
    assert x_0.shape == (2, 1, 64, 64)
    x_0.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in decoder.parameters())


def test_a_prior_logit_shifts_the_answer() -> None:
    decoder = Decoder(4, 6, 8, 16).eval()
    arguments = torch.zeros(1, 7, 32, 32), torch.zeros(1), torch.zeros(1, 8, 2, 2)
    with torch.no_grad():
        plain = torch.atanh(decoder(*arguments))
        shifted = torch.atanh(decoder(*arguments, torch.full((1, 1, 32, 32), 3.0)))
    torch.testing.assert_close(shifted - plain, torch.full_like(plain, 1.5), rtol=0, atol=1e-4)


def test_time_embedding_has_cosines_first() -> None:
    embedding = time_embedding(torch.tensor([0.0, 1.0]))
    assert embedding.shape == (2, 32)
    torch.testing.assert_close(embedding[0], torch.cat([torch.ones(16), torch.zeros(16)]))
    assert embedding[1, 0] == pytest.approx(np.cos(1.0))
    assert embedding[1, 16] == pytest.approx(np.sin(1.0))


@pytest.mark.parametrize(
    ("size", "grown"), [((96, 128), (96, 128)), ((96, 140), (128, 160)), ((1, 1), (32, 32)), ((100, 64), (128, 96))]
)
def test_both_sides_grow_once_one_is_off(size: tuple[int, int], grown: tuple[int, int]) -> None:
    assert VARIANTS["res34"].padded_size(*size) == grown
    padded = pad(torch.ones(1, 1, *size), grown)
    assert padded.shape[-2:] == grown
    assert padded.sum() == padded[..., : size[0], : size[1]].sum() == size[0] * size[1]


@given(st.integers(1, 200), st.integers(1, 200))
def test_padded_sides_are_multiples_of_32_and_grow_together(height: int, width: int) -> None:
    grown = VARIANTS["res34"].padded_size(height, width)
    down, right = (padded - side for padded, side in zip(grown, (height, width), strict=True))
    assert (height + down) % 32 == (width + right) % 32 == 0
    assert (down == 0) == (right == 0) == (height % 32 == width % 32 == 0)
    assert 0 <= min(down, right) <= max(down, right) <= 32
