"""Damaged checkpoints of training runs: one sentence each, before a step is made."""

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("cv2", reason="training needs the [train] extra")
pytest.importorskip("accelerate", reason="training needs the [train] extra")

from diffmatte_cli.errors import TrainingError, UsageError
from diffmatte_cli.training.config import TrainConfig, read_config
from diffmatte_cli.training.loop import CHECKPOINT, Trainer

State = dict[str, Any]


def _within(*keys: Any, value: Any) -> Callable[[State], None]:
    """Return what puts a value deep into a checkpoint."""

    def spoil(state: State) -> None:
        for key in keys[:-1]:
            state = state[key]
        state[keys[-1]] = value

    return spoil


def _filled(*keys: Any, value: float) -> Callable[[State], None]:
    """Return what fills a tensor deep in a checkpoint."""

    def spoil(state: State) -> None:
        for key in keys:
            state = state[key]
        state.fill_(value)  # type: ignore[attr-defined]

    return spoil


KEY = "decoder.mid_blk.conv1.weight"
DAMAGES: dict[str, Callable[[State], Any]] = {
    "a list": lambda state: [1],
    "a tensor": lambda state: torch.zeros(3),
    "another program's": lambda state: {"state_dict": state["model"], "epoch": 3},
    "bare": lambda state: state["model"],
    **{f"without {key}": lambda state, key=key: state.pop(key) and None for key in ("config", "average", "optimiser")},
    "a step of text": _within("step", value="3"),
    "a truth as step": _within("step", value=True),
    "a step below": _within("step", value=-1),
    "a step beyond": _within("step", value=10**9),
    "a table of text": _within("config", "model", value="tiny"),
    "tensors in the configuration": _within("config", "run", "seed", value=torch.zeros(3)),
    "a model of numbers": _within("model", value=3),
    "a model with a number": _within("model", KEY, value=3),
    "a numbered key": _within("model", 3, value=torch.zeros(1)),
    "another shape": _within("average", KEY, value=torch.zeros(1)),
    "another type": _within("model", KEY, value=torch.zeros(4, dtype=torch.int64)),
    "without numbers": _within("model", KEY, value=torch.zeros(1, device="meta")),
    "a tensor too many": _within("model", "more", value=torch.zeros(1)),
    "no optimiser": _within("optimiser", value=None),
    "moments in a list": _within("optimiser", "state", value=[1]),
    "moments of nothing": _within("optimiser", "state", 10**6, value={}),
    "moments by name": _within("optimiser", "state", "x", value={}),
    "a moment of another shape": _within("optimiser", "state", 0, "exp_avg", value=torch.zeros(1, 1)),
    "a moment of text": _within("optimiser", "state", 0, "exp_avg", value="x"),
    "a moment lacking": _within("optimiser", "state", 0, value={"step": torch.zeros(())}),
    "NaN": _filled("average", KEY, value=torch.nan),
    "infinity": _filled("optimiser", "state", 0, "exp_avg_sq", value=torch.inf),
    "code": _within("step", value=Path("x")),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, data: Path) -> tuple[TrainConfig, State]:
    """Return a short run's configuration and checkpoint."""
    folder = tmp_path_factory.mktemp("saved")
    (folder / "run.toml").write_text(
        f"""
        [model]
        variant = "tiny"
        decoder_width = 4
        [data]
        backgrounds = "{data.as_posix()}/backgrounds"
        crop = 64
        batch = 1
        workers = 0
        [optimiser]
        epochs = 6
        epoch_steps = 1
        """
    )
    config = read_config(folder / "run.toml")
    (folder / "run").mkdir()
    trainer = Trainer(config, folder / "run", stopping=lambda: trainer.step == 1, progress=False)
    trainer.run()
    return config, torch.load(folder / "run" / CHECKPOINT, weights_only=True)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_told(damage: str, saved: tuple[TrainConfig, State], tmp_path: Path) -> None:
    config, state = saved[0], copy.deepcopy(saved[1])
    found = DAMAGES[damage](state)
    torch.save(state if found is None else found, tmp_path / CHECKPOINT)
    with pytest.raises(TrainingError, match="start the run again in another folder") as caught:
        Trainer(config, tmp_path).resume()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("kind", ["cut off", "a text", "empty", "a pipe", "a device", "a folder"])
def test_what_is_no_checkpoint_is_told(kind: str, saved: tuple[TrainConfig, State], tmp_path: Path) -> None:
    path = tmp_path / CHECKPOINT
    torch.save(saved[1], path)
    content = path.read_bytes()
    path.unlink()
    match kind:
        case "a pipe":
            os.mkfifo(path)
        case "a device":
            path.symlink_to("/dev/zero")
        case "a folder":
            path.mkdir()
        case _:
            path.write_bytes({"cut off": content[: len(content) // 2], "a text": b"junk", "empty": b""}[kind])
    with pytest.raises(TrainingError if path.is_file() else UsageError, match=r"checkpoint\.pt"):
        Trainer(saved[0], tmp_path).resume()
