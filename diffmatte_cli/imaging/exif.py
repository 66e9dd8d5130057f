"""EXIF of a photograph: its orientation, and what of it a result may carry."""

from collections.abc import Callable
from contextlib import suppress

from PIL import Image
from PIL.ExifTags import IFD, Base

__all__ = ["DIRECTORIES", "described", "stored_orientation"]

# What describes the picture and its taking; the rest tells how the old file stored its pixels, or holds its thumbnail.
DESCRIPTIVE = (
    *(Base.ImageDescription, Base.Make, Base.Model, Base.Software, Base.DateTime, Base.Artist),
    *(Base.HostComputer, Base.Rating, Base.Copyright),
)
DIRECTORIES = (IFD.Exif, IFD.GPSInfo)
# Width and height of the old file, and an offset into it.
SIZES = (Base.ExifImageWidth, Base.ExifImageHeight, Base.ExifInteroperabilityOffset)

Get = Callable[[], Image.Exif]


def stored_orientation(get: Get) -> int:
    """Return the orientation, 1 to 8, of a picture whose EXIF ``get`` reads; 1 where it says none."""
    with suppress(Exception):  # damaged EXIF is no reason to refuse the pixels
        if (value := get().get(Base.Orientation, 1)) in range(1, 9):
            return int(value)
    return 1


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
            new[Base.Orientation] = 1
            return new.tobytes()
    return None
