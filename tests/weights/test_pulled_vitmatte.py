"""ViTMatte from the Hub: records without a hash, pickles, and what is remembered of both."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import torch
from support.hub_server import REPO, REVISION, Fault, Hub, serving
from support.hub_user import Place, failure
from support.pretrained import State
from support.vitmatte import RUN, SMALL, as_pickle, as_safetensors, state

from diffmatte_cli.imaging.receipts import read_receipt
from diffmatte_cli.model.config import VARIANTS
from diffmatte_cli.weights.loading import load_network
from diffmatte_cli.weights.records import WeightsRecord, as_toml
from diffmatte_cli.weights.store import WeightsStore

pytestmark = pytest.mark.usefixtures("cat_folder")

RECORDS = WeightsStore().records()
MATTE = ("matte", "cat.png", "--trimap", "cat_trimap.png", "--device", "cpu")
NAMES = {"safe": "model.safetensors", "pickle": "pytorch_model.bin"}
KINDS = tuple(NAMES)


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def content_of(kind: str, state: State) -> bytes:
    return as_pickle(state) if kind == "pickle" else as_safetensors(state)


@pytest.fixture(scope="module")
def contents() -> dict[str, bytes]:
    return {kind: content_of(kind, state("small")) for kind in KINDS}


@pytest.fixture
def small(contents: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A user beside a Hub that has one small network twice, of which the user's table knows neither hash nor size."""
    folder = tmp_path_factory.mktemp("user")
    records = (
        WeightsRecord(kind, "small", "MIT", "nothing", repo=REPO, revision=REVISION, filename=name)
        for kind, name in NAMES.items()
    )
    (folder / "weights.toml").write_text("\n".join(map(as_toml, records)))
    with serving({NAMES[kind]: content for kind, content in contents.items()}) as hub:
        yield Place(hub, folder / "home", folder / "weights.toml")


def run(place: Place, *arguments: str, **settings: object) -> CompletedProcess[str]:
    """Run the program where it knows the small variant."""
    return place.run_python("-c", RUN, *arguments, **settings)


def put(hub: Hub, kind: str, content: bytes) -> None:
    hub.files[REPO, REVISION, NAMES[kind]] = content


def path_of(place: Place, kind: str) -> Path:
    return Path(run(place, "weights", "path", kind).stdout.rstrip("\n"))


def kept(place: Place) -> list[str]:
    """List all that a pull has left, but for locks."""
    files = [path for path in place.home.rglob("*") if path.is_file() or path.is_symlink()]
    return [path.name for path in files if not {".locks", "CACHEDIR.TAG"} & set(path.parts)]


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_hub_says_is_told_checked_and_remembered(kind: str, small: Place, contents: dict[str, bytes]) -> None:
    first = run(small, *MATTE, "--model", kind)
    assert first.returncode == 0, first.stderr
    pulling, told, *_ = first.stderr.splitlines()
    assert pulling == f"pulling {kind}, from {REPO}"
    pin = f'sha256 = "{sha256_of(contents[kind])}" and size = {len(contents[kind])}'
    assert told == f"{kind} has {pin} on the Hub: put both into its table to pin them"

    path, receipt = path_of(small, kind), read_receipt(Path("cat_alpha.png"))
    assert receipt is not None
    assert receipt.weights == path.stem if kind == "pickle" else sha256_of(contents[kind])
    assert receipt.weights == sha256_of(path.read_bytes())
    assert receipt.download == (sha256_of(contents[kind]) if kind == "pickle" else None)
    assert path.suffix == ".safetensors"
    assert ("pytorch_model.bin" in str(kept(small))) is False
    (listed,) = (row for row in json.loads(run(small, "weights", "list", "--json").stdout) if row["name"] == kind)
    assert (listed["where"], listed["path"], listed["sha256"]) == ("cached", str(path), receipt.weights)
    assert listed["download"] == receipt.download

    before, small.hub.fault = Path("cat_alpha.png").read_bytes(), Fault(500)
    asked = len(small.hub.requests)
    second = run(small, *MATTE, "--model", kind, "--offline")
    assert (second.returncode, len(small.hub.requests)) == (0, asked), second.stderr
    assert Path("cat_alpha.png").read_bytes() == before
    assert run(small, "weights", "verify", kind).stdout == f"ok       {kind} cached {path}\n"
    assert "skipped" in run(small, *MATTE, "--model", kind, "--skip-existing").stderr


