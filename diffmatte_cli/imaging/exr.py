"""The header of an OpenEXR file, looked through before the library reads it."""

__all__ = ["EXR", "DamagedError", "check_header"]

EXR = b"\x76\x2f\x31\x01"
_SEVERAL = 1 << 12  # the bit of the version that says that there are several parts
_LONGEST_NAME = 256
# Far more than any renderer writes; the library's time grows with the square of the channels.
MOST_PARTS, MOST_ATTRIBUTES, MOST_LISTED = 1000, 10_000, 2**16  # the last one in bytes, a channel has 18 and its name
_DONE = b"\0"


class DamagedError(Exception):
    """Content that OpenImageIO cannot read; the text says why."""


def check_header(content: bytes) -> None:
    """Raise DamagedError for more parts, channels or attributes than any picture has; the rest is the library's."""
    several = int.from_bytes(content[4:8], "little") & _SEVERAL
    place, parts, attributes = 8, 0, 0
    while content[place : place + 1] not in (_DONE, b""):
        while content[place : place + 1] not in (_DONE, b""):
            _, place = _text(content, place)
            kind, place = _text(content, place)
            size = int.from_bytes(content[place : place + 4], "little")
            place, attributes = place + 4 + size, attributes + 1
            if (kind == b"chlist" and size > MOST_LISTED) or attributes > MOST_ATTRIBUTES:
                raise DamagedError("its header lists more channels or attributes than any picture has")
        place, parts = place + 1, parts + 1
        if parts > MOST_PARTS:
            raise DamagedError(f"it has more than {MOST_PARTS} parts")
        if not several:
            return


def _text(content: bytes, place: int) -> tuple[bytes, int]:
    """Return a text that ends in a zero byte, and the place behind it; at the content's end if it does not end."""
    end = content.find(_DONE, place, place + _LONGEST_NAME)
    return (content[place:end], end + 1) if end >= 0 else (b"", len(content))
