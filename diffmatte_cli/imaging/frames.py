"""Which page or frame of a file that Pillow reads is its picture."""

from contextlib import suppress

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from .tiff import page_of, place_of

__all__ = ["pages_told", "seek_picture"]

# What a camera adds to its picture, as previews and depth: not one of several.
_ADDED = ("MPO",)


def seek_picture(image: Image.Image, content: bytes, layer: str | None) -> str | None:
    """Seek the image of a file that is its picture, or number ``layer``; return what to tell of the choice.

    Of a TIFF it is the first page that is neither reduced nor a mask, of HEIF the primary image, and else the first.

    Raises:
        NoLayerError: there is no such page or frame.
    """
    if isinstance(image, TiffImageFile):
        page, count = page_of(content, layer)
        image.seek(page.place)
        return pages_told(page.place, count) if layer is None else None
    if layer is not None:
        image.seek(place_of(layer, getattr(image, "n_frames", 1), "frame"))
        return None
    with suppress(Exception):  # what follows is damaged: the picture may be whole
        if image.format not in _ADDED and getattr(image, "is_animated", False):
            return f"it has several frames, of which number {image.tell() + 1} is taken: name another as its layer"
    return None


def pages_told(place: int, count: int) -> str | None:
    """Return what to tell of the page taken, at ``place`` from 0, where a TIFF has ``count`` pictures."""
    return (
        f"it has {count} pages, of which number {place + 1} is taken: name another as its layer" if count > 1 else None
    )
