"""Damage small sound files of every kind that is read, and look how they are refused.

By hand, from the folder ``tests``, any number of inputs, all or some of the kinds::

    python -m support.fuzzing --inputs 10000 --seed 7 --kinds exr-rgba,network

Every input must end as a result or as the project's own error, within ``MEMORY`` and a second of processor time, or
``--seconds``. What does not is told with the number that makes it again (``--seed NUMBER --inputs 1``).
"""

import argparse
import faulthandler
import json
import random
import resource
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from diffmatte_cli.errors import DiffmatteError, ImageError
from diffmatte_cli.extras import is_installed
from diffmatte_cli.imaging.encoding import Result
from diffmatte_cli.imaging.grey import decode_grey, decode_matte, decode_opacity
from diffmatte_cli.imaging.read import decode_image
from diffmatte_cli.imaging.receipts import read_notes, read_receipt
from diffmatte_cli.imaging.write import write_images
from diffmatte_cli.model.checkpoint import read_model, write_model
from diffmatte_cli.model.config import VARIANTS
from diffmatte_cli.model.diffmatte import DiffMatte
from diffmatte_cli.model.tensors import read_state_dict
from diffmatte_cli.planning.manifest import read_manifest
from diffmatte_cli.review.reports import read_report
from diffmatte_cli.storage.paths import Place
from diffmatte_cli.training.config import read_config
from diffmatte_cli.training.resuming import read_state
from diffmatte_cli.weights.records import read_records

__all__ = ["KINDS", "MEMORY"]

MEMORY = 500 * 2**20  # bytes that one input may take beside what the process has
HANG = 60  # seconds after which the process shows where it is, and ends

Make = Callable[[Path], None]
Read = Callable[[Path], object]


@dataclass(frozen=True)
class Kind:
    """Hold a kind of file: the name of one, what makes a sound one, what reads it, and whether it is text."""

    name: str
    make: Make
    read: Read
    text: bool = False


def _pixels(*shape: int, kind: str = "uint8") -> np.ndarray:
    top = 1 if kind.startswith("float") else np.iinfo(kind).max
    return (np.random.default_rng(0).random(shape) * top).astype(kind)


def _saved(mode: str, **settings: object) -> Make:
    """Save a picture of a mode by Pillow, in the format of the path's suffix."""

    def make(path: Path) -> None:
        colour = Image.fromarray(_pixels(19, 23, 3))
        picture = Image.fromarray(_pixels(19, 23, kind="uint16")) if mode == "I;16" else colour.convert(mode)
        others = {"append_images": [colour.transpose(Image.Transpose.ROTATE_180)], "save_all": True}
        picture.save(path, **(settings | others if settings.pop("several", False) else settings))

    return make


def _exr(*names: str) -> Make:
    def make(path: Path) -> None:
        import OpenEXR

        header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
        OpenEXR.File(header, {name: _pixels(19, 23, kind="float16") for name in names}).write(str(path))

    return make


def _read_picture(path: Path) -> None:
    content, refusals = path.read_bytes(), []
    for decode in (decode_image, decode_grey, decode_matte, decode_opacity):
        try:
            decode(content, path)
        except DiffmatteError as error:
            refusals.append(error)
    read_receipt(path), read_notes(path)
    if refusals:
        raise refusals[0]


def _network(path: Path) -> None:
    write_model(path, DiffMatte(VARIANTS["tiny"]), {}, "fp16")


def _tensors(path: Path) -> None:
    save_file({"a.weight": torch.ones(3, 4), "b": torch.zeros(5)}, path, {"note": "none"})


def _checkpoint(path: Path) -> None:
    torch.save({"model": {"a.weight": torch.ones(3, 4), "b": torch.zeros(5)}, "epoch": 3}, path)


def _old_checkpoint(path: Path) -> None:
    torch.save({"model": {"a.weight": torch.ones(3, 4)}}, path, _use_new_zipfile_serialization=False)


def _run(path: Path) -> None:
    tensors = {"a.weight": torch.ones(3, 4)}
    moments = {0: {name: torch.ones(3, 4) for name in ("exp_avg", "exp_avg_sq")} | {"step": torch.ones(())}}
    state = {"config": {"run": {"seed": 1}}, "step": 3, "model": tensors, "average": tensors}
    torch.save(state | {"optimiser": {"state": moments, "param_groups": []}}, path)


def _text(text: str) -> Make:
    return lambda path: path.write_text(text) and None


