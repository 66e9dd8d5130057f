"""The blocks of the page on Python, run one after another."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import ROOT


def test_its_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("cat.jpg", "cat_trimap.png"):
        shutil.copy(ROOT / "docs" / "examples" / name, tmp_path)
    with Image.open(tmp_path / "cat_trimap.png") as drawn:
        trimap = np.asarray(drawn)
    Image.fromarray(np.uint8(255 * (trimap > 100))).save(tmp_path / "cat_mask.png")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.DOTALL)
    assert len(blocks) == 8
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "python.md", "exec"), names)
    assert "Matter(tiny on cpu, fp32)" in capsys.readouterr().out
    with Image.open("cutout.png") as made:
        assert made.mode == "RGBA"
    assert [alpha.shape for alpha in names["alphas"]] == [(300, 451)] * 3  # type: ignore[attr-defined]
