"""Official checkpoints become weights files, strictly and safely."""

import hashlib
import json
import os
import pickle
import signal
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from support.processes import finish
from torch import Tensor

from diffmatte_cli.errors import OutputError, WeightsError
from diffmatte_cli.model import checkpoint
from diffmatte_cli.model.checkpoint import parameter_count, read_model, write_model
from diffmatte_cli.model.config import VARIANTS
from diffmatte_cli.model.diffmatte import DiffMatte
from diffmatte_cli.model.official import convert_checkpoint, official_name
from diffmatte_cli.model.pickles import read_checkpoint
from diffmatte_cli.storage.atomic import staged_file

State = dict[str, Tensor]
COUNTER = "model.decoder.mid_blk.bn1.num_batches_tracked"
WIDE = "model.decoder.matting_head.matting_convs.0.weight"
HEAD = "model.decoder.matting_head.matting_convs.3.bias"
# Trainable numbers of the published checkpoints.
COUNTS = {
    "res34": 23_814_465,
    "swint": 38_753_560,
    "vits": 29_014_273,
    "vits-1024": 29_047_041,
    "vitb": 101_458_945,
}


def official_state(variant: str, **changes: int) -> State:
    torch.manual_seed(0)
    model = DiffMatte(replace(VARIANTS[variant], **changes))
    return {official_name(key): value.detach() for key, value in model.state_dict().items()}


@pytest.fixture(scope="module", autouse=True)
def small_variant() -> Iterator[None]:
    """A ViT of two small heads, so that files are read and written quickly: what is tested does not depend on size."""
    shape = {"heads": 2, "image_size": 64}
    small = replace(VARIANTS["vits"], variant="small", feature_channels=32, encoder_options=shape, decoder_width=8)
    VARIANTS["small"] = small
    yield
    del VARIANTS["small"]


@pytest.fixture(scope="module")
def small(small_variant: None) -> State:
    return official_state("small")


def convert(content: Any, folder: Path, variant: str = "small", dtype: str = "fp32") -> Path:
    torch.save(content, folder / "official.pth")
    notes = {"licence": "theirs", "source_sha256": "of the source"}
    convert_checkpoint(folder / "official.pth", folder / "w.safetensors", variant, notes, dtype)
    return folder / "w.safetensors"


@pytest.mark.parametrize("variant", COUNTS)
def test_parameter_counts_are_those_of_the_published_checkpoints(variant: str) -> None:
    assert parameter_count(variant) == COUNTS[variant]


@pytest.mark.parametrize("name", [*COUNTS])
def test_names_and_shapes_are_exactly_those_of_the_manifest(name: str, conformance: Path) -> None:
    manifest = json.loads((conformance / f"manifest_{name.replace('-', '')}.json").read_text())
    theirs = {
        key["key"]: tuple(key["shape"]) for key in manifest["keys"] if "relative_position_index" not in key["key"]
    }
    with torch.device("meta"):
        model = DiffMatte(VARIANTS[name])
    assert {official_name(key): tuple(value.shape) for key, value in model.state_dict().items()} == theirs
    assert sum(p.numel() for p in model.parameters()) == manifest["trainable_params"]
    trained = {official_name(key) for key, _ in model.named_parameters()}
    assert trained == {key["key"] for key in manifest["keys"] if key.get("trainable")}


WRAPPINGS: dict[str, Callable[[State], Any]] = {
    "detectron2": lambda state: {"model": state, "iteration": 3},
    "bare": lambda state: state,
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "data parallel": lambda state: {"model": {f"module.{key}": value for key, value in state.items()}},
    "without the outer model": lambda state: {key.removeprefix("model."): value for key, value in state.items()},
    "half": lambda state: {"model": {k: v.half() if v.is_floating_point() else v for k, v in state.items()}},
    "with a trainer's state": lambda state: {
        "model": state,
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-4, "params": [0]}]},
        "scheduler": {"last_lr": np.float64(0.5), "steps": np.arange(3), "best": np.float32(1)},
    },
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_every_wrapping_gives_the_same_weights(wrapping: str, small: State, tmp_path: Path) -> None:
    model, _ = read_model(convert(WRAPPINGS[wrapping](small), tmp_path))
    tolerance = {"rtol": 1e-3, "atol": 1e-7} if wrapping == "half" else {"rtol": 0, "atol": 0}
    for key, value in model.state_dict().items():
        torch.testing.assert_close(value, small[official_name(key)], **tolerance)


