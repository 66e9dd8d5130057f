"""How many threads compute, and how they wait, as the runtime itself tells."""

import sys
from pathlib import Path
from textwrap import dedent

import pytest
from support import ROOT
from support.processes import finish
from support.skipping import skip_without

from diffmatte_cli.extras import is_installed

EXAMPLE = ROOT / "docs" / "examples" / "astronaut"
MATTE = ("-m", "diffmatte_cli", "matte", f"{EXAMPLE}.jpg", "--trimap", f"{EXAMPLE}_trimap.png", "--steps", "1")


@pytest.mark.skipif(sys.platform != "linux", reason="torch's wheels bring libgomp on Linux alone")
@pytest.mark.parametrize(
    ("settings", "spins"),
    [
        ({}, "1000"),
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


@pytest.mark.parametrize(
    "statements",
    [
        pytest.param(
            """
            from diffmatte_cli.composition.foreground import multi_level
            multi_level(np.zeros((8, 8, 3), np.uint8), np.full((8, 8), 0.5, np.float32))
            """,
            marks=skip_without(is_installed("ml"), "needs the extra ml (pymatting)"),
        ),
        pytest.param(
            """
            from diffmatte_cli.errors import WeightsError
            from diffmatte_cli.inference.masking import MaskModel
            try:
                MaskModel("u2net", offline=True).sha256
            except WeightsError:
                pass
            """,
            marks=skip_without(is_installed("auto"), "needs the extra auto (rembg)"),
        ),
    ],
    ids=["pymatting", "rembg"],
)
def test_numba_leaves_the_number_of_threads_alone(statements: str, tmp_path: Path) -> None:
    """Loaded, it sets OpenMP's, whatever was asked for; results depend on how many threads share a sum."""
    code = f"import numpy as np, torch\n{dedent(statements)}\nprint(torch.get_num_threads())"
    chosen = {"OMP_NUM_THREADS": "2", "NUMBA_NUM_THREADS": "1", "U2NET_HOME": str(tmp_path)}
    done = finish("-c", code, env=chosen)
    assert done.stdout == "2\n", done.stderr
