"""The image formats, as data: which are read, which are written, and what each can hold. Standard library only."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from ..errors import UsageError
from ..extras import require

__all__ = ["EXACT_SUFFIXES", "QUALITY", "READABLE", "READABLE_SUFFIXES", "WRITERS", "WRITTEN_SUFFIXES", "Writer"]
__all__ += ["check_format", "names_picture", "suffixes_of", "writer_for"]

# Pillow's names, with the suffixes by which folders are listed; HEIF and EXR need extras. Formats that start another
# program (EPS) or lack a signature (TGA) are out.
READABLE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "PNG": (".png", ".apng"),
        "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
        "MPO": (".mpo",),
        "TIFF": (".tif", ".tiff"),
        "WEBP": (".webp",),
        "BMP": (".bmp",),
        "DIB": (".dib",),
        "GIF": (".gif",),
        "PPM": (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
        "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
        "AVIF": (".avif", ".avifs"),
        "HEIF": (".heic", ".heics", ".heif", ".heifs", ".hif"),
        "EXR": (".exr",),
    }
)


def suffixes_of(formats: Iterable[str]) -> frozenset[str]:
    """Return the suffixes of formats of ``READABLE``."""
    return frozenset(suffix for name in formats for suffix in READABLE[name])


READABLE_SUFFIXES = suffixes_of(READABLE)
# Of other images and of films, by which a name is recognised as one.
_UNREADABLE_SUFFIXES = frozenset(
    {".psd", ".psb", ".xcf", ".kra", ".tga", ".dpx", ".hdr", ".jxl", ".svg", ".eps", ".pdf", ".ico", ".dng", ".cr2"}
    | {".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".mov", ".mp4", ".mkv", ".webm", ".avi", ".mxf", ".mpg"}
)


@dataclass(frozen=True)
class Writer:
    """Describe an output format: Pillow's name for it, its suffixes, its limits and Pillow's settings.

    ``bits`` are its depths, the usual one first; 16-bit colour needs the extra ``vfx``. ``extra`` is one that the whole
    format needs. ``opaque`` formats hold neither transparency nor exact levels, so that they are for composites alone.
    """

    pillow_name: str
    suffixes: tuple[str, ...]
    bits: tuple[int, ...]
    max_side: int = 2**31 - 1
    settings: Mapping[str, object] = field(default_factory=dict)
    extra: str | None = None
    opaque: bool = False

    def depth(self, asked: int | None) -> int:
        """Return the depth that was ``asked`` for, or the usual one."""
        return self.bits[0] if asked is None else asked


QUALITY = 95  # of JPEG: Pillow's own 75 shows around hair
WRITERS: Mapping[str, Writer] = MappingProxyType(
    {
        "png": Writer("PNG", (".png",), (8, 16)),
        "tiff": Writer("TIFF", (".tif", ".tiff"), (8, 16), settings={"compression": "tiff_adobe_deflate"}),
        # "exact" keeps the colour of fully transparent pixels, which the cutout fills on purpose.
        "webp": Writer("WEBP", (".webp",), (8,), max_side=16383, settings={"lossless": True, "exact": True}),
        "exr": Writer("EXR", (".exr",), (16,), extra="vfx"),  # half floats
        "jpg": Writer("JPEG", (".jpg", ".jpeg"), (8,), max_side=65535, settings={"subsampling": 0}, opaque=True),
    }
)
WRITTEN_SUFFIXES = {suffix: name for name, writer in WRITERS.items() for suffix in writer.suffixes}
EXACT_SUFFIXES = frozenset(suffix for suffix, name in WRITTEN_SUFFIXES.items() if not WRITERS[name].opaque)


def names_picture(path: Path) -> bool:
    """Tell whether a name is an image's or a film's by its suffix, readable or not."""
    return path.suffix.lower() in READABLE_SUFFIXES | _UNREADABLE_SUFFIXES


def writer_for(path: Path, bits: int | None = None, *, opaque: bool = False) -> Writer:
    """Find the format of a result by its suffix; only a result that is ``opaque`` may have any.

    Raises:
        UsageError: no format in ``WRITERS`` has the suffix, or as ``check_format``.
    """
    name = WRITTEN_SUFFIXES.get(path.suffix.lower())
    if name is None:
        suffixes = ", ".join(WRITTEN_SUFFIXES)
        raise UsageError(f"cannot tell the format of the result {path}: its name must end in one of {suffixes}")
    check_format(name, bits, opaque=opaque)
    return WRITERS[name]


def check_format(name: str, bits: int | None, *, opaque: bool = False) -> None:
    """Raise UsageError where the format ``name`` cannot hold a result, or its extra is not installed.

    It may lack the depth ``bits``, or be for results that are ``opaque`` alone.
    """
    if WRITERS[name].opaque and not opaque:
        text = f"{name} holds neither transparency nor exact levels: write png, or lay the cutout on a background"
        raise UsageError(f"{text}, white for example", "format", "background")
    if bits is not None and bits not in WRITERS[name].bits:
        others = " or ".join(other for other, writer in WRITERS.items() if bits in writer.bits)
        raise UsageError(f"{name} holds no {bits}-bit images: take {others}, or another depth", "bits", "format")
    if (extra := WRITERS[name].extra) is not None:
        require(extra, f"a result in {name}")
