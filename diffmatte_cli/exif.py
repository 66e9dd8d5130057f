"""EXIF of a photograph: its orientation, and what of it a result may carry."""

from collections.abc import Callable
from contextlib import suppress

from PIL import Image

__all__ = ["DIRECTORIES", "described", "stored_orientation"]

ORIENTATION = 0x0112
# What describes the picture and its taking; the rest tells how the old file stored its pixels, or holds its thumbnail.
DESCRIPTIVE = (
    0x010E,  # ImageDescription
    0x010F,  # Make
    0x0110,  # Model
    0x0131,  # Software
    0x0132,  # DateTime
    0x013B,  # Artist
    0x013C,  # HostComputer
    0x4746,  # Rating
    0x8298,  # Copyright
)
DIRECTORIES = (0x8769, 0x8825)  # of the exposure and of the place
SIZES = (0xA002, 0xA003, 0xA005)  # width and height of the old file, and an offset into it

Get = Callable[[], Image.Exif]


def stored_orientation(get: Get) -> int:
    """Return the orientation, 1 to 8, of a picture whose EXIF ``get`` reads; 1 where it says none."""
    try:
        value = get().get(ORIENTATION, 1)
    except Exception:  # damaged EXIF is no reason to refuse the pixels
        return 1
    return value if value in range(1, 9) else 1


def described(get: Get) -> bytes | None:
    """Return the EXIF that a result of upright pixels may carry; None where there is none, or it is damaged."""
    with suppress(Exception):
        old, new = get(), Image.Exif()
        for tag in DESCRIPTIVE:
            if tag in old:
                new[tag] = old[tag]
        for directory in DIRECTORIES:
            values = {tag: value for tag, value in old.get_ifd(directory).items() if tag not in SIZES}
            if values:
                new.get_ifd(directory).update(values)
                new[directory] = new.get_ifd(directory)
        if len(new):
            new[ORIENTATION] = 1
            return new.tobytes()
    return None
