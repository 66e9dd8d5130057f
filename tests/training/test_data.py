"""Samples for training: what is drawn, how layers become photographs, and that every step's batch is its own."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("cv2", reason="training needs the [train] extra")

import cv2

from diffmatte_cli.errors import TrainingError
from diffmatte_cli.model.config import VARIANTS
from diffmatte_cli.training.config import DataConfig, OptimiserConfig, RunConfig, TrainConfig
from diffmatte_cli.training.data import Batch, Share, batches
from diffmatte_cli.training.materials import check_materials, composer, read_materials, read_validation
from diffmatte_cli.training.synthesis import composition, surfaces
from diffmatte_cli.training.synthesis.camera import AS_IS, NO_CAMERA, Camera, Tint, draw_camera, draw_tint, pack
from diffmatte_cli.training.synthesis.composition import compose, draw_foreground
from diffmatte_cli.training.synthesis.files import Assets, find_pictures
from diffmatte_cli.training.synthesis.finishing import Stack, finish, stack
from diffmatte_cli.training.synthesis.jpeg import compress
from diffmatte_cli.training.synthesis.layers import MARGIN
from diffmatte_cli.training.synthesis.noise import smooth_noise
from diffmatte_cli.training.synthesis.outlines import draw_outline
from diffmatte_cli.training.synthesis.pelts import PELTS, lay_pelt
from diffmatte_cli.training.synthesis.pictures import place_cutout
from diffmatte_cli.training.synthesis.scenery import draw_scenery
from diffmatte_cli.training.synthesis.shapes import glass
from diffmatte_cli.training.synthesis.subjects import PROCEDURAL
from diffmatte_cli.training.synthesis.trimaps import make_trimap

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Assets:
    """Three photographs of noise; a picture with alpha, one in 16 bits, and one of density."""
    folder = tmp_path_factory.mktemp("assets")
    rng = np.random.default_rng(0)
    (folder / "photos").mkdir()
    (folder / "mattes").mkdir()
    for name in "abc":
        pixels = np.stack([smooth_noise(rng, 200, 9) for _ in range(3)], axis=2)
        Image.fromarray((255 * pixels).astype(np.uint8)).save(folder / "photos" / f"{name}.png")
    disc = cv2.GaussianBlur(cv2.circle(np.zeros((120, 120), np.uint8), (60, 60), 40, 255, -1), (0, 0), 3)
    green = np.full((120, 120, 3), (20, 200, 30), np.uint8)
    Image.fromarray(np.dstack([green, disc])).save(folder / "mattes" / "disc.png")
    cv2.imwrite(str(folder / "mattes" / "deep.png"), np.dstack([green[..., ::-1], disc]).astype(np.uint16) * 257)
    Image.fromarray(disc).save(folder / "mattes" / "glow.png")
    return Assets(find_pictures(folder / "photos"), find_pictures(folder / "mattes"))


@pytest.fixture(scope="module")
def samples(assets: Assets) -> Stack:
    """48 samples of 64 pixels."""
    return stack([compose(assets, 3, index, 64) for index in range(48)])


@pytest.mark.parametrize("make", [make for make, _ in PROCEDURAL], ids=lambda make: make.__name__)
def test_every_matte_has_partial_and_exact_alpha(make: object) -> None:
    drawn = [make(np.random.default_rng(seed), 96) for seed in range(6)]  # type: ignore[operator]
    for matte in (matte for layers in drawn for matte in layers):
        for part in (matte.alpha, matte.shade, matte.tone):
            assert part.shape == (96, 96)
            assert part.dtype == np.float32
            assert np.isfinite(part).all()
        assert matte.alpha.min() >= 0
        assert matte.alpha.max() <= 1 + 1e-6
        assert matte.shade.min() >= -1e-6
    alphas = np.stack([layers[0].alpha for layers in drawn])
    assert ((alphas > 0.02) & (alphas < 0.98)).mean() > 0.004
    assert ((alphas == 0) | (alphas == 1)).mean() > 0.1


@pytest.mark.parametrize("kind", PELTS)
def test_pelts_are_opaque_inside_and_empty_outside(kind: str) -> None:
    rng = np.random.default_rng(4)
    outline = draw_outline(rng, 128)
    alpha = lay_pelt(rng, outline, kind).alpha
    longest = PELTS[kind].length[1]
    inside, outside = outline.height < -1.4 * longest - 12, outline.height > 2 * 1.4 * longest + 12
    assert (alpha[inside] == 1).all()
    assert (alpha[outside] == 0).all()
    assert (inside | outside).mean() > 0.1 or longest > 50


def test_samples_depend_on_seed_and_index_alone(assets: Assets) -> None:
    first = [compose(assets, 1, index, 64) for index in range(6)]
    again = [compose(assets, 1, index, 64) for index in reversed(range(6))][::-1]
    for ours, theirs in zip(first, again, strict=True):
        for name in vars(ours):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    assert (first[0].front != first[1].front).any()
    assert (first[0].front != compose(assets, 2, 0, 64).front).any()


def test_samples_hold_what_they_promise(samples: Stack) -> None:
    image, trimap, alpha = finish(samples)
    assert image.shape == (48, 3, 64, 64)
    assert trimap.shape == alpha.shape == (48, 1, 64, 64)
    assert image.dtype == trimap.dtype == alpha.dtype == torch.float32
    for part in (image, alpha):
        assert part.min() >= 0
        assert part.max() <= 1
    assert torch.equal(image, (image * 255).round() / 255)
    assert set(trimap.unique().tolist()) == {0.0, 0.5, 1.0}
    assert (alpha[trimap == 1] > 0.95).all()
    assert (alpha[trimap == 0] < 0.05).all()
    assert (trimap == 0.5).flatten(1).any(dim=1).sum() >= 46
    assert image.std(dim=(1, 2, 3)).median() > 0.05


def test_layers_are_blended_exactly_where_no_camera_is(samples: Stack) -> None:
    row = torch.from_numpy(pack(AS_IS, AS_IS, NO_CAMERA))
    image, _, alpha = finish(replace(samples, settings=row.expand(48, -1)))
    front, back = (x.permute(0, 3, 1, 2).double() / 255 for x in (samples.front, samples.back))
    exact = alpha.double() * front + (1 - alpha.double()) * back
    assert (image - exact).abs().max() < 0.501 / 255
    linear = torch.from_numpy(pack(AS_IS, AS_IS, replace(NO_CAMERA, linear=1.0)))
    image, _, _ = finish(replace(samples, settings=linear.expand(48, -1)))
    assert (image - (alpha * front**2 + (1 - alpha) * back**2).sqrt()).abs().max() < 0.51 / 255


@pytest.mark.parametrize(
    ("front", "camera", "lowest", "highest"),
    [
        (replace(AS_IS, brightness=0.1), NO_CAMERA, 0.09, 0.11),
        (AS_IS, replace(NO_CAMERA, read_noise=0.05), 0.035, 0.045),
        (AS_IS, replace(NO_CAMERA, shot_noise=0.05), 0.02, 0.035),
        (AS_IS, replace(NO_CAMERA, read_noise=0.05, noise_width=1.0), 0.035, 0.045),
        (AS_IS, replace(NO_CAMERA, gamma=2.0), 0.24, 0.26),
        (AS_IS, replace(NO_CAMERA, sharpness=1.0), 0.0, 0.0),
        (AS_IS, replace(NO_CAMERA, spill=0.5), 0.0, 0.0),
    ],
)
def test_each_setting_does_its_part(front: Tint, camera: Camera, lowest: float, highest: float) -> None:
    """On an even grey foreground: the mean change."""
    grey = torch.full((1, 64, 64, 3), 128, dtype=torch.uint8)
    grain = (torch.randn(1, 64, 64, 3, generator=torch.Generator().manual_seed(0)) * 32).to(torch.int8)
    opaque = torch.full((1, 64, 64), 255, dtype=torch.uint8)
    settings = torch.from_numpy(pack(front, AS_IS, camera))[None]
    image, _, _ = finish(Stack(grey, 255 - grey, opaque, opaque, grain, settings))
    change = (image - 128 / 255).abs().mean().item()
    assert lowest <= change <= highest + 1e-6


def test_spill_colours_the_edge_and_not_the_inside() -> None:
    grey, red = torch.full((1, 64, 64, 3), 128, dtype=torch.uint8), torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    red[..., 0] = 255
    alpha = torch.zeros(1, 64, 64, dtype=torch.uint8)
    alpha[..., :36] = 255
    settings = torch.from_numpy(pack(AS_IS, AS_IS, replace(NO_CAMERA, spill=0.5)))[None]
    image, _, _ = finish(Stack(grey, red, alpha, alpha, torch.zeros(1, 64, 64, 3, dtype=torch.int8), settings))
    assert image[0, 0, 32, 34] > 0.55
    assert image[0, 0, 32, 10] == pytest.approx(128 / 255, abs=1e-3)


@pytest.mark.parametrize("quality", [30, 75, 95])
@pytest.mark.parametrize("subsampled", [0, 1])
def test_jpeg_loses_what_jpeg_loses(quality: int, subsampled: int) -> None:
    rng = np.random.default_rng(1)
    picture = np.stack([smooth_noise(rng, 96, cell) for cell in (4, 9, 20)], axis=2)
    pixels = np.round(255 * picture).astype(np.uint8)
    factors = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420 if subsampled else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factors]
    _, packed = cv2.imencode(".jpg", pixels[..., ::-1], options)
    theirs = cv2.imdecode(packed, cv2.IMREAD_COLOR)[..., ::-1].astype(float)
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    settings = (torch.full((1, 1, 1, 1), float(value)) for value in (quality, subsampled))
    ours = compress(planes, *settings)[0].permute(1, 2, 0).numpy() * 255
    loss = np.abs(theirs - pixels).mean()
    assert np.abs(ours - theirs).mean() < max((0.2 if subsampled else 0.1) * loss, 0.35)
    assert np.abs(ours - pixels).mean() == pytest.approx(loss, rel=0.05)


def test_trimaps_vary_and_tell_the_truth() -> None:
    alpha = cv2.GaussianBlur(np.tile(np.repeat([0.0, 1.0], 50).astype(np.float32), (100, 1)), (0, 0), 2)
    trimaps = [make_trimap(np.random.default_rng(seed), alpha) for seed in range(60)]
    for trimap in trimaps:
        assert alpha[trimap == 255].min(initial=1) >= 249 / 255
        assert alpha[trimap == 0].max(initial=0) <= 6 / 255
    shares = [(trimap == 128).mean() for trimap in trimaps]
    assert max(shares) > 3 * min(shares)
    usual = 2 * (25 // 2) / 100 + ((alpha[0] < 249.5 / 255) & (alpha[0] > 5.5 / 255)).mean()
    assert sum(share == pytest.approx(usual) for share in shares) > 12


def test_trimaps_are_as_wide_as_rough_masks_make_them() -> None:
    """Around a straight edge: 25 pixels as test sets have them, at times up to 120, at times by hand."""
    alpha = np.tile(np.repeat(np.float32([0, 1]), 200), (400, 1))
    trimaps = [make_trimap(np.random.default_rng(seed), alpha) == 128 for seed in range(200)]
    straight = [unknown for unknown in trimaps if (unknown == unknown[200]).all()]
    widths = np.array([unknown[200].sum() for unknown in straight])
    assert 0.1 < 1 - len(straight) / 200 < 0.25
    assert 0.25 < (widths == 24).mean() < 0.6
    assert 0.1 < (widths > 30).mean() < 0.3
    assert 90 < widths.max() <= 120


def test_prints_have_two_colours_and_hard_edges() -> None:
    base = np.full((128, 128, 3), 0.5, np.float32)
    prints = [surfaces._printed(np.random.default_rng(seed), base) for seed in range(30)]
    for printed in prints:
        assert printed.dtype == np.float32
        assert 0 <= printed.min() <= printed.max() <= 1
    # How far each pixel is on the way from the base to the print.
    ways = [np.abs(printed - base).max(axis=2) for printed in prints]
    ways = [way / way.max() for way in ways if way.max() > 0]
    assert len(ways) > 25
    assert np.mean([(way < 0.01).mean() + (way > 0.99).mean() for way in ways]) > 0.7


def test_cutouts_keep_colour_and_density(assets: Assets) -> None:
    for path in assets.mattes:
        colours, alpha = place_cutout(np.random.default_rng(2), path, 96)
        assert colours.shape == (96, 96, 3)
        assert alpha.max() > 0.9
        assert alpha.min() == 0
        wanted = (1, 1, 1) if path.stem == "glow" else (20 / 255, 200 / 255, 30 / 255)
        np.testing.assert_allclose(np.median(colours[alpha > 0.5], axis=0), wanted, atol=0.02)


@pytest.mark.parametrize("seed", [8, 11, 13, 18])
def test_glass_is_finite_far_from_its_edge(seed: int) -> None:
    for matte in glass(np.random.default_rng(seed), 512):
        assert np.isfinite(matte.alpha).all()
        assert np.isfinite(matte.shade).all()


def test_settings_are_drawn_in_range() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        row = pack(draw_tint(rng), draw_tint(rng), draw_camera(rng))
        assert row.dtype == np.float32
        assert np.isfinite(row).all()
        assert row[-2] == 0 or 1 <= row[-2] <= 100


def _config(steps: int, priors: bool = False, accumulate: int = 1, **data: Any) -> TrainConfig:
    return TrainConfig(
        model=replace(VARIANTS["tiny"], priors=priors),
        data=DataConfig(**{"crop": 64, "batch": 2, "workers": 0, **data}),
        optimiser=OptimiserConfig(epochs=steps, epoch_steps=1),
        run=RunConfig(seed=1, accumulate=accumulate),
    )


def _made(config: TrainConfig, assets: Assets, first: int = 0, share: Share | None = None) -> list[Batch]:
    return list(batches(config, partial(compose, assets), first, CPU, share))


def _joined(parts: list[Batch]) -> list[torch.Tensor]:
    return [torch.cat(planes) for planes in zip(*(part[:3] for part in parts), strict=True)]


def test_batches_are_alike_after_a_break_and_with_any_number_of_workers(assets: Assets) -> None:
    """Over the change to larger crops in the middle of the run."""
    stages = {"late_start": 3, "late_crop": 96, "late_batch": 1}
    whole = _made(_config(6, True, **stages), assets)
    assert [tuple(image.shape) for image, *_ in whole] == [(2, 3, 64, 64)] * 3 + [(1, 3, 96, 96)] * 3
    for first, workers in ((2, 2), (4, 0)):
        rest = _made(_config(6, True, workers=workers, **stages), assets, first)
        assert len(rest) == 6 - first
        for ours, theirs in zip(rest, whole[first:], strict=True):
            assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert whole[0].priors.shape == (2, 7, 64, 64)


def test_processes_and_parts_share_each_steps_samples(assets: Assets) -> None:
    """However a step is divided, its samples are those of one process, each once."""
    whole = _made(_config(2, batch=8), assets)
    divided = _config(2, accumulate=2, batch=8)
    shares = [_made(divided, assets, share=Share(rank, 2, 2)) for rank in (0, 1)]
    for step, expected in enumerate(whole):
        parts = [shares[rank][2 * step + part] for part in (0, 1) for rank in (0, 1)]
        assert all(torch.equal(a, b) for a, b in zip(_joined(parts), expected[:3], strict=True))


def test_no_sample_comes_twice() -> None:
    """Over the change of the batch's size, too."""
    config, seen = _config(7, late_start=3.5, late_batch=3, batch=2), []
    for step in range(7):
        stage = config.stage(step)
        seen += Share().indices(stage.first_sample, stage.batch, 0)
    assert seen == list(range(4 * 2 + 3 * 3))


