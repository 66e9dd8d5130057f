"""The chunks of a PNG: which may be passed by, and which say what its colour means."""

import zlib
from collections.abc import Iterator, Mapping

__all__ = ["LARGEST_PROFILE", "PNG", "SRGB", "colour_chunks", "is_usual_colour", "readable", "with_chunks"]

PNG = b"\x89PNG\r\n\x1a\n"
# The colour of a PNG without a profile, by what overrules what: coding-independent code points, sRGB, or the curve
# with the primaries.
CODE_POINTS, SRGB, GAMMA, PRIMARIES = b"cICP", b"sRGB", b"gAMA", b"cHRM"
# Values of sRGB, or of what differs from it by less than a level: its code points, and gamma times 100,000.
_USUAL_POINTS, _USUAL_GAMMA = bytes([1, 13, 0, 1]), range(45000, 46000)
_REC709 = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
_SIZES = {CODE_POINTS: 4, SRGB: 1, GAMMA: 4, PRIMARIES: 32, b"pHYs": 9}
_PIXELS = (b"PLTE", b"IDAT")  # beside IHDR, which Pillow checks
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
LONGEST_TEXT, LARGEST_PROFILE = 2**20, 2**24  # bytes; a display's measured profile has several million
_ALL_TEXT = 2**24


def chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield each chunk of a PNG: its name and its bytes; the last one may be cut short."""
    start = len(PNG)
    while start < len(png):
        end = start + 12 + int.from_bytes(png[start : start + 4])
        yield png[start + 4 : start + 8], png[start:end]
        start = end


def readable(png: bytes) -> bytes:
    """Return a PNG without chunks that hold no pixels and that Pillow would refuse it for; other content as it is.

    Those are damaged ones, and longer texts than it takes: other programs pass them by, too.

    Raises:
        ValueError: a chunk of pixels is damaged, which Pillow would not see.
    """
    if not png.startswith(PNG):
        return png
    kept, left_out, room = [], False, _ALL_TEXT
    for name, chunk in chunks(png):
        sound = _is_whole(chunk)
        if name in _PIXELS and not sound and len(chunk) == 12 + int.from_bytes(chunk[:4]):
            raise ValueError(f"bad check sum in {name.decode()}")
        if name.isalpha() and name[:1].islower():  # ancillary, as the format calls it
            length = _length(name, chunk[8:-4]) if sound else 0
            room -= length if name in _TEXTS else 0
            sound &= length <= (LARGEST_PROFILE if name == b"iCCP" else LONGEST_TEXT)
            if not sound or room < 0 or _SIZES.get(name, len(chunk) - 12) != len(chunk) - 12:
                left_out = True
                continue
        kept.append(chunk)
    return PNG + b"".join(kept) if left_out else png


def _is_whole(chunk: bytes) -> bool:
    return int.from_bytes(chunk[:4]) == len(chunk) - 12 and int.from_bytes(chunk[-4:]) == zlib.crc32(chunk[4:-4])


def _length(name: bytes, data: bytes) -> int:
    """Return the length of a chunk's text or profile in bytes, at most one more than is taken; 0 for other chunks."""
    _, _, rest = data.partition(b"\0")
    if name not in (*_TEXTS, b"iCCP"):
        return 0
    if name == b"tEXt" or (name == b"iTXt" and rest[:1] != b"\1"):
        return len(data)
    packed = rest[2:].split(b"\0", 2)[-1] if name == b"iTXt" else rest[1:]
    most = LARGEST_PROFILE if name == b"iCCP" else LONGEST_TEXT
    try:
        return len(zlib.decompressobj().decompress(packed, most + 1))
    except zlib.error:
        return 0  # Pillow takes it for empty


def colour_chunks(png: bytes) -> Mapping[bytes, bytes]:
    """Return what a sound PNG says of its colour beside a profile: the data of each chunk by name; none of others."""
    if not png.startswith(PNG):
        return {}
    wanted = (CODE_POINTS, SRGB, GAMMA, PRIMARIES)
    return {name: chunk[8:-4] for name, chunk in chunks(png) if name in wanted}


def is_usual_colour(found: Mapping[bytes, bytes]) -> bool:
    """Tell whether ``colour_chunks`` say sRGB, or nothing."""
    if CODE_POINTS in found:
        return found[CODE_POINTS] == _USUAL_POINTS
    if SRGB in found:
        return True
    gamma, primaries = found.get(GAMMA), found.get(PRIMARIES, b"")
    numbers = [int.from_bytes(primaries[at : at + 4]) for at in range(0, len(primaries), 4)]
    return (gamma is None or int.from_bytes(gamma) in _USUAL_GAMMA) and all(
        abs(number - usual) < 100 for number, usual in zip(numbers, _REC709, strict=False)
    )


def with_chunks(png: bytes, other: bytes) -> bytes:
    """Return a PNG with another one's chunks, except those of its pixels."""
    pixels = [(name, chunk) for name, chunk in chunks(png) if name in (b"IHDR", b"IDAT", b"IEND")]
    about = [chunk for name, chunk in chunks(other) if name not in (b"IHDR", b"IDAT", b"IEND")]
    return PNG + b"".join([pixels[0][1], *about, *(chunk for _, chunk in pixels[1:])])
