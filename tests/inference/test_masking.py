"""Masks made by a segmentation model, through rembg's session for custom models."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support import fakes, onnx

from diffmatte_cli.errors import UsageError, WeightsError
from diffmatte_cli.extras import is_installed
from diffmatte_cli.imaging.receipts import read_receipt
from diffmatte_cli.inference.masking import MaskModel

pytestmark = pytest.mark.skipif(not is_installed("auto"), reason="needs the extra auto (rembg)")

SHAPE = 60, 90


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Keep a model that calls bright pixels subject where rembg keeps its own; return its name."""
    monkeypatch.setenv("REMBG_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("U2NET_HOME", raising=False)
    file = tmp_path / "home" / "bright.onnx"
    file.parent.mkdir()
    file.write_bytes(onnx.brightness())
    return f"u2net_custom:{file}"


def _photograph() -> np.ndarray:
    pixels = np.zeros((*SHAPE, 3), np.uint8)
    pixels[15:45, 30:60] = 255
    return pixels


def test_a_mask_is_as_large_as_its_photograph(model: str) -> None:
    mask = MaskModel(model).mask(_photograph())
    assert (mask.dtype, mask.shape) == (np.float32, SHAPE)
    assert (mask[:10] < 0.05).all()
    assert (mask[20:40, 35:55] > 0.95).all()


def test_receipts_name_the_model_and_its_file(
    model: str, cat_folder: Path, matter: fakes.FakeMatter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(cat_folder)
    Image.fromarray(_photograph()).save("dog.png")
    arguments = (
        "matte",
        "dog.png",
        "--mask",
        "auto",
        "--mask-model",
        model,
        "-o",
        "out.png",
        "--trimap-output",
        "kept",
    )
    result = fakes.run(*arguments)
    assert result.exit_code == 0, result.stderr
    receipt = read_receipt(Path("out.png"))
    assert receipt is not None
    assert (receipt.mask, receipt.trimap) == (model, hashlib.sha256(onnx.brightness()).hexdigest())
    trimap = np.asarray(Image.open("kept/dog.png"))
    assert trimap[30, 45] == 255
    assert trimap[0, 0] == 0
    assert "skipped" in fakes.run(*arguments, "--skip-existing").stderr
    Path(model.partition(":")[2]).write_bytes(onnx.brightness() + b"\x12\x01x")  # by another producer
    assert "skipped" not in fakes.run(*arguments, "--skip-existing").stderr


def test_a_plan_tells_of_masks_that_are_made(cat_folder: Path, matter: fakes.FakeMatter) -> None:
    result = fakes.run("matte", "cat.png", "--mask", "auto", "--dry-run")
    assert result.stdout == "cat.png with a mask made of it -> cat_alpha.png\n"


@pytest.mark.parametrize("name", ["none", "atlascloud"])  # the second sends photographs away
def test_a_model_that_there_is_not(model: str, name: str) -> None:
    with pytest.raises(UsageError, match=f"the mask model must be one of .*u2net, .*not '{name}'"):
        _ = MaskModel(name).sha256


def test_a_model_that_is_not_on_disk(model: str, tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"the mask model u2net is not on disk: put it at .*home/models/u2net/u2net\.on"
    ):
        _ = MaskModel("u2net", offline=True).sha256
    with pytest.raises(WeightsError, match=r"is not on disk: put it at none\.onnx"):
        _ = MaskModel("u2net_custom:none.onnx").sha256


def test_no_network_is_one_sentence(
    model: str, cat_folder: Path, matter: fakes.FakeMatter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ConnectionError("no\nroute")

    monkeypatch.setattr("pooch.retrieve", refuse)
    fakes.make_photos("ab")
    result = fakes.run("matte", "photos", "--mask", "auto", "-o", "out")
    assert result.exit_code == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert "the mask model u2net cannot be fetched or loaded (no route): put it at " in line
    assert line.endswith(" (--mask-model)")


def test_a_damaged_model(model: str) -> None:
    Path(model.partition(":")[2]).write_bytes(b"none")
    with pytest.raises(WeightsError, match=r"the mask model u2net_custom:.* cannot be fetched or loaded"):
        _ = MaskModel(model).sha256
