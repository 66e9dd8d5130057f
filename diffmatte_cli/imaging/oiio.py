"""Images of more than 8 bits a channel by OpenImageIO: the extra ``vfx``, imported where it is used.

Reads 16-bit and floating-point PNG and TIFF, and OpenEXR; writes 16-bit colour as PNG and TIFF, and half-float OpenEXR
of named channels.
"""

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..process.memory import check_room
from .colour import as_shares
from .exr import EXR, DamagedError, check_header
from .layers import Part, data_of, photograph_of
from .tiff import TIFF

__all__ = ["USUAL", "Deep", "Header", "Planes", "encode", "read", "read_all"]

Planes = Mapping[str, NDArray[Any]]

_KINDS = {EXR: "exr", b"\x89PNG": "png"} | dict.fromkeys(TIFF, "tiff")
_SPACE, _STRAIGHT, _PRIMARIES = "oiio:ColorSpace", "oiio:UnassociatedAlpha", "chromaticities"
# What a result keeps of an EXR's header: the primaries, and what editors find their frames by.
KEPT = (_PRIMARIES, "smpte:TimeCode", "smpte:KeyCode", "FramesPerSecond", "PixelAspectRatio", "Make", "Model")
# Prefixes of the names of colour spaces that are linear light, and of those that are sRGB or near it.
LIGHT, ENCODED = ("lin", "scene_linear", "acescg"), ("srgb", "g18", "g22", "g24", "g26", "gamma", "rec709", "bt709")
USUAL, OWN = "rec709", ""  # gamuts: sRGB's primaries, and the header's own
_REC709 = (0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329)
_CHANNELS_AT_MOST = 4  # of an image of the largest size
_AT_WORK = 12  # planes beside those that are read, until a photograph is as the model wants it
_LEAST_ALPHA = 1 / 1024  # colour of less means nothing, and divided by it would outshine all other
LARGEST = 65504.0  # of half floats


@dataclass(frozen=True)
class Header:
    """Hold what a result in EXR keeps of an EXR's header.

    Attributes:
        attributes: name, OpenImageIO's type and value of each.
        origin: left and top of the display window.
        gamut: the primaries, as in the names of colour spaces, or ``OWN``.
    """

    attributes: Sequence[tuple[str, Any, Any]] = ()
    origin: tuple[int, int] = (0, 0)
    gamut: str = USUAL


@dataclass(frozen=True)
class Deep:
    """Hold a decoded image.

    Attributes:
        channels: float32 or uint16 [H, W] of the display window, straight: R, G and B, or Y, and A if there is one.
        linear: whether the file says that its colour is linear light or sRGB; None where it says nothing known.
        space: the name of its colour space, if any.
        header: of an EXR.
        orientation: 1 to 8, still to be applied.
        icc_profile, dpi: if there are any.
        note: what to tell of a choice among several pictures.
    """

    channels: Planes
    linear: bool | None = None
    space: str = ""
    header: Header = field(default_factory=Header)
    orientation: int = 1
    icc_profile: bytes | None = None
    dpi: tuple[float, float] | None = None
    note: str | None = None


def read(
    content: bytes,
    most_pixels: int,
    *,
    page: int = 0,
    name: str | None = None,
    data: bool = False,
    associated: bool | None = None,
) -> Deep:
    """Decode a PNG, TIFF or EXR, recognised by its first bytes, at its own depth.

    Of several pictures it is the ``page`` of a TIFF, from 0, and of an EXR the layer ``name`` or what the names in the
    file say; with ``data``, a trimap, mask or matte and not a photograph, the channel ``name``. ``associated`` tells
    whether colour is stored premultiplied; None to believe the file.

    Raises:
        DamagedError: the content is none of these, damaged, cut short, or has more than ``most_pixels``.
        ResourceError: it needs more memory than is free.
        NoLayerError: it has no picture, or not the one of that name.
        OSError: there is no room for a temporary file.
        ImportError: the extra is missing.
    """
    with _opened(content) as source:
        parts = _parts(source, content, page)
        part, layer, note = data_of(parts, name) if data else photograph_of(parts, name)
        source.seek_subimage(page + part, 0)
        spec = source.spec()
        first, last = min(layer.values()), max(layer.values())
        planes = _planes(source, spec, first, last + 1, most_pixels)
        channels: Planes = {name: planes[..., index - first] for name, index in layer.items()}
        if not spec.get_int_attribute(_STRAIGHT) if associated is None else associated:
            channels = _straight(channels)
        space = str(spec.getattribute(_SPACE) or "").lower()
        linear = True if space.startswith(LIGHT) else False if space.startswith(ENCODED) else None
        orientation = spec.get_int_attribute("Orientation", 1)
        return Deep(channels, linear, space, _header(spec, space), orientation, _profile(spec), _dpi(spec), note)


