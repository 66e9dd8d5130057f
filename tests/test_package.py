"""What is packed, and what a fresh installation of it finds."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# What is imported under another name than it is installed by.
IMPORTED_AS = {"opencv_python_headless": "cv2", "openimageio": "OpenImageIO", "pillow": "PIL"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", folder, ROOT],
        check=True,
    )
    (path,) = folder.glob("diffmatte-*.whl")
    return path


def test_the_wheel_holds_weights_types_and_the_page(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"diffmatte_cli/weights.toml", "diffmatte_cli/bundled/tiny.safetensors", "diffmatte_cli/py.typed"} <= names
    page = ("page.html", "page.css", "data.js", "marks.js", "sheet.js", "viewer.js", "main.js")
    assert {f"diffmatte_cli/review/{name}" for name in page} <= names
    assert all(name.startswith(("diffmatte_cli/", "diffmatte-")) for name in names)


def test_the_record_is_found_without_a_checkout(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = (
        "from diffmatte_cli.weights import PACKAGE, resolve_model;"
        "path = resolve_model('tiny').path; assert path.is_file(); print(PACKAGE)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, env={}
    )
    assert Path(result.stdout.strip()) == tmp_path / "diffmatte_cli"


def test_the_record_is_found_in_a_checkout() -> None:
    code = "from diffmatte_cli.weights import PACKAGE, Store; print(PACKAGE.parent, 'tiny' in Store().records())"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.split() == [str(ROOT), "True"]


def _imported() -> Iterator[str]:
    for path in (ROOT / "diffmatte_cli").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                yield str(node.module).partition(".")[0]


def test_what_is_imported_is_declared() -> None:
    """What only a dependency brings may be gone, or have another name, with that dependency's next version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = sum(project["optional-dependencies"].values(), project["dependencies"])
    names = {re.split(r"[^\w-]", line)[0].replace("-", "_") for line in wanted}
    declared = {IMPORTED_AS.get(name, name) for name in names}
    assert set(_imported()) - sys.stdlib_module_names <= declared
