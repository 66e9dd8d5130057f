"""The documents say what the program does, and their lines run."""

import ast
import importlib.util
import pkgutil
import re
import shlex
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import ROOT
from typer.main import get_command
from typer.testing import CliRunner

from diffmatte_cli.commands.app import app
from diffmatte_cli.evaluation.layouts import LAYOUTS
from diffmatte_cli.imaging.formats import WRITERS
from diffmatte_cli.model.config import VARIANTS
from diffmatte_cli.settings import SAMPLER_NAMES, SCHEDULE_NAMES
from diffmatte_cli.training.config import TrainConfig
from diffmatte_cli.training.objective import ALIGNMENTS
from diffmatte_cli.weights.records import WeightsRecord
from diffmatte_cli.weights.store import WeightsStore

PAGES = [*sorted(ROOT.glob("docs/*.md")), ROOT / "README.md"]
SCRIPTS = sorted(ROOT.glob("docs/**/*.py"))
TABLES = [table for table in fields(TrainConfig) if is_dataclass(table.type)]


def text_of(*names: str) -> str:
    return "\n".join((ROOT / name).read_text() for name in names)


def test_the_command_reference_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "docs" / "make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.reference() == text_of("docs/commands.md"), "run python docs/make_reference.py"


def test_tests_that_are_named_are_there() -> None:
    named = re.findall(
        r"\btests(?:/\w+)+(?:\.py)?\b", "\n".join(p.read_text() for p in (*PAGES, *ROOT.glob(".ci/run")))
    )
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_readme_opens_with_its_two_lines() -> None:
    lines = [line.strip() for line in text_of("README.md").splitlines() if line.strip().startswith("pip install -c")]
    assert lines == [
        "pip install -c constraints.txt . && diffmatte matte docs/examples/astronaut.jpg"
        " --trimap docs/examples/astronaut_trimap.png --cutout",
        "pip install -c constraints.txt '.[test]' && pytest",
    ]


