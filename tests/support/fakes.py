"""A stand-in for the numeric side at its public seam, and what tests of the command line share.

As a module that is run, ``*PROGRAM PACE ARGUMENTS...`` behind ``python``, it is the whole program with the fake
instead of a model. PACE is how many seconds it waits before each step, or ``@`` and a number of steps, of all
pictures together: before each further one it waits until there is a file named ``GO``.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from diffmatte_cli.commands.app import app, main
from diffmatte_cli.errors import UsageError
from diffmatte_cli.extras import is_installed
from diffmatte_cli.imaging.formats import WRITERS
from diffmatte_cli.settings import Computing, Sampling
from diffmatte_cli.weights.store import Copy, ModelSource, WeightsStore

PROGRAM = ("-m", "support.fakes")
GO = "go"
HEIGHT, WIDTH = 24, 32
NEEDS_VFX = pytest.mark.skipif(not is_installed("vfx"), reason="needs the extra vfx (OpenImageIO)")
EXACT = [form for form, writer in WRITERS.items() if not writer.opaque]
FORMATS = [pytest.param(form, marks=NEEDS_VFX if form == "exr" else ()) for form in EXACT]
BY_PILLOW = [form for form in EXACT if form != "exr"]


@dataclass
class FakeMatter:
    """Play the part of ``Matter``: each step draws the unknown region half-way nearer to the picture's grey.

    With ``until_stable`` it stops after two steps. With ``truth`` it is drawn to that instead.
    """

    device: str = "cpu"
    pause: float = 0.0
    free: float = float("inf")  # steps before it waits for GO
    begun: Iterator[int] = field(default_factory=count)
    remembers: bool = True
    encoded: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    settings: list[Sampling] = field(default_factory=list)
    truths: list[np.ndarray | None] = field(default_factory=list)
    computing: list[Computing] = field(default_factory=list)

    def encode(self, image: np.ndarray, trimap: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
        assert image.dtype == trimap.dtype == np.uint8
        assert image.shape == (*trimap.shape, 3)
        if self.remembers:
            self.encoded.append((image, trimap))
        return len(self.encoded) - 1, image, trimap

    def steps(
        self, encoding: tuple[int, np.ndarray, np.ndarray], *, sampling: Sampling, truth: np.ndarray | None = None
    ) -> Iterator[np.ndarray]:
        if self.remembers:
            self.settings.append(sampling)
            self.truths.append(truth)
        _, image, trimap = encoding
        goal = image.mean(axis=2, dtype=np.float32) / np.float32(255) if truth is None else truth
        alpha = np.random.default_rng(sampling.seed).random(trimap.shape, np.float32)
        for _ in range(sampling.steps if sampling.until_stable is None else min(2, sampling.steps)):
            self._wait()
            alpha = (alpha + goal) / 2
            known = np.where(trimap == 128, alpha, trimap / np.float32(255))
            yield known.astype(np.float32) if sampling.keep_known else alpha

    def _wait(self) -> None:
        time.sleep(self.pause)
        held = next(self.begun) >= self.free
        while held and not Path(GO).exists():
            time.sleep(0.01)

    def matte(self, encoding: tuple[int, np.ndarray, np.ndarray], **settings: Any) -> np.ndarray:
        *_, alpha = self.steps(encoding, **settings)
        return alpha


def fake_matting(matter: FakeMatter) -> ModuleType:
    """Make a module to stand in ``sys.modules`` for ``diffmatte_cli.inference.matter``."""

    def pick_device(spec: str) -> str:
        if spec not in ("auto", "cpu", "cuda:0", "cuda:1"):
            raise UsageError(f"device {spec} is not there")
        return "cpu" if spec == "auto" else spec

    def load_file(_: object, device: str, computing: Computing, tell: Callable[[str], None]) -> FakeMatter:
        matter.computing.append(computing)
        return replace(matter, device=device)

    module = ModuleType("diffmatte_cli.inference.matter")
    module.__dict__.update(pick_device=pick_device, load_file=load_file, Matter=FakeMatter)
    return module


def fake_resolve_model(model: str, store: WeightsStore) -> ModelSource:
    if model not in ("tiny", "other"):
        raise UsageError(f"there is no model named {model!r}")
    path = Path(f"{model}.safetensors")
    digest = model.ljust(64, "0")
    return ModelSource(model, path, copy=Copy("imported", path, digest), sha256=digest)


def cat_trimap() -> np.ndarray:
    """Draw a third of the picture unknown, uint8 [H, W]."""
    trimap = np.zeros((HEIGHT, WIDTH), np.uint8)
    trimap[4:-4, 4:-4] = 128
    trimap[8:-8, 8:-8] = 255
    return trimap


def make_photos(names: Iterable[str]) -> None:
    """Fill the folders photos/ and trimaps/ with one picture each of every name."""
    for folder in ("photos", "trimaps"):
        Path(folder).mkdir(exist_ok=True)
    for number, name in enumerate(names):
        pixels = np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(Path("photos", f"{name}.png"))
        Image.fromarray(cat_trimap()).save(Path("trimaps", f"{name}.png"))


def run(*arguments: str, **settings: Any) -> Result:
    """Run the program in this process."""
    return CliRunner().invoke(app, list(arguments), prog_name="diffmatte", **settings)


def run_matte(*arguments: str, **settings: Any) -> Result:
    """Matte the folder's cat in this process."""
    return run("matte", "cat.png", "--trimap", "cat_trimap.png", *arguments, **settings)


def error_line(result: Result, code: int) -> str:
    """Check that a run failed with one line and left nothing in the folder; return the line."""
    assert result.exit_code == code, result.stderr
    assert result.stdout == ""
    *before, last = result.stderr.splitlines()
    assert last.startswith("error: ")
    assert all(line.startswith(("warning: ", "device: ")) for line in before)
    assert sorted(os.listdir()) == ["cat.png", "cat_trimap.png"]
    return last


def _paced(pace: str) -> FakeMatter:
    if pace.startswith("@"):
        return FakeMatter(free=int(pace[1:]), remembers=False)
    return FakeMatter(pause=float(pace), remembers=False)


if __name__ == "__main__":
    sys.modules["diffmatte_cli.inference.matter"] = fake_matting(_paced(sys.argv.pop(1)))
    main()
