"""Interpret the name of a new background, before any work."""

from PIL import ImageColor

from ..errors import UsageError
from ..imaging.formats import names_picture
from ..storage.paths import Place
from .options import BACKGROUNDS
from .sources import unusable

__all__ = ["background_file", "colour_of"]


def background_file(text: str, here: Place) -> Place | None:
    """Return the image file that a background names, a place of ``here``; None for a colour or a keyword.

    Raises UsageError for anything else; what has a slash or an image's suffix is a file.
    """
    if text in BACKGROUNDS:
        return None
    place = here.named(text).found
    if place.kind == "file":
        return place
    try:
        colour_of(text)
    except UsageError as error:
        is_path = place.kind is not None or "/" in text or names_picture(place.path)
        if is_path and (problem := unusable(place, "background")):
            raise UsageError(problem, "background") from error
        raise
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
