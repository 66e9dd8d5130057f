"""The picture formats, as data: what is written, and what each can hold. Standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from .errors import UsageError

__all__ = ["READABLE", "READABLE_SUFFIXES", "WRITERS", "Writer", "writer_for"]

# Pillow's names; HEIF needs an extra. Formats that start another program (EPS) or have no signature (TGA) stay out.
READABLE = ("PNG", "JPEG", "MPO", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000", "AVIF", "HEIF")
READABLE_SUFFIXES = frozenset(
    (
        ".png",
        ".jpg",
        ".jpeg",
        ".tif",
        ".tiff",
        ".webp",
        ".bmp",
        ".gif",
        ".pgm",
        ".ppm",
        ".pnm",
        ".jp2",
        ".avif",
        ".heic",
        ".heif",
    )
)


@dataclass(frozen=True)
class Writer:
    """Describe one output format: Pillow's name for it, its file endings, its limits and its settings."""

    pillow_name: str
    suffixes: tuple[str, ...]
    bits: tuple[int, ...]
    max_side: int
    settings: Mapping[str, object] = field(default_factory=dict)


def _settings(**values: object) -> Mapping[str, object]:
    return MappingProxyType(values)


WRITERS: Mapping[str, Writer] = MappingProxyType(
    {
        "png": Writer("PNG", (".png",), bits=(8, 16), max_side=2**31 - 1),
        "tiff": Writer(
            "TIFF",
            (".tif", ".tiff"),
            bits=(8, 16),
            max_side=2**31 - 1,
            settings=_settings(compression="tiff_adobe_deflate"),
        ),
        # "exact" keeps the colour of fully transparent pixels, which the cutout fills on purpose.
        "webp": Writer("WEBP", (".webp",), bits=(8,), max_side=16383, settings=_settings(lossless=True, exact=True)),
    }
)


def writer_for(path: Path, bits: int = 8) -> Writer:
    """Find the format that a result's file ending asks for.

    Raises:
        UsageError: the ending is not that of a format in ``WRITERS``, or the format has no such depth.
    """
    for name, writer in WRITERS.items():
        if path.suffix.lower() in writer.suffixes:
            if bits not in writer.bits:
                raise UsageError(f"{name} holds no {bits}-bit alpha: name the result .png or .tiff instead of {path}")
            return writer
    endings = ", ".join(suffix for writer in WRITERS.values() for suffix in writer.suffixes)
    raise UsageError(f"cannot tell the format of the result {path}: its name must end in one of {endings}")
