"""The encoders: numbers against the published implementation, and what the numbers do not show."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.published import published_matter
from torch import Tensor, nn

from diffmatte_cli.errors import UsageError
from diffmatte_cli.inference.matter import Matter
from diffmatte_cli.model import encoders
from diffmatte_cli.model.checkpoint import read_model, write_model
from diffmatte_cli.model.config import VARIANTS, ModelConfig
from diffmatte_cli.model.diffmatte import DiffMatte
from diffmatte_cli.model.encoders import attention
from diffmatte_cli.model.encoders.attention import attend, from_windows, to_windows
from diffmatte_cli.model.encoders.base import encoder_class
from diffmatte_cli.model.encoders.efficientnet import Depthwise
from diffmatte_cli.model.encoders.resnet import SpectralNorm
from diffmatte_cli.model.encoders.swin import Swin
from diffmatte_cli.training.groups import parameter_groups

# Of the published numbers' own distance from double precision, with room for another order of summation.
TOLERANCE = {"vit": 6e-5, "resnet": 1e-4, "swin": 2e-5}
PUBLISHED = [name for name, config in VARIANTS.items() if config.encoder in TOLERANCE]
CPU = torch.device("cpu")
SMALL_SWIN = replace(VARIANTS["swint"], feature_channels=96)


@pytest.mark.parametrize("variant", PUBLISHED)
def test_agrees_with_the_published_model(variant: str, golden: Path) -> None:
    """The feature and three raw steps, where recorded also with one side that is no multiple of 32."""
    matter = published_matter(variant)
    with np.load(golden / "models.npz") as file:
        arrays = dict(file)
    for width in ("128", "140"):
        if f"F_{variant}_{width}" not in arrays:
            continue
        image, trimap, x_T = (arrays[f"{name}_{width}"] for name in ("image", "trimap", "x_T"))  # noqa: N806
        encoding = matter.encode(image, trimap)
        atol = TOLERANCE[VARIANTS[variant].encoder]
        np.testing.assert_allclose(encoding.features[0, ::8], arrays[f"F_{variant}_{width}"], rtol=0, atol=atol)
        alpha = matter.matte(encoding, steps=3, noise=x_T, keep_known=False)
        np.testing.assert_allclose(alpha[::2, ::2], arrays[f"final_{variant}_{width}"], rtol=0, atol=2e-5)


def conditioned(model: DiffMatte, size: int = 64) -> tuple[Tensor, Tensor]:
    trimap = torch.full((2, 1, size, size), 0.5)
    trimap[..., :10], trimap[..., -10:] = 0, 1
    return torch.rand(2, 3, size, size), trimap


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_parameter_of_a_variant_gets_a_gradient(variant: str) -> None:
    torch.manual_seed(0)
    model = DiffMatte(VARIANTS[variant])
    for parameter in model.parameters():  # some start at zero, and would hold back the gradient of others
        if parameter.ndim == 1:
            nn.init.normal_(parameter, 0.5, 0.1)
    condition, nothing_dropped = model.condition(*conditioned(model)), torch.ones(2, model.encoder.drops)
    features = model.encode(condition, nothing_dropped)
    x_0 = model.decode(torch.randn(2, 1, 64, 64), torch.rand(2), condition, features)
    x_0.square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_encoder_says_what_it_needs(variant: str) -> None:
    config = VARIANTS[variant]
    encoder = encoder_class(config.encoder)
    assert config.feature_stride % encoder.shallow_stride == encoder.halo % encoder.shallow_stride == 0
    assert encoder.bytes_per_pixel > 0
    assert (encoder.attention_bytes(config, 64, 96) > 0) == config.global_attention


@pytest.mark.parametrize("rows", [32, 64, 96])
def test_strips_give_what_the_whole_picture_gives(rows: int) -> None:
    model = published_matter("tiny").model
    image, trimap = (x[:1] for x in conditioned(model, 224))
    condition = model.condition(image, trimap)
    with torch.no_grad():
        strips = model.encoder.in_strips(lambda seen: condition.encoder_input[..., seen, :], 224, rows)
        torch.testing.assert_close(strips, model.encode(condition), rtol=0, atol=1e-4)


def test_the_halo_of_tiny_is_what_its_first_layers_see() -> None:
    """33 pixels before and 26 beyond the 8 of a position; strips begin at whole positions."""
    encoder = published_matter("tiny").model.encoder
    x = torch.randn(1, 13, 160, 160, requires_grad=True)
    encoder.shallow(x)[..., 10, :].square().sum().backward()
    rows = x.grad.abs().amax((0, 1, 3)).nonzero().flatten()
    assert (rows[0], rows[-1]) == (80 - 33, 80 + 33)
    assert encoder.halo >= 33
    assert encoder.halo % encoder.shallow_stride == 0


def test_depthwise_convolutions_that_bfloat16_is_slow_at_train_in_float32() -> None:
    """Those that halve the size or are wider than 3; all are in bfloat16 where nothing learns."""
    model, seen = published_matter("tiny").model.requires_grad_(True), []
    for module in model.encoder.modules():
        if isinstance(module, Depthwise):
            module.register_forward_hook(
                lambda layer, _, out: seen.append((layer.stride[0], layer.kernel_size[0], out))
            )
    x = torch.randn(2, 13, 64, 64)
    plain = model.encoder(x)
    assert len(seen) == 15
    seen.clear()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model.encoder(x)
        assert [out.dtype == torch.float32 for *_, out in seen] == [step > 1 or side > 3 for step, side, _ in seen]
        assert {out.dtype for *_, out in seen} == {torch.float32, torch.bfloat16}
        seen.clear()
        with torch.no_grad():
            model.encoder(x)
        assert {out.dtype for *_, out in seen} == {torch.bfloat16}
    assert (mixed - plain).norm() < 0.05 * plain.norm()
    assert all(p.dtype == torch.float32 for p in model.encoder.parameters())


def test_a_depthwise_convolution_in_float32_is_the_same_within_autocast() -> None:
    layer, x, slopes = Depthwise(8, 5, 2), torch.randn(2, 8, 16, 16).bfloat16(), []
    for enabled in (True, False):
        with torch.autocast("cpu", torch.bfloat16, enabled):
            y = layer(x if enabled else x.float())
        slopes.append(torch.autograd.grad(y.square().sum(), layer.weight)[0])
        assert y.shape == (2, 8, 8, 8)
    assert torch.equal(*slopes)


PATCHES = """
from torch import nn
from diffmatte_cli.model.encoders.base import Encoder