def test_stages_do_not_disturb_each_other(assets: Assets) -> None:
    plain, staged = (_made(config, assets) for config in (_config(2), _config(2, late_start=1, late_crop=96)))
    assert torch.equal(plain[0].image, staged[0].image)


def test_workers_leave_unfinished_batches_to_another_device(assets: Assets) -> None:
    """The meta device computes shapes alone: nothing of the finishing may be bound to the CPU."""
    source = batches(_config(1), partial(compose, assets), 0, torch.device("meta"))
    image, trimap, alpha, priors = next(source)
    assert priors is None
    assert image.is_meta
    assert image.shape == (2, 3, 64, 64)
    assert trimap.shape == alpha.shape == (2, 1, 64, 64)


def test_scenery_is_drawn_where_there_are_no_photographs() -> None:
    pictures = [draw_scenery(np.random.default_rng(seed), 96) for seed in range(12)]
    for picture in pictures:
        assert picture.shape == (96, 96, 3)
        assert picture.dtype == np.float32
        assert 0 <= picture.min() <= picture.max() <= 1
    assert np.std([picture.mean() for picture in pictures]) > 0.05
    sample = compose(Assets((), ()), 0, 0, 64)
    assert (sample.trimap == 128).any()
    assert sample.back.std() > 1


@pytest.fixture
def rendered(tmp_path: Path, assets: Assets) -> DataConfig:
    """Photographs, and 25 rendered discs in shades of their own."""
    disc = cv2.GaussianBlur(cv2.circle(np.zeros((200, 160), np.uint8), (80, 100), 60, 255, -1), (0, 0), 3)
    for number in range(25):
        green = np.full((200, 160, 3), (20, 100 + 4 * number, 30), np.uint8)
        Image.fromarray(np.dstack([green, disc])).save(tmp_path / f"subject{number:02}.png")
    return DataConfig(
        backgrounds=str(assets.backgrounds[0].parent),
        rendered=str(tmp_path),
        rendered_share=1,
        validation="rendered",
        validation_limit=4,
    )


