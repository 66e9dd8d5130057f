"""The fast decoder against the plain one: equal numbers wherever alpha is wanted, in any tiling."""

from dataclasses import replace
from itertools import pairwise, repeat

import numpy as np
import pytest
import torch
from support.regions import masks
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from diffmatte_cli.inference import blocks, region, tiles
from diffmatte_cli.inference.blocks import Blocks
from diffmatte_cli.inference.matter import Matter
from diffmatte_cli.inference.memory import MemoryBudget
from diffmatte_cli.inference.region import RegionDecoder
from diffmatte_cli.model.config import VARIANTS, ModelConfig
from diffmatte_cli.model.decoder import Decoder
from diffmatte_cli.model.diffmatte import DiffMatte

CPU = torch.device("cpu")


def lively(network: nn.Module) -> nn.Module:
    """Give each batch norm statistics, and the decoder's last layer a scale, that make mistakes show."""
    generator = torch.Generator().manual_seed(3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.5, 1.5),
                (module.weight.data, 0.7, 1.6),
                (module.bias.data, -0.3, 0.3),
            ):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)
    return network.eval()


def decoder(config: ModelConfig, width: int = 8) -> Decoder:
    torch.manual_seed(1)
    made = Decoder(width, config.condition_channels, config.feature_channels // 16, config.feature_stride)
    lively(made)
    made.matting_head.matting_convs[-1].weight.data *= 6
    return made


@pytest.mark.parametrize("variant", ["tiny", "res34"])
@pytest.mark.parametrize("side", [4, 16, 32])
@pytest.mark.parametrize("mask", ["ring", "all", "corner", "border", "one"])
@torch.no_grad()
def test_wanted_pixels_are_those_of_the_plain_decoder(
    variant: str, side: int, mask: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two steps, so that nothing of the first stays behind; and in chunks of a few blocks."""
    monkeypatch.setitem(blocks.CHUNK, "cpu", 20_000)
    config = VARIANTS[variant]
    plain = decoder(config)
    height, width = 96, 160
    generator = torch.Generator().manual_seed(2)
    planes, x_in = torch.randn(1, config.condition_channels + 1, height, width, generator=generator).split(
        [config.condition_channels, 1], dim=1
    )
    stride = config.feature_stride
    features = torch.randn(1, config.feature_channels // 16, height // stride, width // stride, generator=generator)
    wanted = masks(height, width)[mask]
    fast = RegionDecoder(plain).region(planes, features, wanted, side)
    for t in (1.0, 0.3):
        expected = plain(torch.cat([planes, x_in], dim=1), torch.tensor([t]), features)[0, 0][wanted]
        assert mask == "one" or expected.std() > 0.01
        torch.testing.assert_close(2 * torch.sigmoid(fast.step(x_in[0, 0], t)) - 1, expected, rtol=0, atol=1e-5)


def scene(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot(rows - height / 2, columns - width / 2)
    trimap = np.where(distance < 50, 255, np.where(distance < 75, 128, 0)).astype(np.uint8)
    trimap[: height // 8, : width // 8] = 128
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8), trimap


@pytest.mark.parametrize("variant", ["tiny", "res34", "swint"])
@pytest.mark.parametrize("raw", [False, True], ids=["region", "raw"])
def test_the_result_does_not_depend_on_tiling(variant: str, raw: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor on how many rows the encoder sees at a time, nor on whether tiles are kept from step to step."""
    torch.manual_seed(0)
    network = lively(DiffMatte(replace(VARIANTS[variant], decoder_width=8)))
    network.decoder.matting_head.matting_convs[-1].weight.data *= 20
    image, trimap = scene(210, 300)
    whole = Matter(network, CPU, plain=True).matte(image, trimap, steps=2, keep_known=not raw)
    assert whole[trimap == 128].std() > 0.01
    matter = Matter(network, CPU)
    monkeypatch.setattr("diffmatte_cli.inference.matter.STRIP", 64)
    for side, kept in ((32, True), (64, False), (128, True), (2048, False)):
        monkeypatch.setattr(MemoryBudget, "plan", lambda self, wanted, side=side, kept=kept: (side, kept, 0))
        found = matter.matte(image, trimap, steps=2, keep_known=not raw)
        np.testing.assert_allclose(found, whole, rtol=0, atol=1e-4, err_msg=str(side))


def test_the_margin_covers_what_a_pixel_depends_on() -> None:
    """By the gradient of one pixel's logit, through the whole plain decoder."""
    for variant, halo in (("vits", tiles.HALO[16]), ("res34", tiles.HALO[32])):
        config = VARIANTS[variant]
        plain, size, stride = decoder(config), 384, config.feature_stride
        planes = torch.randn(1, config.condition_channels + 1, size, size, requires_grad=True)
        shape = (1, config.feature_channels // 16, size // stride, size // stride)
        features = torch.randn(shape, requires_grad=True)
        place = 193
        plain(planes, torch.tensor([0.5]), features)[0, 0, place, place].backward()
        for gradient, scale in ((planes.grad, 1), (features.grad, stride)):
            assert gradient is not None
            rows = gradient[0].abs().sum((0, 2)).nonzero()[:, 0] * scale
            assert place - rows.min() <= halo
            assert rows.max() + scale - 1 - place <= halo


def test_short_memory_makes_tiles_smaller_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = lively(DiffMatte(VARIANTS["tiny"]))
    image, trimap = scene(210, 300)
    heard: list[str] = []
    matter = Matter(network, CPU, tell=heard.append)
    expected = matter.matte(image, trimap, steps=2)
    first = region.Region.step
    failures = iter([True, False, True])

    def step(self: region.Region, x_in: Tensor, t: float) -> Tensor:
        if next(failures, False):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return first(self, x_in, t)

    monkeypatch.setattr(region.Region, "step", step)
    found = matter.matte(image, trimap, steps=2)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    assert [text.rpartition(" ")[2] for text in heard] == ["512", "256"]


def test_nothing_runs_without_an_unknown_region(monkeypatch: pytest.MonkeyPatch) -> None:
    matter = Matter(DiffMatte(VARIANTS["tiny"]).eval(), CPU)
    image, trimap = scene(40, 50)
    trimap[:] = 255
    monkeypatch.setattr(matter, "encode", None)
    alphas = list(matter.steps(image, trimap, steps=3))
    assert len(alphas) == 3
    np.testing.assert_array_equal(alphas[-1], (trimap == 255).astype(np.float32))


def test_the_raw_prediction_is_computed_without_an_unknown_region(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    matter = Matter(lively(DiffMatte(VARIANTS["tiny"])), CPU)
    image, trimap = scene(40, 50)
    trimap[trimap == 128] = 0
    raw = matter.matte(image, trimap, steps=1, keep_known=False)
    assert (np.abs(raw - (trimap == 255)) > 0).all()
    encoding = matter.encode(image, trimap)
    np.testing.assert_array_equal(matter.matte(encoding, steps=1, keep_known=False), raw)
    monkeypatch.setattr(matter, "_predictor", None)
    np.testing.assert_array_equal(matter.matte(encoding, steps=1), (trimap == 255).astype(np.float32))


def test_it_stops_when_no_unknown_pixel_moves_enough() -> None:
    torch.manual_seed(0)
    matter = Matter(lively(DiffMatte(VARIANTS["tiny"])), CPU)
    image, trimap = scene(60, 70)
    full = list(matter.steps(image, trimap, steps=8))
    moves = [255 * np.abs(b - a)[trimap == 128].max() for a, b in pairwise(full)]
    limit = sorted(moves)[len(moves) // 2]
    stopped = list(matter.steps(image, trimap, steps=8, until_stable=limit))
    assert len(stopped) == 2 + next(number for number, move in enumerate(moves) if move <= limit)
    np.testing.assert_array_equal(stopped[-1], full[len(stopped) - 1])
    assert len(list(matter.steps(image, trimap, steps=3, until_stable=0))) == 3


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_other_precisions_stay_near(precision: str) -> None:
    torch.manual_seed(0)
    network = lively(DiffMatte(VARIANTS["tiny"]))
    image, trimap = scene(120, 140)
    exact = Matter(network, CPU).matte(image, trimap, steps=2)
    near = Matter(network, CPU, precision=precision).matte(image, trimap, steps=2)
    assert 0 < np.abs(near - exact).max() < 0.05


def test_blocks_find_their_pixels() -> None:
    """Rows of a store, for a patch across blocks, beyond the border, and where nobody looks."""
    mask = torch.zeros(10, 12, dtype=torch.bool)
    mask[1, 1] = mask[1, 5] = mask[9, 11] = True
    made = Blocks(mask, 4)
    assert made.origin.tolist() == [[0, 0], [0, 4], [8, 8]]
    assert made.edge.tolist() == [0, 1, 2]
    (rows,) = made.layout.around(made.origin[:1], 1, -1, 6).reshape(1, 6, 6)
    outside = made.rows - 1
    assert (rows[0] == outside).all()
    assert rows[1].tolist() == [outside, 0, 1, 2, 3, 16]
    assert (rows[5] == outside).all()
    (clamped,) = made.layout.around(made.origin[:1], 1, -1, 6, clamp=True).reshape(1, 6, 6)
    assert clamped[0].tolist() == [0, 0, 1, 2, 3, 16]
    assert made.layout.pixels(mask).tolist() == [5, 21, 39]


def test_less_memory_means_smaller_tiles_and_nothing_kept() -> None:
    """What a limit buys, from the most to nothing; the estimate of a tile grows with its unknown pixels."""
    wanted = torch.zeros(4000, 6000, dtype=torch.bool)
    wanted[1000:3000, 2000:2300] = True

    def plan(limit: float, wanted: Tensor = wanted) -> tuple[int, bool]:
        return MemoryBudget(VARIANTS["res34"], int(limit * 2**30), 4000, 6000).plan(wanted)[:2]

    plans = [plan(limit) for limit in (12, 2.6, 2.2, 1.8, 1.6, 0.1)]
    assert plans[0] == (1024, True)
    assert plans[-1] == (256, False)
    assert plans == sorted(plans, key=lambda p: (not p[1], -p[0]))
    assert len(set(plans)) >= 4
    assert plan(3, torch.ones_like(wanted)) < plan(12)


@pytest.mark.parametrize("variant", ["tiny", "res34"])
def test_a_plans_arithmetic_is_what_a_step_does(variant: str) -> None:
    config = replace(VARIANTS[variant], decoder_width=8)
    fast = RegionDecoder(decoder(config))
    planes = torch.randn(1, config.condition_channels, 320, 320)
    features = torch.randn(1, config.feature_channels // 16, 320 // config.feature_stride, 320 // config.feature_stride)
    made = fast.region(planes, features, masks(320, 320)["ring"], 16)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        made.step(torch.randn(320, 320), 0.5)
    assert made.plan.macs(config) == pytest.approx(counter.get_total_flops() / 2, rel=0.1)


def test_a_limit_that_cannot_be_kept_is_told() -> None:
    heard: list[str] = []
    matter = Matter(DiffMatte(VARIANTS["tiny"]).eval(), CPU, memory=2**28, tell=heard.append)
    matter.matte(*scene(60, 70), steps=1)
    encoding, sampling = heard
    assert "encoding takes about 0.4" in encoding
    assert "even tiles of 256 pixels take about" in sampling


def test_half_precision_does_not_overflow_the_prior_tokens() -> None:
    """Their means are of more positions than half precision can add up."""
    encoder = DiffMatte(VARIANTS["swint"]).eval().encoder
    stage = encoder.layers[0]
    x, regions = torch.full((1, 272, 272, 96), 3.0), torch.ones(1, 3, 272, 272)
    with torch.no_grad(), torch.autocast("cpu", torch.float16):
        assert torch.isfinite(stage(x, regions, repeat(None))).all()
