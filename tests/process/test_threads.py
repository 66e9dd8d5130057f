"""How OpenMP threads wait, as the runtime itself tells."""

import sys
from pathlib import Path

import pytest
from support import ROOT
from support.processes import finish

EXAMPLE = ROOT / "docs" / "examples" / "astronaut"
MATTE = ("-m", "diffmatte_cli", "matte", f"{EXAMPLE}.jpg", "--trimap", f"{EXAMPLE}_trimap.png", "--steps", "1")


@pytest.mark.skipif(sys.platform != "linux", reason="torch's wheels bring libgomp on Linux alone")
@pytest.mark.parametrize(
    ("settings", "spins"),
    [
        ({}, "10000"),
        ({"GOMP_SPINCOUNT": "77"}, "77"),
        ({"OMP_WAIT_POLICY": "PASSIVE"}, "0"),
    ],
    ids=["as it comes", "spins chosen", "policy chosen"],
)
def test_threads_that_wait_sleep_soon_unless_chosen_otherwise(
    settings: dict[str, str], spins: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    asked = {"OMP_DISPLAY_ENV": "VERBOSE", **settings}
    done = finish(*MATTE, "--verbose", "-o", f"{tmp_path}/alpha.png", env=asked)
    assert done.returncode == 0, done.stderr
    assert f"GOMP_SPINCOUNT = '{spins}'" in done.stderr
