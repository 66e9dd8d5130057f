"""Weights files' tables, and where models are found, without network."""

import hashlib
import os
from dataclasses import fields
from pathlib import Path

import pytest
from huggingface_hub import constants, try_to_load_from_cache
from support import ROOT

from diffmatte_cli.errors import UsageError, WeightsError
from diffmatte_cli.inference.loading import load_model
from diffmatte_cli.model.checkpoint import parameter_count
from diffmatte_cli.model.config import VARIANTS
from diffmatte_cli.weights.pulling import obtain
from diffmatte_cli.weights.records import Metrics, WeightsRecord, as_toml, read_records
from diffmatte_cli.weights.store import PACKAGE, WeightsStore, resolve_model

RECORDS = WeightsStore().records()
SHA256 = "a" * 64
PINNED = {
    "variant": "vits",
    "licence": "MIT",
    "trained_on": "our own photographs",
    "repo": "lab/mattes",
    "revision": "b" * 40,
    "filename": "v1/ours.safetensors",
    "sha256": SHA256,
    "size": 1000,
}


@pytest.fixture(autouse=True)
def nobodys_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the user's own cache and settings out."""
    for name in [name for name in os.environ if name.startswith(("HF_", "HUGGINGFACE_", "DIFFMATTE_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def toml(values: dict[str, object], name: str = "ours") -> str:
    lines = (f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}" for key, value in values.items())
    return "\n".join([f"[{name}]", *lines, ""])


def write(text: str, name: str = "ours.toml") -> Path:
    Path(name).write_text(text)
    return Path(name)


@pytest.mark.parametrize("name", RECORDS)
def test_every_record_of_the_package_is_whole(name: str) -> None:
    record = RECORDS[name]
    assert record.parameters == parameter_count(record.variant)
    assert record.bundled or record.repo or record.upstream
    steps = {1, 10} if record.upstream else {1} if record.repo else set()
    assert {metric.steps for metric in record.metrics} == steps


def test_every_variant_has_a_record() -> None:
    assert {record.variant for record in RECORDS.values()} == VARIANTS.keys()


def test_figures_are_the_papers() -> None:
    """Tables 2, 9 and 10: SAD, MSE x 1000, Grad, Conn, of DiffMatte after 1 and after 10 steps."""
    published = {
        "res34": [(31.28, 6.38, 11.60, 28.07), (29.20, 6.04, 11.31, 25.48)],
        "swint": [(22.05, 3.54, 6.67, 17.03), (20.87, 3.23, 6.37, 15.84)],
        "vits": [(20.61, 3.08, 7.14, 14.98), (20.52, 3.06, 7.05, 14.85)],
        "vitb": [(18.84, 2.56, 5.86, 13.23), (18.63, 2.54, 5.82, 13.10)],
        "vits-1024": [(17.16, 2.26, 5.14, 11.42), (17.15, 2.26, 5.13, 11.42)],
    }
    baseline = {
        "vitmatte-s": (21.46, 3.3, 7.24, 16.21),
        "vitmatte-b": (20.33, 3.0, 6.74, 14.78),
        "vitmatte-s-d646": (20.57, 6.12, 10.06, 16.97),
        "vitmatte-b-d646": (16.22, 4.51, 7.53, 13.56),
    }
    for name, row in baseline.items():
        about = ("Distinctions-646", "Table 9") if name.endswith("d646") else ("Composition-1k", "Table 2")
        assert RECORDS[name].metrics == (Metrics(about[0], 1, *row, about[1]),)
    for name, rows in published.items():
        source = "Table 10" if name == "vits-1024" else "Table 2"
        expected = [Metrics("Composition-1k", steps, *row, source) for steps, row in zip((1, 10), rows, strict=True)]
        assert list(RECORDS[name].metrics) == expected


def test_a_table_reads_as_it_was_written() -> None:
    record = WeightsRecord(
        **{**PINNED, "name": "ours-2.1", "licence": 'own "terms", \\ and ümlaut', "note": "café"},  # type: ignore[arg-type]
        metrics=(Metrics("some data", 3, 1.5, 2.0, 3, 0, "our own measurement"),),
    )
    assert read_records(write(as_toml(record))) == {"ours-2.1": record}
    for name, known in RECORDS.items():
        assert read_records(write(as_toml(known)))[name] == known


WRONG: dict[str, tuple[dict[str, object], str]] = {
    "unknown key": ({"sha": "x"}, "unknown key 'sha': use some of variant, licence"),
    "no variant": ({"variant": None}, "lacks the key 'variant'"),
    "unknown variant": ({"variant": "giant"}, "variant = 'giant', which must be one of tiny, res34"),
    "type": ({"licence": 3}, "licence = 3, which must be one line of text"),
    "empty": ({"trained_on": " "}, "must be one line of text"),
    "short hash": ({"sha256": "abc"}, "sha256 = 'abc', which must be 64 hex digits"),
    "branch": ({"revision": "main"}, "revision = 'main', which must be a commit, 40 hex digits"),
    "repo": ({"repo": "mattes"}, "repo = 'mattes', which must be OWNER/REPO"),
    "no revision": ({"revision": None, "size": None}, "lacks revision: a file on the Hub is named by repo, revision"),
    "hash alone": ({"repo": None, "revision": None, "filename": None, "size": None}, "lacks filename, repo, revision"),
    "nowhere": (dict.fromkeys(("repo", "revision", "filename", "size", "sha256")), "must say where its file is"),
    "leads out": (
        {"filename": "../x.safetensors"},
        "must be the path of a safetensors or .bin file inside the repository",
    ),
    "absolute": ({"filename": "/x.safetensors"}, "must be the path of a safetensors or .bin file"),
    "ending": ({"filename": "x.pth"}, "must be the path of a safetensors or .bin file"),
    "preprocessing": ({"preprocessing": "theirs"}, "preprocessing = 'theirs', which must be one of trained, hub"),
    "preprocessing of another": ({"preprocessing": "hub"}, "preprocessing = 'hub' is for ViTMatte's variants"),
    "size": ({"size": 0}, "must be a whole number above 0"),
    "truth": ({"size": "true"}, "must be a whole number above 0"),
    "link": ({"upstream": "ftp://x"}, "must be a link"),
    "bundled": ({"bundled": "tiny.safetensors"}, "bundled names a file inside the package"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_tables(case: str) -> None:
    change, text = WRONG[case]
    values = {key: value for key, value in (PINNED | change).items() if value is not None}
    with pytest.raises(UsageError) as caught:
        read_records(write(toml(values)))
    assert str(caught.value).startswith("ours.toml, [ours]")
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[ours", "ours.toml is not TOML"),
        ("x = 3", r"ours.toml, \[x\] must be a table"),
        ('["a/b"]', "a model's name may hold letters"),
        ('[".."]', "a model's name may hold letters"),
        (toml(PINNED) + "metrics = [3]", r"\[metrics\] must be a table"),
        (toml(PINNED) + "metrics = 3", "metrics = 3, which must be a list of tables"),
        (toml(PINNED) + 'metrics = [{data = "x"}]', r"\[metrics\] lacks the key 'steps'"),
        (
            toml(PINNED) + 'metrics = [{data="x", steps=1, sad=-1, mse=1, grad=1, conn=1, source="y"}]',
            "sad = -1, which must be a number that is not negative",
        ),
    ],
)
def test_wrong_files(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_records(write(text))
    with pytest.raises(UsageError, match=r"cannot read the weights file none.toml"):
        read_records(Path("none.toml"))


def test_an_organisations_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(toml(PINNED) + toml(PINNED | {"note": "ours, too"}, "vits"))
    store = WeightsStore(file)
    assert store.records().keys() == RECORDS.keys() | {"ours"}
    assert store.record("vits").note == "ours, too"
    assert WeightsStore().record("vits") == RECORDS["vits"]
    monkeypatch.setenv("DIFFMATTE_WEIGHTS_FILE", str(file))
    assert WeightsStore().record("vits").note == "ours, too"
    other = write(toml(PINNED, "theirs"), "other.toml")
    assert "ours" not in WeightsStore(other).records()


def test_every_key_is_documented() -> None:
    page = (ROOT / "docs" / "weights.md").read_text()
    for field in (*fields(WeightsRecord)[1:], *fields(Metrics)):
        assert f"`{field.name}`" in page, field.name


def test_only_the_authors_have_it() -> None:
    for name in ("res34", "swint", "vits", "vitb", "vits-1024"):
        with pytest.raises(UsageError) as caught:
            resolve_model(name)
        message = str(caught.value)
        assert "only its authors' file exists so far" in message
        assert str(RECORDS[name].upstream) in message
        assert f"`diffmatte weights import {name} FILE`" in message


def test_names_and_paths() -> None:
    ours = Path("my.safetensors")
    ours.write_bytes(b"anything")
    source = resolve_model(ours)
    assert (source.name, source.path, source.record) == ("my", ours, None)
    assert obtain(source, WeightsStore()) == source
    for missing in ("none.safetensors", "folder/none"):
        with pytest.raises(UsageError, match="there is no weights file"):
            resolve_model(missing)
    with pytest.raises(UsageError, match="no model named 'giant': use one of tiny, res34"):
        resolve_model("giant")


def import_file(store: WeightsStore, name: str, content: bytes) -> Path:
    path = store.imports / name / f"{hashlib.sha256(content).hexdigest()}.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_which_file_is_used() -> None:
    content = b"the right one"
    store = WeightsStore(write(toml(PINNED | {"sha256": hashlib.sha256(content).hexdigest()})))
    record = store.record("ours")
    assert store.where(record) == "on the Hub"
    assert resolve_model("ours", store).copy is None
    cached = put(store.cached_path(record), content)
    assert (store.where(record), resolve_model("ours", store).path) == ("cached", cached)
    assert obtain(resolve_model("ours", store), store).path == cached
    imported = import_file(store, "ours", b"another one")
    assert (store.where(record), resolve_model("ours", store).path) == ("imported", imported)
    assert obtain(resolve_model("ours", store), store).path == imported
    assert [copy.kind for copy in store.copies(record)] == ["imported", "cached"]
    assert WeightsStore().where(RECORDS["vits"]) == "import needed"
    import_file(WeightsStore(), "tiny", b"my own")
    assert WeightsStore().where(RECORDS["tiny"]) == "imported"


@pytest.mark.parametrize(("kind", "cure"), [("imported", "import it again"), ("cached", "run `diffmatte weights pull")])
def test_a_damaged_file_is_never_used(kind: str, cure: str) -> None:
    store = WeightsStore(write(toml(PINNED)), offline=True)
    path = import_file(store, "ours", b"x") if kind == "imported" else store.cached_path(store.record("ours"))
    put(path, b"y")
    with pytest.raises(WeightsError, match=cure) as caught:
        obtain(resolve_model("ours", store), store)
    assert hashlib.sha256(b"y").hexdigest() in str(caught.value)
    assert path.read_bytes() == b"y"


@pytest.mark.parametrize("told", [True, False])
def test_without_network(told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", not told)
    store = WeightsStore(write(toml(PINNED)), offline=told)
    with pytest.raises(UsageError, match=r"ours is not in the cache .* and the network is switched off"):
        resolve_model("ours", store)


def test_the_cache_is_where_the_client_has_it(nobodys_home: Path) -> None:
    store = WeightsStore(write(toml(PINNED)))
    record = store.record("ours")
    path = put(store.cached_path(record), b"x")
    found = try_to_load_from_cache(str(record.repo), str(record.filename), revision=record.revision)
    assert (found, store.imports) == (str(path), nobodys_home / "home" / "diffmatte")


def test_loading_by_name_from_python() -> None:
    content = (PACKAGE / "bundled" / "tiny.safetensors").read_bytes()
    pin = {"variant": "tiny", "sha256": hashlib.sha256(content).hexdigest()}
    store = WeightsStore(write(toml(PINNED | pin)), Path("here"))
    put(store.cached_path(store.record("ours")), content)
    settings = {"weights_file": "ours.toml", "cache_dir": "here", "offline": True}
    assert load_model("ours", **settings).metadata["variant"] == "tiny"
    put(store.cached_path(store.record("ours")), content[:-1])
    with pytest.raises(WeightsError, match="is damaged"):
        load_model("ours", **settings)


def test_a_pinned_file_of_another_variant_is_refused() -> None:
    content = (PACKAGE / "bundled" / "tiny.safetensors").read_bytes()
    pin = {"variant": "vits", "sha256": hashlib.sha256(content).hexdigest()}
    store = WeightsStore(write(toml(PINNED | pin)), Path("here"))
    put(store.cached_path(store.record("ours")), content)
    with pytest.raises(WeightsError, match="holds tiny, but ours is vits by its table: correct the weights file"):
        load_model("ours", weights_file="ours.toml", cache_dir="here", offline=True)


def test_a_table_from_a_windows_editor_is_read() -> None:
    path = write(toml(PINNED))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert "ours" in WeightsStore(path).records()


def test_the_variable_is_named_where_it_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFMATTE_WEIGHTS_FILE", "nowhere.toml")
    with pytest.raises(UsageError, match=r"nowhere\.toml \(named by DIFFMATTE_WEIGHTS_FILE\): No such file"):
        WeightsStore().records()


def test_another_cache_holds_both() -> None:
    store = WeightsStore(cache_dir=Path("here"))
    assert store.hub_cache == Path("here").absolute()
    assert store.imports == Path("here").absolute() / "diffmatte"
    assert PACKAGE not in store.imports.parents