def test_index_tables_are_left_out_and_spectral_norm_keeps_its_parts(tmp_path: Path) -> None:
    swint = official_state("swint")
    table = "model.backbone.layers.0.blocks.0.attn.relative_position_index"
    swint[table] = torch.zeros(49, 52, dtype=torch.int64)
    assert read_model(convert({"model": swint}, tmp_path, "swint"))[0].config.variant == "swint"
    res34 = official_state("res34")
    read, _ = read_model(convert({"model": res34}, tmp_path, "res34"))
    parts = read.encoder.conv1.parametrizations.weight
    assert torch.equal(parts[0].u, res34["model.backbone.conv1.module.weight_u"])
    folded = parts.original / (parts[0].u @ parts.original.flatten(1) @ parts[0].v)
    torch.testing.assert_close(read.fold().encoder.conv1.weight, folded)


def test_metadata_say_where_it_comes_from(small: State, tmp_path: Path) -> None:
    _, metadata = read_model(convert({"model": small}, tmp_path))
    assert metadata == {
        "format": "diffmatte",
        "variant": "small",
        "decoder_width": "8",
        "schedule": "linear",
        "input_scale": "0.2",
        "source_sha256": "of the source",
        "licence": "theirs",
    }


def test_the_decoder_width_is_read_from_the_tensors(tmp_path: Path) -> None:
    model, metadata = read_model(convert({"model": official_state("small", decoder_width=48)}, tmp_path))
    assert model.config.decoder_width == 48
    assert metadata["decoder_width"] == "48"


@pytest.mark.parametrize(("dtype", "tolerance"), [("fp16", 1e-3), ("bf16", 8e-3)])
def test_matrices_are_stored_shorter_and_vectors_are_not(
    dtype: str, tolerance: float, small: State, tmp_path: Path
) -> None:
    path = convert({"model": small}, tmp_path, dtype=dtype)
    assert path.stat().st_size < 0.51 * (tmp_path / "official.pth").stat().st_size
    model, _ = read_model(path)
    for key, value in model.state_dict().items():
        exact = small[official_name(key)]
        torch.testing.assert_close(value, exact, rtol=tolerance if exact.ndim > 1 else 0, atol=1e-7)
    again = tmp_path / "again.safetensors"
    # A file of ours is taken, too, and keeps what it says of itself.
    convert_checkpoint(path, again, "small", {"licence": "another", "model": "ours"}, "fp32")
    metadata = read_model(again)[1]
    assert (metadata["licence"], metadata["source_sha256"], metadata["model"]) == ("theirs", "of the source", "ours")
    assert torch.equal(read_model(again)[0].decoder.mid_blk.conv1.weight, model.decoder.mid_blk.conv1.weight)
    with pytest.raises(WeightsError, match="holds small, not vitb"):
        convert_checkpoint(path, again, "vitb", {})


def test_a_number_too_large_for_fp16_is_told(small: State, tmp_path: Path) -> None:
    state = small | {"model.pos_embed": small["model.backbone.pos_embed"]}
    del state["model.pos_embed"]
    state["model.backbone.pos_embed"] = torch.full((1, 197, 32), 1e5)
    with pytest.raises(WeightsError, match="numbers that fp16 cannot: use bf16 or fp32"):
        convert({"model": state}, tmp_path, dtype="fp16")
    assert not (tmp_path / "w.safetensors").exists()


