"""Files that are no weights, or mean harm: one sentence, at once, in little memory."""

import gzip
import json
import os
import pickle
import struct
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from support.processes import finish

from diffmatte_cli.errors import WeightsError
from diffmatte_cli.model.checkpoint import read_model
from diffmatte_cli.model.tensors import read_state_dict

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"7" * 64 + b"\nsize 105906712\n"
PAGE = b"<!DOCTYPE html><html><head><title>Virus scan warning</title></head></html>"
ERROR = json.dumps({"data": {"error": "Repository not found", "code": 404}}).encode()


def _zipped(**files: bytes) -> bytes:
    content = BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return content.getvalue()


MISTAKEN = {
    "pointer": (POINTER, "a pointer of Git LFS, not the file itself: run `git lfs pull`"),
    "page": (PAGE, "a web page"),
    "page after a mark": (b"\xef\xbb\xbf\r\n" + PAGE.lower(), "a web page"),
    "fragment": (b"<p>Sign in</p>", "a web page"),
    "XHTML": (b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "x">\n<html>', "a web page"),
    "XML": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "an XML text"),
    "JSON": (ERROR, "a JSON text"),
    "JSON in lines": (json.dumps({"weight_map": {"a": "b"}}, indent=2).encode(), "a JSON text"),
    "JSON list": (b'["not found", 404]', "a JSON text"),
    "text": (b"Entry not found", "a text"),
    "empty": (b"", "empty: get it again"),
    "gzip": (gzip.compress(b"x"), "an archive: unpack it first"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(99), "an archive"),
    "PNG": (b"\x89PNG\r\n\x1a\n" + bytes(99), "a picture"),
    "Keras": (b"\x89HDF\r\n\x1a\n" + bytes(99), "an HDF5 file"),
}
MISTAKEN["text that is cut"] = (("x" + "ö" * 2000).encode(), "a text")


@pytest.mark.parametrize("kind", MISTAKEN)
@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_what_is_given_by_mistake_is_named(kind: str, ending: str, tmp_path: Path) -> None:
    content, words = MISTAKEN[kind]
    path = tmp_path / f"w.{ending}"
    path.write_bytes(content)
    with pytest.raises(WeightsError) as of_model:
        read_model(path)
    with pytest.raises(WeightsError) as of_others:
        read_state_dict(path, ())
    for caught in (of_model, of_others):
        assert str(caught.value).startswith(f"{path} is {words}")


@pytest.mark.parametrize(("length", "first"), [(0x7B, b"{"), (0x5B22, b'"'), (0x3C, b"<"), (0x8B1F, b"\x1f\x8b")])
def test_a_length_that_looks_like_something_else_is_none(length: int, first: bytes, tmp_path: Path) -> None:
    header = json.dumps({"x": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}}).encode().ljust(length)
    path = tmp_path / "w.safetensors"
    path.write_bytes(struct.pack("<Q", length) + header)
    assert path.read_bytes().startswith(first)
    assert list(read_state_dict(path, ())) == ["x"]


def test_an_archive_of_something_else_is_named(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(_zipped(**{"readme.txt": b"x", "w.safetensors": b"y"}))
    with pytest.raises(WeightsError, match=r"w\.pth is a zip archive without a checkpoint: unpack it first"):
        read_state_dict(tmp_path / "w.pth", ())


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "nothing"])
def test_what_is_no_file_is_not_waited_for(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "folder":
            path.mkdir()
    for read in (read_model, lambda path: read_state_dict(path, ())):
        with pytest.raises(WeightsError, match=r"w\.pth cannot be read \((it is not a file|No such file)"):
            read(path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool])
def test_every_type_reads_as_the_library_wrote_it(dtype: torch.dtype, tmp_path: Path) -> None:
    tensors = {
        "scalar": torch.ones((), dtype=dtype),
        "none": torch.zeros(0, 3, dtype=dtype),
        "many": (10 * torch.rand(3, 700_001, generator=torch.Generator().manual_seed(0))).to(dtype),
    }
    path = tmp_path / "w.safetensors"
    path.write_bytes(save(tensors))
    read = read_state_dict(path, ())
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert read[name].dtype == dtype
        assert torch.equal(read[name], tensor)


def _tensorfile(size: int, **rows: object) -> bytes:
    header = json.dumps(rows).encode()
    return struct.pack("<Q", len(header)) + header + bytes(size)


def _row(first: int, last: int, *shape: object, dtype: object = "U8") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, last]}


