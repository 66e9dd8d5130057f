"""Photographs, trimaps and masks as Python programs hold them: each gives the alpha of the plain arrays."""

from collections.abc import Callable
from dataclasses import fields
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import diffmatte_cli
from diffmatte_cli.errors import ImageError, UsageError
from diffmatte_cli.inference.matter import Matter
from diffmatte_cli.model.config import VARIANTS
from diffmatte_cli.model.diffmatte import DiffMatte
from diffmatte_cli.planning.options import MatteOptions
from diffmatte_cli.settings import Computing, Sampling, SamplingFields
from diffmatte_cli.trimaps.band import Band
from diffmatte_cli.trimaps.masks import trimap_from_mask

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
TRIMAP = np.full((40, 50), 128, np.uint8)
TRIMAP[:5], TRIMAP[-5:] = 0, 255
CLASSES = {0: 0, 128: 1, 255: 2}

PHOTOGRAPHS: dict[str, Callable[[], Any]] = {
    "image of Pillow": lambda: Image.fromarray(IMAGE),
    "RGBA of Pillow": lambda: Image.fromarray(np.dstack([IMAGE, IMAGE[..., 0]])),
    "RGBA": lambda: np.dstack([IMAGE, IMAGE[..., 0]]),
    "uint16": lambda: IMAGE.astype(np.uint16) * 257,
    "float32": lambda: IMAGE.astype(np.float32) / 255,
    "float64": lambda: IMAGE / 255,
    "float16": lambda: (IMAGE / 255).astype(np.float16),
    "tensor": lambda: torch.tensor(IMAGE).permute(2, 0, 1) / 255,
    "tensor of bytes": lambda: torch.tensor(IMAGE).permute(2, 0, 1),
}
TRIMAPS: dict[str, Callable[[], Any]] = {
    "image of Pillow": lambda: Image.fromarray(TRIMAP),
    "[H, W, 1]": lambda: TRIMAP[..., None],
    "uint16": lambda: TRIMAP.astype(np.uint16) * 257,
    "float": lambda: TRIMAP / 255,
    "0, 1 and 2": lambda: np.vectorize(CLASSES.get)(TRIMAP),
    "-1, 0 and 1": lambda: np.vectorize(CLASSES.get)(TRIMAP) - 1,
    "tensor [H, W]": lambda: torch.tensor(TRIMAP) / 255,
    "tensor [1, H, W]": lambda: torch.tensor(TRIMAP)[None],
}


@pytest.fixture(scope="module")
def network() -> DiffMatte:
    torch.manual_seed(0)
    return DiffMatte(VARIANTS["tiny"]).eval()


@pytest.fixture
def matter(network: DiffMatte) -> Matter:
    return Matter(network, torch.device("cpu"))


@pytest.fixture
def alpha(matter: Matter) -> np.ndarray:
    return matter.matte(IMAGE, TRIMAP, steps=1)


