"""What a new background's name means, checked before any work."""

from PIL import ImageColor

from ..errors import UsageError
from ..storage.paths import Place
from .options import BACKGROUNDS

__all__ = ["background_file", "colour_of"]


def background_file(text: str, here: Place) -> Place | None:
    """Return the picture that a background is, sharing answers with ``here``; None for a colour or a name.

    Raises UsageError for what is none of these.
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
        kinds = "a colour (like white or #ff8800), checker, blur or a picture's file"
        raise UsageError(f"the background {text} must be {kinds}", "background") from error
    if len(colour) > 3 or max(colour) > 255:
        raise UsageError(f"the background {text} must be an opaque colour, of parts from 0 to 255", "background")
    return colour