def run_line(pattern: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Run the line of the README that ``pattern`` finds as it stands there, from ``folder``."""
    (line,) = re.findall(pattern, text_of("README.md"))
    command = [str(ROOT / word) if word.startswith("docs/") else word for word in shlex.split(line)]
    monkeypatch.chdir(folder)
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output


def test_the_readmes_first_line_cuts_a_photograph_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Face and flag are as the trimap says; the rim of the hair is neither all there nor all gone."""
    run_line(r"&& diffmatte (matte .*)", monkeypatch, tmp_path)
    cutout = np.asarray(Image.open(tmp_path / "astronaut_cutout.png"))
    assert cutout.shape == (512, 512, 4)
    assert (cutout[80:150, 190:260, 3] == 255).all()
    assert (cutout[:200, :100, 3] == 0).all()
    rim = cutout[10:30, 200:260, 3]
    assert (rim > 200).any()
    assert (rim < 50).any()


def test_the_drawn_example_gives_a_true_matte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the line that the README times, its alpha compared with the scene's own."""
    run_line(r"`time diffmatte (matte .*)`", monkeypatch, tmp_path)
    examples = ROOT / "docs" / "examples"
    alpha, truth, trimap = (
        np.asarray(Image.open(path)) / 255
        for path in (tmp_path / "fluff_alpha.png", examples / "fluff_truth.png", examples / "fluff_trimap.png")
    )
    unknown = (trimap > 0.1) & (trimap < 0.9)
    assert (alpha[trimap > 0.9] == 1).all()
    assert (alpha[trimap < 0.1] == 0).all()
    error, guess = np.abs(alpha - truth)[unknown].mean(), np.abs(0.5 - truth)[unknown].mean()
    assert error < 0.3 * guess


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).stat().st_size > 0, target
    assert not re.search(r"@[A-Z]+@", page.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_commands_in_the_pages_exist(page: Path) -> None:
    shown = "\n".join(re.findall(r"^ {4}.*diffmatte .*$", page.read_text(), re.MULTILINE))
    for line in re.findall(r"(?:^ *|[|&] )diffmatte ([a-z][^|&#\n]*)", shown, re.MULTILINE):
        command, path = get_command(app), []
        for word in line.split():
            if not (below := getattr(command, "commands", {})):
                break
            assert word in below, line
            command, path = below[word], [*path, word]
        help_text = CliRunner().invoke(app, [*path, "--help"]).stdout
        for option in re.findall(r"--[a-z-]+", line):
            assert option in help_text, line


def test_names_of_the_code_exist() -> None:
    """Written from the package on; a name that begins with a point is beside the one before it."""
    for package in ("cv2", "accelerate"):
        pytest.importorskip(package, reason="some names need the [train] extra")
    last = ""
    for name in re.findall(r"`([a-z]\w*(?:\.\w+)+|\.\w+)`", text_of("docs/how-it-works.md")):
        last = last.rpartition(".")[0] + name if name.startswith(".") else name
        pkgutil.resolve_name(f"diffmatte_cli.{last}")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_import_what_exists(script: Path) -> None:
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("diffmatte_cli"):
            if ".training" in str(node.module):
                pytest.importorskip("cv2", reason="training needs the [train] extra")
            for alias in node.names:
                pkgutil.resolve_name(f"{node.module}:{alias.name}")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_files_and_tests_in_the_pages_exist(page: Path) -> None:
    text = page.read_text()
    for name in re.findall(r"\b(?:docs|tests)/[\w/]+\.(?:py|toml|jpg|png)\b", text):
        assert (ROOT / name).is_file(), name
    for name, chosen in re.findall(r"pytest (?:-\S+ )*(tests/\w+\.py)(?: -s)? -k (\w+)", text):
        assert re.search(rf"def test_\w*{chosen}", (ROOT / name).read_text()), chosen


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_training_keys_in_the_pages_exist(page: Path) -> None:
    known = {table.name: {key.name for key in fields(table.type)} for table in TABLES}
    for table, key in re.findall(rf"\b({'|'.join(known)})\.(\w+) ?=", page.read_text()):
        assert key in known[table], f"{key} of [{table}]"


@pytest.mark.parametrize("record", WeightsStore().records().values(), ids=lambda record: record.name)
def test_the_table_of_models_is_that_of_the_records(record: WeightsRecord) -> None:
    page = text_of("docs/weights.md")
    (row,) = re.findall(rf"^\| `{record.name}` \| .* M \|.*$", page, re.MULTILINE)
    assert f"| {(record.parameters or 0) / 1e6:.1f} M |" in row
    assert record.upstream is None or record.upstream in page
    for metric in record.metrics:
        figures = (f"{value:.2f}" for value in (metric.sad, metric.mse, metric.grad, metric.conn))
        assert f"| {metric.steps} | {' | '.join(figures)} | {metric.source} |" in page


def test_every_command_of_weights_is_explained() -> None:
    page = text_of("docs/weights.md")
    for name in get_command(app).commands["weights"].commands:  # type: ignore[attr-defined]
        assert f"diffmatte weights {name}" in page, name


@pytest.mark.parametrize("name", [*VARIANTS, *SCHEDULE_NAMES, *SAMPLER_NAMES, *WRITERS])
def test_every_name_is_documented(name: str) -> None:
    assert re.search(
        rf"\b{name}\b", text_of("README.md", "docs/quickstart.md", "docs/how-it-works.md", "docs/weights.md")
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_documented(layout: str) -> None:
    page = text_of("docs/evaluation.md")
    assert f"| `{layout}` |" in page
    assert f"### {layout}\n" in page


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_every_alignment_is_documented(alignment: str) -> None:
    assert f"| `{alignment}` |" in text_of("docs/training.md")


def test_every_training_key_is_documented() -> None:
    page, name, rows = text_of("docs/training.md"), "", {}
    for first, second in re.findall(r"^\| (`\[\w+\]`)? ?\| (`[\w`, ]+`) \|", page, re.MULTILINE):
        name = first.strip("`[]") or name
        rows.setdefault(name, []).extend(re.findall(r"\w+", second))
    tables = {table.name: [key.name for key in fields(table.type)] for table in TABLES if table.name != "model"}
    assert {name: sorted(keys) for name, keys in rows.items()} == {name: sorted(keys) for name, keys in tables.items()}
