"""The model that comes with the package."""

from pathlib import Path

import numpy as np
import pytest
from support import ROOT

from diffmatte_cli.evaluation.metrics import mse, sad
from diffmatte_cli.imaging.grey import read_grey
from diffmatte_cli.imaging.read import read_image
from diffmatte_cli.inference.loading import load_model
from diffmatte_cli.trimaps.trimap import parse_trimap
from diffmatte_cli.weights.files import file_sha256
from diffmatte_cli.weights.store import WeightsStore, resolve_model

MEGABYTE = 10**6


@pytest.mark.parametrize("name", [name for name, record in WeightsStore().records().items() if record.bundled])
def test_the_file_is_the_one_recorded(name: str) -> None:
    source, record = resolve_model(name), WeightsStore().record(name)
    assert source.path.stat().st_size == record.size
    assert source.path.stat().st_size <= 12 * MEGABYTE
    assert file_sha256(source.path) == record.sha256


def test_metadata_say_what_it_is() -> None:
    metadata, record = load_model("tiny").metadata, WeightsStore().record("tiny")
    for key in ("variant", "licence", "trained_on"):
        assert metadata[key] == getattr(record, key)
    for key in ("variant", "decoder_width", "schedule", "input_scale", "trained_on", "recipe", "date", "licence"):
        assert metadata[key], key


def test_a_path_names_the_same_model() -> None:
    assert resolve_model(resolve_model("tiny").path).path == resolve_model("tiny").path


def read(folder: Path, stem: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    image = read_image(folder / "image" / f"{stem}.jpg").pixels
    trimap = parse_trimap(read_grey(folder / "trimap" / f"{stem}.png").levels)
    return image, trimap, read_grey(folder / "alpha" / f"{stem}.png").levels


def test_a_real_photograph_comes_out_right(photographs: Path) -> None:
    """A crop of a photograph never trained on: far closer to the truth than a grey trimap is."""
    image, trimap, truth = (part[200:712, 300:812] for part in read(photographs, "sample5"))
    alpha = load_model("tiny").matte(image, trimap, steps=3)
    unknown = trimap == 128
    assert unknown.mean() > 0.02
    assert np.abs(alpha - truth)[unknown].mean() < 0.35 * np.abs(0.5 - truth)[unknown].mean()


def test_the_usual_path_gives_the_plain_ones_alpha() -> None:
    """The example that comes with the project, in three steps: equal but for rounding."""
    folder = ROOT / "docs" / "examples"
    image = read_image(folder / "fluff.jpg").pixels
    trimap = parse_trimap(read_grey(folder / "fluff_trimap.png").levels)
    plain, usual = (load_model("tiny", plain=is_plain).matte(image, trimap, steps=3) for is_plain in (True, False))
    np.testing.assert_allclose(usual, plain, rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_usual_path_is_near_the_plain_one_on_all_photographs(photographs: Path) -> None:
    """In 1/255 over the unknown region: the mean, the 999th of 1000, and what it does to the mean SAD; bf16, too."""
    plain = load_model("tiny", plain=True)
    usual = {precision: load_model("tiny", precision=precision) for precision in ("fp32", "bf16")}
    apart: dict[str, list[np.ndarray]] = {precision: [] for precision in usual}
    scores: dict[str, list[float]] = {precision: [] for precision in ("plain", *usual)}
    for path in sorted((photographs / "image").glob("*.jpg")):
        image, trimap, truth = read(photographs, path.stem)
        exact = plain.matte(image, trimap, steps=10)
        scores["plain"].append(sad(exact, truth, trimap))
        for precision, matter in usual.items():
            alpha = matter.matte(image, trimap, steps=10)
            apart[precision].append(255 * np.abs(alpha - exact)[trimap == 128])
            scores[precision].append(sad(alpha, truth, trimap))
    for precision, parts in apart.items():
        differences = np.concatenate(parts)
        mean, most, largest = differences.mean(), np.quantile(differences, 0.999), differences.max()
        before, after = np.mean(scores["plain"]), np.mean(scores[precision])
        print(
            f"\n{precision}: mean {mean:.5f}, 99.9th {most:.4f}, largest {largest:.4f}, SAD {before:.3f}, {after:.3f}"
        )
        assert mean <= 0.3
        assert most <= 4
        assert after <= 1.005 * before


@pytest.fixture(scope="module")
def thirteen(photographs: Path) -> dict[int, tuple[float, float]]:
    """Mean SAD and MSE over the photographs after 1 and after 10 steps."""
    matter = load_model("tiny")
    scores: dict[int, list[tuple[float, float]]] = {1: [], 10: []}
    for path in sorted((photographs / "image").glob("*.jpg")):
        image, trimap, truth = read(photographs, path.stem)
        encoding = matter.encode(image, trimap)
        for steps, found in scores.items():
            alpha = matter.matte(encoding, steps=steps)
            found.append((sad(alpha, truth, trimap), mse(alpha, truth, trimap)))
    return {steps: tuple(np.mean(found, axis=0)) for steps, found in scores.items()}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_thirteen_photographs_are_better_than_closed_form_matting_makes_them(
    thirteen: dict[int, tuple[float, float]],
) -> None:
    for mean_sad, mean_mse in thirteen.values():
        assert mean_sad < 9.62
        assert mean_mse < 10.26


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_more_steps_do_no_harm(thirteen: dict[int, tuple[float, float]]) -> None:
    assert thirteen[10][0] <= 1.01 * thirteen[1][0]
