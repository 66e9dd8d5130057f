"""What is packed, and what a fresh installation of it finds."""

import ast
import re
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import ROOT
from support.processes import finish

PACKAGE = ROOT / "diffmatte_cli"
# What is imported under another name than it is installed by.
IMPORTED_AS = {"opencv_python_headless": "cv2", "openimageio": "OpenImageIO", "pillow": "PIL"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    done = finish("-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", str(folder), str(ROOT))
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("diffmatte-*.whl")
    return path


def test_the_wheel_holds_weights_types_and_the_page(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"diffmatte_cli/weights.toml", "diffmatte_cli/bundled/tiny.safetensors", "diffmatte_cli/py.typed"} <= names
    page = ("page.html", "page.css", "data.js", "marks.js", "sheet.js", "viewer.js", "main.js")
    assert {f"diffmatte_cli/review/{name}" for name in page} <= names
    assert {f"diffmatte_cli/paint/page/{path.name}" for path in (PACKAGE / "paint" / "page").iterdir()} <= names
    assert all(name.startswith(("diffmatte_cli/", "diffmatte-")) for name in names)


def test_the_record_is_found_without_a_checkout(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = (
        "from diffmatte_cli.weights.store import PACKAGE, resolve_model;"
        "path = resolve_model('tiny').path; assert path.is_file(); print(PACKAGE)"
    )
    done = finish("-c", code, cwd=tmp_path, env={"PYTHONPATH": ""})
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == tmp_path / "diffmatte_cli"


def test_the_record_is_found_in_a_checkout() -> None:
    code = (
        "from diffmatte_cli.weights.store import PACKAGE, WeightsStore;"
        "print(PACKAGE.parent, 'tiny' in WeightsStore().records())"
    )
    done = finish("-c", code, cwd=ROOT, env={"PYTHONPATH": ""})
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(ROOT), "True"]


def test_what_lies_below_the_commands_speaks_of_no_options() -> None:
    """Whoever calls it from Python has none; ``commands.app`` adds them. A whole command line may be shown."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if "commands" in path.parts:
            continue
        nodes = list(ast.walk(ast.parse(path.read_text())))
        documentation = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        for node in nodes:
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
                said = re.sub(r"^ +diffmatte .*", "", node.value, flags=re.MULTILINE)
                assert not re.search("--[a-z]", said), f"{path}:{node.lineno}"


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
