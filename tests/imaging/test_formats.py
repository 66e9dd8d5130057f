"""The suffixes by which images are recognised, against the libraries' own tables."""

import io
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffmatte_cli.imaging.folders import images_in
from diffmatte_cli.imaging.formats import READABLE, READABLE_SUFFIXES, WRITTEN_SUFFIXES, names_picture
from diffmatte_cli.imaging.grey import read_grey
from diffmatte_cli.imaging.read import read_image
from diffmatte_cli.storage.paths import Place


def test_every_suffix_of_a_readable_format_is_known() -> None:
    with suppress(ImportError):  # without the extra HEIF is not in the table
        import pillow_heif

        pillow_heif.register_heif_opener()
    named: dict[str, set[str]] = {}
    for suffix, form in Image.registered_extensions().items():
        named.setdefault(form, set()).add(suffix)
    for form, suffixes in READABLE.items():
        if form in named:
            assert named[form] == set(suffixes), form
        else:
            assert form in ("HEIF", "EXR")
    assert set(WRITTEN_SUFFIXES) <= READABLE_SUFFIXES


@pytest.mark.parametrize("suffix", sorted(READABLE_SUFFIXES - set(READABLE["HEIF"]) - set(READABLE["EXR"])))
def test_a_file_of_every_suffix_is_listed_and_read(suffix: str, tmp_path: Path) -> None:
    form = next(form for form, suffixes in READABLE.items() if suffix in suffixes)
    if form not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {form}")
    picture = Image.fromarray(np.full((8, 8), 255, np.uint8))
    content = io.BytesIO()
    picture.convert("F" if suffix == ".pfm" else "1" if suffix == ".pbm" else "L").save(content, form)
    path = tmp_path / f"a{suffix.upper()}"
    path.write_bytes(content.getvalue())
    assert [place.path for place in images_in(Place(tmp_path))] == [path]
    assert read_image(path).pixels.shape == (8, 8, 3)
    assert read_grey(path).levels.min() > 0.98


def test_names_of_images_and_films() -> None:
    assert all(map(names_picture, map(Path, ("a.PNG", "a.jfif", "x/a.jpg", "a.mov", "a.psd", "a.cr2"))))
    assert not any(map(names_picture, map(Path, ("mattes", "v1.2", "a.png.d", "mattes #1", ".png"))))
