"""Data and a configuration for training, both small."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two backgrounds, one matte with alpha and one without, and one validation picture."""
    # Here, since what needs no data is tested without the [train] extra, too.
    from diffmatte_cli.training.synthesis.composition import compose
    from diffmatte_cli.training.synthesis.files import Assets, find_pictures
    from diffmatte_cli.training.synthesis.noise import smooth_noise
    from diffmatte_cli.training.synthesis.subjects import PROCEDURAL

    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for part in ("backgrounds", "mattes", "real/image", "real/trimap", "real/alpha"):
        (folder / part).mkdir(parents=True)
    for name in "ab":
        pixels = (255 * np.stack([smooth_noise(rng, 160, 9) for _ in range(3)], axis=2)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "backgrounds" / f"{name}.jpg")
    shape = (255 * PROCEDURAL[0][0](rng, 120)[0].alpha).astype(np.uint8)
    Image.fromarray(np.dstack([np.full((120, 120, 3), 90, np.uint8), shape])).save(folder / "mattes/fur.png")
    Image.fromarray(shape).save(folder / "mattes/density.png")
    sample = compose(Assets(find_pictures(folder / "backgrounds"), ()), 0, 0, 64)
    for part, pixels in (
        ("image", sample.front),
        ("trimap", sample.trimap),
        ("alpha", sample.alpha),
    ):
        Image.fromarray(pixels).save(folder / "real" / part / "one.png")
    return folder


@pytest.fixture
def config_file(data: Path, tmp_path: Path) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(
        f"""
        [model]
        variant = "tiny"
        decoder_width = 4
        [data]
        backgrounds = "{data.as_posix()}/backgrounds"
        mattes = "{data.as_posix()}/mattes"
        validation = "{data.as_posix()}/real"
        crop = 64
        batch = 2
        workers = 0
        [optimiser]
        epochs = 6
        epoch_steps = 1
        warmup = 2
        [self_align]
        alignment = "uti"
        start = 3
        [run]
        log_every = 1
        validate_every = 3
        validation_steps = [1, 2]
        [notes]
        licence = "MIT"
        """
    )
    return path