def test_a_full_disk_is_told_and_leaves_nothing(small: State, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="only where the system limits the size of files")
    torch.save({"model": small}, tmp_path / "official.pth")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10**5, limit[1]))
    try:
        with (
            pytest.raises(OutputError, match=r"cannot write .*w\.safetensors"),
            staged_file(tmp_path / "w.safetensors") as path,
        ):
            convert_checkpoint(tmp_path / "official.pth", path, "small", {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, old)
    assert [path.name for path in tmp_path.iterdir()] == ["official.pth"]


def without(state: State, key: str) -> State:
    return {name: value for name, value in state.items() if name != key}


BROKEN: list[tuple[str, Callable[[State], Any], str]] = [
    ("missing", lambda s: {"model": without(s, HEAD)}, rf"does not fit small: 1 missing \({HEAD}\)"),
    ("unexpected", lambda s: s | {"model.extra": torch.ones(1)}, r"1 unexpected \(model\.extra\)"),
    ("shape", lambda s: s | {HEAD: torch.ones(2)}, rf"1 of another shape \({HEAD} \[2\] instead of \[1\]\)"),
    ("type", lambda s: s | {HEAD: torch.ones(1, dtype=torch.int64)}, rf"1 of another type \({HEAD} torch.int64\)"),
    ("nan", lambda s: s | {HEAD: torch.full((1,), torch.nan)}, rf"NaN or infinity \(first in {HEAD}\)"),
    ("another name", lambda s: s | {"module.model.backbone.fc": torch.ones(1)}, r"\(module\.model\.backbone\.fc\)"),
    ("complex", lambda s: s | {COUNTER: torch.tensor(1j)}, rf"1 of another type \({COUNTER} torch.complex64"),
    ("sparse", lambda s: s | {HEAD: torch.ones(1).to_sparse()}, rf"1 of another type \({HEAD} .*sparse"),
    ("not there", lambda s: s | {HEAD: torch.ones(1, device="meta")}, f"1 of another type .{HEAD} without numbers"),
    ("a numbered key", lambda s: s | {3: torch.ones(1)}, "holds no state dict"),
    ("too wide", lambda s: s | {WIDE: torch.ones(2, 260, 1, 1)}, "no diffusion decoder of a usable width"),
    ("twice", lambda s: s | {f"module.{HEAD}": s[HEAD]}, "names some tensors twice"),
    ("no decoder", lambda s: {"model": {"backbone.x": torch.ones(1)}}, "has no diffusion decoder"),
    ("no tensors", lambda s: {"model": {"x": 3}}, "holds no state dict"),
    ("a list", lambda s: [1, 2], "holds no state dict"),
]


@pytest.mark.parametrize(("spoil", "sentence"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_what_does_not_fit_is_named(spoil: Callable[[State], Any], sentence: str, small: State, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=sentence) as caught:
        convert(spoil(dict(small)), tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "w.safetensors").exists()


def test_many_differences_are_counted_and_the_right_variant_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"8 of another shape \(.* and 5 more\): it fits vits-1024"):
        convert({"model": official_state("vits-1024")}, tmp_path, "vits")


class Bomb:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


@pytest.mark.parametrize("container", ["zip", "legacy", "pickle"])
def test_code_in_a_checkpoint_is_refused_and_not_run(container: str, small: State, tmp_path: Path) -> None:
    target = tmp_path / "ran"
    content = {"model": small, "extra": Bomb(f"touch {target}")}
    path = tmp_path / "bomb.pth"
    if container == "pickle":
        path.write_bytes(pickle.dumps({"extra": Bomb(f"touch {target}")}))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=container == "zip")
    # A bare pickle is refused at its first byte, the others where the code is named.
    reason = "is not a checkpoint of tensors" if container == "pickle" else r"wants to run Python code \(\w+\.system\)"
    with pytest.raises(WeightsError, match=reason):
        convert_checkpoint(path, tmp_path / "w.safetensors", "small", {})
    assert not target.exists()
    assert not (tmp_path / "w.safetensors").exists()


def test_a_trainers_numbers_are_not_made(tmp_path: Path) -> None:
    """Not even NumPy's own code runs: given a false type it reads memory where the file says."""
    content = [np.float64(0.5), np.arange(3), np.array([Bomb("false")], dtype=object), np.dtype("f8")]
    torch.save(content[:2] + content[3:], tmp_path / "x.pth")
    assert not any(
        isinstance(value, np.generic | np.ndarray | np.dtype) for value in read_checkpoint(tmp_path / "x.pth")
    )
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match="wants to run Python code"):
        read_checkpoint(tmp_path / "x.pth")


