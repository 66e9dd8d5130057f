"""Places that several tests read."""

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared"


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
