"""The Python interface, with a small untrained network where trained weights do not matter."""

import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from support.published import published_matter
from torch import nn

import diffmatte_cli
from diffmatte_cli.errors import ImageError, MaskError, ResourceError, UsageError, WeightsError
from diffmatte_cli.inference import memory
from diffmatte_cli.inference.folding import folded_encoder
from diffmatte_cli.inference.loading import load_model
from diffmatte_cli.inference.matter import Matter, pick_device
from diffmatte_cli.inference.region import Region
from diffmatte_cli.inference.tiles import TiledDecoder
from diffmatte_cli.model.checkpoint import read_model, write_model
from diffmatte_cli.model.config import VARIANTS
from diffmatte_cli.model.diffmatte import DiffMatte
from diffmatte_cli.settings import Sampling


def picture(height: int = 40, width: int = 50) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    trimap = np.full((height, width), 128, np.uint8)
    trimap[:5], trimap[-5:] = 0, 255
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8), trimap


@pytest.fixture(scope="module")
def network() -> DiffMatte:
    torch.manual_seed(0)
    return DiffMatte(VARIANTS["tiny"]).eval()


@pytest.fixture
def matter(network: DiffMatte) -> Matter:
    return Matter(network, torch.device("cpu"))


def test_the_public_names_are_there() -> None:
    assert set(diffmatte_cli.__all__) <= {name for name in diffmatte_cli.__all__ if hasattr(diffmatte_cli, name)}
    assert diffmatte_cli.load_model is load_model


def test_alpha_has_the_pictures_size_and_keeps_what_is_known(matter: Matter) -> None:
    image, trimap = picture()
    alpha = matter.matte(image, trimap, steps=2)
    assert alpha.dtype == np.float32
    assert alpha.shape == trimap.shape
    assert (alpha[:5] == 0).all()
    assert (alpha[-5:] == 1).all()
    raw = matter.matte(image, trimap, steps=2, keep_known=False)
    assert ((raw >= 0) & (raw <= 1)).all()
    assert not (raw[:5] == 0).all()