@pytest.mark.parametrize("kind", PHOTOGRAPHS)
def test_a_photograph_of_any_kind_gives_the_same(kind: str, matter: Matter, alpha: np.ndarray) -> None:
    found = np.asarray(matter.matte(PHOTOGRAPHS[kind](), TRIMAP, steps=1))
    np.testing.assert_allclose(found, alpha, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", TRIMAPS)
def test_a_trimap_of_any_kind_gives_the_same(kind: str, matter: Matter, alpha: np.ndarray) -> None:
    assert np.array_equal(matter.matte(IMAGE, TRIMAPS[kind](), steps=1), alpha)


@pytest.mark.parametrize("as_text", [True, False])
def test_paths_are_read(as_text: bool, tmp_path: Path, matter: Matter, alpha: np.ndarray) -> None:
    paths = [tmp_path / "photo.png", tmp_path / "trimap.png"]
    for path, pixels in zip(paths, (IMAGE, TRIMAP), strict=True):
        Image.fromarray(pixels).save(path)
    found = matter.matte(*((str(path) if as_text else path) for path in paths), steps=1)
    assert np.array_equal(found, alpha)
    assert np.array_equal(matter.matte(matter.encode(*paths), steps=1), alpha)


def test_tensors_come_back_as_tensors(matter: Matter, alpha: np.ndarray) -> None:
    image = torch.tensor(IMAGE).permute(2, 0, 1) / 255
    found = matter.matte(image, TRIMAP, steps=1)
    assert isinstance(found, torch.Tensor)
    assert found.shape == alpha.shape
    batch = matter.matte(torch.stack([image, image.flip(2)]), torch.tensor(TRIMAP).expand(2, 1, 40, 50), steps=1)
    assert batch.shape == (2, 40, 50)
    assert torch.equal(batch[0], found)
    assert not torch.equal(batch[1], found)


def test_a_list_of_any_sizes_gives_a_list(matter: Matter, alpha: np.ndarray) -> None:
    found = matter.matte([IMAGE, Image.fromarray(IMAGE[:30])], [TRIMAP, TRIMAP[:30]], steps=1)
    assert [one.shape for one in found] == [(40, 50), (30, 50)]
    assert np.array_equal(found[0], alpha)


@pytest.mark.parametrize("size", [(40, 50), (20, 25)])
@pytest.mark.parametrize("kind", ["bool", "uint8", "float", "RGBA", "tensor"])
def test_a_mask_stands_in_the_place_of_a_trimap(size: tuple[int, int], kind: str, matter: Matter) -> None:
    """Any size, and for a cutout its alpha; the band is in percent of the longer side."""
    inside = np.zeros(size, bool)
    inside[size[0] // 2 :] = True
    white = np.uint8(255 * inside)
    mask = {
        "bool": inside,
        "uint8": white,
        "float": inside.astype(np.float64),
        "RGBA": np.dstack([white * 0, white * 0, white * 0, white]),
        "tensor": torch.tensor(white)[None],
    }[kind]
    large = np.zeros((40, 50), np.float32)
    large[20:] = 1
    wanted = trimap_from_mask(large, Band(percent=10))
    state = matter.encode(IMAGE, mask=mask, band=10)
    classes = state.canvas.levels[0, 0].numpy()
    assert (classes == wanted).all() if size == (40, 50) else (classes == wanted).mean() > 0.9
    assert np.array_equal(matter.matte(IMAGE, mask=mask, band=10, steps=1), matter.matte(state, steps=1))


def test_what_was_guessed_is_told(network: DiffMatte) -> None:
    heard: list[str] = []
    Matter(network, torch.device("cpu"), tell=heard.append).encode(IMAGE, TRIMAP // 127)
    assert heard == ["the trimap holds the levels 0, 1 and 2 of 255 alone, taken as black, grey and white"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((IMAGE.astype(np.int64), TRIMAP), "a photograph of int64 is not known: pass uint8, uint16, or floats"),
        (
            (IMAGE.astype(np.float32), TRIMAP),
            "values go from 0 to 255: pass floats from 0 to 1",
        ),
        ((np.full((40, 50, 3), np.nan), TRIMAP), "values go from nan to nan"),
        ((IMAGE.astype(np.uint16), TRIMAP), "uint16 with levels up to 255 of 65535: pass it as uint8"),
        ((IMAGE[..., :2], TRIMAP), r"a photograph is \[H, W, 3\], or a tensor \[3, H, W\], not \[40, 50, 2\]"),
        ((torch.rand(40, 50, 3), TRIMAP), r"not \[40, 50, 3\]"),
        ((IMAGE[:0], TRIMAP[:0]), r"not \[0, 50, 3\]"),
        (([IMAGE, IMAGE], TRIMAP), "a batch of 2 photographs needs as many trimaps"),
        ((3, TRIMAP), "a picture is a path, an image of Pillow, an array or a tensor, not int"),
        ((IMAGE, TRIMAP[:30]), "the trimap is 50x30 but the photograph is 50x40"),
        ((IMAGE, IMAGE), r"a trimap is \[H, W\], or a tensor \[1, H, W\], not \[40, 50, 3\]"),
        ((IMAGE,), "a photograph needs its trimap or its mask"),
        ((IMAGE, np.full((40, 50), np.nan)), "the trimap is float64 with values that are no levels"),
        ((IMAGE, Image.fromarray(IMAGE)), "cannot read the trimap: its colours are"),
        ((Image.new("RGB", (0, 0)), TRIMAP), "the photograph has no pixels"),
        ((Image.fromarray(np.full((40, 50), np.nan, np.float32)), TRIMAP), "or some that are not finite"),
    ],
)
def test_what_cannot_be_used_is_named(arguments: tuple[Any, ...], message: str, matter: Matter) -> None:
    with pytest.raises(ImageError, match=message):
        matter.matte(*arguments)


def test_it_says_what_it_is(matter: Matter) -> None:
    assert repr(matter) == "Matter(tiny on cpu, fp32)"


def test_images_of_pillow_are_read_by_the_rules_of_files(tmp_path: Path, matter: Matter) -> None:
    """Deep grey, a palette of labels, an alpha that says nothing beside a plain colour, damage."""
    deep = Image.fromarray(np.uint16(257) * IMAGE[..., 0])
    assert deep.mode == "I;16"
    grey = matter.matte(np.repeat(IMAGE[..., :1], 3, axis=2), TRIMAP, steps=1)
    assert np.array_equal(matter.matte(deep, TRIMAP, steps=1), grey)

    inside = np.zeros((40, 50), np.uint8)
    inside[10:30, 10:40] = 1
    labels = Image.fromarray(inside, "P")
    labels.putpalette([0, 0, 0, 128, 0, 0])
    on_green = Image.fromarray(np.where(inside[..., None] == 1, IMAGE, np.uint8([0, 255, 0])))
    opaque = on_green.copy()
    opaque.putalpha(255)
    wanted = matter.encode(IMAGE, mask=inside == 1).canvas.levels
    on_green.save(tmp_path / "on_green.png")
    for mask in (labels, on_green, opaque, np.asarray(opaque), tmp_path / "on_green.png"):
        assert torch.equal(matter.encode(IMAGE, mask=mask).canvas.levels, wanted)

    Image.fromarray(IMAGE).save(tmp_path / "cut.png")
    content = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    with Image.open(tmp_path / "cut.png") as cut, pytest.raises(ImageError, match="the photograph cannot be read"):
        matter.matte(cut, TRIMAP)


def test_a_url_is_a_place_and_not_a_path(matter: Matter) -> None:
    with pytest.raises(UsageError, match="unknown URL scheme"):
        matter.matte("nowhere://bucket/photo.png", TRIMAP)


def test_what_helps_writing_is_whole() -> None:
    """Keywords that editors offer, with the defaults that hold, and names that complete."""
    assert set(SamplingFields.__annotations__) == {field.name for field in fields(Sampling)}
    offered = signature(diffmatte_cli.load_model).parameters
    assert {field.name: field.default for field in fields(Computing)}.items() <= {
        name: parameter.default for name, parameter in offered.items()
    }.items()
    assert not any(parameter.kind is Parameter.VAR_KEYWORD for parameter in offered.values())
    assert offered["device"].default == MatteOptions.device
    assert set(diffmatte_cli.__all__) <= set(dir(diffmatte_cli))


def test_an_encoding_says_its_size_alone(matter: Matter) -> None:
    assert repr(matter.encode(IMAGE, TRIMAP)) == "Encoding(50 x 40 pixels)"


def test_a_model_is_called_by_its_name(network: DiffMatte) -> None:
    assert repr(Matter(network, torch.device("cpu"), name="ours")) == "Matter(ours on cpu, fp32)"
