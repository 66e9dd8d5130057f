"""The page on the architecture, held against the folders and the contract of imports."""

import re
import tomllib

import pytest
from support import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text()
PACKAGE = ROOT / "diffmatte_cli"
ROWS = re.findall(r"^\| (`.*?`) \| [^|]* \|([^|]*)\|$", PAGE, re.MULTILINE)


def names(cell: str) -> list[str]:
    return [name.rstrip("/") for name in re.findall(r"`([^`]+)`", cell)]


def test_the_rooms_stand_in_the_order_of_the_contract() -> None:
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    layers = [name.strip() for layer in contract["layers"] for name in layer.split("|")]
    assert [name for rooms, _ in ROWS for name in names(rooms)] == layers


def test_every_room_is_there() -> None:
    found = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert {name for rooms, _ in ROWS for name in names(rooms)} == found - {"__init__"}


@pytest.mark.parametrize(("rooms", "first"), ROWS)
def test_where_to_look_first_is_there(rooms: str, first: str) -> None:
    (room, *_) = names(rooms)
    assert [name for name in names(first) if not (PACKAGE / room / name).is_file()] == []


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([\w/]+\.py)`", PAGE))))
def test_every_named_file_is_there(name: str) -> None:
    """By the end of its path."""
    assert any(PACKAGE.rglob(name)) or any((ROOT / "tests").rglob(name))