def read_all(content: bytes, most_pixels: int) -> tuple[Planes, Mapping[str, str]]:
    """Return every channel as it is stored, by its full name, and the header's attributes as text; raises as ``read``.

    Of attributes those that are texts or whole numbers.
    """
    with _opened(content) as source:
        spec = source.spec()
        planes = np.moveaxis(_planes(source, spec, 0, spec.nchannels, most_pixels), -1, 0)
        texts = {name: str(value) for name, _, value in _attributes(spec) if isinstance(value, str | int)}
        return dict(zip(spec.channelnames, planes, strict=True)), texts


@contextmanager
def _opened(content: bytes) -> Iterator[Any]:
    import OpenImageIO as oiio  # noqa: N813 (the name that its users give it)

    kind = _KINDS.get(content[:4])
    if kind is None:
        raise DamagedError("it is not a PNG, TIFF or EXR")
    if kind == "exr":
        check_header(content)
    with tempfile.TemporaryDirectory(prefix="diffmatte-") as folder:
        path = Path(folder, f"image.{kind}")
        path.write_bytes(content)
        # Colour as it is stored: premultiplied colour is divided here.
        wanted = oiio.ImageSpec()
        wanted.attribute(_STRAIGHT, 1)
        oiio.attribute("try_all_readers", 0)
        try:
            source = oiio.ImageInput.open(str(path), wanted)
            if source is None:
                raise DamagedError(_reason(oiio.geterror()))
            with closing(source):
                yield source
        except UnicodeDecodeError as error:  # in a name, or in what the library says of it
            raise DamagedError("the image is damaged, or a name in its header is not UTF-8") from error


def _parts(source: Any, content: bytes, page: int) -> list[Part]:
    """Return what the parts of an EXR hold, or the page of another file alone."""
    parts = [_part(source.spec(page, 0))]
    while content.startswith(EXR) and (spec := source.spec(len(parts), 0)).nchannels:
        parts.append(_part(spec))
    return parts


def _part(spec: Any) -> Part:
    if spec.deep:  # any number of samples a pixel: no picture
        return Part("", ())
    names = spec.channelnames
    whole = {name for name, form in zip(names, spec.channelformats, strict=False) if str(form) == "uint"}
    return Part(spec.get_string_attribute("oiio:subimagename"), names, frozenset(whole))


def _planes(source: Any, spec: Any, first: int, last: int, most_pixels: int) -> NDArray[Any]:
    """Read channels ``first`` to ``last`` - 1 as uint16 or float32 [H, W, C], H and W of the display window."""
    sides = ((spec.width, spec.height), (spec.full_width, spec.full_height))
    pixels = max(width * height for width, height in sides)
    if pixels * max(1, (last - first) / _CHANNELS_AT_MOST) > most_pixels:
        raise DamagedError(f"it claims more than {most_pixels // 10**6} million pixels")
    whole = str(spec.format) in ("uint8", "uint16")
    check_room(pixels * (last - first + _AT_WORK) * (2 if whole else 4), f"an image of {pixels / 1e6:.0f} megapixels")
    planes = source.read_image(source.current_subimage(), 0, first, last, "uint16" if whole else "float")
    trouble = source.geterror()
    if planes is None or trouble:
        raise DamagedError(_reason(trouble))
    if not whole:
        np.nan_to_num(planes, copy=False, nan=0.0, posinf=LARGEST, neginf=0.0)
    return _in_display_window(planes.reshape(spec.height, spec.width, last - first), spec)


