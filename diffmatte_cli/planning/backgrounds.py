"""Interpret the name of a new background, before any work."""

from PIL import ImageColor

from ..errors import UsageError
from ..storage.paths import Place
from .options import BACKGROUNDS

__all__ = ["background_file", "colour_of"]


def background_file(text: str, here: Place) -> Place | None:
    """Return the image file that a background names, a place of ``here``; None for a colour or a keyword.

    Raises UsageError for anything else.
    """
    if text in BACKGROUNDS:
        return None
    place = here.named(text)
    if place.kind == "file":
        return place
    colour_of(text)
    return None


def colour_of(text: str) -> tuple[int, ...]:
    """Return a colour's red, green and blue, 0 to 255; raises UsageError."""
    try:
        colour = ImageColor.getrgb(text)
    except ValueError as error:
        kinds = "a colour (like white or #ff8800), checker, blur or an image file"
        raise UsageError(f"the background {text} must be {kinds}", "background") from error
    if len(colour) > 3 or max(colour) > 255:
        raise UsageError(f"the background {text} must be an opaque colour with components from 0 to 255", "background")
    return colour