def test_validation_pictures_are_read_as_evaluate_reads_them_and_that_is_told(tmp_path: Path) -> None:
    trimap = np.zeros((30, 40), np.uint8)
    trimap[10:], trimap[20:] = 128, 255
    for name, drawn in (("a", trimap), ("b", trimap // 127), ("c", trimap * 0)):
        for part, pixels in (("image", np.dstack([trimap] * 3)), ("trimap", drawn), ("alpha", trimap)):
            (tmp_path / part).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / part / f"{name}.png")
    config = DataConfig(validation=str(tmp_path))
    assert [name for name, *_ in read_validation(config)] == ["a", "b"]
    np.testing.assert_array_equal(read_validation(config)[1][2], trimap)
    assert check_materials(config, tmp_path / "checked.json", progress=False) == [
        f"{tmp_path}/trimap/b.png holds the levels 0, 1 and 2 of 255 alone, taken as black, grey and white",
        f"{tmp_path}/trimap/c.png has no unknown region, and its picture is left out of validation",
    ]
    for name in "ab":
        Image.fromarray(trimap * 0).save(tmp_path / "trimap" / f"{name}.png")
    with pytest.raises(TrainingError, match="has an unknown region: make them of masks by `diffmatte trimap`"):
        read_validation(config)


@pytest.mark.parametrize("kind", ["drawn", "rendered"])
def test_validation_pictures_that_are_made_are_the_same_every_time(kind: str, rendered: DataConfig) -> None:
    first, again = (read_validation(replace(rendered, validation=kind, validation_limit=2)) for _ in range(2))
    assert len(first) == 2
    for (name, *ours), (_, *theirs) in zip(first, again, strict=True):
        assert all((a == b).all() for a, b in zip(ours, theirs, strict=True))
        image, trimap, alpha = ours
        assert image.shape == (320, 320, 3)
        assert set(np.unique(trimap)) <= {0, 128, 255}
        assert 0 < alpha.mean() < 1, name


def test_one_rendered_picture_in_twelve_is_held_out(rendered: DataConfig) -> None:
    held_out = ["subject00", "subject12", "subject24"]
    assert [name for name, *_ in read_validation(rendered)] == held_out
    assert [name for name, *_ in read_validation(replace(rendered, validation_limit=2))] == held_out[:2]
    shown = [path.stem for path in read_materials(rendered).rendered]
    assert shown == [f"subject{number:02}" for number in range(25) if number % 12]
    # With another validation all are shown.
    for validation in ("", "drawn"):
        assert len(read_materials(replace(rendered, validation=validation)).rendered) == 25


@pytest.mark.parametrize("spoilt", ["held out", "shown"])
def test_samples_and_validation_never_open_each_others_subjects(spoilt: str, rendered: DataConfig) -> None:
    """What cannot be read is told when it is opened."""
    for path in Path(rendered.rendered).iterdir():
        if (path.stem in ("subject00", "subject12", "subject24")) == (spoilt == "held out"):
            path.write_text("no picture")
    source = composer(rendered)
    if spoilt == "shown":
        assert len(read_validation(rendered)) == 3
        with pytest.raises(TrainingError, match="cannot be read"):
            source(1, 0, 64)
    else:
        for index in range(60):
            assert (source(1, index, 64).trimap == 128).any()
        with pytest.raises(TrainingError, match=r"subject00\.png cannot be read"):
            read_validation(rendered)


@pytest.mark.parametrize("name", ["subject12", "subject13"])
def test_rendered_pictures_are_looked_through_held_out_or_not(name: str, rendered: DataConfig, tmp_path: Path) -> None:
    check_materials(rendered, tmp_path / "checked.json", progress=False)
    Image.new("RGBA", (40, 40), (1, 2, 3, 255)).save(tmp_path / f"{name}.png")
    with pytest.raises(TrainingError, match=rf"{name}\.png is opaque everywhere"):
        check_materials(rendered, tmp_path / "checked.json", progress=False)


@pytest.mark.parametrize("size", [80, 300])
def test_rendered_subjects_are_shown_up_to_their_own_size(size: int, tmp_path: Path) -> None:
    """From half of it, or from where all of the picture is as large as the crop, to a tenth more."""
    path, own = tmp_path / "disc.png", np.zeros((200, 160), np.uint8)
    own = cv2.GaussianBlur(cv2.circle(own, (80, 100), 20, 255, -1), (0, 0), 3)
    Image.fromarray(np.dstack([np.full((200, 160, 3), 90, np.uint8), own])).save(path)
    scales = []
    for seed in range(150):
        _, alpha = place_cutout(np.random.default_rng(seed), path, size, own_size=True)
        if not alpha[[0, -1]].any() and not alpha[:, [0, -1]].any():  # none of it is cut off
            scales.append((alpha.sum() / (own / 255).sum()) ** 0.5)
    assert len(scales) > 40
    assert min(scales) == pytest.approx(min(0.5, size / 200), rel=0.1)
    assert max(scales) == pytest.approx(1.1, rel=0.1)
    # Others go by the size of the crop alone.
    _, alpha = place_cutout(np.random.default_rng(0), path, 800)
    assert (alpha.sum() / (own / 255).sum()) ** 0.5 > 0.69 * 800 / 200


def test_a_share_of_foregrounds_is_rendered(
    rendered: DataConfig, assets: Assets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the rest ``procedural_share`` is drawn."""
    placed: list[tuple[Path, bool]] = []

    def place(rng: np.random.Generator, path: Path, size: int, own_size: bool) -> tuple[np.ndarray, np.ndarray]:
        placed.append((path, own_size))
        return place_cutout(rng, path, size, own_size)

    monkeypatch.setattr(composition, "place_cutout", place)
    texture, shown = np.full((64, 64, 3), 0.5, np.float32), read_materials(rendered).rendered
    materials = replace(assets, procedural_share=0.25, rendered=shown, rendered_share=0.4)
    for seed in range(200):
        draw_foreground(np.random.default_rng(seed), materials, texture, 64)
    subjects = [path for path, own_size in placed if own_size]
    mattes = [path for path, own_size in placed if not own_size]
    assert len(subjects) / 200 == pytest.approx(0.4, abs=0.1)
    assert len(mattes) / 200 == pytest.approx(0.6 * 0.75, abs=0.1)
    assert set(subjects) == set(shown)
    assert set(mattes) == set(assets.mattes)
    for share, count in ((1, 20), (0, 0)):
        placed.clear()
        for seed in range(20):
            draw_foreground(np.random.default_rng(seed), replace(materials, rendered_share=share), texture, 64)
        assert sum(own_size for _, own_size in placed) == count


def test_the_margin_holds_the_usual_trimaps_kernel() -> None:
    assert 2 * MARGIN >= 25