def _in_display_window(pixels: NDArray[Any], spec: Any) -> NDArray[Any]:
    """Crop or pad [h, w, C] of the data window to the display window."""
    window = (spec.full_y, spec.full_x, spec.full_height, spec.full_width)
    if window == (spec.y, spec.x, spec.height, spec.width):
        return pixels
    canvas = np.zeros((spec.full_height, spec.full_width, pixels.shape[2]), pixels.dtype)
    top, left = spec.y - spec.full_y, spec.x - spec.full_x
    rows = slice(max(top, 0), min(top + spec.height, spec.full_height))
    columns = slice(max(left, 0), min(left + spec.width, spec.full_width))
    if rows.start < rows.stop and columns.start < columns.stop:
        part = pixels[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        canvas[rows, columns] = part
    return canvas


def _straight(channels: Planes) -> Planes:
    """Divide colour by alpha, where there is one; integers become float32 in [0, 1]."""
    if "A" not in channels:
        return channels
    shares = {name: as_shares(plane) for name, plane in channels.items()}
    divisor = np.where(shares["A"] >= _LEAST_ALPHA, shares["A"], np.float32(1))
    return {name: plane if name == "A" else plane / divisor for name, plane in shares.items()}


def _header(spec: Any, space: str) -> Header:
    kept = [(name, typed, value) for name, typed, value in _attributes(spec) if name in KEPT]
    named = re.fullmatch(r"(?:lin|srgb|g\d\d)_(\w+)_(?:scene|display)", space)
    gamut = named[1] if named else USUAL
    primaries = next((value for name, _, value in kept if name == _PRIMARIES), _REC709)
    if gamut == USUAL and not np.allclose(primaries, _REC709, atol=1e-3):
        gamut = OWN
    return Header(kept, (spec.full_x, spec.full_y), gamut)


def _attributes(spec: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, type and value of a header's attributes, without text that is not UTF-8."""
    for entry in spec.extra_attribs:
        with suppress(UnicodeDecodeError):
            yield entry.name, entry.type, entry.value


def _profile(spec: Any) -> bytes | None:
    profile = spec.getattribute("ICCProfile")
    return None if profile is None else np.asarray(profile, np.uint8).tobytes()


def _dpi(spec: Any) -> tuple[float, float] | None:
    across, down = (spec.get_float_attribute(name, 0.0) for name in ("XResolution", "YResolution"))
    unit = {"in": 1.0, "inch": 1.0, "cm": 2.54}.get(spec.get_string_attribute("ResolutionUnit"))
    return (across * unit, down * unit) if unit and across > 0 and down > 0 else None


def encode(
    kind: str,
    channels: Planes,
    *,
    straight: bool = True,
    linear: bool = False,
    text: tuple[str, str] | None = None,
    header: Header | None = None,
) -> bytes:
    """Encode channels [H, W] as "png" or "tiff" of 16 bits (uint16), or as "exr" of half floats (float16).

    ``straight`` says that colour is not premultiplied, ``linear`` that an EXR's is linear light and not sRGB; ``text``
    is the name and value of an attribute of an EXR, ``header`` what it keeps of another's.

    Raises:
        OSError: OpenImageIO or the disk refuses.
        ImportError: the extra is missing.
    """
    import OpenImageIO as oiio  # noqa: N813

    height, width = next(iter(channels.values())).shape
    spec = oiio.ImageSpec(width, height, len(channels), "half" if kind == "exr" else "uint16")
    spec.channelnames = list(channels)
    spec.attribute("DateTime", "")  # no date: the same input gives the same bytes
    if kind == "exr":
        _set_header(spec, linear, text, header or Header())
    elif straight or kind == "png":  # PNG has no other, and would be divided
        spec.attribute(_STRAIGHT, 1)
    with tempfile.TemporaryDirectory(prefix="diffmatte-") as folder:
        path = Path(folder, f"image.{kind}")
        target: Any = oiio.ImageOutput.create(kind)
        pixels = np.stack(list(channels.values()), axis=-1)
        if not (target.open(str(path), spec) and target.write_image(pixels) and target.close()):
            raise OSError(_reason(target.geterror()))
        return path.read_bytes()


def _set_header(spec: Any, linear: bool, text: tuple[str, str] | None, header: Header) -> None:
    spec.x, spec.y = spec.full_x, spec.full_y = header.origin
    values = {"compression": "zip", **dict([text] if text else [])}
    # A name would contradict the header's own primaries; colour that is not linear needs one all the same.
    if header.gamut != OWN or not linear:
        values[_SPACE] = f"{'lin' if linear else 'srgb'}_{header.gamut or USUAL}_scene"
    for name, value in values.items():
        spec.attribute(name, value)
    for name, typed, value in header.attributes:
        spec.attribute(name, typed, value)


def _reason(text: str) -> str:
    """Return OpenImageIO's message without the name of the temporary file."""
    first = next(iter(text.strip().splitlines()), "the image is damaged or cut short")
    return re.sub(r" ?\(?/\S*image\.[a-z]+\)?:?", "", first)
