"""Read an entry's images, measure its result, and encode the images for a page."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import DiffmatteError, ImageError
from ..imaging.colour import as_shares, converted, quantise
from ..imaging.exr import EXR
from ..imaging.grey import GreyImage, decode_grey, decode_matte, decode_opacity, read_matte
from ..imaging.read import ColourImage, decode_image
from ..imaging.receipts import read_receipt, sha256_of
from ..imaging.tiff import TIFF
from ..planning.sequences import unmarked
from ..storage.reading import read_bytes
from ..trimaps.trimap import UNKNOWN, fit_to_image, parse_trimap
from .cutting import cut_out
from .entries import MARKS, Entry

__all__ = ["FULL_SIDE", "SMALL_SIDE", "EncodedImage", "EntryImages", "Shares"]
__all__ += ["encode", "measure", "read_images", "spot"]

SMALL_SIDE = 640  # pixels of the longer side, sharp enough for a card on any usual screen
FULL_SIDE = 16383  # WebP holds no longer side
_BRIGHTEST = 99.5  # percentile of an uncertainty's pixels above 0 that the page shows as white
_SURE = 0.05  # alphas closer to 0 or 1 do not count as half transparent
_SPOT = 24  # cells along the longer side, of which one is to be looked at first
_LARGEST_PROFILE = 2**14  # bytes of a colour profile that goes into every image


@dataclass
class EntryImages:
    """Hold an entry's images as far as they could be read.

    Attributes:
        image: the photograph, upright.
        trimap: classes, uint8 [H, W].
        colour: of a cutout, uint8 [H, W, 3].
        alpha: float32 [H, W] in [0, 1].
        uncertainty: float32 [H, W] in [0, 1].
        digest: sha256 of the result's file.
        layer, channel: which of several the photograph and its trimap were, by the result's receipt.
        problems: a sentence for each image that could not be read.
        notes: sentences on how images were read.
        error: why there is no result to show.
    """

    image: ColourImage | None = None
    trimap: NDArray[np.uint8] | None = None
    colour: NDArray[np.uint8] | None = None
    alpha: NDArray[np.float32] | None = None
    uncertainty: NDArray[np.float32] | None = None
    digest: str = ""
    layer: str | None = None
    channel: str | None = None
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    error: str | None = None

    def attempt(self, read: Callable[..., None], *arguments: Any) -> bool:
        """Read something; keep what is wrong with it among the problems."""
        try:
            read(*arguments)
        except DiffmatteError as error:
            self.problems.append(str(error))
            return False
        return True

    def read_result(self, path: Path) -> None:
        """Read an alpha, or a cutout's alpha and colour."""
        content, receipt = read_bytes(path), read_receipt(path)
        kind = receipt.result if receipt else unmarked(path.stem, MARKS)[1]
        if receipt is not None:
            self.layer, self.channel = receipt.layer, receipt.channel
        grey = decode_opacity(content, path)
        space = (receipt.space if receipt else None) or "auto"
        if grey is not None:
            image, said = decode_image(content, path, space), receipt.premultiplied if receipt else None
            stored_otherwise = said is not None and said == _taken_as_straight(content)
            self.colour = _restored(image, grey.levels, content) if stored_otherwise else image.pixels
        elif kind == "cutout":  # on a background, or opaque all over and stored without an alpha channel
            self.colour = decode_image(content, path, space).pixels
            grey = GreyImage(np.ones(self.colour.shape[:2], np.float32))
        else:
            grey = decode_matte(content, path)
        self._note(path, grey)
        self.alpha, self.digest = grey.levels, sha256_of(content)

    def read_image(self, path: Path, own_alpha: bool) -> None:
        """Read the photograph, with ``own_alpha`` its alpha channel as the trimap, too."""
        content = read_bytes(path)
        image = decode_image(content, path, layer=self.layer)
        self._check_size(path, image.pixels.shape)
        self.image = image
        if own_alpha:
            opacity = decode_opacity(content, path, self.layer, self.channel)
            if opacity is None:
                raise ImageError(f"{path} has no alpha channel to use as its trimap")
            self._note(path, opacity)
            self.trimap = parse_trimap(opacity.levels)

    def read_trimap(self, path: Path) -> None:
        """Read the trimap, fitted to the photograph if that is known."""
        grey = decode_grey(read_bytes(path), path, self.channel)
        self._note(path, grey)
        levels = grey.levels if self.image is None else fit_to_image(grey, self.image)
        self._check_size(path, levels.shape)
        self.trimap = parse_trimap(levels)

    def read_uncertainty(self, path: Path) -> None:
        """Read the uncertainty."""
        levels = read_matte(path).levels
        self._check_size(path, levels.shape)
        self.uncertainty = levels

    def _note(self, path: Path, grey: GreyImage) -> None:
        self.notes += [f"{path} {note}" for note in grey.notes]

    def _check_size(self, path: Path, shape: tuple[int, ...]) -> None:
        if self.alpha is not None and self.alpha.shape != shape[:2]:
            height, width = self.alpha.shape
            raise ImageError(f"{path} is {shape[1]}x{shape[0]}, and the result is {width}x{height}: it is not shown")


@dataclass(frozen=True)
class Shares:
    """Hold the shares of half transparent pixels, of the image and of the trimap's unknown region."""

    of_image: float
    of_unknown: float | None


@dataclass(frozen=True)
class EncodedImage:
    """Hold an encoded image: ``kind`` is photo, trimap, cutout or uncertainty; size in pixels."""

    kind: str
    media_type: str
    content: bytes
    width: int
    height: int


