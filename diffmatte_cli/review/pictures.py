"""Read what belongs to an entry, measure it, and pack it small enough for a page."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import DiffmatteError, ImageError
from ..imaging.colour import as_shares, converted, quantise
from ..imaging.read import Photo, decode_grey, decode_image, decode_opacity, read_grey, read_image
from ..imaging.receipts import Receipt, read_receipt
from ..imaging.vfx import EXR, TIFF
from ..planning.sequences import unmarked
from ..storage.reading import read_bytes
from ..trimaps.trimap import UNKNOWN, fit_to_photo, parse_trimap
from .cutting import cut_out
from .entries import MARKS, Entry

__all__ = ["FULL_SIDE", "SMALL_SIDE", "Measures", "Packed", "Seen", "measure", "pack", "see", "spot"]

SMALL_SIDE = 640  # pixels of the longer side, sharp enough for a card on any usual screen
FULL_SIDE = 16383  # WebP holds no longer side
_BRIGHTEST = 99.5  # percentile of an uncertainty's pixels above 0 that the page shows as white
_SURE = 0.05  # alphas closer to 0 or 1 count as decided
_SPOT = 24  # cells along the longer side among which the one to look at first is searched
_LARGEST_PROFILE = 2**14  # bytes of a colour profile that goes into every picture


@dataclass
class Seen:
    """Hold an entry's pictures as far as they could be read.

    Attributes:
        photo: upright.
        trimap: classes, uint8 [H, W].
        colour: of a cutout, uint8 [H, W, 3].
        alpha: float32 [H, W] in [0, 1].
        uncertainty: float32 [H, W] in [0, 1].
        digest: of the result's file.
        problems: a sentence for each picture that could not be read.
        error: why there is no result to show.
    """

    photo: Photo | None = None
    trimap: NDArray[np.uint8] | None = None
    colour: NDArray[np.uint8] | None = None
    alpha: NDArray[np.float32] | None = None
    uncertainty: NDArray[np.float32] | None = None
    digest: str = ""
    problems: list[str] = field(default_factory=list)
    error: str | None = None

    def attempt(self, read: Callable[[], None]) -> bool:
        """Read something, and keep what is wrong with it among the problems."""
        try:
            read()
        except DiffmatteError as error:
            self.problems.append(str(error))
            return False
        return True


@dataclass(frozen=True)
class Measures:
    """Say how much of a result is half transparent, as a share of the picture and of the trimap's unknown region."""

    of_picture: float
    of_unknown: float | None


@dataclass(frozen=True)
class Packed:
    """Hold an encoded picture: ``kind`` is photo, trimap, cutout or uncertainty; size in pixels."""

    kind: str
    media_type: str
    content: bytes
    width: int
    height: int


def see(entry: Entry) -> Seen:
    """Read all pictures of an entry; none that fails stands in the way of the others."""
    seen = Seen(error=entry.failure)
    if entry.failure is None and not seen.attempt(lambda: _read_result(entry.result, seen)):
        seen.error = seen.problems[-1]
    if entry.photo is not None:
        seen.attempt(lambda: _read_photo(entry, seen))
    if entry.trimap is not None:
        seen.attempt(lambda: _read_trimap(entry, seen))
    if entry.uncertainty is not None and entry.failure is None:
        seen.attempt(lambda: _read_uncertainty(entry, seen))
    return seen


def _read_result(path: Path, seen: Seen) -> None:
    content = read_bytes(path)
    opacity, receipt = decode_opacity(content, path), read_receipt(path)
    space = receipt.space if receipt is not None and receipt.space is not None else "auto"
    if opacity is not None:
        photo, said = decode_image(content, path, space), receipt.premultiplied if receipt is not None else None
        stored_otherwise = said is not None and said == _taken_as_straight(content)
        seen.colour = _restored(photo, opacity.levels, content) if stored_otherwise else photo.pixels
    else:
        opacity = decode_grey(content, path)
        if _is_cutout(path, receipt):  # on a background, or opaque all over and stored without its channel
            seen.colour = decode_image(content, path, space).pixels
            opacity.levels[...] = 1
    seen.alpha = opacity.levels
    seen.digest = hashlib.sha256(content).hexdigest()


def _is_cutout(path: Path, receipt: Receipt | None) -> bool:
    mark = unmarked(path.stem, MARKS)[1] if receipt is None else receipt.result
    return mark == "cutout"


def _taken_as_straight(content: bytes) -> bool | None:
    """Tell what reading takes colour beside an alpha for; None where the file itself says what it is."""
    return None if content.startswith(TIFF) else not content.startswith(EXR)


def _restored(photo: Photo, alpha: NDArray[np.float32], content: bytes) -> NDArray[np.uint8]:
    """Return straight colour of what was read as what it is not: divide it by alpha, or undo that it was."""
    factor = np.where(alpha > 0, alpha, np.float32(1))[..., None]
    colour = as_shares(photo.colour)
    straight = (colour / factor if _taken_as_straight(content) else colour * factor).astype(np.float32)
    return quantise(converted(straight, photo.linear, False), 8)


def _read_photo(entry: Entry, seen: Seen) -> None:
    assert entry.photo is not None
    photo = read_image(entry.photo)
    _check_size(entry.photo, photo.pixels.shape[:2], seen)
    seen.photo = photo
    if entry.own_alpha:
        opacity = decode_opacity(read_bytes(entry.photo), entry.photo)
        if opacity is None:
            raise ImageError(f"{entry.photo} has no alpha channel to take for its trimap")
        seen.trimap = parse_trimap(opacity.levels)


def _read_trimap(entry: Entry, seen: Seen) -> None:
    assert entry.trimap is not None
    grey = read_grey(entry.trimap)
    levels = grey.levels if seen.photo is None else fit_to_photo(grey, seen.photo)
    _check_size(entry.trimap, levels.shape, seen)
    seen.trimap = parse_trimap(levels)


