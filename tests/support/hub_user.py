"""A user beside a local Hub, who runs the program with the real client, in processes of its own."""

import hashlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, CompletedProcess, Popen

import numpy as np

from diffmatte_cli.weights.store import PACKAGE

from . import processes
from .hub_server import Hub

WEIGHTS = (PACKAGE / "bundled" / "tiny.safetensors").read_bytes()
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
# The client resumes where it last wrote, and writes every ten mebibytes.
LARGE = np.random.default_rng(0).bytes(12 * 2**20)

TABLE = """
[{name}]
variant = "tiny"
repo = "{repo}"
revision = "{revision}"
filename = "{name}.safetensors"
sha256 = "{sha256}"
size = {size}
licence = "MIT"
trained_on = "nothing to speak of"
"""


@dataclass
class Place:
    """A server, and a user's home and weights file that lead to it."""

    hub: Hub
    home: Path
    tables: Path

    @property
    def cache(self) -> Path:
        return self.home / "hub"

    def start(self, *arguments: str, **settings: object) -> AbstractContextManager[Popen[str]]:
        return self.start_python("-m", "diffmatte_cli", *arguments, **settings)

    def start_python(self, *arguments: str, **settings: object) -> AbstractContextManager[Popen[str]]:
        environment = {
            **dict.fromkeys(("HF_HUB_OFFLINE", "HF_TOKEN", "HF_HUB_CACHE", "DIFFMATTE_MODEL", "HF_HUB_VERBOSITY"), ""),
            "HF_ENDPOINT": self.hub.url,
            "HF_HOME": str(self.home),
            "HF_HUB_CACHE": str(self.cache),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            # Whoever wants to see the client give up sets fewer seconds.
            "HF_HUB_ETAG_TIMEOUT": str(processes.PATIENCE),
            "HF_HUB_DOWNLOAD_TIMEOUT": str(processes.PATIENCE),
            "DIFFMATTE_WEIGHTS_FILE": str(self.tables),
            "NO_PROXY": "*",
        }
        environment |= settings.pop("env", {})  # type: ignore[operator]
        return processes.start(*arguments, env=environment, **({"stderr": PIPE, "stdout": PIPE} | settings))

    def run(self, *arguments: str, **settings: object) -> CompletedProcess[str]:
        return self.run_python("-m", "diffmatte_cli", *arguments, **settings)

    def run_python(self, *arguments: str, **settings: object) -> CompletedProcess[str]:
        with self.start_python(*arguments, **settings) as process:
            return ended(process)

    def left(self) -> list[str]:
        """List what a failure must not leave: content, links to it, and begun transfers."""
        repos = [path for path in self.cache.glob("models--*/**/*") if path.is_symlink() or path.is_file()]
        return [str(path) for path in repos]


def ended(process: Popen[str]) -> CompletedProcess[str]:
    text, errors = process.communicate(timeout=processes.PATIENCE)
    return CompletedProcess(process.args, process.returncode, text, errors)


def failure(done: CompletedProcess[str], code: int = 1) -> str:
    """Check that a run failed with one line of its own, after what it says about the transfer; return the line."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    *before, last = done.stderr.splitlines()
    assert all(line.startswith(("pulling ", "device: ")) for line in before), done.stderr
    assert last.startswith("error: ")
    return last