@pytest.mark.parametrize("kind", KINDS)
def test_a_later_difference_is_refused(kind: str, small: Place, contents: dict[str, bytes]) -> None:
    assert run(small, "weights", "pull", kind).returncode == 0
    path = path_of(small, kind)
    other = content_of(kind, state("small") | {"decoder.matting_head.matting_convs.3.bias": torch.ones(1)})
    put(small.hub, kind, other)
    path.unlink()
    line = failure(run(small, "weights", "pull", kind))
    was = f"its sha256 is {sha256_of(other)} but when it was first pulled it was {sha256_of(contents[kind])}"
    assert f"error: cannot pull {kind} from {REPO}: {was}: nothing was kept" in line
    assert not path.exists()
    put(small.hub, kind, contents[kind])
    assert run(small, "weights", "pull", kind).returncode == 0
    assert path_of(small, kind) == path


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_pulled_again(kind: str, small: Place) -> None:
    assert run(small, "weights", "pull", kind).returncode == 0
    path = path_of(small, kind)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"?")
    assert run(small, "weights", "verify", kind).stdout == f"damaged  {kind} cached {path}\n"
    assert f"run `diffmatte weights pull {kind}`" in failure(run(small, "weights", "pull", kind, "--offline"))
    assert "again, since what is in the cache is damaged" in run(small, "weights", "pull", kind).stderr
    assert path.read_bytes() == content


@pytest.mark.parametrize("kind", KINDS)
def test_removing_leaves_nothing(kind: str, small: Place) -> None:
    assert run(small, "weights", "pull", kind).returncode == 0
    done = run(small, "weights", "remove", kind)
    assert done.returncode == 0
    assert done.stderr.startswith(f"removed {kind}, cached, ")
    assert kept(small) == []
    assert "is not on disk" in failure(run(small, "weights", "remove", kind))


def test_a_pickle_that_others_have_pulled_stays_until_it_is_removed(small: Place) -> None:
    fetch = f"from huggingface_hub import hf_hub_download as f; f({REPO!r}, {NAMES['pickle']!r}, revision={REVISION!r})"
    with small.start_python("-c", fetch) as process:
        process.communicate()
    assert run(small, "weights", "pull", "pickle").returncode == 0
    assert NAMES["pickle"] in kept(small)
    assert len(small.hub.asked("GET")) == 1
    assert len(run(small, "weights", "remove", "pickle").stderr.splitlines()) == 2
    assert kept(small) == []


def test_two_at_once_convert_it_once(small: Place) -> None:
    pull = ("-c", RUN, "weights", "pull", "pickle")
    with small.start_python(*pull) as one, small.start_python(*pull) as other:
        for process in (one, other):
            _, errors = process.communicate()
            assert process.returncode == 0, errors
    assert len(small.hub.asked("GET")) == 1


