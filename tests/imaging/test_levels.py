"""What is taken for white: levels that are full, numbers of classes, integers in a wider type, floats beyond 1."""

import numpy as np
import pytest

from diffmatte_cli.errors import ImageError
from diffmatte_cli.imaging.levels import shares_of

HALF = 128 / 255
TWO, THREE = "alone, taken as black and white", "alone, taken as black, grey and white"

TAKEN = {
    "full": ("uint8", [0, 128, 255], [0, HALF, 1], ""),
    "black": ("uint8", [0, 0], [0, 0], ""),
    "grey without white": ("uint8", [0, 128], [0, HALF], ""),
    "dark": ("uint8", [0, 4], [0, 4 / 255], ""),
    "booleans": ("bool", [0, 1], [0, 1], ""),
    "mask": ("uint8", [0, 1], [0, 1], f"holds the levels 0 and 1 of 255 {TWO}"),
    "mask of a label": ("uint8", [0, 3], [0, 1], f"holds the levels 0 and 3 of 255 {TWO}"),
    "mask without background": ("uint8", [1, 1], [1, 1], "holds the level 1 of 255 alone, taken as white"),
    "trimap": ("uint8", [0, 1, 2], [0, 0.5, 1], f"holds the levels 0, 1 and 2 of 255 {THREE}"),
    "signed trimap": ("int8", [-1, 0, 1], [0, 0.5, 1], f"holds the levels -1, 0 and 1 of 127 {THREE}"),
    "signed mask": ("int16", [-1, 1], [0, 1], f"holds the levels -1 and 1 of 32767 {TWO}"),
    "full 16": ("uint16", [0, 256, 65535], [0, 256 / 65535, 1], ""),
    "8 in 16": ("uint16", [0, 128, 255], [0, HALF, 1], "has levels up to 255 of 65535, and 255 is taken as white"),
    "mask in 16": ("uint16", [0, 1], [0, 1], f"holds the levels 0 and 1 of 65535 {TWO}"),
    "mask widened to 16": ("uint16", [0, 257], [0, 1], f"holds the levels 0 and 1 of 255 {TWO}"),
    "full signed 16": ("int16", [0, 32767], [0, 1], ""),
    "full 32": ("uint32", [0, 2**31, 2**32 - 1], [0, 0.5, 1], ""),
    "full signed 32": ("int32", [0, 2**31 - 1], [0, 1], ""),
    "16 in 32": ("int32", [0, 65535], [0, 1], "has levels up to 65535 of 2147483647, and 65535 is taken as white"),
    "floats": ("float32", [0, 0.5, 1], [0, 0.5, 1], ""),
    "floats a little beyond": ("float32", [-0.2, 0.5, 1.9], [0, 0.5, 1], ""),
    "floats with infinity": ("float32", [0, 0.5, 65504], [0, 0.5, 1], ""),
    "float trimap": ("float32", [0, 1, 2], [0, 0.5, 1], f"holds the levels 0, 1 and 2 {THREE}"),
    "signed float trimap": ("float32", [-1, 0, 1], [0, 0.5, 1], f"holds the levels -1, 0 and 1 {THREE}"),
    "floats of 8 bits": ("float32", [0, 128, 255], [0, HALF, 1], "has levels up to 255, and 255 is taken as white"),
    "mask divided twice": ("float32", [0, 1 / 255], [0, 1], f"holds the levels 0 and 0.0039 {TWO}"),
    "trimap divided twice": ("float32", [0, 1 / 255, 2 / 255], [0, 0.5, 1], f"levels 0, 1 and 2 of 255 {THREE}"),
    "8 of 32 bits divided": ("float32", [0, 128 / (2**32 - 1), 255 / (2**32 - 1)], [0, HALF, 1], "up to 255 of 42949"),
    "soft, nearly black": ("float32", [0, 0.0011, 0.01], [0, 0.0011, 0.01], "is nearly black: its brightest level is"),
    "negative, then black": ("float32", [-0.2, 0], [0, 0], "has no level above black"),
}


@pytest.mark.parametrize("name", TAKEN)
def test_levels_are_shares_of_what_must_be_white(name: str) -> None:
    kind, values, expected, told = TAKEN[name]
    shares, said = shares_of(np.array([values], kind))
    assert shares.dtype == np.float32
    np.testing.assert_allclose(shares, [expected], atol=1e-6)
    assert told in said
    assert bool(told) == bool(said)


REFUSED = {
    "labels": (
        "uint8",
        [0, 1, 3],
        "its levels are 0, 1 and 3 of 255, and which is black, grey or white cannot be told",
    ),
    "labels from 1": ("uint8", [1, 2, 3], "its levels are 1, 2 and 3 of 255"),
    "four": ("uint8", [0, 1, 2, 3], "its levels are 0, 1, 2 and 3 of 255"),
    "negative mask": ("int8", [-1, 0], "its levels are -1 and 0 of 127"),
    "negative": ("int16", [-5, 200], "its levels go from -5 to 200, and black is 0"),
    "floats around 0": ("float32", [-1, 0.3, 1], "its levels go from -1 to 1, and black is 0"),
    "white 1 or 255": ("float32", [0, 0.5, 3.25], "its levels go up to 3.25, so that white may be 1 or 255"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_levels_that_may_mean_anything_are_refused(name: str) -> None:
    kind, values, told = REFUSED[name]
    with pytest.raises(ImageError) as caught:
        shares_of(np.array([values], kind))
    assert str(caught.value).startswith(told)