def _listed(read: Callable[[Path], Iterable[object]]) -> Read:
    return lambda path: list(read(path))


RECIPE = """[model]\nvariant = "tiny"\n[data]\nbackgrounds = "b"\nmattes = "m"\ncrop = 64\nbatch = 2\n
[optimiser]\nlearning_rate = 1e-3\nepochs = 2\nepoch_steps = 5\n[run]\nseed = 1\nprecision = "fp32"\n"""
RECORD = """[mine]\nvariant = "tiny"\nrepo = "someone/weights"\nfilename = "mine.safetensors"\nrevision = "{}"
sha256 = "{}"\nsize = 123\nlicence = "MIT"\ntrained_on = "nothing"\n""".format("b" * 40, "a" * 64)
MANIFEST = "image,trimap,output,seed,steps\ncat.png,cat_trimap.png,cat_alpha.png,3,10\ndog.png,dog_trimap.png,,,\n"
ROW = {"image": "cat.png", "trimap": "t.png", "output": "o.png", "alpha": None, "uncertainty": None, "risk": 0.25}
REPORT = "".join(json.dumps(ROW | {"status": status, "error": None}) + "\n" for status in ("done", "failed"))

_PILLOW = {
    "png-rgb.png": _saved("RGB"),
    "png-palette.png": _saved("P"),
    "png-alpha.png": _saved("RGBA"),
    "png-16.png": _saved("I;16"),
    "apng.png": _saved("RGB", several=True),
    "jpeg.jpg": _saved("RGB"),
    "mpo.mpo": _saved("RGB", several=True),
    "tiff-lzw.tif": _saved("RGB", compression="tiff_lzw"),
    "tiff-plain.tif": _saved("RGBA"),
    "tiff-16.tif": _saved("I;16"),
    "tiff-float.tif": _saved("F"),
    "tiff-pages.tif": _saved("L", several=True),
    "tiff-lab.tif": _saved("LAB"),
    "tiff-jpeg.tif": _saved("RGB", compression="jpeg"),
    "webp.webp": _saved("RGBA", lossless=True),
    "webp-frames.webp": _saved("RGB", several=True),
    "bmp.bmp": _saved("RGB"),
    "gif.gif": _saved("P", several=True),
    "ppm.ppm": _saved("RGB"),
    "pgm.pgm": _saved("L"),
    "pbm.pbm": _saved("1"),
    "jpeg2000.jp2": _saved("RGB"),
    "avif.avif": _saved("RGB"),
    "result.png": lambda path: write_images([Result(path, _pixels(19, 23))]),
}


def _kinds() -> list[Kind]:
    pictures = [Kind(name, make, _read_picture) for name, make in _PILLOW.items()]
    with suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
        pictures.append(Kind("heif.heic", _saved("RGB"), _read_picture))
    if is_installed("vfx"):
        pictures += [
            Kind("exr-rgba.exr", _exr(*"RGBA"), _read_picture),
            Kind("exr-layers.exr", _exr("Z", "beauty.R", "beauty.G", "beauty.B"), _read_picture),
        ]
    return [
        *pictures,
        Kind("network.safetensors", _network, read_model),
        Kind("tensors.safetensors", _tensors, lambda path: read_state_dict(path, ())),
        Kind("checkpoint.pth", _checkpoint, lambda path: read_state_dict(path, ("model",))),
        Kind("old-checkpoint.pth", _old_checkpoint, lambda path: read_state_dict(path, ("model",))),
        Kind("run.pt", _run, read_state),
        Kind("recipe.toml", _text(RECIPE), read_config, text=True),
        Kind("record.toml", _text(RECORD), read_records, text=True),
        Kind("manifest.csv", _text(MANIFEST), lambda path: read_manifest(Place(path)), text=True),
        Kind("report.jsonl", _text(REPORT), _listed(read_report), text=True),
    ]


