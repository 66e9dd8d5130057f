"""Files are read in pieces, and only files."""

import io
import os
import tracemalloc
from pathlib import Path

import pytest

from diffmatte_cli.errors import ImageError, UsageError
from diffmatte_cli.imaging.folders import DEEPEST, images_in
from diffmatte_cli.storage import reading
from diffmatte_cli.storage.paths import Place
from diffmatte_cli.storage.pieces import CHUNK, in_pieces
from diffmatte_cli.storage.tables import read_table


def test_a_small_file_takes_little_memory(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x" * 1000)
    tracemalloc.start()
    assert len(reading.read_bytes(tmp_path / "a.png")) == 1000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * CHUNK


def test_a_large_file_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(5 * 2**30)
    monkeypatch.setattr(reading, "in_pieces", None)
    with pytest.raises(ImageError, match=r"a\.png: it is larger than 4 GiB"):
        reading.read_bytes(tmp_path / "a.png")


def test_a_file_that_grows_is_read_up_to_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(b"x" * 20)
    monkeypatch.setattr(reading, "MAX_BYTES", 10)
    monkeypatch.setattr(os, "fstat", lambda _: os.stat_result((0o100644, *[0] * 9)))
    with pytest.raises(ImageError, match="larger than"):
        reading.read_bytes(tmp_path / "a.png")


def test_pieces_are_joined_whatever_their_sizes() -> None:
    content = os.urandom(3 * CHUNK + 7)
    assert in_pieces(io.BytesIO(content).read, len(content)) == content
    file = io.BytesIO(content)
    assert in_pieces(lambda size: file.read(min(size, 999)), 5000) == content[:5001]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".png"])
def test_what_never_ends_is_not_begun(suffix: str, tmp_path: Path) -> None:
    pipe = tmp_path / f"pipe{suffix}"
    os.mkfifo(pipe)
    (tmp_path / f"zero{suffix}").symlink_to("/dev/zero")
    for path in tmp_path.iterdir():
        if suffix == ".png":
            with pytest.raises(ImageError, match=r"\.png: it is not a file"):
                reading.read_bytes(path)
        else:
            with pytest.raises(UsageError, match="it is not a file"):
                list(read_table(path, "manifest"))


def test_no_depth_of_folders_is_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.makedirs("d/" * (DEEPEST + 2))
    with pytest.raises(UsageError, match=f"nested more than {DEEPEST} deep: move"):
        list(images_in(Place(Path("d")), recursive=True))
    assert Place(Path("d/" * 1500)).target == os.path.realpath("d/" * 1500)
