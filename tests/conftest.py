"""Fixtures of more than one room."""

import hashlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image
from support import ROOT, fakes
from support.hub_server import REPO, REVISION, serving
from support.hub_user import LARGE, TABLE, WEIGHTS, Place
from support.skipping import note_skipped

from diffmatte_cli.commands import matte as command

SHARED = ROOT.parent / "shared"

# How long an example takes says more of what else is running than of the code.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


def pytest_configure() -> None:
    """End by SIGTERM as by Ctrl-C, so that what tests have started is killed."""
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    note_skipped(report)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    note_skipped(report)


@pytest.fixture(autouse=True)
def threads_kept() -> Iterator[None]:
    """Fail a test that leaves torch another number of threads, with which the next would compute other bits."""
    before = torch.get_num_threads() if (torch := sys.modules.get("torch")) else None
    yield
    if before and (torch := sys.modules.get("torch")):
        assert torch.get_num_threads() == before


@pytest.fixture(scope="session")
def golden() -> Path:
    """Small arrays computed by the published implementation."""
    return Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def conformance() -> Path:
    """The whole conformance kit, where it lies beside the project."""
    if not (SHARED / "conformance").is_dir():
        pytest.skip("the conformance kit is not beside the project")
    return SHARED / "conformance"


@pytest.fixture(scope="session")
def photographs() -> Path:
    """Real photographs with ground truth, where they lie beside the project."""
    if not (SHARED / "data" / "real" / "am2k").is_dir():
        pytest.skip("the real photographs are not beside the project")
    return SHARED / "data" / "real" / "am2k"


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


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Put a user beside a local Hub that has two models."""
    folder = tmp_path_factory.mktemp("user")
    files = {"ours": WEIGHTS, "large": LARGE}
    tables = [
        TABLE.format(name=n, repo=REPO, revision=REVISION, sha256=hashlib.sha256(c).hexdigest(), size=len(c))
        for n, c in files.items()
    ]
    (folder / "weights.toml").write_text("".join(tables))
    with serving({f"{name}.safetensors": content for name, content in files.items()}) as hub:
        yield Place(hub, folder / "home", folder / "weights.toml")
