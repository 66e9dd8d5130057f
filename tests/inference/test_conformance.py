"""Every configuration as a user has it: an official checkpoint, converted, loaded, against the whole kit."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support import fakes
from support.published import published_matter
from torch import Tensor

from diffmatte_cli import load_model
from diffmatte_cli.diffusion.samplers import SAMPLERS, Diffusion, Step
from diffmatte_cli.inference.matter import Encoding, Matter
from diffmatte_cli.settings import Sampling

# The kit's name of a configuration, and ours.
CONFIGURATIONS = {"res34": "res34", "swint": "swint", "vits": "vits", "vits1024": "vits-1024", "vitb": "vitb"}
FEATURE = {"res34": 1e-4, "swint": 2e-5, "vits": 6e-5, "vits1024": 6e-5, "vitb": 6e-5}
# The published ancestral step weighs x_t by 1 - c = 2e-5, in single precision: one part in 700, of 0.37 x_t.
TOLERANCE = {
    "ddim": {"final": 2e-5, "x0": 2e-5, "xt_raw": 2e-5, "xt_in": 2e-5},
    "ddpm": {"final": 1e-3, "x0": 1e-3, "xt_raw": 3e-3, "xt_in": 3e-3},
}


def official_checkpoint(kit: Path, configuration: str) -> dict[str, Any]:
    """What the authors' trainer saves, filled by the kit."""
    sys.path.insert(0, str(kit))
    try:
        from fill import fill_state_dict
    finally:
        sys.path.remove(str(kit))
    manifest = json.loads((kit / f"manifest_{configuration}.json").read_text())
    shapes = {key["key"]: (key["shape"], key["dtype"]) for key in manifest["keys"]}
    state = {key: torch.from_numpy(value) for key, value in fill_state_dict(shapes).items()}
    return {"model": state, "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}}, "iteration": 7}


@pytest.fixture(scope="module", params=CONFIGURATIONS)
def case(
    request: pytest.FixtureRequest, conformance: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """A configuration and its converted checkpoint."""
    folder = tmp_path_factory.mktemp("weights")
    torch.save(official_checkpoint(conformance, request.param), folder / "official.pth")
    name, target = CONFIGURATIONS[request.param], folder / "ours.safetensors"
    result = fakes.run("weights", "convert", str(folder / "official.pth"), "--model", name, "-o", str(target))
    assert result.exit_code == 0, result.output
    yield request.param, target
    for path in folder.iterdir():
        path.unlink()


def entries(kit: Path, configuration: str) -> list[dict[str, Any]]:
    index = json.loads((kit / "index.json").read_text())
    found = [entry for entry in index if entry.get("config") == configuration and "F_shape" in entry]
    assert len(found) >= 2
    return found


def trajectory(matter: Matter, encoding: Encoding, run: dict[str, Any], arrays: dict[str, np.ndarray]) -> list[Step]:
    """All the sampler's steps, with the stored noise and draws."""
    diffusion = Diffusion(run.get("noise_schedule", "linear"), run.get("scale", 0.2))
    draws = iter(torch.from_numpy(arrays.get(f"draws_{run['tag']}", np.empty(0))))

    predict = matter._predictor(encoding, Sampling(keep_known=False, whole=True))

    start = torch.from_numpy(arrays["x_T"])[None, None]
    with torch.no_grad():
        return list(
            SAMPLERS[run["mode"]](predict, start, diffusion, run["steps"], lambda: next(draws).reshape(start.shape))
        )


def deviations(matter: Matter, kit: Path, configuration: str) -> dict[str, float]:
    """The largest difference of the feature, and of each sampler's steps and results, over all of the kit's files."""
    worst: dict[str, float] = {}

    def note(what: str, ours: Tensor, theirs: np.ndarray) -> None:
        difference = (ours.reshape(theirs.shape) - torch.from_numpy(theirs)).abs().max().item()
        worst[what] = max(worst.get(what, 0.0), difference)

    for entry in entries(kit, configuration):
        with np.load(kit / entry["file"]) as file:
            arrays = dict(file)
        encoding = matter.encode(arrays["image"], arrays["trimap"])
        note("F", encoding.features, arrays["F"])
        for run in entry["runs"]:
            tag, mode = run["tag"], run["mode"]
            steps = trajectory(matter, encoding, run, arrays)
            note(f"{mode} final", (steps[-1].x_next / run.get("scale", 0.2) + 1) / 2, arrays[f"final_{tag}"])
            traced = {"xt_raw": [s.x_t for s in steps], "xt_in": [s.x_in for s in steps], "x0": [s.x_0 for s in steps]}
            for name, values in traced.items():
                if f"trace_{tag}_{name}" in arrays:
                    note(f"{mode} {name}", torch.cat(values), arrays[f"trace_{tag}_{name}"])
    return worst


@pytest.mark.parametrize("plain", [True, False], ids=["plain", "fast"])
def test_features_and_every_step_agree(case: tuple[str, Path], plain: bool, conformance: Path) -> None:
    configuration, path = case
    worst = deviations(load_model(path, plain=plain), conformance, configuration)
    print(f"\n{configuration}:", ", ".join(f"{what} {value:.1e}" for what, value in worst.items()))  # shown by -s
    assert worst.pop("F") <= FEATURE[configuration]
    assert {"ddim final", "ddim x0", "ddim xt_raw", "ddim xt_in"} <= worst.keys()
    assert ("ddpm final" in worst) == (configuration == "vits")
    for what, value in worst.items():
        mode, kind = what.split()
        assert value <= TOLERANCE[mode][kind], what


def test_the_python_interface_computes_the_same(case: tuple[str, Path], conformance: Path) -> None:
    """The result of ``matte`` with ``keep_known=False``, for both samplers and all schedules."""
    configuration, path = case
    matter = load_model(path)
    for entry in entries(conformance, configuration):
        with np.load(conformance / entry["file"]) as file:
            arrays = dict(file)
        for run in (run for run in entry["runs"] if run["steps"] == 3):
            draws = arrays.get(f"draws_{run['tag']}")
            alpha = matter.matte(
                arrays["image"],
                arrays["trimap"],
                steps=run["steps"],
                noise=arrays["x_T"],
                draws=None if draws is None else draws.reshape(-1, *arrays["x_T"].shape),
                sampler=run["mode"],
                schedule=run.get("noise_schedule"),
                input_scale=run.get("scale"),
                keep_known=False,
            )
            expected = arrays[f"final_{run['tag']}"]
            np.testing.assert_allclose(alpha, expected, rtol=0, atol=TOLERANCE[run["mode"]]["final"], err_msg=str(run))


def test_the_authors_picture_agrees(conformance: Path) -> None:
    """Background forced to 0, known foreground left alone, times 255, rounded: three steps of ViT-S."""
    with np.load(conformance / "vits_e2e_96x128.npz") as file:
        arrays = dict(file)
    alpha = published_matter("vits").matte(
        arrays["image"], arrays["trimap"], steps=3, noise=arrays["x_T"], keep_known=False
    )
    levels = 255 * np.where(arrays["trimap"] == 0, 0, alpha)
    np.testing.assert_allclose(levels, arrays["alpha255"], rtol=0, atol=255 * 2e-5)
    clear = np.abs(levels % 1 - 0.5) > 255 * 2e-5  # not on the edge between two levels
    assert clear.mean() > 0.97
    np.testing.assert_array_equal(levels.round()[clear], arrays["png8"][clear])