class Patches(Encoder):
    shallow_stride, bytes_per_pixel = 16, 10

    def __init__(self, config):
        super().__init__(config)
        self.proj = nn.Conv2d(config.encoder_channels, config.feature_channels, 16, 16)

    def shallow(self, x):
        return self.proj(x)

    def deep(self, x):
        return x
"""


def test_a_new_encoder_is_one_file_and_one_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "patches.py").write_text(PATCHES)
    monkeypatch.setattr(encoders, "__path__", [*encoders.__path__, str(tmp_path)])
    monkeypatch.setitem(VARIANTS, "patches", ModelConfig("patches", "patches", 32, 16, decoder_width=4))
    write_model(tmp_path / "w.safetensors", DiffMatte(VARIANTS["patches"]), {})
    model, _ = read_model(tmp_path / "w.safetensors")
    alpha = Matter(model, CPU).matte(np.zeros((40, 70, 3), np.uint8), np.full((40, 70), 128, np.uint8), steps=2)
    assert np.isfinite(alpha).all()
    assert parameter_groups(model.requires_grad_(True), 0.1, 1.0, 0.5)[0]["lr_scale"] == 0.5


@pytest.mark.parametrize("width", [16, 24, 32, 48])
@pytest.mark.parametrize("variant", [row.variant for row in VARIANTS.values() if row.iterates])
def test_every_variant_takes_every_decoder_width(variant: str, width: int) -> None:
    config = replace(VARIANTS[variant], decoder_width=width)
    with torch.device("meta"):
        model = DiffMatte(config).eval()
        feature = model.encoder(torch.empty(1, config.encoder_channels, 64, 96))
        x_0 = model.decoder(torch.empty(1, config.condition_channels + 1, 64, 96), torch.empty(1), feature)
    assert feature.shape == (1, config.feature_channels, 64 // config.feature_stride, 96 // config.feature_stride)
    assert x_0.shape == (1, 1, 64, 96)


@pytest.mark.parametrize(("width", "millions"), [(16, 1.9), (24, 3.4), (32, 5.3), (48, 10.0)])
def test_decoder_sizes_are_those_of_table_6c(width: int, millions: float) -> None:
    with torch.device("meta"):
        decoder = DiffMatte(replace(VARIANTS["vits"], decoder_width=width)).decoder
    assert sum(p.numel() for p in decoder.parameters()) / 1e6 == pytest.approx(millions, abs=0.051)


@pytest.mark.parametrize("variant", ["vits", "swint"])
def test_attention_in_parts_is_attention(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = published_matter(variant).model
    with torch.no_grad():
        condition = model.condition(*conditioned(model, 160))
        whole = model.encode(condition)
        monkeypatch.setattr(attention, "MOST_LOGITS", 5000)
        torch.testing.assert_close(model.encode(condition), whole, rtol=0, atol=3e-5)


def test_attention_adds_its_bias_before_the_softmax() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(3, 2, n, 4, generator=generator, dtype=torch.float64) for n in (5, 7, 7))
    logits = torch.randn(3, 2, 5, 7, generator=generator, dtype=torch.float64)
    expected = (q @ k.mT / 2 + logits).softmax(-1) @ v
    found = attend(q, k, v, lambda items, queries: logits[items, :, queries])
    torch.testing.assert_close(found, expected)


@given(st.integers(1, 2), st.integers(1, 20), st.integers(1, 20), st.sampled_from([1, 3, 7]))
@settings(max_examples=40)
def test_windows_are_joined_as_they_were_cut(batch: int, height: int, width: int, side: int) -> None:
    x = torch.arange(batch * height * width * 2.0).reshape(batch, height, width, 2)
    windows = to_windows(x, side)
    assert windows.shape == (batch * -(-height // side) * -(-width // side), side, side, 2)
    assert torch.equal(from_windows(windows, height, width), x)


def test_interleaved_grids_do_not_see_each_other() -> None:
    torch.manual_seed(0)
    block = DiffMatte(VARIANTS["vits"]).encoder.blocks[2]
    x = torch.randn(1, 7, 8, 384)
    changed = x.clone()
    changed[0, 3, 4] += 1
    with torch.no_grad():
        torch.testing.assert_close(block._interleaved(x, 1), block.attn(x))
        difference = (block._interleaved(x, 3) - block._interleaved(changed, 3)).abs().amax(-1)[0]
    same_grid = torch.zeros(7, 8, dtype=torch.bool)
    same_grid[0::3, 1::3] = True  # rows and columns that leave 3 and 4 the same rest
    assert (difference[same_grid] > 0).all()
    assert (difference[~same_grid] == 0).all()


def test_only_vit_encoders_take_attention_grids() -> None:
    image, trimap = np.zeros((40, 40, 3), np.uint8), np.full((40, 40), 128, np.uint8)
    alphas = [
        Matter(DiffMatte(VARIANTS["vits"]).eval(), CPU, attention_grids=grids).matte(image, trimap, steps=1)
        for grids in (1, 3)
    ]
    assert all(np.isfinite(alpha).all() for alpha in alphas)
    with pytest.raises(UsageError, match="swint has no global attention"):
        Matter(DiffMatte(VARIANTS["swint"]), CPU, attention_grids=3)
    with pytest.raises(UsageError, match="from 1 to 16, not 0"):
        Matter(DiffMatte(VARIANTS["vits"]), CPU, attention_grids=0)


def test_spectral_norm_iterates_in_training_only() -> None:
    torch.manual_seed(0)
    weight = torch.randn(6, 4, 3, 3)
    norm = SpectralNorm(weight)
    before = norm.v.clone()
    u = torch.nn.functional.normalize(
        weight.flatten(1) @ torch.nn.functional.normalize(weight.flatten(1).T @ norm.u, dim=0), dim=0
    )
    norm(weight)
    torch.testing.assert_close(norm.u, u)
    assert not torch.equal(norm.v, before)
    for _ in range(200):
        normalised = norm(weight)
    assert torch.linalg.matrix_norm(normalised.flatten(1), 2) == pytest.approx(1, abs=1e-4)
    norm.eval()
    kept = norm.u.clone()
    torch.testing.assert_close(norm(3 * weight), normalised)
    assert torch.equal(norm.u, kept)


def test_two_passes_before_one_gradient() -> None:
    """The second pass moves u and v, which the first one's gradient needs as they were."""
    norm, weight = SpectralNorm(torch.randn(4, 3, 3, 3)), torch.randn(4, 3, 3, 3, requires_grad=True)
    (norm(weight).sum() + norm(weight).square().sum()).backward()
    assert torch.isfinite(weight.grad).all()


