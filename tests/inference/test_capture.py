"""ViTMatte's decoder in blocks and tiles against itself over whole pictures, and the one step it takes."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.processes import start
from support.published import published_matter
from support.regions import masks
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from diffmatte_cli.benchmark.bench import scene as drawn
from diffmatte_cli.errors import UsageError
from diffmatte_cli.inference import blocks, memory, tiles
from diffmatte_cli.inference.capture import CaptureDecoder
from diffmatte_cli.inference.matter import Matter
from diffmatte_cli.inference.memory import LADDER, MemoryBudget
from diffmatte_cli.model.capture import DetailCapture
from diffmatte_cli.model.checkpoint import write_model
from diffmatte_cli.model.config import VARIANTS
from diffmatte_cli.model.encoders import vit
from diffmatte_cli.model.encoders.attention import attend_whole
from diffmatte_cli.settings import Sampling

CHANNELS = 24  # of a feature smaller than any variant's


@pytest.fixture(scope="module")
def matter() -> Matter:
    return published_matter("vitmatte-s")


def plain_decoder() -> DetailCapture:
    torch.manual_seed(1)
    made = DetailCapture(4, CHANNELS)
    for name, tensor in made.state_dict().items():
        if "batch_norm" in name and tensor.ndim:
            tensor.copy_(torch.rand(tensor.shape) + 0.5)
    return made.eval()


def scene(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot(rows - height / 2, columns - width / 2)
    trimap = np.where(distance < height / 4, 255, np.where(distance < height / 3, 128, 0)).astype(np.uint8)
    trimap[: height // 8, : width // 8] = 128
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8), trimap


@pytest.mark.parametrize("side", [4, 16, 32])
@pytest.mark.parametrize("mask", ["ring", "all", "corner", "border", "one"])
@torch.no_grad()
def test_wanted_pixels_are_those_of_the_plain_decoder(side: int, mask: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(blocks.CHUNK, "cpu", 20_000)
    plain, wanted = plain_decoder(), masks(96, 160)[mask]
    planes, features = torch.randn(1, 4, 96, 160), torch.randn(1, CHANNELS, 6, 10)
    expected = plain(planes, features)[0, 0][wanted]
    assert mask == "one" or expected.std() > 0.01
    found = CaptureDecoder(plain).region(planes, features, wanted, side).step(torch.empty(96, 160), 1.0)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_the_margin_covers_what_a_pixel_depends_on() -> None:
    plain, place = plain_decoder(), 193
    planes, features = (torch.randn(1, *shape, requires_grad=True) for shape in ((4, 384, 384), (CHANNELS, 24, 24)))
    plain(planes, features)[0, 0, place, place].backward()
    for gradient, scale in ((planes.grad, 1), (features.grad, 16)):
        assert gradient is not None
        rows = gradient[0].abs().sum((0, 2)).nonzero()[:, 0] * scale
        assert max(place - rows.min(), rows.max() + scale - 1 - place) <= tiles.HALO[16]


@pytest.mark.parametrize("raw", [False, True], ids=["region", "raw"])
def test_the_result_does_not_depend_on_tiling(matter: Matter, raw: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    image, trimap = scene(210, 300)
    whole = Matter(matter.model, matter.device, plain=True).matte(image, trimap, keep_known=not raw)
    assert whole[trimap == 128].std() > 0.01
    for side in (32, 128, 2048):
        monkeypatch.setattr(MemoryBudget, "plan", tiles_of(side))
        found = matter.matte(image, trimap, keep_known=not raw)
        np.testing.assert_allclose(found, whole, rtol=0, atol=1e-4, err_msg=str(side))


def tiles_of(side: int) -> Callable[..., tuple[int, bool, int]]:
    return lambda self, wanted: (side, False, 0)


def attend_by_rows(q: Tensor, k: Tensor, v: Tensor, bias: Callable[[slice, slice], Tensor]) -> Tensor:
    """Attention by its definition, some rows of the matrix at a time: the whole of it takes 20 GB at 2048 x 2048."""
    rows = [slice(start, start + 1024) for start in range(0, q.shape[2], 1024)]
    parts = [attend_whole(q[:, :, some], k, v, lambda items, _, some=some: bias(items, some)) for some in rows]
    return torch.cat(parts, dim=2)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("height", "width"), [(1000, 1023), (2048, 2048)])
def test_large_pictures_are_those_of_the_plain_path(
    matter: Matter, height: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vit, "attend_whole", attend_by_rows)
    image, trimap = drawn(height, width, 0.1)
    plain = Matter(matter.model, matter.device, plain=True)
    monkeypatch.setattr(memory, "available_bytes", lambda device: None)
    encoding = plain.encode(image, trimap)
    whole = {raw: plain.matte(encoding, keep_known=not raw) for raw in (False, True)}
    usual = Matter(matter.model, matter.device)
    encoding = usual.encode(image, trimap)
    for side, raw in ((1024, False), (512, False), (256, False), (1024, True)):
        encoding.prepared.clear()
        monkeypatch.setattr(MemoryBudget, "plan", tiles_of(side))
        found = usual.matte(encoding, keep_known=not raw)
        np.testing.assert_allclose(found, whole[raw], rtol=0, atol=1e-4, err_msg=f"{side}, {raw}")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_tiles_of_any_size_agree_beyond_the_size_from_which_there_are_grids(
    matter: Matter, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, trimap = drawn(4000, 6000, 0.1)
    encoding = matter.encode(image, trimap)
    found = {}
    for side in LADDER:
        encoding.prepared.clear()
        monkeypatch.setattr(MemoryBudget, "plan", tiles_of(side))
        found[side] = matter.matte(encoding)
        assert found[side][trimap == 128].std() > 0.01
        np.testing.assert_allclose(found[side], found[LADDER[0]], rtol=0, atol=1e-4, err_msg=str(side))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_tiles_of_any_size_take_less_than_4_gib_at_24_megapixels(matter: Matter, tmp_path: Path) -> None:
    """Of the whole process, by its own report."""
    write_model(tmp_path / "once.safetensors", matter.model, {})
    for name, pixels in zip(("big", "trimap"), drawn(4000, 6000, 0.1), strict=True):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png", compress_level=1)
    arguments = ["matte", "big.png", "--trimap", "trimap.png", "--model", "once.safetensors", "--device", "cpu"]
    with start("-m", "diffmatte_cli", *arguments, "--report", "r.jsonl", cwd=tmp_path) as process:
        assert process.wait(3000) == 0
    row = json.loads((tmp_path / "r.jsonl").read_text())
    assert row["peak_memory"] < 4 * 2**30


def test_it_yields_once_whatever_the_iteration_is_to_be(matter: Matter) -> None:
    image, trimap = scene(64, 96)
    (alpha,) = matter.steps(image, trimap)
    for sampling in (Sampling(seed=3), Sampling(steps=3, sampler="ddpm", until_stable=0, schedule="cosine")):
        (again,) = matter.steps(image, trimap, sampling)
        np.testing.assert_array_equal(again, alpha)
    assert (alpha[trimap == 255] == 1).all()
    assert alpha[trimap == 0].max() == 0
    trimap[:] = 0
    assert len(list(matter.steps(image, trimap))) == 1


def test_what_has_no_effect_is_told_once(matter: Matter) -> None:
    told: list[str] = []
    model = Matter(matter.model, matter.device, tell=told.append)
    image, trimap = scene(64, 96)
    model.matte(image, trimap)
    model.matte(image, trimap, Sampling(steps=1, keep_known=False))
    assert told == []
    model.matte(image, trimap, Sampling(seed=3), steps=10)
    model.matte(image, trimap, steps=5)
    assert told == ["without effect, since the model does not iterate: steps, seed"]


@pytest.mark.parametrize("given", ["noise", "draws", "truth"])
def test_what_only_an_iteration_uses_is_refused(matter: Matter, given: str) -> None:
    image, trimap = scene(64, 96)
    with pytest.raises(UsageError, match="vitmatte-s does not iterate: leave out noise, draws and truth"):
        matter.steps(image, trimap, **{given: np.zeros((64, 96), np.float32)})


def test_a_plans_arithmetic_is_what_a_step_does() -> None:
    config = VARIANTS["vitmatte-s"]
    made = CaptureDecoder(DetailCapture(4, config.feature_channels).eval()).region(
        torch.randn(1, 4, 320, 320), torch.randn(1, config.feature_channels, 20, 20), masks(320, 320)["ring"], 16
    )
    with FlopCounterMode(display=False) as counter:
        made.step(torch.empty(320, 320), 1.0)
    assert made.plan.macs(config) == pytest.approx(counter.get_total_flops() / 2, rel=0.1)
