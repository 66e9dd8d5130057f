"""A session with a fake in the model's place."""

from pathlib import Path

import pytest
from support import fakes

from diffmatte_cli.paint import session as room
from diffmatte_cli.paint.session import Session
from diffmatte_cli.planning.options import MatteOptions
from diffmatte_cli.settings import Sampling

STEPS = 3


@pytest.fixture
def session(
    cat_folder: Path,
    matter: fakes.FakeMatter,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Session:
    """Work in a folder with a photograph; what is saved goes to ``out``."""
    monkeypatch.setattr(room, "resolve_model", fakes.fake_resolve_model)
    return Session(MatteOptions(device="cpu"), Sampling(STEPS), tmp_path_factory.mktemp("own"), "out")