REFUSED = {
    "no network": (Fault(), "cannot be reached"),
    "gate": (Fault(403, "GatedRepo"), "HTTP 403, no access: set HF_TOKEN or run `hf auth login`, and accept"),
    "private": (Fault(401, "RepoNotFound"), "HTTP 401, no access: set HF_TOKEN"),
    "moved revision": (Fault(said={"X_Repo_Commit": "f" * 40}), "no commit, or another one"),
    "gone revision": (Fault(404, "RevisionNotFound"), "no such repository, revision or file"),
    "a tag that is no hash": (Fault(etag="a" * 40), "the Hub does not tell its sha256: find it out elsewhere"),
    "another body": (Fault(content=b"another"), f"its sha256 is {sha256_of(b'another')} but the Hub announced"),
    "another tag": (Fault(etag="f" * 64), f"but the Hub announced {'f' * 64}: nothing was kept"),
    "too large": (Fault(size=2**40), "more than the 4294967296 that are taken unpinned"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", REFUSED)
def test_refusals_leave_the_cache_clean(case: str, kind: str, small: Place) -> None:
    small.hub.fault, text = REFUSED[case]
    if small.hub.fault.content:  # of the announced length
        length = len(small.hub.files[REPO, REVISION, NAMES[kind]])
        small.hub.fault.content = content = b"another".ljust(length)
        text = text.replace(sha256_of(b"another"), sha256_of(content))
    env = {"HF_ENDPOINT": "http://127.0.0.1:9"} if case == "no network" else {}
    line = failure(run(small, "weights", "pull", kind, env=env))
    assert line.startswith(f"error: cannot pull {kind} from {REPO}: ")
    assert text in line
    assert kept(small) == []


WRONG = {
    "another network": (lambda _: {"backbone.weight": torch.zeros(3)}, "nor ViTMatte's"),
    "missing": (lambda found: dict(list(found.items())[1:]), "does not fit small: 1 missing (backbone.embeddings"),
    "NaN": (lambda found: {key: value * torch.nan if "bias" in key else value for key, value in found.items()}, "NaN"),
    "another variant": (lambda _: state("vitmatte-s"), "holds vitmatte-s, but {kind} is small by its table"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", WRONG)
def test_a_file_of_something_else_is_not_kept(case: str, kind: str, small: Place) -> None:
    change, text = WRONG[case]
    put(small.hub, kind, content_of(kind, change(state("small"))))
    line = failure(run(small, *MATTE, "--model", kind))
    assert line.startswith(f"error: cannot pull {kind} from {REPO}: ")
    assert text.format(kind=kind) in line
    assert kept(small) == []


def test_code_in_a_pickle_does_not_run(small: Place) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, ("harm",)

    put(small.hub, "pickle", as_pickle({"x": Evil()}))
    assert "wants to run Python code" in failure(run(small, "weights", "pull", "pickle"))
    assert kept(small) == []
    assert "harm" not in os.listdir()


def _limit_files() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (5 * 2**20, 5 * 2**20))


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX limits")
def test_a_disk_that_is_full_in_the_middle_of_a_conversion(small: Place, contents: dict[str, bytes]) -> None:
    halves = {key: value.half() if value.is_floating_point() else value for key, value in state("small").items()}
    content = as_pickle(halves)
    assert len(content) < 5 * 2**20 < len(contents["safe"])
    put(small.hub, "pickle", content)
    assert "cannot write" in failure(run(small, "weights", "pull", "pickle", preexec_fn=_limit_files))
    assert kept(small) == []


def test_an_interruption_in_the_middle_of_a_conversion(small: Place) -> None:
    stop = "import diffmatte_cli.model.checkpoint as c\ndef stop(*_): raise KeyboardInterrupt\nc._sort_header = stop\n"
    done = small.run_python("-c", RUN.replace("main()", stop + "main()"), "weights", "pull", "pickle")
    assert done.returncode == 130, done.stderr
    assert kept(small) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_chooses_the_preprocessing(kind: str, small: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(small, *MATTE, "--model", kind).returncode == 0
    plain = read_receipt(Path("cat_alpha.png"))
    table = small.tables.read_text()
    small.tables.write_text(table.replace(f"[{kind}]\n", f'[{kind}]\npreprocessing = "hub"\n'))
    again = run(small, *MATTE, "--model", kind, "--skip-existing", "--offline")
    assert again.returncode == 0, again.stderr
    assert "skipped" not in again.stderr
    chosen = read_receipt(Path("cat_alpha.png"))
    assert plain is not None
    assert chosen == replace(plain, preprocessing="hub")
    monkeypatch.setitem(VARIANTS, "small", SMALL)
    record = WeightsRecord(kind, "small", "MIT", "nothing", preprocessing="hub")
    assert load_network(path_of(small, kind), None, record)[0].config.preprocessing == "hub"


def as_pulled(name: str, content: bytes) -> WeightsRecord:
    """A record of the package in which hash and size alone are replaced, where it has any."""
    record = RECORDS[name]
    sha256 = None if record.sha256 is None else sha256_of(content)
    return replace(record, sha256=sha256, size=None if record.size is None else len(content))


BASE = pytest.mark.slow  # 387 MB each


@pytest.mark.parametrize(
    "name",
    ["vitmatte-s", "vitmatte-s-d646", *(pytest.param(name, marks=BASE) for name in ("vitmatte-b", "vitmatte-b-d646"))],
)
def test_the_packages_records(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    record = RECORDS[name]
    content = content_of("pickle" if record.is_pickled else "safe", state(record.variant))
    folder = tmp_path_factory.mktemp("user")
    (folder / "weights.toml").write_text(as_toml(as_pulled(name, content)))
    with serving({}) as hub:
        hub.files[str(record.repo), str(record.revision), str(record.filename)] = content
        place = Place(hub, folder / "home", folder / "weights.toml")
        done = place.run(*MATTE, "--model", name)
        assert done.returncode == 0, done.stderr
        assert (f'has sha256 = "{sha256_of(content)}" and size = {len(content)}' in done.stderr) == (
            None in (record.sha256, record.size)
        )
        assert place.run("weights", "verify", name).stdout.startswith(f"ok       {name} cached ")
        receipt = read_receipt(Path("cat_alpha.png"))
        assert receipt is not None
        assert sha256_of(content) in (receipt.weights, receipt.download)