LYING = {
    "a gap": _tensorfile(8, a=_row(0, 3, 3), b=_row(4, 8, 4)),
    "an overlap": _tensorfile(8, a=_row(0, 5, 5), b=_row(4, 8, 4)),
    "a rest": _tensorfile(9, a=_row(0, 8, 8)),
    "a truth": _tensorfile(8, a=_row(0, 8, True, 8)),
    "a fraction": _tensorfile(8, a=_row(0, 8, 8.0)),
    "text": _tensorfile(8, a=_row(0, 8, "8")),
    "a type of its own": _tensorfile(8, a=_row(0, 8, 8, dtype=["U8"])),
    "many dimensions": _tensorfile(8, a=_row(0, 8, *[1] * 100_000, 8)),
    "a giant": _tensorfile(8, a=_row(0, 8, 10**4000)),
    "metadata of numbers": _tensorfile(0, __metadata__={"format": 3}),
    "a depth": struct.pack("<Q", 10**5) + b"{" + b'"a":{' * 20_000,
    "no header": struct.pack("<Q", 2**62) + b"{",
}


@pytest.mark.parametrize("lie", LYING)
def test_a_header_that_lies_is_refused(lie: str, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(LYING[lie])
    for read in (read_model, lambda path: read_state_dict(path, ())):
        with pytest.raises(WeightsError, match="is not a readable safetensors file") as caught:
            read(path)
        assert len(str(caught.value)) < 600


def _text(words: str) -> bytes:
    return b"X" + struct.pack("<I", len(words.encode())) + words.encode()


def _number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def _tensor(count: int, size: int, more: bytes = b"") -> bytes:
    storage = b"(" + _text("storage") + b"ctorch\nFloatStorage\n" + _text("0") + _text("cpu") + _number(count) + more
    shape = _number(0) + b"(" + _number(size) + b"t(" + _number(1) + b"t"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"tQ" + shape + b"\x89ccollections\nOrderedDict\n)RtR"


def _called(name: bytes, value: int) -> bytes:
    return b"c" + name + b"\n" + _number(value) + b"\x85R"


def _saved(content: bytes, packed: bool = False, numbers: int = 16) -> bytes:
    """Write a pickle as torch does, with so many bytes of numbers."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + content + b".")
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/data/0", bytes(numbers))
    return buffer.getvalue()


def _saved_as_of_old(content: bytes) -> bytes:
    head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    parts = [pickle.dumps(part, 2) for part in head] + [b"\x80\x02" + content + b".", pickle.dumps(["0"], 2)]
    return b"".join(parts) + bytes(24)


WORD = "a" * 1_000_000
GREEDY = {
    "a long name": _saved(b"cos\n" + WORD.encode() + b"\n"),
    "a long text that is called": _saved(_text(WORD) + b")R"),
    "a long text that is made": _saved(_text(WORD) + b")\x81"),
    "a long name of old": b"\x80\x02cos\n" + WORD.encode() + b"\n.",
    "bytes without an end": _saved(_called(b"builtins\nbytearray", 2**31 - 1)),
    "bytes that are called": _saved(_called(b"builtins\nbytearray", 1_000_000) + b")R"),
    "a tensor from a number": _saved(_called(b"torch\nFloatTensor", 750_000_000)),
    "a storage from a number": _saved(_called(b"torch.storage\nUntypedStorage", 2**31 - 1)),
    "a storage larger than it is": _saved(b"}" + _text("a") + _tensor(700_000_000, 4) + b"s"),
    "a tensor larger than its storage": _saved(b"}" + _text("a") + _tensor(4, 700_000_000) + b"s"),
    "a storage of old": _saved_as_of_old(b"}" + _text("a") + _tensor(750_000_000, 4, b"N") + b"s"),
    "numbers that unpack": _saved(b"}" + _text("a") + _tensor(10**9 // 4, 10**9 // 4) + b"s", True, 10**9),
    "a pickle that unpacks": _saved(b"N0" * 50_000_000 + b"N", True),
    "many steps": _saved(b"N0" * 4_000_000 + b"N"),
}
MEASURE = """
import re, sys, time
from pathlib import Path
from diffmatte_cli.errors import WeightsError
from diffmatte_cli.model.tensors import read_state_dict
def peak():
    status = Path("/proc/self/status")
    return int(re.search(r"VmHWM:\\s*(\\d+) kB", status.read_text())[1]) // 1024 if status.exists() else 0
before = peak()
for path in sorted(Path(sys.argv[1]).iterdir()):
    began = time.process_time()
    try:
        read_state_dict(path, ())
    except WeightsError as error:
        print(path.name, f"{time.process_time() - began:.0f} s", peak() - before, "MiB", error, sep="|")
"""


def test_no_checkpoint_takes_more_time_or_memory_than_its_size_accounts_for(tmp_path: Path) -> None:
    for name, content in GREEDY.items():
        (tmp_path / name).write_bytes(content)
    done = finish("-c", MEASURE, str(tmp_path))
    assert done.returncode == 0, done.stderr
    told = [line.split("|") for line in done.stdout.splitlines()]
    assert [row[0] for row in told] == sorted(GREEDY)
    for name, seconds, growth, _, sentence in told:
        assert int(seconds.split()[0]) < 15, name
        assert int(growth) < 350, name
        assert "not a readable checkpoint" in sentence or "get it again" in sentence or "run Python code" in sentence
