"""Pictures in a device's memory: bytes of all sizes in one block, each with its mip levels, and views of them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from ...errors import TrainingError
from .files import Foreground
from .layers import Bytes

__all__ = ["Textures", "View", "read_textures"]

# Each level has half the size of the one before.
LEVELS = 5
# Places on the edge that are remembered of each picture with alpha.
EDGES = 256
# Alpha is packed with small losses: what is this near to 0 or 255 of 255 was just that.
UNSURE = 5


@dataclass(frozen=True)
class View:
    """Where the pixels of a batch of squares lie in pictures: (column, row) at ``matrix @ (column, row) + origin``.

    ``matrix`` [B, 2, 2] turns, flips and scales; ``origin`` [B, 2] is (x, y) in pixels of the picture.
    """

    matrix: Tensor
    origin: Tensor


@dataclass(frozen=True)
class Textures:
    """N pictures of C channels on a device.

    ``pixels``: uint8 [P, C], all pictures and levels one after another; ``places``: int32 [N, LEVELS, 3], a level's
    first pixel, height and width; ``edges``: float [N, EDGES, 2], (x, y) of pixels that are partly transparent.
    """

    pixels: Tensor
    places: Tensor
    edges: Tensor

    def sizes(self, numbers: Tensor) -> Tensor:
        """Return width and height of some pictures, float [B, 2]."""
        return self.places[numbers, 0, 1:].flip(-1).float()

    def show(self, numbers: Tensor, view: View, side: int, mirrored: Tensor) -> Tensor:
        """Return what squares of ``side`` pixels see of pictures ``numbers`` [B], float [B, C, S, S] in [0, 1].

        Beyond its borders a picture goes on as in a mirror where ``mirrored`` [B] says so, else with zeros. Bilinear,
        in the level whose pixels are nearest in size to those of the square.
        """
        shrinking = (view.matrix[:, 0, 0] * view.matrix[:, 1, 1] - view.matrix[:, 0, 1] * view.matrix[:, 1, 0]).abs()
        level = (shrinking.log2() / 2).round().clamp(0, LEVELS - 1)
        offset, height, width = (part[:, None, None] for part in self.places[numbers, level.int()].unbind(-1))
        steps = torch.arange(side, device=numbers.device, dtype=torch.float32)
        (xx, xy), (yx, yy) = (row.unbind(1) for row in view.matrix[..., None, None].unbind(1))
        pixel, endless = torch.exp2(level)[:, None, None], mirrored[:, None, None]
        x, y = (
            (right * steps + down * steps[:, None] + start[:, None, None] + 0.5) / pixel - 0.5
            for right, down, start in ((xx, xy, view.origin[:, 0]), (yx, yy, view.origin[:, 1]))
        )
        columns, rows = (
            _taps(torch.where(endless, _reflected(place, length), place), length, endless)
            for place, length in ((x, width), (y, height))
        )
        shown = torch.zeros((), device=numbers.device)
        for row, down in rows:
            for column, right in columns:
                index = (offset + row * width + column).flatten()
                found = self.pixels.index_select(0, index).view(*x.shape, -1)
                shown = torch.addcmul(shown, found.float(), (down * right)[..., None])
        return shown.permute(0, 3, 1, 2).contiguous() / 255


def _reflected(place: Tensor, length: Tensor) -> Tensor:
    """Fold coordinates back into a side of ``length`` pixels."""
    place = (place + 0.5).remainder(2 * length)
    return torch.minimum(place, 2 * length - place) - 0.5


def _taps(place: Tensor, length: Tensor, endless: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return the two pixels beside each coordinate, int32 and inside, and their weights, 0 for what is outside."""
    before = place.floor()
    part = place - before
    taps = []
    for pixel, weight in ((before, 1 - part), (before + 1, part)):
        inside = torch.minimum(pixel.clamp(min=0), length - 1)
        taps.append((inside.int(), weight * ((pixel == inside) | endless)))
    return taps


def read_textures(pictures: Sequence[Foreground], device: torch.device) -> Textures:
    """Read pictures, all of them opaque, RGB, or all of them with alpha, RGBA whose colours are premultiplied.

    Raises:
        TrainingError: a file cannot be read as a picture, or has another size than its alpha.
    """
    with ThreadPoolExecutor() as pool:
        read = list(pool.map(lambda picture: _levels(_read(picture)), pictures))
    sizes = np.array([[level.shape[:2] for level in levels] for levels in read])  # [N, LEVELS, 2]
    counts = sizes.prod(axis=-1)
    starts = np.concatenate([[0], counts.ravel().cumsum()[:-1]]).reshape(counts.shape)
    places = torch.from_numpy(np.concatenate([starts[..., None], sizes], axis=-1).astype(np.int32))
    pixels = torch.cat([level.flatten(0, 1) for levels in read for level in levels])
    edges = torch.from_numpy(np.stack([_edge(levels[0].numpy(), number) for number, levels in enumerate(read)]))
    return Textures(*(part.to(device) for part in (pixels, places, edges)))


def _read(picture: Foreground) -> Bytes:
    colours = _decoded(picture.colours, "RGB")
    if picture.alpha is None:
        return colours
    alpha = _decoded(picture.alpha, "L")[..., None]
    if alpha.shape[:2] != colours.shape[:2]:
        raise TrainingError(f"{picture.colours} and {picture.alpha} differ in size: pack the pictures again")
    alpha = np.where(alpha < UNSURE, 0, np.where(alpha > 255 - UNSURE, 255, alpha))
    premultiplied = (colours * alpha.astype(np.uint16) + 127) // 255
    return np.concatenate([premultiplied, alpha], axis=-1).astype(np.uint8)


def _decoded(path: Path, mode: str) -> Bytes:
    try:
        with Image.open(path) as picture:
            return np.array(picture.convert(mode))
    except (OSError, SyntaxError, ValueError) as error:  # of which Pillow's decoders raise each
        raise TrainingError(f"{path} cannot be read ({error}): pack the pictures again") from error


def _levels(pixels: Bytes) -> list[Tensor]:
    levels = [torch.from_numpy(pixels)]
    planes = levels[0].permute(2, 0, 1)[None].float()
    for _ in range(LEVELS - 1):
        planes = F.avg_pool2d(planes, 2, ceil_mode=True, count_include_pad=False)
        levels.append(planes[0].permute(1, 2, 0).round().to(torch.uint8))
    return levels


def _edge(pixels: Bytes, number: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Pick pixels that are partly transparent; the middle where there are none."""
    height, width = pixels.shape[:2]
    rows, columns = np.nonzero((pixels[..., -1] > 12) & (pixels[..., -1] < 243))
    if not len(rows):
        rows, columns = np.array([height // 2]), np.array([width // 2])
    picks = np.random.default_rng(number).integers(len(rows), size=EDGES)
    return np.stack([columns[picks], rows[picks]], axis=-1).astype(np.float32)
