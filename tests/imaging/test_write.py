"""Writing: every format, nearest levels, all or nothing, and one sentence when it cannot be."""

import os
import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support import fakes
from support.processes import finish

from diffmatte_cli.errors import OutputError, UsageError
from diffmatte_cli.imaging.colour import quantise
from diffmatte_cli.imaging.encoding import Result
from diffmatte_cli.imaging.formats import WRITERS
from diffmatte_cli.imaging.grey import read_grey
from diffmatte_cli.imaging.write import write_images
from diffmatte_cli.storage import atomic as files

ENDINGS = [
    pytest.param(name, suffix, bits, marks=fakes.NEEDS_VFX if name == "exr" else ())
    for name, row in WRITERS.items()
    if not row.opaque
    for suffix in row.suffixes
    for bits in row.bits
]


@pytest.mark.parametrize(("name", "suffix", "bits"), ENDINGS)
def test_alpha_survives_every_format(name: str, suffix: str, bits: int, tmp_path: Path) -> None:
    alpha = np.linspace(0, 1, 24 * 30, dtype=np.float32).reshape(24, 30)
    path = tmp_path / f"alpha{suffix}"
    write_images([Result(path, alpha, bits, dpi=(72.0, 72.0))])
    if name != "exr":
        with Image.open(path) as picture:
            assert picture.format == WRITERS[name].pillow_name
    half_a_level = 2**-12 if name == "exr" else 0.5 / (2**bits - 1)
    np.testing.assert_allclose(read_grey(path).levels, alpha, atol=half_a_level + 1e-6)


@pytest.mark.parametrize("suffix", [suffix for form in fakes.BY_PILLOW for suffix in WRITERS[form].suffixes])
def test_cutouts_keep_colour_alpha_and_profile(suffix: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (9, 11, 4), np.uint8)
    pixels[:3, :, 3] = 0
    profile = bytes(16) + b"RGB " + bytes(108)
    path = tmp_path / f"cutout{suffix}"
    write_images([Result(path, pixels, icc_profile=profile)])
    with Image.open(path) as picture:
        np.testing.assert_array_equal(np.asarray(picture.convert("RGBA")), pixels)
        assert picture.info["icc_profile"] == profile


@pytest.mark.parametrize("kind", ["uint8", pytest.param("uint16", marks=fakes.NEEDS_VFX)])
def test_a_large_result_is_no_bomb(kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Some TIFFs are read again before they are written; Pillow's own limit is below the largest photograph."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    path, white = tmp_path / "x.tif", np.iinfo(kind).max
    write_images([Result(path, np.full((9, 11, 4), white, kind), premultiplied=True)])
    assert (read_grey(path).levels == 1).all()


@pytest.mark.parametrize(("name", "suffix", "bits"), ENDINGS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (33, 1)])
def test_tiny_and_thin_pictures(shape: tuple[int, int], name: str, suffix: str, bits: int, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix}"
    write_images([Result(path, np.ones(shape, np.float32), bits)])
    np.testing.assert_array_equal(read_grey(path).levels, np.ones(shape))


@given(st.sampled_from([8, 16]), st.data())
def test_quantise_rounds_to_the_nearest_level(bits: int, data: st.DataObject) -> None:
    white = 2**bits - 1
    level = data.draw(st.integers(0, white))
    offset = data.draw(st.floats(-0.45, 0.45))
    alpha = np.full((1, 1), (level + offset) / white, np.float32)
    assert quantise(alpha, bits)[0, 0] == level


def test_quantise_refuses_what_is_no_number() -> None:
    for value in (np.nan, np.inf):
        with pytest.raises(OutputError, match="not numbers"):
            quantise(np.full((2, 2), value, np.float32), 8)


@pytest.mark.parametrize("form", fakes.FORMATS)
def test_same_input_gives_same_bytes(form: str, tmp_path: Path) -> None:
    alpha = np.random.default_rng(0).random((20, 20), np.float32)
    first, second = (tmp_path / f"{name}{WRITERS[form].suffixes[0]}" for name in "ab")
    write_images([Result(first, alpha), Result(second, alpha)])
    assert first.read_bytes() == second.read_bytes()


def _write(path: Path) -> None:
    write_images([Result(path, np.ones((4, 4), np.float32))])