def test_same_seed_same_alpha_and_noise_replaces_the_seed(matter: Matter) -> None:
    image, trimap = picture()
    first, again, other = (matter.matte(image, trimap, steps=1, seed=seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    noise = torch.randn(1, 1, 40, 50, generator=torch.Generator().manual_seed(7))[0, 0].numpy()
    np.testing.assert_array_equal(matter.matte(image, trimap, steps=1, noise=noise), first)


def test_a_true_alpha_takes_the_place_of_predictions(matter: Matter) -> None:
    """The first step sees noise alone; later ones the truth, and so differ from what the sampler comes to."""
    image, trimap = picture()
    truth = np.random.default_rng(2).random((40, 50), np.float32)
    usual, consistent = (list(matter.steps(image, trimap, steps=3, truth=given)) for given in (None, truth))
    np.testing.assert_allclose(consistent[0], usual[0], rtol=0, atol=1e-4)
    assert not np.allclose(consistent[2], usual[2], rtol=0, atol=1e-4)
    with pytest.raises(ImageError, match="the true alpha has shape"):
        matter.steps(image, trimap, steps=3, truth=truth[1:])
    with pytest.raises(UsageError, match="consistent sampling requires the sampler ddim"):
        matter.steps(image, trimap, steps=3, truth=truth, sampler="ddpm")


@pytest.mark.parametrize("variant", ["tiny", "res34"])
def test_norms_are_folded_in_a_copy_of_the_encoder(variant: str) -> None:
    model = published_matter(variant).model
    before = {key: value.clone() for key, value in model.encoder.state_dict().items()}
    folded = folded_encoder(model.encoder)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    seen = torch.rand(1, model.config.encoder_channels, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        feature = model.encoder(seen)
        assert (folded(seen) - feature).norm() < 1e-5 * feature.norm()
    torch.testing.assert_close(model.encoder.state_dict(), before, rtol=0, atol=0)
    vit = DiffMatte(VARIANTS["vits"]).encoder
    assert folded_encoder(vit) is vit


@pytest.mark.parametrize("steps", [1, 4])
def test_the_encoder_runs_once_and_the_decoder_every_step(
    steps: int, matter: Matter, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = {"deep": 0, "step": 0}
    for owner, name in ((matter.encoder, "deep"), (Region, "step")):
        real = getattr(owner, name)

        def counted(*args: object, name: str = name, real: object = real) -> object:
            calls[name] += 1
            return real(*args)  # type: ignore[operator]

        monkeypatch.setattr(owner, name, counted)
    encoding = matter.encode(*picture())
    yielded = list(matter.steps(encoding, steps=steps))
    assert calls == {"deep": 1, "step": steps}
    assert len(yielded) == steps
    np.testing.assert_array_equal(yielded[-1], matter.matte(encoding, steps=steps))
    assert calls["deep"] == 1


def test_seeds_share_what_does_not_depend_on_them(matter: Matter, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = [matter.matte(*picture(), steps=2, seed=seed, **more) for seed in (0, 1) for more in ({}, {"whole": True})]
    prepared, real = [], TiledDecoder._prepared

    def counted(tiles: TiledDecoder, tile: object) -> object:
        prepared.append(tile)
        return real(tiles, tile)  # type: ignore[arg-type]

    monkeypatch.setattr(TiledDecoder, "_prepared", counted)
    encoding = matter.encode(*picture())
    shared = [matter.matte(encoding, steps=2, seed=seed, **more) for seed in (0, 1) for more in ({}, {"whole": True})]
    assert len(prepared) == 2  # one tile, in part and whole
    np.testing.assert_array_equal(shared, fresh)


def test_own_schedule_and_scale_are_the_defaults(matter: Matter) -> None:
    image, trimap = picture()
    own = matter.matte(image, trimap, steps=3)
    np.testing.assert_array_equal(own, matter.matte(image, trimap, steps=3, schedule="linear", input_scale=0.2))
    assert (own != matter.matte(image, trimap, steps=3, schedule="cosine")).any()
    assert (own != matter.matte(image, trimap, steps=3, input_scale=1.0)).any()
    assert (own != matter.matte(image, trimap, steps=3, sampler="ddpm")).any()


def test_one_pixel_works(matter: Matter) -> None:
    alpha = matter.matte(np.zeros((1, 1, 3), np.uint8), np.full((1, 1), 128, np.uint8), steps=2)
    assert alpha.shape == (1, 1)
    assert np.isfinite(alpha).all()


def test_arrays_as_people_have_them(matter: Matter) -> None:
    """Read-only, turned views, NumPy's own integers, and a trimap whose grey is not 128."""
    image, trimap = picture()
    expected = matter.matte(image, trimap, steps=1, seed=3)
    turned, grey = image[..., ::-1].copy()[..., ::-1], np.where(trimap == 128, 100, trimap).astype(np.uint8)
    for array in (turned, grey):
        array.flags.writeable = False
    np.testing.assert_array_equal(matter.matte(turned, grey, steps=np.int64(1), seed=np.int64(3)), expected)  # type: ignore[arg-type]


def test_one_alpha_is_kept(matter: Matter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the one that comes, however many steps there are."""
    alive: list[int] = []

    def steps(*_: object, **__: object) -> Iterator[np.ndarray]:
        there: list[weakref.ref[np.ndarray]] = []
        for number in range(9):
            alpha = np.full((2, 3), number, np.float32)
            there.append(weakref.ref(alpha))
            yield alpha
            alive.append(sum(one() is not None for one in there))

    monkeypatch.setattr(matter, "steps", steps)
    assert (matter.matte(*picture()) == 8).all()
    assert max(alive) <= 2


def test_settings_are_given_as_values_or_by_keyword(matter: Matter) -> None:
    image, trimap = picture()
    expected = matter.matte(image, trimap, steps=2, seed=3)
    np.testing.assert_array_equal(matter.matte(image, trimap, Sampling(2, 3)), expected)
    np.testing.assert_array_equal(matter.matte(image, trimap, Sampling(2, 0), seed=3), expected)
    with pytest.raises(TypeError, match="sead"):
        matter.matte(image, trimap, sead=3)


def test_mistakes_are_told_before_the_first_step(matter: Matter) -> None:
    with pytest.raises(UsageError):
        matter.steps(*picture(), steps=0)


def test_a_mask_as_a_trimap_is_refused(matter: Matter) -> None:
    image, trimap = picture()
    mask = np.where(trimap == 255, trimap, 0).astype(np.uint8)
    with pytest.raises(
        MaskError, match=r"the trimap is a mask, .*: pass it as the mask instead, as in matte\(image, mask="
    ):
        matter.matte(image, mask)
    words = rf"the trimap is a mask, .*, {mask.shape[1] // 2}x{mask.shape[0] // 2} where .* as in matte\(image, mask="
    with pytest.raises(MaskError, match=words):
        matter.encode(image, mask[::2, ::2])
    assert matter.matte(image, mask, keep_known=False, steps=1).shape == mask.shape
    np.testing.assert_array_equal(matter.matte(image, np.zeros_like(mask)), 0)


def test_an_alpha_that_is_not_a_number_is_an_error(matter: Matter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Region, "step", lambda self, x_in, t: torch.tensor(float("nan")))
    with pytest.raises(WeightsError, match="NaN or infinity"):
        matter.matte(*picture(), steps=1)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"steps": 0}, UsageError, "from 1 to"),
        ({"steps": 2.5}, UsageError, "whole number"),
        ({"sampler": "euler"}, UsageError, "ddim, ddpm"),
        ({"schedule": "square"}, UsageError, "linear"),
        ({"input_scale": 0.0}, UsageError, "above 0 and at most 1"),
        ({"input_scale": float("nan")}, UsageError, "above 0"),
        ({"noise": np.zeros((3, 3), np.float32)}, ImageError, "noise"),
        ({"trimap": None}, ImageError, "needs its trimap"),
        ({"trimap": picture()[1] == 255}, MaskError, "is a mask"),
    ],
)
def test_wrong_arguments_are_told(
    change: dict[str, object], error: type[Exception], words: str, matter: Matter
) -> None:
    image, trimap = picture()
    arguments = {"image": image, "trimap": trimap, **change}
    with pytest.raises(error) as caught:
        matter.matte(**arguments)  # type: ignore[arg-type]
    assert words in str(caught.value)


@pytest.mark.parametrize("spec", ["gpu", "cpu:1", "cpu:", "cuda:", "cuda:x", "cuda:99", "", "mps:0"])
def test_absent_devices_are_refused(spec: str) -> None:
    with pytest.raises(UsageError):
        pick_device(spec)


def test_too_large_a_picture_is_told_before_it_runs(matter: Matter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda device: 100_000)
    with pytest.raises(ResourceError, match=r"50x40 pixels need .* would fit"):
        matter.encode(*picture())


def test_other_errors_pass_the_guard(network: DiffMatte) -> None:
    guard = memory.guard_memory(1, torch.device("cpu"), 1, 1)
    with pytest.raises(RuntimeError, match="illegal memory access"), guard:
        raise RuntimeError("an illegal memory access was encountered")


def test_running_out_of_memory_is_told(matter: Matter, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    encoding = matter.encode(*picture())
    monkeypatch.setattr(Region, "step", fail)
    with pytest.raises(ResourceError, match=r"not enough memory on cpu: 50x40 .* about 33x26 would fit"):
        matter.matte(encoding)


@pytest.mark.parametrize(("dtype", "rtol"), [("fp32", 0), ("fp16", 1e-3), ("bf16", 8e-3)])
def test_weights_survive_a_round_trip(dtype: str, rtol: float, network: DiffMatte, tmp_path: Path) -> None:
    write_model(tmp_path / "w.safetensors", network, {"licence": "MIT"}, dtype)
    loaded, metadata = read_model(tmp_path / "w.safetensors")
    assert metadata["licence"] == "MIT"
    assert loaded.config == network.config
    for key, value in network.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[key], value, rtol=rtol, atol=1e-6 if rtol else 0)
    assert not any(p.requires_grad for p in loaded.parameters())


def _spoil(state: dict[str, torch.Tensor], how: str) -> None:
    key = "decoder.mid_blk.conv2.weight"
    if how == "missing":
        del state[key]
    elif how == "unexpected":
        state["decoder.extra"] = torch.zeros(1)
    elif how == "another type":
        state[key] = state[key].to(torch.int8)
    elif how == "another shape":
        state[key] = torch.zeros(1, 1, 3, 3)
    else:
        state[key][0, 0, 0, 0] = float(how)


@pytest.mark.parametrize("how", ["missing", "unexpected", "another shape", "another type", "nan", "inf"])
def test_weights_that_do_not_fit_are_refused(how: str, network: DiffMatte, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    state = {key: value.clone(memory_format=torch.contiguous_format) for key, value in network.state_dict().items()}
    _spoil(state, how)
    metadata = {"format": "diffmatte", "variant": "tiny", "decoder_width": "16", "schedule": "linear"}
    save_file(state, tmp_path / "w.safetensors", {**metadata, "input_scale": "0.2"})
    with pytest.raises(WeightsError, match=how if how not in ("nan", "inf") else "NaN or infinity"):
        read_model(tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"format": "diffmatte", "variant": "other"},
        {"format": "diffmatte", "variant": "tiny", "decoder_width": "x", "schedule": "linear", "input_scale": "1"},
        {"format": "diffmatte", "variant": "tiny", "decoder_width": "8", "schedule": "?", "input_scale": "1"},
        {"format": "diffmatte", "variant": "tiny", "decoder_width": "9" * 14, "schedule": "linear", "input_scale": "1"},
    ],
)
def test_files_of_other_programs_are_refused(metadata: dict[str, str], tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, tmp_path / "w.safetensors", metadata)
    with pytest.raises(WeightsError):
        load_model(tmp_path / "w.safetensors")


def test_a_text_file_is_not_weights(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_text("not weights at all")
    with pytest.raises(WeightsError, match="is a text, not a weights file"):
        load_model(tmp_path / "w.safetensors")


@pytest.mark.gpu
def test_a_gpu_gives_what_the_cpu_gives_twice() -> None:
    image, trimap = picture(200, 300)
    alphas = [load_model("tiny", where).matte(image, trimap, steps=3) for where in ("cpu", "cuda", "cuda")]
    assert np.abs(alphas[0] - alphas[1]).max() < 2 / 255
    np.testing.assert_array_equal(alphas[1], alphas[2])
