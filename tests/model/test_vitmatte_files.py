"""ViTMatte's published files: read as they are, strictly."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support.pretrained import State, vitmatte_name
from support.vitmatte import SMALL, as_pickle, as_safetensors, state

from diffmatte_cli.errors import WeightsError
from diffmatte_cli.model.checkpoint import read_model, write_model
from diffmatte_cli.model.config import VARIANTS
from diffmatte_cli.model.diffmatte import DiffMatte
from diffmatte_cli.model.official import convert_checkpoint
from diffmatte_cli.model.vitmatte import hub_name, our_name

WRITERS: dict[str, Callable[[State], bytes]] = {"model.safetensors": as_safetensors, "pytorch_model.bin": as_pickle}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> State:
    monkeypatch.setitem(VARIANTS, "small", SMALL)
    return state("small")


def written(folder: Path, state: State, name: str = "model.safetensors") -> Path:
    (folder / name).write_bytes(WRITERS[name](state))
    return folder / name


@pytest.mark.parametrize(("variant", "size"), [("vitmatte-s", 103_294_572), ("vitmatte-b", 386_782_180)])
def test_names_and_shapes_are_the_published_ones(variant: str, size: int) -> None:
    """They take the bytes that the published files have, but for the header."""
    with torch.device("meta"):
        ours = DiffMatte(VARIANTS[variant]).state_dict()
    assert {hub_name(key): key for key in ours} == {vitmatte_name(key): key for key in ours}
    assert all(our_name(hub_name(key)) == key for key in ours)
    header = len(as_safetensors({hub_name(key): torch.zeros(0) for key in ours}))
    numbers = sum(tensor.numel() * tensor.itemsize for tensor in ours.values())
    assert numbers < size < numbers + 2 * header


def test_a_file_of_true_shapes_has_the_published_size_and_is_recognised(tmp_path: Path) -> None:
    path = written(tmp_path, state("vitmatte-s"))
    assert path.stat().st_size == 103_294_572
    model, metadata = read_model(path)
    assert (model.config, metadata) == (VARIANTS["vitmatte-s"], {"format": "pt"})


@pytest.mark.parametrize("name", WRITERS)
def test_every_tensor_is_read(name: str, small: State, tmp_path: Path) -> None:
    path = written(tmp_path, small, name)
    model, _ = read_model(path, hashlib.sha256(path.read_bytes()).hexdigest())
    assert model.config.variant == "small"
    read = {vitmatte_name(key): tensor for key, tensor in model.state_dict().items()}
    assert read.keys() == small.keys()
    assert all(torch.equal(read[key], small[key]) for key in small)
    with pytest.raises(WeightsError, match="was replaced since the command began: run it again"):
        read_model(path, "0" * 64)


POSITIONS = "backbone.embeddings.position_embeddings"
BROKEN: dict[str, tuple[Callable[[State], object], str]] = {
    "missing": (lambda state: state.pop(POSITIONS), rf"does not fit small: 1 missing \({POSITIONS}\)"),
    "unexpected": (lambda state: state.update(more=torch.zeros(1)), r"does not fit small: 1 unexpected \(more\)"),
    "shape": (
        lambda state: state.update({POSITIONS: torch.zeros(1, 3, 32)}),
        rf"shape \({POSITIONS} \[1, 3, 32",
    ),
    "NaN": (lambda state: state.update({POSITIONS: torch.full((1, 197, 32), torch.nan)}), rf"NaN .*{POSITIONS}\)"),
    "twice": (lambda state: state.update({"encoder.pos_embed": torch.zeros(1)}), "names some tensors twice"),
    "an unknown width": (
        lambda state: state.update({key: torch.zeros(40) for key in state if key.endswith("layer.0.norm1.weight")}),
        "nor ViTMatte's",
    ),
    "another network": (lambda state: [state.pop(key) for key in list(state) if "norm1" in key], "nor ViTMatte's"),
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("case", BROKEN)
def test_what_is_not_exactly_it_is_refused(case: str, name: str, small: State, tmp_path: Path) -> None:
    change, text = BROKEN[case]
    changed = dict(small)
    change(changed)
    path = written(tmp_path, changed, name)
    with pytest.raises(WeightsError, match=text) as caught:
        read_model(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_code_in_a_pickle_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (tmp_path / "harm").mkdir, ()

    (tmp_path / "pytorch_model.bin").write_bytes(as_pickle({"x": Evil()}))
    with pytest.raises(WeightsError, match="wants to run Python code"):
        read_model(tmp_path / "pytorch_model.bin")
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("name", WRITERS)
def test_a_conversion_keeps_numbers_and_preprocessing(name: str, small: State, tmp_path: Path) -> None:
    ours = tmp_path / "ours.safetensors"
    convert_checkpoint(written(tmp_path, small, name), ours, "small", {"licence": "x"}, preprocessing="hub")
    model, metadata = read_model(ours)
    assert (model.config.preprocessing, metadata["preprocessing"], metadata["licence"]) == ("hub", "hub", "x")
    assert read_model(ours, preprocessing="trained")[0].config.preprocessing == "trained"
    write_model(ours, read_model(written(tmp_path, small, name))[0], {})
    assert "preprocessing" not in read_model(ours)[1]
    with pytest.raises(WeightsError, match="holds small, not vitmatte-b"):
        convert_checkpoint(written(tmp_path, small, name), ours, "vitmatte-b", {})