def _read_uncertainty(entry: Entry, seen: Seen) -> None:
    assert entry.uncertainty is not None
    levels = read_grey(entry.uncertainty).levels
    _check_size(entry.uncertainty, levels.shape, seen)
    seen.uncertainty = levels


def _check_size(path: Path, shape: tuple[int, ...], seen: Seen) -> None:
    if seen.alpha is not None and seen.alpha.shape != shape[:2]:
        height, width = seen.alpha.shape
        raise ImageError(f"{path} is {shape[1]}x{shape[0]}, and the result is {width}x{height}: it is not shown")


def measure(entry: Entry) -> Measures | None:
    """Measure an entry's result; None where it cannot be read."""
    seen = Seen()
    if entry.failure is not None or not seen.attempt(lambda: _read_result(entry.result, seen)):
        return None
    if entry.own_alpha and entry.photo is not None:
        seen.attempt(lambda: _read_photo(entry, seen))
    elif entry.trimap is not None and not seen.attempt(lambda: _read_trimap(entry, seen)) and entry.photo is not None:
        # Painted before the camera's turn, perhaps, which the photograph tells.
        seen.attempt(lambda: _read_photo(entry, seen))
        seen.attempt(lambda: _read_trimap(entry, seen))
    assert seen.alpha is not None
    half = (seen.alpha > _SURE) & (seen.alpha < 1 - _SURE)
    if seen.trimap is None:
        return Measures(float(half.mean()), None)
    unknown = seen.trimap == UNKNOWN
    return Measures(float(half.mean()), float(half[unknown].mean()) if unknown.any() else 0.0)


def pack(seen: Seen, longest: int) -> list[Packed]:
    """Encode all pictures of an entry with at most ``longest`` pixels a side."""
    packed = []
    photo = None
    if seen.photo is not None:
        photo = _scaled(Image.fromarray(seen.photo.pixels), longest)
        packed.append(_jpeg(photo, seen.photo.icc_profile, 82 if longest == SMALL_SIDE else 90))
    if seen.trimap is not None:
        trimap = _scaled(Image.fromarray(seen.trimap), longest, Image.Resampling.NEAREST)
        packed.append(_webp("trimap", trimap, lossless=True, method=1))
    if seen.alpha is not None:
        packed.append(_packed_cutout(seen, photo, longest))
    if seen.uncertainty is not None:
        bright = quantise(_stretched(seen.uncertainty), 8)
        packed.append(_webp("uncertainty", _scaled(Image.fromarray(bright), longest), quality=80, method=2))
    return packed


def _stretched(uncertainty: NDArray[np.float32]) -> NDArray[np.float32]:
    """Make small values visible: white is what hardly any pixel of the picture reaches."""
    above = uncertainty[uncertainty > 0]
    return uncertainty / np.percentile(above, _BRIGHTEST).astype(np.float32) if above.size else uncertainty


def _packed_cutout(seen: Seen, photo: Image.Image | None, longest: int) -> Packed:
    """Encode the subject as RGBA: a cutout as it is, an alpha with the photograph's estimated colours, or white."""
    assert seen.alpha is not None
    alpha = Image.fromarray(np.rint(np.clip(seen.alpha, 0, 1) * 255).astype(np.uint8))
    if seen.colour is not None:
        subject = Image.fromarray(np.dstack([seen.colour, np.asarray(alpha)]))
        picture = _scaled(subject, longest)  # Pillow weighs colours by alpha
    elif photo is not None:
        # On what is scaled already: many times faster, and no worse for a small picture.
        picture = Image.fromarray(cut_out(np.asarray(photo), np.asarray(_scaled(alpha, longest))))
    else:
        picture = Image.new("RGBA", alpha.size, "white")
        picture.putalpha(alpha)
        picture = _scaled(picture, longest)
    profile = _small_profile(seen.photo.icc_profile) if seen.photo else None
    quality = 82 if longest == SMALL_SIDE else 90
    return _webp("cutout", picture, quality=quality, method=2, alpha_quality=100, icc_profile=profile)


def _scaled(picture: Image.Image, longest: int, how: Image.Resampling = Image.Resampling.LANCZOS) -> Image.Image:
    scaled = picture.copy()
    scaled.thumbnail((longest, longest), how, reducing_gap=None)
    return scaled


def _small_profile(profile: bytes | None) -> bytes | None:
    return profile if profile is not None and len(profile) <= _LARGEST_PROFILE else None


def _jpeg(picture: Image.Image, profile: bytes | None, quality: int) -> Packed:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality, subsampling=0, icc_profile=_small_profile(profile))
    return Packed("photo", "image/jpeg", file.getvalue(), *picture.size)


def _webp(kind: str, picture: Image.Image, **settings: object) -> Packed:
    file = io.BytesIO()
    picture.save(file, "WEBP", **settings)
    return Packed(kind, "image/webp", file.getvalue(), *picture.size)


def spot(seen: Seen) -> tuple[float, float]:
    """Return where to look first, as shares of width and height: most uncertain, or else most half transparent."""
    assert seen.alpha is not None
    doubt = seen.uncertainty if seen.uncertainty is not None else seen.alpha * (1 - seen.alpha)
    height, width = doubt.shape
    cell = max(1, -(-max(height, width) // _SPOT))
    rows, columns = (np.arange(0, side, cell) for side in (height, width))
    sums = np.add.reduceat(np.add.reduceat(doubt, rows, axis=0), columns, axis=1)
    row, column = np.unravel_index(int(sums.argmax()), sums.shape)
    return min(1.0, (column + 0.5) * cell / width), min(1.0, (row + 0.5) * cell / height)
