import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from diffmatte_cli.model.config import VARIANTS
from diffmatte_cli.model.decoder import Decoder, time_embedding
from diffmatte_cli.model.diffmatte import DiffMatte, encoder_planes, pad, pad_amounts
from diffmatte_cli.sampling import SAMPLERS, Diffusion

CASES = ["vits_96x128", "vits_oneaxis_96x140", "vits_variants_96x128", "vitb_100x140", "res34_100x140", "swint_96x128"]


def load_kit(kit: Path, name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, kit / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def published_decoder(kit: Path, name: str) -> Decoder:
    """A decoder with the kit's weights, loaded strictly under the published keys."""
    manifest = json.loads((kit / f"manifest_{name}.json").read_text())
    prefix = "model.decoder."
    shapes = {k["key"]: (k["shape"], k["dtype"]) for k in manifest["keys"] if k["key"].startswith(prefix)}
    values = load_kit(kit, "fill").fill_state_dict(shapes, 0)
    sizes = manifest["config_values"]
    stride = {4: 16, 5: 32}[len(sizes["downsample_in"])]
    decoder = Decoder(sizes["model_channels"], 6, sizes["upsample_in"][0], stride)
    decoder.load_state_dict({key.removeprefix(prefix): torch.from_numpy(v) for key, v in values.items()})
    assert sum(p.numel() for p in decoder.parameters()) == manifest["decoder_trainable"]
    return decoder.eval()


def settings(tag: str) -> Diffusion:
    """The noise process that a tag of the kit names, such as ``ddim3_cosine_b1.0``."""
    words = tag.split("_")[1:]
    schedule = next((w for w in words if not w.startswith("b")), "linear")
    scale = next((float(w[1:]) for w in words if w.startswith("b")), 0.2)
    return Diffusion(schedule, scale)


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_agrees_with_the_published_decoder_and_samplers(case: str, conformance: Path) -> None:
    entry = next(e for e in json.loads((conformance / "index.json").read_text()) if e["file"] == f"{case}.npz")
    decoder = published_decoder(conformance, entry["config"])
    with np.load(conformance / f"{case}.npz") as file:
        arrays = {key: torch.from_numpy(file[key]) for key in file}
    image = arrays["image"].permute(2, 0, 1)[None] / 255
    levels = arrays["trimap"][None, None]
    planes = pad(2 * encoder_planes(image, torch.where(levels == 128, 0.5, (levels > 128).float())) - 1)
    height, width = levels.shape[-2:]

    def predict(x_in: torch.Tensor, t: float) -> torch.Tensor:
        x = torch.cat([planes, pad(x_in)], dim=1)
        return decoder(x, torch.tensor([t]), arrays["F"][None])[..., :height, :width]

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
@pytest.mark.parametrize("width", [4, 16])
def test_every_parameter_gets_a_gradient(stride: int, feature_side: int, width: int) -> None:
    decoder = Decoder(width, 6, 24, stride)
    x_0 = decoder(torch.randn(2, 7, 64, 64), torch.tensor([0.2, 0.9]), torch.randn(2, 24, feature_side, feature_side))
    assert x_0.shape == (2, 1, 64, 64)
    x_0.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in decoder.parameters())


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_parameter_of_a_variant_gets_a_gradient(variant: str) -> None:
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
