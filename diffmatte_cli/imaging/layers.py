"""Which channels of an OpenEXR file are its picture, by the names of its parts, layers and channels."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import listed

__all__ = ["NoLayerError", "Part", "data_of", "photograph_of"]

# Names that renderers give their picture, the most telling first; the unnamed layer is before them.
_PICTURES = ("combined", "beauty", "rgba", "rgb", "c", "color", "colour", "main")
# Words of names that are data and no photograph, whatever the channels are called.
_DATA = re.compile(
    r"depth|normal|position|vector|velocity|motion(?!.?blur)|crypto|displace|coverage|uncertainty|(object|material)id"
    r"|(?<![a-z0-9])(z|n|p|uvs?|st|ids?|pref|pworld|index|mist|mattes?|masks?|roto|trimap|alpha)(?![a-z0-9])"
)
_MASKS = re.compile(r"trimap|matte|mask|roto|alpha")
_LETTERS = {"red": "R", "green": "G", "blue": "B", "alpha": "A"} | {name.lower(): name for name in "RGBAXY"}
_LONE = ("", "R", "Y", "A")  # a channel of its own that may be a grey picture
_SHOWN = 8  # names in a message


class NoLayerError(Exception):
    """A file without the picture that is wanted; the text says why, ``settings`` which settings choose another."""

    def __init__(self, text: str, *settings: str) -> None:
        super().__init__(text)
        self.settings = settings


@dataclass(frozen=True)
class Part:
    """Hold the names of a part and of its channels, in their order, and those that are whole numbers of 32 bits."""

    name: str
    channels: Sequence[str]
    whole: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Layer:
    """Hold channels that belong together: their part's place, their common name, and the place of each by its letter.

    ``channels`` are R, G, B, A, X and Y by these names, all others by their own.
    """

    part: int
    name: str
    channels: dict[str, int] = field(default_factory=dict)

    @property
    def colour(self) -> Mapping[str, int]:
        """The places of R, G and B, or Y, and A if there is one; empty where the layer is no such thing."""
        others = {"X", "RY", "BY"} & set(self.channels)  # Y of a vector, or of a picture stored as luminance and chroma
        for wanted in ("RGB", "" if others else "Y"):
            if wanted and all(name in self.channels for name in wanted):
                return {name: self.channels[name] for name in (*wanted, "A") if name in self.channels}
        return {}

    @property
    def grey(self) -> Mapping[str, int]:
        """The place of its only channel, as Y; empty where it has several."""
        places = list(self.channels.values())
        return {"Y": places[0]} if len(places) == 1 else {}

    @property
    def is_data(self) -> bool:
        """Whether its name says that it is no picture."""
        return bool(_DATA.search(_words(self.name)))

    @property
    def rank(self) -> tuple[int, bool]:
        """How likely it is the picture: less is more."""
        found = [_PICTURES.index(word) for word in self.name.lower().split(".") if word in _PICTURES]
        return (1 + min(found, default=len(_PICTURES)) if self.name else 0), "R" not in self.channels


# A part's place, the places of its channels by name (R, G and B, or Y, and A if there is one), and what to tell.
Choice = tuple[int, Mapping[str, int], str | None]


def photograph_of(parts: Sequence[Part], wanted: str | None = None) -> Choice:
    """Return the part and the channels that are the photograph, and what to tell of a choice among several.

    ``wanted`` names the layer, wholly or by its last words.

    Raises:
        NoLayerError: there is none; the message says what there is.
    """
    layers = _layers(parts)
    if wanted is not None:
        layer = layers[_place([layer.name for layer in layers], wanted, "layer")]
        if channels := layer.colour or layer.grey:
            return layer.part, channels, None
        raise NoLayerError(f"its layer {layer.name} has no channels R, G and B, nor Y", "layer")
    pictures = [layer for layer in layers if layer.colour and not layer.is_data]
    if not pictures:
        return _lone(parts)
    best = min(pictures, key=lambda layer: layer.rank)
    several = len(pictures) > 1 and best.name
    names = listed([layer.name or "one without a name" for layer in pictures], _SHOWN)
    told = f"it holds several pictures ({names}), of which {best.name} is taken: name another as its layer"
    return best.part, best.colour, told if several else None


def _lone(parts: Sequence[Part]) -> Choice:
    """Return the only channel of a file, if it may be a grey picture."""
    names = _channels(parts)
    if len(names) == 1 and names[0].rpartition(".")[2] in _LONE and not parts[0].whole:
        return 0, {"Y": 0}, None
    raise NoLayerError(f"it has no channels R, G and B, nor Y, that are a picture, but {listed(names, _SHOWN)}")


def data_of(parts: Sequence[Part], wanted: str | None = None) -> Choice:
    """Return the part and the channels, as of ``photograph_of``, that are a trimap, mask or matte.

    ``wanted`` names a channel, wholly or by its last words, or a layer of one channel.

    Raises:
        NoLayerError: there is none; the message says what there is.
    """
    names = _channels(parts)
    if wanted is not None:
        number = _place(names, wanted, "channel")
        for place, part in enumerate(parts):
            if number < len(part.channels):
                return place, {"Y": number}, None
            number -= len(part.channels)
    layers = [layer for layer in _layers(parts) if layer.colour and (_is_mask(layer.name) or not layer.is_data)]
    if layers:
        best = min(layers, key=lambda layer: (bool(layer.name) and not _is_mask(layer.name), layer.rank))
        return best.part, best.colour, None
    if len(names) == 1 and (_is_mask(names[0]) or not _DATA.search(_words(names[0]))):
        return 0, {"Y": 0}, None
    raise NoLayerError(f"which channel of {listed(names, _SHOWN)} is meant cannot be told: name it", "channel")


def _is_mask(name: str) -> bool:
    return bool(_MASKS.search(name.lower()))


def _words(name: str) -> str:
    """Return a name in small letters with its words apart, as in object id for ObjectId."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", name).lower()


def _layers(parts: Sequence[Part]) -> list[Layer]:
    """Return the layers of all parts, in the file's order, without whole numbers, which are names of things."""
    found: dict[tuple[int, str], Layer] = {}
    for place, part in enumerate(parts):
        for number, channel in enumerate(part.channels):
            prefix, _, letter = channel.rpartition(".")
            if channel not in part.whole:
                name = _full(part.name, prefix) if len(parts) > 1 else prefix
                layer = found.setdefault((place, name), Layer(place, name))
                layer.channels.setdefault(_LETTERS.get(letter.lower(), letter), number)
    return list(found.values())


def _channels(parts: Sequence[Part]) -> list[str]:
    """Return the full names of all channels, in the file's order."""
    several = len(parts) > 1
    return [_full(part.name, name) if several else name for part in parts for name in part.channels]


def _full(part: str, name: str) -> str:
    """Return a name with its part's before it, unless it says that already."""
    if not name or name == part or name.startswith(f"{part}."):
        return name or part
    return f"{part}.{name}"


def _place(names: Sequence[str], wanted: str, kind: str) -> int:
    """Return the place of the only name that is ``wanted``, ends in it, or is the only one below it."""
    low = wanted.lower()
    for fits in (
        lambda name: name == wanted,
        lambda name: f".{name}".lower().endswith(f".{low}"),
        lambda name: f".{name.rpartition('.')[0]}".lower().endswith(f".{low}"),
    ):
        found = [place for place, name in enumerate(names) if fits(name)]
        if found:
            break
    if len(found) == 1:
        return found[0]
    shown = listed([name or "one without a name" for name in names], _SHOWN)
    raise NoLayerError(f"it has {'no' if not found else 'more than one'} {kind} {wanted}: it has {shown}", kind)