def test_the_gradient_goes_through_the_norm() -> None:
    norm = SpectralNorm(torch.randn(3, 2, 1, 1, dtype=torch.float64)).double().eval()
    weight = torch.randn(3, 2, 1, 1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(norm, (weight,))


def test_folding_keeps_the_answer_and_files_keep_the_parts(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = DiffMatte(VARIANTS["res34"]).eval()
    write_model(tmp_path / "w.safetensors", model, {})
    loaded, _ = read_model(tmp_path / "w.safetensors")
    assert loaded.state_dict().keys() == model.state_dict().keys()
    with torch.no_grad():
        condition = model.condition(*conditioned(model))
        unfolded = model.encode(condition)
        torch.testing.assert_close(loaded.fold().encode(condition), unfolded)
    assert not any("parametrizations" in key for key in loaded.state_dict())
    assert sum(p.numel() for p in loaded.parameters()) == sum(p.numel() for p in model.parameters())


def test_stochastic_depth_rises_over_the_blocks_and_ends_with_training() -> None:
    encoder = Swin(SMALL_SWIN)
    rates = [block.drop_rate for stage in encoder.layers for block in stage.blocks]
    assert rates == pytest.approx(np.linspace(0, 0.3, 12))
    draws = torch.rand(4000, generator=torch.Generator().manual_seed(0))
    update = encoder.layers[3].blocks[1].dropped(torch.ones(4000, 1, 1, 1), draws)
    assert update.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert update.mean() == pytest.approx(1, abs=0.05)
    x = torch.randn(1, 6, 64, 64)
    assert not torch.equal(encoder(x), encoder(x))
    encoder.eval()
    assert torch.equal(encoder(x), encoder(x))


def test_stochastic_depth_goes_by_each_samples_own_numbers() -> None:
    """A sample's feature does not depend on who else is in the batch."""
    encoder, x = Swin(SMALL_SWIN).train(), torch.randn(3, 6, 64, 64)
    draws = torch.rand(3, encoder.drops, generator=torch.Generator().manual_seed(1))
    features = []
    for chosen in (slice(0, 3), slice(1, 2)):
        encoder.draws = draws[chosen]
        features.append(encoder(x[chosen]))
    torch.testing.assert_close(features[0][1:2], features[1])
    encoder.draws = 1 - draws[1:2]
    assert not torch.allclose(encoder(x[1:2]), features[1])


def test_an_absent_region_gives_a_token_all_the_same() -> None:
    torch.manual_seed(0)
    encoder = Swin(SMALL_SWIN).eval()
    x = torch.randn(1, 6, 64, 64)
    x[:, 3:] = 0
    x[:, 4] = 1  # all unknown
    with torch.no_grad():
        feature = encoder(x)
    assert feature.shape == (1, 96, 2, 2)
    assert torch.isfinite(feature).all()