def test_tied_tensors_are_written_apart(small: State, tmp_path: Path) -> None:
    state = dict(small)
    first, second = (f"model.backbone.blocks.{number}.norm1.weight" for number in (0, 1))
    state[second] = state[first]
    model, _ = read_model(convert({"model": state}, tmp_path))
    assert torch.equal(model.encoder.blocks[1].norm1.weight, small[first])


@pytest.mark.parametrize("how", ["replaced", "written over", "written over in its time"])
def test_what_is_hashed_is_what_is_loaded(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes that are read once, whatever becomes of the file meanwhile."""
    path, other = tmp_path / "w.safetensors", tmp_path / "other.safetensors"
    for seed, target in enumerate((path, other)):
        torch.manual_seed(seed)
        write_model(target, DiffMatte(VARIANTS["tiny"]), {})
    first, sha256, before = read_model(path)[0], hashlib.sha256(path.read_bytes()).hexdigest(), path.stat()
    assert read_model(path, sha256)
    read = checkpoint.read_tensors

    def disturbed(*arguments: Any, **settings: Any) -> Any:
        if how == "replaced":
            other.replace(path)
        else:
            path.write_bytes(other.read_bytes())
        if how == "written over in its time":
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        return read(*arguments, **settings)

    monkeypatch.setattr(checkpoint, "read_tensors", disturbed)
    if how == "replaced":  # the file that was opened is read to its end
        again, _ = read_model(path, sha256)
        torch.testing.assert_close(again.state_dict(), first.state_dict(), rtol=0, atol=0)
    else:
        with pytest.raises(WeightsError, match=r"was (changed while it was read|replaced since the command began)"):
            read_model(path, sha256)


@pytest.mark.parametrize("change", ["another file", "one bit"])
def test_a_file_that_is_not_the_one_of_its_hash_is_refused(change: str, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    write_model(path, DiffMatte(VARIANTS["tiny"]), {})
    content = bytearray(path.read_bytes())
    sha256 = hashlib.sha256(content).hexdigest()
    content[-1] ^= 1
    write_model(path, DiffMatte(VARIANTS["tiny"]), {}) if change == "another file" else path.write_bytes(content)
    with pytest.raises(WeightsError, match="was replaced since the command began: run it again"):
        read_model(path, sha256)


def test_the_same_weights_are_the_same_bytes_and_anybodys(small: State, tmp_path: Path) -> None:
    notes = {f"key {number}": "Wörter" for number in range(9)}
    torch.save(small, tmp_path / "official.pth")
    (tmp_path / "anybodys").touch()
    contents = set()
    for _ in range(3):
        convert_checkpoint(tmp_path / "official.pth", tmp_path / "w.safetensors", "small", notes)
        contents.add((tmp_path / "w.safetensors").read_bytes())
    assert len(contents) == 1
    assert read_model(tmp_path / "w.safetensors")[1].items() >= notes.items()
    assert (tmp_path / "w.safetensors").stat().st_mode == (tmp_path / "anybodys").stat().st_mode


def test_likely_mistakes_are_told_apart(small: State, tmp_path: Path) -> None:
    torch.save(small, tmp_path / "official.pth")
    with pytest.raises(WeightsError, match=r"if it is an official checkpoint, run `diffmatte weights import NAME"):
        read_model(tmp_path / "official.pth")
    (tmp_path / "page.pth").write_text("\n<!DOCTYPE html><title>Virus scan warning</title>")
    with pytest.raises(WeightsError, match="is a web page, not a checkpoint"):
        convert_checkpoint(tmp_path / "page.pth", tmp_path / "w.safetensors", "small", {})


@pytest.mark.parametrize("content", [b"\x17\0no text", b"PK\x03\x04 cut off", b"\x80\x02}q\x00."])
def test_files_that_are_no_checkpoints_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"x\.pth (is not a readable|holds no state|is not a checkpoint|has no)"):
        convert_checkpoint(path, tmp_path / "w.safetensors", "small", {})


def test_a_truncated_checkpoint_is_refused(small: State, tmp_path: Path) -> None:
    convert({"model": small}, tmp_path)
    content = (tmp_path / "official.pth").read_bytes()
    (tmp_path / "official.pth").write_bytes(content[: len(content) // 2])
    with pytest.raises(WeightsError, match="not a readable checkpoint"):
        convert_checkpoint(tmp_path / "official.pth", tmp_path / "w2.safetensors", "small", {})
    assert not zipfile.is_zipfile(tmp_path / "official.pth")


def _with_header(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Rewrite a safetensors file's header, leaving its numbers alone."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    changed = json.dumps(change(header) or header).encode()
    path.write_bytes(struct.pack("<Q", len(changed)) + changed + content[8 + length :])


def _claim(**lie: Any) -> Callable[[dict[str, Any]], None]:
    def change(header: dict[str, Any]) -> None:
        header["decoder.mid_blk.conv2.weight"].update(lie)

    return change


LIES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "beyond the end": _claim(data_offsets=[0, 10**12]),
    "backwards": _claim(data_offsets=[400, 100]),
    "another shape": _claim(shape=[10**6, 10**6, 3, 3]),
    "negative": _claim(shape=[-1, 1]),
    "another type": _claim(dtype="I64"),
    "unknown type": _claim(dtype="X3"),
    "not a table": lambda header: [1],
    "no tensors": lambda header: {"__metadata__": header["__metadata__"]},
    "another variant": lambda header: header["__metadata__"].update(variant="vits"),
    "a width of another": lambda header: header["__metadata__"].update(decoder_width="24"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_header_is_refused(lie: str, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    write_model(path, DiffMatte(VARIANTS["tiny"]), {})
    _with_header(path, LIES[lie])
    with pytest.raises(WeightsError) as caught:
        read_model(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("length", [2**63 - 1, 10**9, 0])
def test_a_header_of_impossible_length_is_refused(length: int, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(struct.pack("<Q", length) + b"{" * 100)
    with pytest.raises(WeightsError, match="not a readable safetensors file"):
        read_model(path)


MEASURE = """
import re, sys
from pathlib import Path
import torch
from diffmatte_cli.inference.matter import Matter
from diffmatte_cli.model import checkpoint
from diffmatte_cli.model.checkpoint import parameter_count, read_model
def peak():
    return 1024 * int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1])
parameter_count("vitb")
before = peak()
matter = Matter(read_model(Path(sys.argv[1]))[0], torch.device("cpu"))
size = sum(tensor.nbytes for tensor in matter.model.state_dict().values())
print((peak() - before) / size)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process's peak of memory")
@pytest.mark.parametrize("dtype", ["fp32", "fp16"])
def test_loading_the_largest_model_takes_little_more_than_its_size(dtype: str, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    write_model(path, DiffMatte(VARIANTS["vitb"]), {}, dtype)
    with safe_open(path, framework="pt") as file:
        assert file.get_slice("encoder.pos_embed").get_dtype() == {"fp32": "F32", "fp16": "F16"}[dtype]
    done = finish("-c", MEASURE, str(path))
    assert done.returncode == 0, done.stderr
    assert 0.9 < float(done.stdout) <= 1.3
