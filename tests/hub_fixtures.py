"""The fixture of the tests that need a Hub, loaded by each as a plugin."""

import hashlib
from collections.abc import Iterator

import pytest
from hub_server import REPO, REVISION, serving
from hub_user import LARGE, TABLE, WEIGHTS, Place


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("user")
    files = {"ours": WEIGHTS, "large": LARGE}
    tables = [
        TABLE.format(name=n, repo=REPO, revision=REVISION, sha256=hashlib.sha256(c).hexdigest(), size=len(c))
        for n, c in files.items()
    ]
    (folder / "weights.toml").write_text("".join(tables))
    with serving({f"{name}.safetensors": content for name, content in files.items()}) as hub:
        yield Place(hub, folder / "home", folder / "weights.toml")
