"""Memory over a long batch: thousands of pictures need no more than the first hundred."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import fakes
from support.processes import finish

# Width and height, mixed so that every size comes early and often.
SIZES = ((16, 16), (90, 40), (33, 120), (128, 128), (64, 20), (150, 100), (7, 61))


def _make(count: int) -> None:
    for folder in ("photos", "trimaps"):
        Path(folder).mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (160, 160, 3)).astype(np.uint8)
    for number in range(count):
        width, height = SIZES[number % len(SIZES)]
        Image.fromarray(noise[:height, :width]).save(f"photos/{number:04}.jpg")
        trimap = np.full((height, width), 128, np.uint8)
        trimap[: height // 3], trimap[-height // 3 :] = 0, 255
        Image.fromarray(trimap).save(f"trimaps/{number:04}.png")


def _peaks(*command_line: str) -> list[int]:
    """Run a batch as a process of its own and return its peak memory after each picture."""
    arguments = (
        "matte",
        "photos",
        "--trimap",
        "trimaps",
        "-o",
        "out",
        "--report",
        "r.jsonl",
        "--steps",
        "1",
        "--quiet",
    )
    done = finish(*command_line, *arguments, "--cutout", "--with-alpha", timeout=1800)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in Path("r.jsonl").read_text().splitlines()]
    assert {row["status"] for row in rows} == {"done"}
    return [row["peak_memory"] for row in rows]


@pytest.mark.parametrize(
    ("command_line", "count"),
    [
        ((*fakes.PROGRAM, "0"), 600),
        pytest.param(("-m", "diffmatte_cli"), 2000, marks=(pytest.mark.slow, pytest.mark.timeout(3600))),
    ],
    ids=["without a model", "tiny"],
)
def test_memory_stays_flat(
    command_line: tuple[str, ...], count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("resource")
    monkeypatch.chdir(tmp_path)
    _make(count)
    peaks = _peaks(*command_line)
    assert len(peaks) == count
    assert peaks[-1] <= 1.05 * peaks[99]