def read_images(entry: Entry) -> EntryImages:
    """Read all images of an entry, those after one that fails, too."""
    images = EntryImages(error=entry.failure)
    if entry.failure is None and not images.attempt(images.read_result, entry.result):
        images.error = images.problems[-1]
    if entry.image is not None:
        images.attempt(images.read_image, entry.image, entry.own_alpha)
    if entry.trimap is not None:
        images.attempt(images.read_trimap, entry.trimap)
    if entry.uncertainty is not None and entry.failure is None:
        images.attempt(images.read_uncertainty, entry.uncertainty)
    return images


def _taken_as_straight(content: bytes) -> bool | None:
    """Tell whether reading takes colour for straight; None where the file itself says what it is."""
    return None if content.startswith(TIFF) else not content.startswith(EXR)


def _restored(image: ColourImage, alpha: NDArray[np.float32], content: bytes) -> NDArray[np.uint8]:
    """Return the straight colour of a file that was misread: divide it by alpha, or undo that."""
    factor = np.where(alpha > 0, alpha, np.float32(1))[..., None]
    colour = as_shares(image.colour)
    straight = (colour / factor if _taken_as_straight(content) else colour * factor).astype(np.float32)
    return quantise(converted(straight, image.linear, False), 8)


def measure(entry: Entry) -> Shares | None:
    """Measure an entry's result; None where it cannot be read."""
    images = EntryImages()
    if entry.failure is not None or not images.attempt(images.read_result, entry.result):
        return None
    if entry.own_alpha and entry.image is not None:
        images.attempt(images.read_image, entry.image, True)
    elif entry.trimap is not None and not images.attempt(images.read_trimap, entry.trimap) and entry.image is not None:
        # It may have been painted before the photograph was turned upright.
        images.attempt(images.read_image, entry.image, False)
        images.attempt(images.read_trimap, entry.trimap)
    assert images.alpha is not None
    half = (images.alpha > _SURE) & (images.alpha < 1 - _SURE)
    if images.trimap is None:
        return Shares(float(half.mean()), None)
    unknown = images.trimap == UNKNOWN
    return Shares(float(half.mean()), float(half[unknown].mean()) if unknown.any() else 0.0)


def encode(images: EntryImages, longest: int) -> list[EncodedImage]:
    """Encode all images of an entry with at most ``longest`` pixels a side."""
    encoded, image = [], None
    quality = 82 if longest == SMALL_SIDE else 90
    profile = images.image.icc_profile if images.image else None
    if profile is not None and len(profile) > _LARGEST_PROFILE:
        profile = None
    if images.image is not None:
        image = _scaled(images.image.pixels, longest)
        encoded.append(_encoded("photo", image, "JPEG", quality=quality, subsampling=0, icc_profile=profile))
    if images.trimap is not None:
        trimap = _scaled(images.trimap, longest, Image.Resampling.NEAREST)
        encoded.append(_encoded("trimap", trimap, lossless=True, method=1))
    if images.alpha is not None:
        cutout = _cutout(images.alpha, images.colour, image, longest)
        encoded.append(_encoded("cutout", cutout, quality=quality, method=2, alpha_quality=100, icc_profile=profile))
    if images.uncertainty is not None:
        bright = _scaled(quantise(_stretched(images.uncertainty), 8), longest)
        encoded.append(_encoded("uncertainty", bright, quality=80, method=2))
    return encoded


def _stretched(uncertainty: NDArray[np.float32]) -> NDArray[np.float32]:
    """Make small values visible: white is what hardly any pixel of the image reaches."""
    above = uncertainty[uncertainty > 0]
    return uncertainty / np.percentile(above, _BRIGHTEST).astype(np.float32) if above.size else uncertainty


def _cutout(
    levels: NDArray[np.float32], colour: NDArray[np.uint8] | None, image: Image.Image | None, longest: int
) -> Image.Image:
    """Return the subject as RGBA: a cutout as it is, an alpha with the photograph's estimated colours, or white."""
    alpha = quantise(levels, 8)
    if colour is None and image is not None:
        # Of the scaled image: many times faster, and no worse in a small one.
        return Image.fromarray(cut_out(np.asarray(image), np.asarray(_scaled(alpha, longest))))
    colour = np.full((*alpha.shape, 3), 255, np.uint8) if colour is None else colour
    return _scaled(np.dstack([colour, alpha]), longest)  # Pillow weighs colours by alpha


def _scaled(pixels: NDArray[Any], longest: int, how: Image.Resampling = Image.Resampling.LANCZOS) -> Image.Image:
    scaled = Image.fromarray(pixels)
    scaled.thumbnail((longest, longest), how, reducing_gap=None)
    return scaled


def _encoded(kind: str, image: Image.Image, form: str = "WEBP", **settings: Any) -> EncodedImage:
    file = io.BytesIO()
    image.save(file, form, **settings)
    return EncodedImage(kind, Image.MIME[form], file.getvalue(), *image.size)


def spot(images: EntryImages) -> tuple[float, float]:
    """Return where to look first, as shares of width and height: most uncertain, or else most half transparent."""
    assert images.alpha is not None
    doubt = images.uncertainty if images.uncertainty is not None else images.alpha * (1 - images.alpha)
    height, width = doubt.shape
    cell = max(1, -(-max(height, width) // _SPOT))
    rows, columns = (np.arange(0, side, cell) for side in (height, width))
    sums = np.add.reduceat(np.add.reduceat(doubt, rows, axis=0), columns, axis=1)
    row, column = np.unravel_index(int(sums.argmax()), sums.shape)
    return min(1.0, (column + 0.5) * cell / width), min(1.0, (row + 0.5) * cell / height)
