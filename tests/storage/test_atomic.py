"""What replaces a file or a folder: modes are kept, and nothing that came meanwhile is lost."""

import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from diffmatte_cli.errors import OutputError
from diffmatte_cli.storage import atomic


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o664])
def test_a_file_keeps_its_mode_and_is_never_more_open(mode: int, tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    target.write_bytes(b"old")
    target.chmod(mode)
    with atomic.staged_file(target) as temporary:
        temporary.write_bytes(b"new")
        assert _mode(temporary) & ~(mode | stat.S_IWUSR) == 0
    assert (target.read_bytes(), _mode(target)) == (b"new", mode)


def test_a_new_file_has_the_usual_mode(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    with atomic.staged_file(tmp_path / "a.png") as temporary:
        temporary.write_bytes(b"new")
    assert _mode(tmp_path / "a.png") == _mode(tmp_path / "usual")


def test_a_folder_and_its_files_keep_their_modes(tmp_path: Path) -> None:
    target = tmp_path / "steps"
    target.mkdir(0o700)
    (target / "a").touch(0o600)
    with atomic.staged_folder(target) as temporary:
        assert _mode(temporary) == 0o700
        for name in "ab":
            (temporary / name).touch()
    (tmp_path / "usual").touch()
    assert [_mode(path) for path in (target, target / "a", target / "b")] == [0o700, 0o600, _mode(tmp_path / "usual")]


@pytest.mark.parametrize("links", [True, False])
def test_what_came_meanwhile_is_kept_where_overwriting_is_off(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, link = tmp_path / "a.png", os.link

    def late(old: Path, new: Path) -> None:
        target.write_bytes(b"mine")  # at the last moment
        if not links:
            raise PermissionError(1, "no hard links here")
        link(old, new)

    monkeypatch.setattr(os, "link", late)
    with pytest.raises(OutputError, match="exists by now"), atomic.staged_file(target, overwrite=False) as temporary:
        temporary.write_bytes(b"new")
    assert (target.read_bytes(), os.listdir(tmp_path)) == (b"mine", ["a.png"])
    target.unlink()
    monkeypatch.setattr(os, "link", link)
    with atomic.staged_file(target, overwrite=False) as temporary:
        temporary.write_bytes(b"new")
    assert (target.read_bytes(), os.listdir(tmp_path)) == (b"new", ["a.png"])


def test_a_link_that_came_meanwhile_is_not_written_through(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"mine")
    (tmp_path / "a.png").symlink_to(precious)
    with pytest.raises(OutputError, match="a symlink by now"), atomic.staged_file(tmp_path / "a.png", follow=False):
        pass
    with atomic.staged_file(tmp_path / "b.png", follow=False) as temporary:
        temporary.write_bytes(b"new")
        (tmp_path / "b.png").symlink_to(precious)
    assert (precious.read_bytes(), (tmp_path / "b.png").is_symlink()) == (b"mine", False)


def test_a_folder_that_came_meanwhile_is_kept_where_overwriting_is_off(tmp_path: Path) -> None:
    target = tmp_path / "steps"
    with pytest.raises(OutputError, match="overwriting is off"), atomic.staged_folder(target, overwrite=False):
        (tmp_path / "steps" / "a").mkdir(parents=True)
    assert (os.listdir(target), os.listdir(tmp_path)) == (["a"], ["steps"])


def test_many_replace_one_folder_at_once(tmp_path: Path) -> None:
    target = tmp_path / "steps"

    def replace(number: int) -> None:
        for _ in range(20):
            with atomic.staged_folder(target) as temporary:
                for name in "ab":
                    (temporary / name).write_text(str(number))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(replace, range(8)))
    assert (os.listdir(tmp_path), sorted(os.listdir(target))) == (["steps"], ["a", "b"])
    assert (target / "a").read_text() == (target / "b").read_text()


@pytest.mark.parametrize("comes", [Path.touch, lambda path: path.symlink_to(path.parent)])
def test_what_is_no_folder_is_not_replaced_by_one(comes: Callable[[Path], None], tmp_path: Path) -> None:
    target = tmp_path / "top" / "steps"
    target.parent.mkdir()
    with pytest.raises(OutputError, match="not a folder"), atomic.staged_folder(target):
        comes(target)
    assert os.listdir(target.parent) == ["steps"]
