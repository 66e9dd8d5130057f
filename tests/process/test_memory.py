"""What the machine may still give, and what is refused before it is begun."""

import sys
from pathlib import Path
from textwrap import dedent

import pytest
from support.processes import finish

from diffmatte_cli.errors import ResourceError
from diffmatte_cli.process import memory


def test_room_is_the_least_of_machine_and_control_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_meminfo", lambda field: 10**12)
    monkeypatch.setattr(memory, "_address_space", lambda: None)
    monkeypatch.setattr(memory, "CGROUPS", ((str(tmp_path), "max", "current"),))
    assert memory.free_memory() == memory.total_memory() == 10**12
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 30\n")
    (tmp_path / "current").write_text("100\n")
    (tmp_path / "max").write_text("max\n")
    assert memory.free_memory() == memory.total_memory() == 10**12
    (tmp_path / "max").write_text("1000\n")
    assert memory.free_memory() == 930
    assert memory.total_memory() == 1000


def test_a_limit_on_addresses_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource", reason="only where the system limits addresses")
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (2**60, 2**60))
    room = memory._address_space()
    assert room is not None
    assert 2**59 < room < 2**60


def test_what_needs_more_than_is_free_is_refused_with_both_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 2**30)
    memory.check_room(2**30, "this")
    with pytest.raises(ResourceError, match=r"^this needs about 3 GiB of memory, and 1 GiB are free: "):
        memory.check_room(3 * 2**30, "this")
    monkeypatch.setattr(memory, "free_memory", lambda: None)
    memory.check_room(2**60, "this")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process holds")
def test_freed_memory_goes_back_to_the_system() -> None:
    """Blocks that are too small to be returned one by one, with one in use at the end."""
    code = """
        from pathlib import Path
        from diffmatte_cli.process.memory import give_back
        def held():
            return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
        blocks = [bytes([1]) * 100_000 for _ in range(2000)]
        del blocks[:-1]
        before = held()
        give_back()
        assert held() < before - 100_000_000, (before, held())
    """
    done = finish("-c", dedent(code))
    assert done.returncode == 0, done.stderr
