"""Damaged and hostile pictures: always one clean error, never a hang, a crash or a partial file."""

import io
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from support import fakes

from diffmatte_cli.errors import ImageError
from diffmatte_cli.imaging.formats import READABLE
from diffmatte_cli.imaging.grey import decode_grey, decode_opacity
from diffmatte_cli.imaging.read import decode_image

NAME = Path("x.png")


def _encoded(form: str, pixels: np.ndarray) -> bytes:
    extra = {
        "MPO": {"append_images": [Image.fromarray(pixels[::-1])], "save_all": True},
        "TIFF": {"compression": "lzw"},
    }
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **extra.get(form, {}))
    return buffer.getvalue()


COLOURS = np.random.default_rng(0).integers(0, 256, (19, 23, 3)).astype(np.uint8)
SEEDS = {form: _encoded(form, COLOURS) for form in READABLE if form not in ("HEIF", "EXR")}
SEEDS["16-bit PNG"] = _encoded("PNG", np.arange(400, dtype=np.uint16).reshape(20, 20) * 150)
EXTREMES = [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\0\xff\xff", b"\xff\xff\0\0"]


def _check_decoding(content: bytes) -> None:
    """Decode in every way; what is refused has to be refused in one sentence."""
    for decode in (decode_image, decode_grey, decode_opacity):
        with suppress(ImageError):
            decode(content, NAME)
            continue
        with pytest.raises(ImageError, match=r"^cannot read x\.png: .{3,400}$"):
            decode(content, NAME)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Take a sound file and cut, flip, overwrite, repeat or splice parts of it."""
    content = bytearray(draw(st.sampled_from(list(SEEDS.values()))))
    for _ in range(draw(st.integers(1, 6))):
        where = draw(st.integers(0, max(0, len(content) - 1)))
        match draw(st.sampled_from(["cut", "flip", "overwrite", "repeat", "drop", "splice"])):
            case "cut":
                content = content[:where]
            case "flip" if content:
                content[where] ^= 1 << draw(st.integers(0, 7))
            case "overwrite":
                content[where : where + 4] = draw(st.sampled_from(EXTREMES))
            case "repeat":
                content[where:where] = content[where : where + 64]
            case "drop":
                del content[where : where + draw(st.integers(1, 64))]
            case "splice":
                content[where:] = draw(st.sampled_from(list(SEEDS.values())))[where:]
    return bytes(content)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(photo=damaged(), trimap=damaged())
def test_the_whole_program_on_damaged_pairs(
    cat_folder: Path, matter: fakes.FakeMatter, photo: bytes, trimap: bytes
) -> None:
    Path("cat.png").write_bytes(photo)
    Path("cat_trimap.png").write_bytes(trimap)
    Path("cat_alpha.png").unlink(missing_ok=True)
    result = fakes.run_matte("--quiet")
    assert result.exit_code in (0, 1)
    if result.exit_code:
        assert result.stderr.splitlines()[-1].startswith("error: ")
        assert "unexpected" not in result.stderr
    assert set(os.listdir()) == {"cat.png", "cat_trimap.png"} | ({"cat_alpha.png"} if result.exit_code == 0 else set())
