"""The decoder over an image of any size: in tiles with a halo, as large as memory allows.

A pixel of alpha depends only on what is within ``HALO`` of it, so that tiles change rounding alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

from torch import Tensor

from ..errors import is_shortage
from ..model.diffmatte import pad
from ..priors.colours import Window
from .canvas import Canvas
from .capture import CaptureDecoder, CaptureRegion
from .memory import LADDER, MemoryBudget
from .region import Region, RegionDecoder

__all__ = ["HALO", "TiledDecoder"]

# Pixels around a wanted one that its alpha can depend on, by the feature's stride, rounded up to multiples of 32:
# 46 and 94 by the reach of each level's convolutions.
HALO = {16: 64, 32: 96}
# Blocks' sides: small ones follow a thin band, large ones have less around them to compute twice.
SPARSE, DENSE = 16, 32
DENSE_SHARE = 0.5


@dataclass(frozen=True)
class Tile:
    """The window a tile decides, in the image, and the one it sees, in the padded image."""

    own: Window
    seen: Window


@dataclass(frozen=True)
class _TileState:
    """What all steps share for a tile: its region, the places of its K wanted pixels in the image, and their prior."""

    region: Region | CaptureRegion
    places: Tensor
    prior: Tensor


class TiledDecoder:
    """The decoder for the pixels ``wanted`` [H, W] (boolean) of one image.

    Arguments: ``features`` F of the whole image; ``budget`` chooses the tiles; ``tell`` receives messages.
    """

    def __init__(
        self,
        decoder: RegionDecoder | CaptureDecoder,
        canvas: Canvas,
        features: Tensor,
        wanted: Tensor,
        budget: MemoryBudget,
        tell: Callable[[str], None],
    ) -> None:
        self.decoder, self.canvas, self.features, self.wanted = decoder, canvas, features, wanted
        self.tell = tell
        self.side, self.keeps, need = budget.plan(wanted)
        if need > budget.limit:
            tell(f"even tiles of {self.side} pixels take about {need / 2**30:.2g} GiB, more than the memory budget")
        self.kept: dict[int, _TileState] = {}
        self.busy = list(self._busy())

    def logits(self, x_in: Tensor, t: float) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield for each tile the flat places of its wanted pixels, and their logits with priors, [K] each.

        ``x_in`` [1, 1, H, W] is the variance-normalised sample. When memory is short, tiles become smaller and
        all of them are yielded again; the smallest's RuntimeError or MemoryError is raised.
        """
        while True:
            try:
                for number, tile in enumerate(self.busy):
                    yield self._logits(number, tile, x_in[0, 0], t)
                return
            except (MemoryError, RuntimeError) as error:
                if not is_shortage(error) or self.side == LADDER[-1]:
                    raise
            self._shrink()

    def _logits(self, number: int, tile: Tile, x_in: Tensor, t: float) -> tuple[Tensor, Tensor]:
        work = self.kept.get(number) or self._prepared(tile)
        if self.keeps:
            self.kept[number] = work
        return work.places, work.region.step(_cut(x_in, tile.seen), t) + work.prior

    def _shrink(self) -> None:
        smaller = next(side for side in LADDER if side < self.side)
        self.tell(f"not enough memory for tiles of {self.side} pixels: continuing with {smaller}")
        self.side, self.keeps = smaller, False
        self.kept.clear()
        self.busy = list(self._busy())

    def _busy(self) -> Iterator[Tile]:
        """Yield the tiles that have a wanted pixel."""
        return (tile for tile in self._tiles() if bool(self.wanted[tile.own].any()))

    def _tiles(self) -> Iterator[Tile]:
        halo = HALO[self.canvas.model.config.feature_stride]
        sides = zip(self.canvas.size, self.canvas.padded, strict=True)
        axes = [[_axis(start, self.side, halo, *ends) for start in range(0, ends[0], self.side)] for ends in sides]
        for (rows, seen_rows), (columns, seen_columns) in product(*axes):
            yield Tile((rows, columns), (seen_rows, seen_columns))

    def _prepared(self, tile: Tile) -> _TileState:
        mask = self.wanted[tile.own]
        down, right = mask.nonzero().unbind(1)
        places = (down + tile.own[0].start) * self.wanted.shape[1] + right + tile.own[1].start
        logits = self.canvas.prior_logits(tile.own)
        prior = self.features.new_zeros(1) if logits is None else logits[0, 0][mask]
        return _TileState(self._region(tile, mask), places, prior)

    def _region(self, tile: Tile, mask: Tensor) -> Region | CaptureRegion:
        wanted = mask.new_zeros([place.stop - place.start for place in tile.seen])
        top, left = (own.start - seen.start for own, seen in zip(tile.own, tile.seen, strict=True))
        wanted[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
        stride = self.canvas.model.config.feature_stride
        rows, columns = (slice(place.start // stride, place.stop // stride) for place in tile.seen)
        side = DENSE if float(wanted.float().mean()) > DENSE_SHARE else SPARSE
        planes = self.canvas.model.decoder_planes(self.canvas.condition(tile.seen))
        return self.decoder.region(planes, self.features[..., rows, columns], wanted, side)


def _axis(start: int, side: int, halo: int, end: int, padded_end: int) -> tuple[slice, slice]:
    """Return, along one axis, what a tile from ``start`` decides and sees; the last one sees the padding."""
    stop = min(start + side, end)
    seen = padded_end if stop == end else min(stop + halo, padded_end)
    return slice(start, stop), slice(max(0, start - halo), seen)


def _cut(plane: Tensor, window: Window) -> Tensor:
    """Return a window of ``plane`` [H, W], with zeros where it is padding."""
    return pad(plane[window], (window[0].stop - window[0].start, window[1].stop - window[1].start))
