"""ViTMatte's numbers: those of the library that published its weights, live and as a recording."""

from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch
from support import ROOT
from support.pretrained import vitmatte_name
from support.published import published_weights
from support.skipping import skip_without
from torch import Tensor

from diffmatte_cli.model.config import VARIANTS
from diffmatte_cli.model.diffmatte import DiffMatte

NAMES = ("vitmatte-s", "vitmatte-b")
NEEDS_LIBRARY = skip_without(find_spec("transformers"), "needs the extra conformance (transformers)")
RECORDED = ROOT / "tests" / "golden" / "vitmatte.npz"
APART = 1e-5  # of the largest absolute logit


@cache
def network(variant: str) -> DiffMatte:
    model = DiffMatte(VARIANTS[variant])
    model.load_state_dict(published_weights(model))
    return model.eval()


def library_network(variant: str) -> Any:
    """The library's network with the same numbers."""
    from transformers import VitDetConfig, VitMatteConfig, VitMatteForImageMatting

    config = VARIANTS[variant]
    whole = range(2, 12, 3)
    backbone = VitDetConfig(
        hidden_size=config.feature_channels,
        num_attention_heads=config.encoder_options["heads"],
        image_size=512,
        num_channels=4,
        window_size=14,
        use_absolute_position_embeddings=True,
        use_relative_position_embeddings=True,
        window_block_indices=[number for number in range(12) if number not in whole],
        residual_block_indices=list(whole),
        out_features=["stage12"],
    )
    made = VitMatteForImageMatting(
        VitMatteConfig(
            backbone_config=backbone,
            hidden_size=config.feature_channels,
            convstream_hidden_sizes=[48, 96, 192],
            fusion_hidden_sizes=[256, 128, 64, 32],
        )
    ).eval()
    made.load_state_dict({vitmatte_name(key): value for key, value in network(variant).state_dict().items()})
    return made


def planes(height: int, width: int) -> Tensor:
    generator = np.random.Generator(np.random.Philox(key=height * 10_000 + width))
    values = generator.standard_normal((1, 4, height, width), np.float32)
    values[:, 3] = generator.integers(3, size=(1, height, width)) / 2
    return torch.from_numpy(values)


@torch.no_grad()
def logits(model: DiffMatte, seen: Tensor) -> Tensor:
    found: Tensor = model.decoder(seen, model.encoder(seen))
    return found


@torch.no_grad()
def library_logits(model: Any, seen: Tensor) -> Tensor:
    """Before the sigmoid."""
    heard: list[Tensor] = []
    hook = model.decoder.matting_head.register_forward_hook(lambda *call: heard.append(call[2]))
    model(pixel_values=seen)
    hook.remove()
    return heard[0]


def apart(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


@NEEDS_LIBRARY
@pytest.mark.parametrize("variant", NAMES)
def test_logits_are_the_librarys(variant: str) -> None:
    """At five sizes, some of them below 224 pixels, and not square; every size is padded to a multiple of 32 before."""
    theirs = library_network(variant)
    for size in ((512, 512), (96, 160), (32, 608), (224, 256), (736, 416)):
        seen = planes(*size)
        expected = library_logits(theirs, seen)
        assert expected.std() > 0.01
        assert apart(logits(network(variant), seen), expected) < APART, size


@pytest.mark.parametrize("variant", NAMES)
def test_logits_are_the_recorded_ones(variant: str) -> None:
    with np.load(RECORDED) as recorded:
        assert apart(logits(network(variant), planes(64, 96)), torch.from_numpy(recorded[variant])) < APART


def test_every_tensor_counts() -> None:
    """A change of any one is seen in the logits, so that what agrees above agrees in all of them."""
    model = DiffMatte(VARIANTS["vitmatte-s"]).eval()
    model.load_state_dict(network("vitmatte-s").state_dict())
    seen = planes(64, 96)
    expected, generator = logits(model, seen), torch.Generator().manual_seed(0)
    unseen = []
    for name, tensor in model.state_dict().items():
        if not tensor.is_floating_point():
            continue
        kept = tensor.clone()
        tensor.add_(torch.rand(tensor.shape, generator=generator) * tensor.std(correction=0).clamp(min=0.1))
        if apart(logits(model, seen), expected) < 10 * APART:
            unseen.append(name)
        tensor.copy_(kept)
    assert unseen == []


@pytest.mark.parametrize(("variant", "millions"), [("vitmatte-s", 25.814753), ("vitmatte-b", 96.686561)])
def test_parameters_are_as_published(variant: str, millions: float) -> None:
    with torch.device("meta"):
        model = DiffMatte(VARIANTS[variant])
    assert sum(tensor.numel() for tensor in model.parameters()) / 1e6 == pytest.approx(millions, abs=1e-9)


def test_the_usual_input_is_the_one_of_training() -> None:
    """ImageNet's statistics, the trimap as it is, and a side that fits grows by 32 when the other one is off."""
    image, trimap = torch.rand(1, 3, 64, 70), torch.randint(3, (1, 1, 64, 70)) / 2
    with torch.device("meta"):
        model = DiffMatte(VARIANTS["vitmatte-s"])
    seen = model.condition(image, trimap).encoder_input
    assert seen.shape == (1, 4, 96, 96)
    mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    torch.testing.assert_close(seen[0, :3, :64, :70], (image[0] - mean) / std)
    torch.testing.assert_close(seen[0, 3:, :64, :70], trimap[0])
    assert not seen[..., 64:, :].any()
    assert not seen[..., 70:].any()


def test_the_hubs_processor_is_a_choice() -> None:
    """Mean and deviation of one half, and each side padded alone."""
    image, trimap = torch.rand(1, 3, 64, 70), torch.randint(3, (1, 1, 64, 70)) / 2
    with torch.device("meta"):
        model = DiffMatte(replace(VARIANTS["vitmatte-s"], preprocessing="hub"))
    seen = model.condition(image, trimap).encoder_input
    assert seen.shape == (1, 4, 64, 96)
    torch.testing.assert_close(seen[0, :3, :, :70], 2 * image[0] - 1)
    torch.testing.assert_close(seen[0, 3:, :, :70], trimap[0])
    assert not seen[..., 70:].any()
