"""URLs in the place of files: in memory, in a store of a test's own, and in files."""

import importlib
import io
import json
import os
import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from support import fakes
from typer.testing import Result

from diffmatte_cli.errors import ImageError, OutputError, UsageError
from diffmatte_cli.imaging.folders import images_in
from diffmatte_cli.imaging.receipts import read_receipt
from diffmatte_cli.planning.jobs import plan
from diffmatte_cli.planning.requests import Request
from diffmatte_cli.storage.paths import Place, below, location
from diffmatte_cli.storage.remotes import is_remote, is_url, parsed, putting, read

NAMES = ("a", "b", "c")
FOLDER = ("matte", "memory://in/photos", "--trimap", "memory://in/trimaps", "-o")


class Disk(MemoryFileSystem):
    """Play the part of a place that writes bit by bit, as a disk elsewhere does."""

    protocol = "sftp"
    store: dict[str, Any] = {}  # noqa: RUF012 (as the class above has it)
    pseudo_dirs = [""]  # noqa: RUF012
    fails: str | None = None

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return ("/" + path.removeprefix("sftp://").strip("/")).rstrip("/")

    def pipe_file(self, path: str, value: bytes, **settings: Any) -> None:
        """Leave half of the content behind where it fails."""
        assert posixpath.basename(path).startswith(".diffmatte-")
        super().pipe_file(path, value[: len(value) // 2] if self.fails else value, **settings)
        if self.fails:
            raise PermissionError(self.fails)


@pytest.fixture(autouse=True)
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryFileSystem]:
    """Work in a folder with photographs and trimaps, and with the same in memory; yield the memory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Disk, "fails", None)
    monkeypatch.setitem(importlib.import_module("fsspec.registry")._registry, "sftp", Disk)
    fakes.make_photos(NAMES)
    memory = fsspec.filesystem("memory")
    for path in Path().glob("*/*.png"):
        memory.pipe_file(f"/in/{path}", path.read_bytes())
    yield memory
    for store in (memory, fsspec.filesystem("sftp")):
        store.store.clear()
        store.pseudo_dirs[:] = [""]


def _matte(*arguments: str, code: int = 0) -> Result:
    result = fakes.run(*arguments)
    assert result.exit_code == code, result.stderr
    assert "Traceback" not in result.stderr
    return result


def _refusal(*arguments: str) -> str:
    (line,) = _matte(*arguments, code=2).stderr.splitlines()
    return str(line)


def _found(store: MemoryFileSystem, folder: str) -> list[str]:
    return [path.removeprefix(f"/{folder}/") for path in sorted(store.find(f"/{folder}"))]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("memory://b/x.png", "memory://b/x.png"),
        ("memory:///b/x.png", "memory://b/x.png"),
        ("memory://b//y/../x.png", "memory://b/x.png"),
        ("hdfs:///b/x.png", "hdfs:///b/x.png"),
        ("memory://", "memory://"),
    ],
)
def test_a_url_is_a_path_whose_text_is_the_url(text: str, shown: str) -> None:
    path = location(text)
    assert (is_remote(path), str(path)) == (True, shown)
    assert location(str(path)) == path
    if len(path.parts) > 1:
        assert (path.stem, path.suffix, str(path.parent / "x.png")) == ("x", ".png", shown)
        assert (str(path.with_name("z.png")), type(path.parent)) == (shown.replace("x.", "z."), type(path))


def test_files_that_look_like_urls_stay_in_reach() -> None:
    assert not any(is_remote(location(text)) for text in ("./memory://x.png", "memory:/x.png", "C:/x.png"))
    assert location("file:///tmp/x.png") == location("local:///tmp/x.png") == Path("/tmp/x.png")
    with pytest.raises(UsageError, match="three slashes"):
        location("file://host/x.png")


def test_one_place_has_one_identity() -> None:
    here = Place(Path())
    bucket = here.named("memory://b")
    assert here.named("memory://b/x.png").identity == here.named("memory:///b/y/../x.png").identity
    assert (bucket / "x").is_inside(bucket)
    assert not here.named("memory://bb/x").is_inside(bucket)
    assert not (bucket / "x" / ".." / ".." / "c").is_inside(bucket)
    assert not (bucket / "x").is_inside(here)
    assert not (here / "x").is_inside(bucket)
    assert below(location("memory://b"), "x.png") == location("memory://b/x.png")


def test_a_folder_in_memory_gives_the_same_bytes(matter: fakes.FakeMatter, stores: MemoryFileSystem) -> None:
    result = _matte(*FOLDER, "memory://out/new")
    assert "1/3 memory://in/photos/a.png: 32x24" in result.stderr
    assert ": memory://out/new/a_alpha.png" in result.stderr
    _matte("matte", "photos", "--trimap", "trimaps", "-o", "out")
    assert _found(stores, "out/new") == [f"{name}_alpha.png" for name in NAMES]
    for name in NAMES:
        assert stores.cat(f"/out/new/{name}_alpha.png") == Path(f"out/{name}_alpha.png").read_bytes()


@pytest.mark.parametrize(
    ("photographs", "trimap", "output"),
    [
        ("photos", "memory://in/trimaps/{stem}.png", "memory://out"),
        ("memory://in/photos", "trimaps", "sftp://host/out"),
        ("memory://in/photos/", "{folder}/../trimaps/{stem}.png", "out"),
    ],
)
def test_places_are_mixed(photographs: str, trimap: str, output: str, matter: fakes.FakeMatter) -> None:
    _matte("matte", photographs, "--trimap", trimap, "-o", output, "--report", "r.jsonl")
    rows = [json.loads(line) for line in Path("r.jsonl").read_text().splitlines()]
    assert sorted(row["output"] for row in rows) == [f"{output}/{name}_alpha.png" for name in NAMES]
    assert sorted(place.path.name for place in images_in(Place(location(output)))) == [
        f"{name}_alpha.png" for name in NAMES
    ]


def test_a_tree_a_single_file_and_a_cutout_with_its_alpha(matter: fakes.FakeMatter, stores: MemoryFileSystem) -> None:
    stores.mv("/in/photos/b.png", "/in/photos/deep/er/b.png")
    stores.mv("/in/trimaps/b.png", "/in/trimaps/deep/er/b_trimap.png")
    stores.pipe_file("/in/photos/.hidden/x.png", b"x")
    _matte(*FOLDER, "memory://in/photos/out", "--recursive", "--cutout", "--with-alpha", code=0)
    kinds = [f"{name}_{kind}.png" for name in ("a", "c", "deep/er/b") for kind in ("alpha", "cutout")]
    assert _found(stores, "in/photos/out") == sorted(kinds)
    again = _matte(*FOLDER, "memory://in/photos/out", "--recursive", "--cutout", "--with-alpha", "--skip-existing")
    assert "0 done, 3 skipped" in again.stderr
    _matte("matte", "memory://in/photos/a.png", "--trimap", "memory://in/trimaps/a.png")
    assert Path("a_alpha.png").exists()
    _matte("matte", "photos/a.png", "--trimap", "trimaps/a.png", "-o", "memory://new/one.tif")
    assert read_receipt(location("memory://new/one.tif")) is not None


def test_a_manifest_elsewhere(matter: fakes.FakeMatter, stores: MemoryFileSystem) -> None:
    rows = [
        "image,trimap,output,seed",
        "photos/a.png,trimaps/a.png,x/one.png,",
        f"memory://in/photos/b.png,{Path('trimaps/b.png').absolute()},memory://out/y/two.png,3",
    ]
    stores.pipe_file("/in/m.csv", "\n".join(rows).encode())
    _matte("matte", "--manifest", "memory://in/m.csv", "-o", "memory://out")
    assert _found(stores, "out") == ["x/one.png", "y/two.png"]
    stores.pipe_file("/in/m.csv", "\n".join([*rows, "photos/a.png,none.png,,", "a,b,c"]).encode())
    lines = _matte("matte", "--manifest", "memory://in/m.csv", "-o", "memory://other", code=2).stderr
    assert "line 4 of memory://in/m.csv: the trimap memory://in/none.png does not exist" in lines
    assert "line 3 of memory://in/m.csv: a table may name files" in lines
    assert "not memory://out/y/two.png" in lines
    words = "cannot read the manifest memory://in/n.csv: cannot read memory://in/n.csv: there is no such file"
    assert words in _refusal("matte", "--manifest", "memory://in/n.csv", "-o", "out")


def test_a_plan_takes_as_many_requests_as_there_are_folders(
    monkeypatch: pytest.MonkeyPatch, stores: MemoryFileSystem
) -> None:
    for number in range(50):
        for folder in ("photos", "trimaps"):
            stores.pipe_file(f"/in/{folder}/{number}.png", b"x")
    asked = []
    for name in ("info", "ls"):
        whole = getattr(MemoryFileSystem, name)

        def asking(store: Any, path: str, *, name: str = name, whole: Any = whole, **settings: Any) -> Any:
            asked.append((name, path))
            return whole(store, path, **settings)

        monkeypatch.setattr(MemoryFileSystem, name, asking)
    assert len(plan(Request((FOLDER[1],), FOLDER[3], "memory://out/"))) == 53
    assert sorted(asked) == [
        (name, f"/{folder}") for name in ("info", "ls") for folder in ("in/photos", "in/trimaps", "out")
    ]


def test_results_in_each_others_or_in_inputs_places(stores: MemoryFileSystem) -> None:
    stores.pipe_file("/in/photos/a.jpg", b"x")
    assert "both be written to memory://out/a_alpha.png: rename one" in _refusal(*FOLDER, "memory://out")
    stores.rm_file("/in/photos/a.jpg")
    assert "also contains inputs" in _refusal(*FOLDER, "memory:///in/x/../photos")
    one = ("matte", "memory://in/photos/a.png", "--trimap", "memory://in/trimaps/a.png", "-o")
    assert "would replace the input memory://in/photos/a.png" in _refusal(*one, "memory://in/photos/a.png")
    assert "would replace the input memory://in/trimaps/a.png" in _refusal(*one, "memory:///in/trimaps/a.png")
    assert "need a folder, and memory://in/photos/a.png is not one" in _refusal(*FOLDER, "memory://in/photos/a.png")
    stores.pipe_file("/out/a_alpha.png/x", b"x")
    assert "is an existing folder" in _refusal(*FOLDER, "memory://out")


def test_what_is_there_is_kept_on_request(matter: fakes.FakeMatter, stores: MemoryFileSystem) -> None:
    stores.pipe_file("/out/b_alpha.png", b"mine")
    words = "the result memory://out/b_alpha.png already exists, and overwriting is off (--no-overwrite)"
    assert words in _refusal(*FOLDER, "memory://out", "--no-overwrite")
    assert _found(stores, "out") == ["b_alpha.png"]
    with (
        pytest.raises(OutputError, match="exists by now, and overwriting is off"),
        putting(location("memory://out/b_alpha.png"), b"n", overwrite=False),
    ):
        pass
    _matte(*FOLDER, "memory://out")
    assert stores.cat("/out/b_alpha.png") != b"mine"


def test_shares_and_plans_are_those_of_files(matter: fakes.FakeMatter) -> None:
    shown = []
    for photographs, trimaps in (("photos", "trimaps"), (FOLDER[1], FOLDER[3])):
        for part in ("1/2", "2/2"):
            done = _matte("matte", photographs, "--trimap", trimaps, "-o", "out", "--dry-run", "--shard", part)
            shown.append([line.split(" -> ")[1] for line in done.stdout.splitlines()])
    assert shown[:2] == shown[2:]
    assert len(shown[0] + shown[1]) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nowhere://a/b.png",), "unknown URL scheme nowhere://"),
        (("memory://in/none.png",), "the photograph memory://in/none.png does not exist"),
        (
            ("memory://in/photos/a.png", "--report", "memory://r.csv"),
            "the report memory://r.csv must be a file on this",
        ),
        (
            ("memory://in/photos/a.png", "--dump-steps", "memory://d"),
            "memory://d must be on this machine (--dump-steps)",
        ),
        (("s3://bucket/a.png",), "s3:// needs a package that is not installed: pip install 'diffmatte[s3]'"),
        (("box://bucket/a.png",), "box:// needs a package that is not installed: Please install boxfs"),
    ],
)
def test_what_cannot_be(arguments: tuple[str, ...], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = importlib.import_module("fsspec.registry")

    def without_packages(name: str) -> Any:
        raise ImportError

    monkeypatch.setattr(registry, "_import_class", without_packages)
    assert words in _refusal("matte", *arguments, "--trimap", "trimaps/a.png")


def test_a_store_that_fails_while_working(
    matter: fakes.FakeMatter, monkeypatch: pytest.MonkeyPatch, stores: MemoryFileSystem
) -> None:
    whole = MemoryFileSystem._open

    def failing(store: MemoryFileSystem, path: str, *rest: Any, **settings: Any) -> Any:
        if path.endswith("photos/b.png"):
            raise ConnectionError("Could not connect to the endpoint.\nTry again.")
        return whole(store, path, *rest, **settings)

    monkeypatch.setattr(MemoryFileSystem, "_open", failing)
    result = _matte(*FOLDER, "memory://out", code=1)
    assert "error: cannot read memory://in/photos/b.png: Could not connect to the endpoint\n" in result.stderr
    assert _found(stores, "out") == ["a_alpha.png", "c_alpha.png"]


def test_a_store_that_fails_while_planning(monkeypatch: pytest.MonkeyPatch) -> None:
    def info(*_: object, **__: object) -> dict[str, Any]:
        raise PermissionError(13, "Access Denied")

    monkeypatch.setattr(MemoryFileSystem, "info", info)
    assert _refusal(*FOLDER, "out") == "error: cannot look up memory://in/photos: Access Denied"


def test_nothing_half_written_stays(matter: fakes.FakeMatter, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = fsspec.filesystem("sftp")
    _matte(*FOLDER, "sftp://host/out", "--quiet")
    before = {path: disk.cat(path) for path in disk.find("/")}
    assert len(before) == 3
    monkeypatch.setattr(Disk, "fails", "no room")
    result = _matte(*FOLDER, "sftp://host/out", "--seed", "1", code=1)
    assert "error: memory://in/photos/a.png: cannot write sftp://host/out/a_alpha.png: no room\n" in result.stderr
    assert {path: disk.cat(path) for path in disk.find("/")} == before


def test_neither_of_two_results_is_put_where_one_cannot_be_made(
    matter: fakes.FakeMatter, monkeypatch: pytest.MonkeyPatch, stores: MemoryFileSystem
) -> None:
    from diffmatte_cli.imaging import write as writing

    encode = writing.encoded

    def failing(result: writing.Result) -> bytes:
        if result.path.name.endswith("_alpha.png"):
            raise OutputError("no alpha")
        return encode(result)

    monkeypatch.setattr(writing, "encoded", failing)
    _matte(*FOLDER, "memory://out", "--cutout", "--with-alpha", code=1)
    assert not stores.exists("/out")


def test_no_more_is_read_than_wanted(stores: MemoryFileSystem) -> None:
    stores.pipe_file("/x", b"12345")
    assert read(location("memory://x"), 5) == b"12345"
    with pytest.raises(ImageError, match="memory://x: it is larger than"):
        read(location("memory://x"), 2)
    with pytest.raises(ImageError, match="there is no such file"):
        read(location("memory://y"), 2)
    assert [Place(location(f"memory://{name}")).kind for name in ("x", "in", "y")] == ["file", "folder", None]


def test_trimaps_are_made_and_mended_elsewhere(stores: MemoryFileSystem) -> None:
    _matte("trimap", "memory://in/trimaps", "-o", "memory://made")
    assert _found(stores, "made") == ["a.png", "b.png", "c.png"]
    _matte("check", FOLDER[1], "--trimap", "memory://made", "--fix", "memory://mended")
    assert _found(stores, "mended") == ["a.png", "b.png", "c.png"]
    assert not Path("memory:").exists()


def test_no_more_is_read_than_asked_for_where_a_store_tells_no_size(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Trickle(io.BytesIO):
        """Give three bytes at most, as a connection may."""

        def read(self, size: int | None = -1, /) -> bytes:
            assert size is not None
            asked.append(size)
            return super().read(min(size, 3))

    def whole(*_: object, **__: object) -> bytes:
        raise AssertionError("it is read without end")

    monkeypatch.setattr(Disk, "info", lambda *_: {"type": "file"})
    monkeypatch.setattr(Disk, "open", lambda *_: Trickle(b"1234567890"))
    monkeypatch.setattr(Disk, "cat_file", whole)
    assert read(location("sftp://host/x"), 10) == b"1234567890"
    assert max(asked) == 11
    asked.clear()
    with pytest.raises(ImageError, match="sftp://host/x: it is larger than"):
        read(location("sftp://host/x"), 6)
    assert asked == [7, 4, 1]


def test_no_more_is_read_than_a_store_said_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = []

    class Endless(io.RawIOBase):
        def read(self, size: int = -1, /) -> bytes:
            pieces.append(size)
            return bytes(size)

    monkeypatch.setattr(Disk, "info", lambda *_: {"type": "file", "size": 10})
    monkeypatch.setattr(Disk, "open", lambda *_: Endless())
    with pytest.raises(ImageError, match="sftp://host/x: the store sends more than the 10 bytes that it told of"):
        read(location("sftp://host/x"), 2**40)
    assert pieces == [11]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_what_the_web_sends_is_streamed(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Ranges of a file would be read whole, whatever a server sends for them.
    opened = []

    class Web(Disk):
        protocol = scheme

        def info(self, *_: Any, **__: Any) -> dict[str, Any]:
            return {"type": "file", "size": 3}

        def open(self, *_: Any, **settings: Any) -> Any:
            opened.append(settings)
            return io.BytesIO(b"abc")

    monkeypatch.setitem(importlib.import_module("fsspec.registry")._registry, scheme, Web)
    assert read(location(f"{scheme}://host/x"), 5) == b"abc"
    assert opened == [{"block_size": 0}]


@pytest.mark.parametrize("kept", ["photos/a.png", "memory://in/photos/a.png", "file://{here}/photos/a.png"])
def test_a_manifest_names_files_and_what_is_below_a_named_place(
    kept: str, matter: fakes.FakeMatter, stores: MemoryFileSystem
) -> None:
    row = f"{kept.format(here=Path.cwd())},trimaps/a.png,\n"
    Path("m.csv").write_text(f"image,trimap,output\n{row}")
    if is_url(kept) and not kept.startswith("file"):
        assert "a table may name files" in _refusal("matte", "--manifest", "m.csv", "-o", "out")
        _matte("matte", "--manifest", "m.csv", "-o", "memory://in")
    else:
        _matte("matte", "--manifest", "m.csv", "-o", "out")
        _matte("check", "--manifest", "m.csv")


def test_a_table_in_a_store_has_a_bound(stores: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diffmatte_cli.storage.tables.MAX_BYTES", 10)
    stores.pipe_file("/in/m.csv", b"image,trimap\na.png,b.png\n")
    assert "memory://in/m.csv: it is larger than" in _refusal("matte", "--manifest", "memory://in/m.csv", "-o", "out")


def test_the_web_is_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsspec.core.url_to_fs", None)
    with pytest.raises(UsageError, match="the web lists no folders"):
        Place(parsed("https://host/photos")).contents  # noqa: B018


HOPS = [
    *("reference://a.png::data:application/json,%7B%7D", "reference://a.png", "simplecache://x", "filecache://x.png"),
    *("zip://a.png::/tmp/x.zip", "tar://a.png", "dir://x", "github://o:r@main/a.png", "git://x", "hf://o/r/a.png"),
    *("memory://in/a.png::reference", "s3://bucket/a.png::reference://b.png", "https://host/a.png::data:,"),
    *("sftp://host/x.png", "smb://host/x.png", "generic://x", "nowhere://x"),
]


@pytest.mark.parametrize("url", HOPS)
@pytest.mark.parametrize("column", ["image", "trimap", "output"])
@pytest.mark.parametrize("command", [("matte", "-o", "out"), ("matte", "-o", "out", "--dry-run"), ("check",)])
def test_no_row_leads_to_another_scheme(
    url: str, column: str, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_class(name: str) -> Any:
        raise AssertionError(f"{name} is imported")

    monkeypatch.setattr("fsspec.get_filesystem_class", no_class)
    monkeypatch.setattr("fsspec.core.url_to_fs", no_class)
    row = {"image": "photos/a.png", "trimap": "trimaps/a.png", "output": "a.png", column: url}
    Path("m.jsonl").write_text(json.dumps(row))
    line = _refusal(command[0], "--manifest", "m.jsonl", *command[1:])
    assert line.startswith("error: line 1 of m.jsonl: ")
    assert "a table may name files" in line or "chains URLs" in line


@pytest.mark.parametrize("row", ["../a.png", "../../secret/a.png"])
def test_a_manifest_in_a_store_stays_in_it(row: str, stores: MemoryFileSystem) -> None:
    stores.pipe_file("/in/lists/m.jsonl", json.dumps({"image": row, "trimap": "../trimaps/a.png"}).encode())
    line = _refusal("matte", "--manifest", "memory://in/lists/m.jsonl", "-o", "out")
    expected = "the photograph memory://in/a.png does not exist" if row == "../a.png" else "not memory://secret/a.png"
    assert expected in line


@pytest.mark.parametrize("url", ["reference://a.png", "reference://a.png::memory://x", "zip://a.png::memory://x"])
def test_no_argument_is_a_program_or_a_chain(url: str) -> None:
    line = _refusal("matte", url, "--trimap", "trimaps/a.png")
    assert "not supported" in line


def test_names_of_files_begin_no_chain(matter: fakes.FakeMatter, stores: MemoryFileSystem) -> None:
    os.rename("photos/a.png", "photos/a::reference::data:,x.png")
    line = _refusal("matte", "photos", "--trimap", "memory://in/trimaps/{stem}.png", "-o", "out")
    assert "chains URLs by ::" in line
    stores.pipe_file("/in/photos/a::reference.png", stores.cat("/in/photos/a.png"))
    stores.pipe_file("/in/trimaps/a::reference.png", stores.cat("/in/trimaps/a.png"))
    result = _matte(*FOLDER, "out", code=1)
    assert "error: cannot read memory://in/photos/a::reference.png: " in result.stderr
    assert "3 done, 1 failed" in result.stderr