def test_results_follow_umask_and_links(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "real" / "target.png")
    old = os.umask(0o027)
    try:
        _write(tmp_path / "link.png")
    finally:
        os.umask(old)
    assert (tmp_path / "link.png").is_symlink()
    assert stat.S_IMODE((tmp_path / "real" / "target.png").stat().st_mode) == 0o640


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError(28, "No space left on device"), MemoryError])
def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(
    failure: type[BaseException] | BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(b"old")

    def half_written(target: Path, data: bytes) -> int:
        with target.open("wb") as stream:
            stream.write(data[:10])
        raise failure

    monkeypatch.setattr(Path, "write_bytes", half_written)
    with pytest.raises((OutputError, KeyboardInterrupt, MemoryError)):
        _write(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.png"]
    assert path.read_bytes() == b"old"


def test_two_results_are_renamed_only_when_both_are_complete(tmp_path: Path) -> None:
    good = Result(tmp_path / "good.png", np.ones((4, 4), np.float32))
    bad = Result(tmp_path / "bad.png", np.full((4, 4), np.nan, np.float32))
    with pytest.raises(OutputError):
        write_images([good, bad])
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    script = """
import resource, sys, numpy as np
from pathlib import Path
from diffmatte_cli.errors import OutputError
from diffmatte_cli.imaging.encoding import Result
from diffmatte_cli.imaging.write import write_images
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
noise = np.random.default_rng(0).random((200, 200), np.float32)
try:
    write_images([Result(Path(sys.argv[1]), noise)])
except OutputError as error:
    print(error)
"""
    pytest.importorskip("resource", reason="file size limits need a POSIX system")
    done = finish("-c", script, str(tmp_path / "x.png"))
    assert done.stdout.startswith("cannot write")
    assert "x.png" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_missing_and_read_only_folders(tmp_path: Path) -> None:
    _write(tmp_path / "new" / "folder" / "x.png")
    assert (tmp_path / "new" / "folder" / "x.png").is_file()
    with pytest.raises(OutputError, match="cannot make the folder"):
        _write(tmp_path / "new" / "folder" / "x.png" / "y.png")
    with pytest.raises(OutputError, match="cannot write"):
        _write(tmp_path / ("n" * 300 + ".png"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a POSIX system")
@pytest.mark.parametrize("linked", [False, True])
def test_pipes_are_never_replaced(linked: bool, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    path = tmp_path / "pipe.png"
    if linked:
        path = tmp_path / "link.png"
        path.symlink_to("pipe.png")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OutputError, match=rf"cannot write .*{path.name}: it exists and is not a file"):
        _write(path)
    with pytest.raises(OutputError, match="is not a folder"), files.staged_folder(path):
        pass
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_is_not_replaced_by_a_file_nor_the_other_way_round(tmp_path: Path) -> None:
    (tmp_path / "x.png").mkdir()
    (tmp_path / "steps").write_text("kept")
    with pytest.raises(OutputError, match=r"x\.png: it exists and is not a file"):
        _write(tmp_path / "x.png")
    no_folder = pytest.raises(OutputError, match="steps: it exists and is not a folder")
    with no_folder, files.staged_folder(tmp_path / "steps"):
        pass
    assert (tmp_path / "steps").read_text() == "kept"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["steps", "x.png"]


def test_too_wide_for_the_format(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"16383.*16384x1"):
        write_images([Result(tmp_path / "x.webp", np.ones((1, 16384), np.float32))])
    with pytest.raises(UsageError, match="16-bit"):
        write_images([Result(tmp_path / "x.webp", np.ones((1, 4), np.float32), bits=16)])


def test_a_staged_folder_replaces_the_old_one_whole(tmp_path: Path) -> None:
    target = tmp_path / "new parent" / "steps"
    for text in ("first", "second"):
        with files.staged_folder(target) as folder:
            (folder / text).write_text(text)
    assert [entry.name for entry in target.iterdir()] == ["second"]
    assert [entry.name for entry in target.parent.iterdir()] == ["steps"]


def test_a_failed_staged_folder_leaves_the_old_one_or_nothing(tmp_path: Path) -> None:
    target = tmp_path / "new parent" / "steps"
    with pytest.raises(KeyboardInterrupt), files.staged_folder(target):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with files.staged_folder(target) as folder:
        (folder / "old").touch()
    with pytest.raises(OutputError, match="No space"), files.staged_folder(target) as folder:
        raise OSError(28, "No space left on device")
    assert [entry.name for entry in target.iterdir()] == ["old"]
    assert [entry.name for entry in target.parent.iterdir()] == ["steps"]
