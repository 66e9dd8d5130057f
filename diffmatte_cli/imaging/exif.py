"""EXIF of a photograph: its orientation, and the tags that a result may carry."""

from collections.abc import Callable
from contextlib import suppress

from PIL import Image
from PIL.ExifTags import IFD, Base

__all__ = ["DIRECTORIES", "described", "stored_orientation"]

# Tags of the image and its exposure; the rest describes how the old file stored its pixels, or holds its thumbnail.
DESCRIPTIVE = (
    *(Base.ImageDescription, Base.Make, Base.Model, Base.Software, Base.DateTime, Base.Artist),
    *(Base.HostComputer, Base.Rating, Base.Copyright),
)
DIRECTORIES = (IFD.Exif, IFD.GPSInfo)
# Of the old file: width, height and an offset.
SIZES = (Base.ExifImageWidth, Base.ExifImageHeight, Base.ExifInteroperabilityOffset)

Get = Callable[[], Image.Exif]


def stored_orientation(get: Get) -> int:
    """Return the orientation, 1 to 8, in the EXIF that ``get`` reads; 1 where there is none."""
    with suppress(Exception):  # damaged EXIF is no reason to refuse the pixels
        if (value := get().get(Base.Orientation, 1)) in range(1, 9):
            return int(value)
    return 1


def described(get: Get) -> bytes | None:
    """Return the EXIF that a result of upright pixels may carry; None for missing or damaged EXIF."""
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
