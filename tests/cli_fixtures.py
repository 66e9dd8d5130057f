"""Fixtures that the tests of the command line share, loaded by each as a plugin."""

import sys
from pathlib import Path

import fakes
import numpy as np
import pytest
from PIL import Image

from diffmatte_cli.commands import matte as command


@pytest.fixture
def cat_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a photograph, its trimap, and nothing else."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DIFFMATTE_MODEL", raising=False)
    pixels = np.random.default_rng(0).integers(0, 256, (fakes.HEIGHT, fakes.WIDTH, 3)).astype(np.uint8)
    Image.fromarray(pixels).save("cat.png")
    Image.fromarray(fakes.cat_trimap()).save("cat_trimap.png")
    return tmp_path


@pytest.fixture
def matter(monkeypatch: pytest.MonkeyPatch) -> fakes.FakeMatter:
    """Put a fake in the model's place."""
    fake = fakes.FakeMatter()
    monkeypatch.setitem(sys.modules, "diffmatte_cli.inference.matter", fakes.fake_matting(fake))
    monkeypatch.setattr(command, "resolve_model", fakes.fake_resolve_model)
    return fake