KINDS = {kind.name.rpartition(".")[0]: kind for kind in _kinds()}
NUMBERS = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1]
WORDS = [
    *(b"", b"\0", b'"', b"'", b"\n", b"\r", b",", b";", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xe2\x80\xae"),
    *(
        b"NaN",
        b"-inf",
        b"1e999",
        b"-1",
        b"null",
        b"true",
        b"9" * 5000,
        b"[" * 5000,
        b'{"a":' * 3000,
        b"a." * 3000 + b"a=1",
    ),
    *(
        b"../../x",
        b"/dev/zero",
        b"file:///etc/passwd",
        b"reference://a::data:,{}",
        b"%0999999999d",
        b"=1+1",
        b"~nobody/x",
    ),
]


def damaged(content: bytes, chance: random.Random, text: bool = False) -> bytes:
    """Return a content with one to eight places cut, flipped, overwritten, repeated, dropped or swapped."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        where, length = chance.randrange(len(data) + 1), chance.randint(1, 64)
        match chance.choice(
            ["flip", "byte", "number", "drop", "repeat", "cut", "swap"] + ["word"] * (6 if text else 1)
        ):
            case "flip" if where < len(data):
                data[where] ^= 1 << chance.randrange(8)
            case "byte" if where < len(data):
                data[where] = chance.choice([0, 1, 0x7F, 0x80, 0xFF])
            case "number":
                size = chance.choice([2, 4, 8])
                number = chance.choice(NUMBERS) % 256**size
                data[where : where + size] = number.to_bytes(size, chance.choice(["big", "little"]))
            case "drop":
                del data[where : where + length]
            case "repeat":
                data[where:where] = data[where : where + length] * chance.choice([1, 1, 2, 100])
            case "cut" if chance.random() < 0.3:
                del data[where:]
            case "swap":
                other = chance.randrange(len(data) + 1)
                data[where : where + length], data[other : other + length] = (
                    data[other : other + length], data[where : where + length]
                )  # fmt: skip
            case "word":
                data[where : where + chance.choice([0, length])] = chance.choice(WORDS)
    if data.startswith(b"\x89PNG") and chance.random() < 0.7:
        _mend_sums(data)
    return bytes(data)


def _mend_sums(data: bytearray) -> None:
    """Set the check sums of a PNG's chunks right, so that what is in them is looked at."""
    place = 8
    while place + 12 <= len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        if end + 4 > len(data):
            break
        data[end : end + 4] = zlib.crc32(data[place + 4 : end]).to_bytes(4, "big")
        place = end + 4


def _peak() -> int:
    """Return the most memory that was in use since the last call, bytes; 0 where the system does not tell."""
    with suppress(OSError):
        status = Path("/proc/self/status").read_text()
        Path("/proc/self/clear_refs").write_text("5")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    return 0


def run(kind: Kind, seeds: Iterable[int], folder: Path, most: float) -> list[str]:
    """Read damaged files, one for each seed; say what came of those that were neither read nor properly refused."""
    path = folder / kind.name
    kind.make(path)
    sound, found = path.read_bytes(), []
    with suppress(ImageError):  # a photograph is no trimap
        kind.read(path)
    for seed in seeds:
        path.write_bytes(damaged(sound, random.Random(f"{kind.name} {seed}"), kind.text))
        name = f"{kind.name} --seed {seed}"
        (folder / "now").write_text(name)  # what a crash leaves
        faulthandler.dump_traceback_later(HANG, exit=True)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
        _peak()
        base = _peak()
        try:
            kind.read(path)
        except DiffmatteError as error:
            if "\n" in str(error) or not 10 < len(str(error)) < 1500:
                found.append(f"{name}: not one sentence: {str(error)[:300]!r}")
        except Exception as error:
            found.append(f"{name}: {type(error).__name__}: {str(error)[:300]}")
        if (taken := _peak() - base) > MEMORY:
            found.append(f"{name}: {taken / 2**20:.0f} MiB")
        seconds = resource.getrusage(resource.RUSAGE_SELF).ru_utime - before
        if seconds > most:
            found.append(f"{name}: {seconds:.1f} s")
        faulthandler.cancel_dump_traceback_later()
    return found


def main() -> int:
    """Read the command line, run, print what was found; return the exit code."""
    parser = argparse.ArgumentParser(description="Damage small sound files of every kind that is read.")
    parser.add_argument("--inputs", type=int, default=100, help="of each kind")
    parser.add_argument("--seed", type=int, default=0, help="the first one's")
    parser.add_argument("--seconds", type=float, default=1.0, help="of processor time that one may take")
    parser.add_argument("--kinds", default=",".join(KINDS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.kinds.split(","):
            here = run(KINDS[name], range(options.seed, options.seed + options.inputs), Path(folder), options.seconds)
            print(f"{name}: {options.inputs} inputs, {len(here)} faults", flush=True)
            found += here
    print("\n".join(found))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
