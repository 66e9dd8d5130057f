"""What ``--background`` names, checked before any work."""

from PIL import ImageColor

from ..errors import UsageError
from ..storage.paths import location
from .settings import BLUR, CHECKER
from .sources import unusable

__all__ = ["check_background", "colour_of"]


def check_background(text: str) -> None:
    """Raise UsageError for a background that is neither a colour nor a name of one, nor a file."""
    if text not in (BLUR, CHECKER) and unusable(location(text), "background") is not None:
        colour_of(text)


def colour_of(text: str) -> tuple[int, ...]:
    """Return a colour's red, green and blue, 0 to 255; raises UsageError."""
    try:
        colour = ImageColor.getrgb(text)
    except ValueError as error:
        kinds = "a colour (like white or #ff8800), checker, blur or a picture's file"
        raise UsageError(f"--background {text} must be {kinds}") from error
    if len(colour) > 3 or max(colour) > 255:
        raise UsageError(f"--background {text} must be an opaque colour, of parts from 0 to 255")
    return colour
