"""``diffmatte weights`` at the command line: list, convert, import, path, verify, remove."""

import hashlib
import json
import os
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors import safe_open
from support import fakes

from diffmatte_cli.inference.loading import load_model
from diffmatte_cli.weights.pulling import obtain
from diffmatte_cli.weights.store import PACKAGE, WeightsStore, resolve_model

BUNDLED = PACKAGE / "bundled" / "tiny.safetensors"
NAMES = list(WeightsStore().records())


@pytest.fixture(autouse=True)
def nobodys_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith(("HF_", "HUGGINGFACE_", "DIFFMATTE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "home"


def good(*arguments: str) -> str:
    """Run ``weights``, check that it ended well, and return stdout."""
    result = fakes.run("weights", *arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def bad(*arguments: str, code: int = 2) -> str:
    """Run ``weights``, check that it failed with one line, and return the line."""
    result = fakes.run("weights", *arguments)
    assert result.exit_code == code, result.stderr
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("error: ").rstrip("\n")


def test_alone_it_shows_its_help() -> None:
    assert good() == good("--help")
    for name in ("list", "convert", "import", "pull", "path", "verify", "remove", "publish"):
        assert f"  {name} " in good()


def test_the_list_fits_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = good("list")
    assert max(map(len, text.splitlines())) <= 80
    words = " ".join(text.split())
    for name in NAMES:
        assert f" {name} {name.removesuffix('-d646')} " in words
    assert words.startswith("Ready: tiny Pulled from the Hub on first use: vitmatte-s, ")
    for figure in (
        "bundled",
        "import needed",
        "on the Hub",
        "9.1 MB",
        "4.4 M",
        "29.0 M",
        "31.28 6.38 11.60 28.07",
        "Table 10",
    ):
        assert figure in words
    assert "non-commercial" in words


def test_the_list_as_json() -> None:
    models = {model["name"]: model for model in json.loads(good("list", "--json"))}
    assert list(models) == NAMES
    assert models["tiny"]["where"] == "bundled"
    assert models["tiny"]["path"] == str(BUNDLED)
    assert models["vitb"]["where"] == "import needed"
    assert models["vitb"]["path"] is None
    assert models["vitb"]["metrics"][1]["sad"] == 18.63


def test_an_organisations_models_are_listed() -> None:
    Path("w.toml").write_text('[ours]\nvariant="tiny"\nlicence="x"\ntrained_on="y"\nupstream="https://example.org/"\n')
    assert " ours " in good("list", "--weights-file", "w.toml").replace("\n", " ")
    Path("w.toml").write_text('[ours]\nvariant="giant"\nlicence="x"\ntrained_on="y"\n')
    assert "variant = 'giant'" in bad("list", "--weights-file", "w.toml")


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_convert(dtype: str) -> None:
    good("convert", str(BUNDLED), "--model", "tiny", "-o", "out.safetensors", "--dtype", dtype)
    with safe_open("out.safetensors", "pt") as file:
        metadata = file.metadata()
        kinds = {file.get_tensor(key).dtype for key in file.keys() if file.get_tensor(key).ndim > 1}  # noqa: SIM118
    assert kinds == {{"fp32": torch.float32, "bf16": torch.bfloat16}[dtype]}
    assert metadata["model"] == "tiny"
    assert metadata["licence"] == "MIT"
    assert metadata["source_sha256"] == hashlib.sha256(BUNDLED.read_bytes()).hexdigest()
    assert os.listdir() == ["out.safetensors"]


USAGE = {
    "name": (("x.pth", "--model", "giant", "-o", "x.safetensors"), "there is no model named 'giant'"),
    "nothing there": (("none.pth", "--model", "vits", "-o", "x.safetensors"), "checkpoint none.pth does not exist"),
    "folder": ((".", "--model", "vits", "-o", "x.safetensors"), "checkpoint . is not a file"),
    "ending": (("x.pth", "--model", "vits", "-o", "x.pt"), "must end in .safetensors"),
    "no folder": (("x.pth", "--model", "vits", "-o", "none/x.safetensors"), "folder of the result none/x.safetensors"),
    "itself": (("w.safetensors", "--model", "vits", "-o", "w.safetensors"), "would replace the checkpoint"),
    "dtype": (("x.pth", "--model", "vits", "-o", "x.safetensors", "--dtype", "int8"), "the dtype must be one of fp32"),
    "no output": (("x.pth", "--model", "vits"), "Missing option '-o'"),
}


@pytest.mark.parametrize("case", USAGE)
def test_convert_refuses(case: str) -> None:
    arguments, text = USAGE[case]
    for name in ("x.pth", "w.safetensors"):
        Path(name).write_bytes(b"not read")
    assert text in bad("convert", *arguments)
    assert sorted(os.listdir()) == ["w.safetensors", "x.pth"]


class Evil:
    """A pickle of this makes a file when it is loaded without care."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("harm",)


@pytest.mark.parametrize("command", ["convert", "import"])
def test_code_in_a_checkpoint_is_refused(command: str, nobodys_home: Path) -> None:
    torch.save({"model": Evil()}, "evil.pth")
    arguments = {
        "convert": ("evil.pth", "--model", "vits", "-o", "out.safetensors"),
        "import": ("vits", "evil.pth"),
    }
    assert "wants to run Python code" in bad(command, *arguments[command], code=1)
    assert os.listdir() == ["evil.pth"]
    assert not list(nobodys_home.glob("diffmatte/*"))


def test_an_import_is_found_checked_replaced_and_removed(nobodys_home: Path) -> None:
    good("import", "tiny", str(BUNDLED))
    (path,) = nobodys_home.rglob("*.safetensors")
    assert good("path", "tiny") == f"{path}\n"
    assert path.stem == hashlib.sha256(path.read_bytes()).hexdigest()
    assert good("verify") == f"ok       tiny imported {path}\nok       tiny bundled {BUNDLED}\n"

    size = path.stat().st_size
    good("import", "tiny", str(BUNDLED), "--dtype", "bf16")
    (smaller,) = nobodys_home.rglob("*.safetensors")
    assert smaller != path
    assert smaller.stat().st_size < 0.6 * size

    smaller.write_bytes(b"damaged")
    result = fakes.run("weights", "verify", "tiny")
    assert result.exit_code == 1
    assert result.stdout == f"damaged  tiny imported {smaller}\nok       tiny bundled {BUNDLED}\n"
    assert "import it again with `diffmatte weights import tiny FILE`" in result.stderr

    left, kept = smaller.with_name(".diffmatte-0123456789abcdef.part"), smaller.with_name(".notes")
    left.touch()  # by an import that was killed
    kept.touch()  # by somebody else, as are these
    for foreign in (smaller.with_name("mine.safetensors"), smaller.with_name(".diffmatte-mine.part")):
        foreign.touch()
    removed = fakes.run("weights", "remove", "tiny")
    assert removed.exit_code == 0
    assert sorted(os.listdir(kept.parent)) == [".diffmatte-mine.part", ".notes", "mine.safetensors"]
    (kept.parent / "mine.safetensors").unlink()
    assert removed.stderr == f"removed tiny, imported, 0.0 MB: {smaller}\n"
    assert not list(nobodys_home.rglob("*.safetensors"))
    assert good("path", "tiny") == f"{BUNDLED}\n"


def test_a_model_resolved_before_an_import_loads_after_it(nobodys_home: Path) -> None:
    """Another process has replaced the file meanwhile."""
    good("import", "tiny", str(BUNDLED), "--quiet")
    source = resolve_model("tiny")
    good("import", "tiny", str(BUNDLED), "--dtype", "bf16", "--quiet")
    assert not source.path.exists()
    found = obtain(source, WeightsStore())
    assert (found.path, found.sha256) == (resolve_model("tiny").path, source.sha256)  # which receipts name
    (folder,) = nobodys_home.rglob("tiny")
    assert os.listdir(folder) == [resolve_model("tiny").path.name]


def test_the_same_import_is_the_same_file(nobodys_home: Path) -> None:
    good("import", "tiny", str(BUNDLED))
    (first,) = nobodys_home.rglob("*.safetensors")
    good("import", "tiny", str(BUNDLED))
    assert list(nobodys_home.rglob("*.safetensors")) == [first]


def test_what_cannot_be_read_is_not_called_damaged(nobodys_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good("import", "tiny", str(BUNDLED))
    (path,) = nobodys_home.rglob("*.safetensors")

    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("diffmatte_cli.weights.files.open_file", refuse)
    result = fakes.run("weights", "verify", "tiny")
    assert result.exit_code == 1
    assert f"unread   tiny imported {path}\n" in result.stdout
    assert f"cannot read {path}: Permission denied; 1 more with problems" in result.stderr


def test_broken_links_among_the_imports_are_passed_over(nobodys_home: Path) -> None:
    folder = WeightsStore().imports / "vits"
    folder.mkdir(parents=True)
    (folder / f"{'a' * 64}.safetensors").symlink_to("nowhere")
    assert "import needed" in good("list")
    assert "is not on disk" in bad("remove", "vits", code=1)


def test_the_imported_file_is_the_one_that_loads(nobodys_home: Path) -> None:
    good("import", "tiny", str(BUNDLED), "--cache-dir", "cache", "--quiet")
    assert not nobodys_home.exists()
    assert "model" not in load_model("tiny").metadata
    assert load_model("tiny", cache_dir="cache").metadata["model"] == "tiny"


def test_what_is_not_there() -> None:
    assert bad("path", "vits", code=1) == "vits is not on disk: run `diffmatte weights import vits FILE`"
    assert "vits is not on disk" in bad("verify", "vits", code=1)
    assert "vits is not on disk" in bad("remove", "vits", code=1)
    assert "tiny is bundled with diffmatte and cannot be removed" in bad("remove", "tiny")
    assert "only its authors' file exists so far" in bad("pull", "tiny", "vits")
    assert "there is no model named 'giant'" in bad("pull", "giant")
    assert "there is no model named './tiny'" in bad("path", "./tiny")
    assert "weights file none.safetensors does not exist" in bad("publish", "x", "none.safetensors", "--repo", "a/b")


def test_what_is_bundled_needs_no_pulling() -> None:
    result = fakes.run("weights", "pull", "tiny")
    assert (result.exit_code, result.stderr) == (0, f"tiny is ready: {BUNDLED}\n")
