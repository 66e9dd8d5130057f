import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from published import PREFIX, published_weights
from torch import Tensor

from diffmatte_cli.model.config import VARIANTS
from diffmatte_cli.model.decoder import Decoder, time_embedding
from diffmatte_cli.model.diffmatte import DiffMatte, encoder_planes, pad, pad_amounts
from diffmatte_cli.sampling import SAMPLERS, Diffusion

CASES = ["vits_96x128", "vits_oneaxis_96x140", "vits_variants_96x128", "vitb_100x140", "res34_100x140", "swint_96x128"]


def published_decoder(feature_channels: int, stride: int) -> Decoder:
    """A decoder of the published width with the weights that the recorded numbers were made with."""
    decoder = Decoder(32, 6, feature_channels, stride)
    decoder.load_state_dict(published_weights(decoder))
    return decoder.eval()


def predictor(decoder: Decoder, arrays: dict[str, Tensor]) -> Callable[[Tensor, float], Tensor]:
    """The decoder over a recorded picture and feature map."""
    image = arrays["image"].permute(2, 0, 1)[None] / 255
    levels = arrays["trimap"][None, None]
    planes = pad(2 * encoder_planes(image, torch.where(levels == 128, 0.5, (levels > 128).float())) - 1)
    height, width = levels.shape[-2:]

    def predict(x_in: Tensor, t: float) -> Tensor:
        x = torch.cat([planes, pad(x_in)], dim=1)
        return decoder(x, torch.tensor([t]), arrays["F"][None])[..., :height, :width]

    return predict


def read(path: Path) -> dict[str, Tensor]:
    with np.load(path) as file:
        return {key: torch.from_numpy(file[key]) for key in file}


@pytest.mark.parametrize("stride", [16, 32])
@torch.no_grad()
def test_three_steps_agree_with_the_published_decoder(stride: int, golden: Path) -> None:
    arrays = read(golden / f"decoder_{stride}.npz")
    predict = predictor(published_decoder(arrays["F"].shape[0], stride), arrays)
    *_, last = SAMPLERS["ddim"](predict, arrays["x_T"][None, None], Diffusion(), 3, None)
    torch.testing.assert_close((last.x_0[0, 0] + 1) / 2, arrays["final_ddim3"], rtol=0, atol=2e-5)


def settings(tag: str) -> Diffusion:
    """The noise process that a tag of the kit names, such as ``ddim3_cosine_b1.0``."""
    words = tag.split("_")[1:]
    schedule = next((w for w in words if not w.startswith("b")), "linear")
    scale = next((float(w[1:]) for w in words if w.startswith("b")), 0.2)
    return Diffusion(schedule, scale)


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_agrees_with_the_whole_kit(case: str, conformance: Path) -> None:
    """All schedules, scales, samplers and sizes, with the kit's own weights under the published keys."""
    entry = next(e for e in json.loads((conformance / "index.json").read_text()) if e["file"] == f"{case}.npz")
    manifest = json.loads((conformance / f"manifest_{entry['config']}.json").read_text())
    arrays = read(conformance / f"{case}.npz")
    decoder = published_decoder(arrays["F"].shape[0], {4: 16, 5: 32}[len(manifest["config_values"]["downsample_in"])])
    keys = [k["key"].removeprefix(PREFIX) for k in manifest["keys"] if k["key"].startswith(PREFIX)]
    assert sorted(keys) == sorted(decoder.state_dict())
    assert sum(p.numel() for p in decoder.parameters()) == manifest["decoder_trainable"]
    predict = predictor(decoder, arrays)
    for run in entry["runs"]:
        tag, diffusion = run["tag"], settings(run["tag"])
        draws = iter(arrays[f"draws_{tag}"][:, None, None] if run["mode"] == "ddpm" else [])
        *_, last = SAMPLERS[run["mode"]](
            predict, arrays["x_T"][None, None], diffusion, run["steps"], lambda draws=draws: next(draws)
        )
        tolerance = 1e-3 if run["mode"] == "ddpm" else 2e-5
        final = (last.x_next[0, 0] / diffusion.input_scale + 1) / 2
        torch.testing.assert_close(final, arrays[f"final_{tag}"], rtol=0, atol=tolerance)


@pytest.mark.parametrize(("stride", "feature_side"), [(16, 4), (32, 2)])
@pytest.mark.parametrize("width", [8, 16])
def test_every_parameter_gets_a_gradient(stride: int, feature_side: int, width: int) -> None:
    torch.manual_seed(0)
    decoder = Decoder(width, 6, 24, stride)
    x_0 = decoder(torch.randn(2, 7, 64, 64), torch.tensor([0.2, 0.9]), torch.randn(2, 24, feature_side, feature_side))
    assert x_0.shape == (2, 1, 64, 64)
    x_0.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in decoder.parameters())


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_parameter_of_a_variant_gets_a_gradient(variant: str) -> None:
    torch.manual_seed(0)
    model = DiffMatte(VARIANTS[variant])
    trimap = torch.full((2, 1, 64, 64), 0.5)
    trimap[..., :10], trimap[..., -10:] = 0, 1
    condition = model.condition(torch.rand(2, 3, 64, 64), trimap)
    x_0 = model.decode(torch.randn(2, 1, 64, 64), torch.rand(2), condition, model.encode(condition))
    x_0.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


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
    ("size", "added"), [((96, 128), (0, 0)), ((96, 140), (32, 20)), ((1, 1), (31, 31)), ((100, 64), (28, 32))]
)
def test_both_sides_grow_once_one_is_off(size: tuple[int, int], added: tuple[int, int]) -> None:
    assert pad_amounts(*size) == added
    padded = pad(torch.ones(1, 1, *size))
    assert padded.shape[-2:] == (size[0] + added[0], size[1] + added[1])
    assert padded.sum() == size[0] * size[1]


@given(st.integers(1, 200), st.integers(1, 200))
def test_padded_sides_are_multiples_of_32_and_grow_together(height: int, width: int) -> None:
    down, right = pad_amounts(height, width)
    assert (height + down) % 32 == (width + right) % 32 == 0
    assert (down == 0) == (right == 0) == (height % 32 == width % 32 == 0)
    assert max(down, right) <= 32
