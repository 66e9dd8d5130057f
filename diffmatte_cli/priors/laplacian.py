"""The matting Laplacian over the unknown region, and its solution.

In every 3x3 window alpha is close to a linear function of the colours (Levin,
Lischinski, Weiss, "A Closed-Form Solution to Natural Image Matting", 2008). Only
windows that touch the unknown region matter, so that the cost follows that region
and not the picture.
"""

from itertools import combinations_with_replacement, product

import torch
from torch import Tensor
from torch.nn import functional as F

from ..process.sharing import silence

__all__ = ["MattingLaplacian"]

# Added to the variance of a window's colours in [0, 1], as in the published experiments.
REGULARISATION = 1e-7
WINDOW = tuple(product((-1, 0, 1), repeat=2))
# Pixels that share a window are at most this many rows and columns apart.
REACH = 2
NEIGHBOURS = tuple(product(range(-REACH, REACH + 1), repeat=2))
# Unknown pixels of each picture whose rows are made at a time, which bounds the memory beside the matrix itself.
PART = 2**17
# A curvature below this is rounding: the solution stands.
NEGLIGIBLE = 1e-20


class MattingLaplacian:
    """Rows of the matting Laplacian for the N unknown pixels of a batch.

    Arguments: ``image`` [B, 3, H, W] in [0, 1]; ``trimap`` [B, 1, H, W] in {0, .5, 1}. Below 3 x 3
    there are no windows, and the solution is the start.
    """

    def __init__(self, image: Tensor, trimap: Tensor) -> None:
        self.unknown = trimap == 0.5
        self.counts = self.unknown.flatten(1).sum(1)
        total = int(self.counts.sum())
        each = torch.arange(len(image), dtype=torch.int32, device=image.device)
        self.samples = each.repeat_interleave(self.counts, output_size=total) if len(image) > 1 else None
        self.right_side, self.diagonal = image.new_zeros(total), image.new_zeros(total)
        values = image.new_zeros(total, len(NEIGHBOURS))
        columns = torch.zeros(values.shape, dtype=torch.int32, device=image.device)
        rows = _Rows(image, trimap)
        length = PART * len(image)
        for start in range(0, total, length):
            part = slice(start, min(start + length, total))
            weights, around, foreground = rows.of(part)
            self.right_side[part] = -(weights * foreground).sum(0)
            self.diagonal[part] = weights[len(NEIGHBOURS) // 2]
            own = torch.arange(part.start, part.stop, dtype=torch.int32, device=image.device)
            values[part] = weights.masked_fill_(around < 0, 0).T
            columns[part] = torch.where(around < 0, own, around).T
        self.matrix = _sparse(columns, values)

    def solve(self, start: Tensor, guess: Tensor, weight: Tensor, iterations: int) -> Tensor:
        """Return alpha that follows the colours where windows say so, and ``guess`` where ``weight`` does.

        Arguments: ``start``, the first iterate, and ``guess``, [B, 1, H, W] in [0, 1]; ``weight``
        [B, 1, H, W], at least 0 (a pixel's own entry in the matrix is near 8); ``iterations`` of
        conjugate gradients, scaled by the diagonal. No sample depends on the others.
        Returns ``start`` with new unknown pixels, in [0, 1].
        """
        x, pull = start[self.unknown], weight[self.unknown]
        diagonal = (self.diagonal + pull).clamp(min=NEGLIGIBLE)
        residual = self.right_side + pull * guess[self.unknown] - self._product(x, pull)
        scaled = residual / diagonal
        direction, energy = scaled, self._dot(residual, scaled)
        for _ in range(iterations):
            image = self._product(direction, pull)
            pace = self._of_pixels(_ratio(energy, self._dot(direction, image)))
            x, residual = x + pace * direction, residual - pace * image
            scaled = residual / diagonal
            before, energy = energy, self._dot(residual, scaled)
            direction = scaled + self._of_pixels(_ratio(energy, before)) * direction
        return start.masked_scatter(self.unknown, x.clamp(0, 1))

    def _product(self, x: Tensor, pull: Tensor) -> Tensor:
        return torch.addcmul(self.matrix @ x, pull, x)

    def _dot(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the inner product of each sample, [B], or [] for one sample."""
        products = (x * y).double()
        if len(self.counts) == 1:
            return products.sum().float()
        # Nothing is checked, since a GPU would have to be waited for.
        sums: Tensor = torch.segment_reduce(products, "sum", lengths=self.counts, initial=0, unsafe=True)
        return sums.float()

    def _of_pixels(self, values: Tensor) -> Tensor:
        """Return what samples have, [B], for each of their pixels, [N]."""
        return values if self.samples is None else values.index_select(0, self.samples)


class _Rows:
    """The Laplacian's entries for the unknown pixels, computed for a part of them at a time."""

    def __init__(self, image: Tensor, trimap: Tensor) -> None:
        unknown = trimap == 0.5
        margin = (REACH,) * 4
        self.colours = image.transpose(0, 1).flatten(1)  # [3, B * H * W]
        self.steps = [row * image.shape[-1] + column for row, column in WINDOW]
        inner = torch.zeros_like(unknown)
        if min(unknown.shape[-2:]) > 2:
            tall = unknown[..., :-2, :] | unknown[..., 1:-1, :] | unknown[..., 2:, :]
            inner[..., 1:-1, 1:-1] = tall[..., :-2] | tall[..., 1:-1] | tall[..., 2:]
        self.centres = inner.flatten().nonzero()[:, 0]
        # With a margin, in which all neighbours of a pixel have a place.
        self.foreground = F.pad(trimap == 1, margin).flatten()
        self.pitch = trimap.shape[-1] + 2 * REACH
        self.here = F.pad(unknown, margin).flatten().nonzero()[:, 0]
        self.padded_centres = F.pad(inner, margin).flatten().nonzero()[:, 0]
        self.numbers, self.windows = (
            _numbered(places, len(self.foreground)) for places in (self.here, self.padded_centres)
        )

    def of(self, part: slice) -> tuple[Tensor, Tensor, Tensor]:
        """Return for the pixels of ``part`` weights, neighbours' numbers or -1, who is foreground, [25, n] each."""
        here = self.here[part]
        reach = self.pitch + 1
        first, last = torch.searchsorted(self.padded_centres, torch.stack([here[0] - reach, here[-1] + reach + 1]))
        # The last window stands for those that would cross the picture's edge: it adds nothing.
        whitened = _whitened(self.colours, self.centres[first:last], self.steps)
        count = int(last - first)
        windows = []
        for row, column in WINDOW:
            number = self.windows[here - row * self.pitch - column]
            windows.append(torch.where(number < 0, count, number - first))
        exists = torch.arange(count + 1, device=here.device) < count
        planes = whitened.new_zeros(len(NEIGHBOURS), len(here))
        for place, other in combinations_with_replacement(range(len(WINDOW)), 2):
            affinity = ((whitened[place] * whitened[other]).sum(0) + 1) / len(WINDOW) * exists
            (row, column), (row_2, column_2) = WINDOW[place], WINDOW[other]
            planes[NEIGHBOURS.index((row_2 - row, column_2 - column))] -= affinity.index_select(0, windows[place])
            if place != other:
                planes[NEIGHBOURS.index((row - row_2, column - column_2))] -= affinity.index_select(0, windows[other])
        planes[len(NEIGHBOURS) // 2] += torch.stack([exists[window] for window in windows]).sum(0)
        around = torch.stack([here + row * self.pitch + column for row, column in NEIGHBOURS])
        return planes, self.numbers[around], self.foreground[around]


def _numbered(places: Tensor, total: int) -> Tensor:
    """Return a map [total] of each place's number, -1 elsewhere."""
    numbers = torch.full((total,), -1, dtype=torch.int32, device=places.device)
    numbers[places] = torch.arange(len(places), dtype=torch.int32, device=places.device)
    return numbers


def _whitened(colours: Tensor, centres: Tensor, steps: list[int]) -> Tensor:
    """Return each window's colours without mean and covariance, [9, 3, K + 1], the last window zero.

    Cholesky's factor of the covariance is divided out, which keeps its precision where colours are nearly flat.
    """
    offset = torch.stack([colours[:, centres + step] for step in steps])
    offset = F.pad(offset - offset.mean(0), (0, 1))
    red, green, blue = offset.unbind(1)
    floor = REGULARISATION / len(WINDOW)
    a = (red.square().mean(0) + floor).sqrt()
    b, c = (red * green).mean(0) / a, (red * blue).mean(0) / a
    d = (green.square().mean(0) - b * b + floor).clamp(min=floor).sqrt()
    e = ((green * blue).mean(0) - b * c) / d
    f = (blue.square().mean(0) - c * c - e * e + floor).clamp(min=floor).sqrt()
    first = red / a
    second = (green - b * first) / d
    return torch.stack([first, second, (blue - c * first - e * second) / f], dim=1)


def _sparse(columns: Tensor, values: Tensor) -> Tensor:
    """Return a matrix [N, N] with the same number of entries in each row; ``columns`` and ``values`` are [N, K]."""
    count, each = columns.shape
    rows = torch.arange(0, count * each + 1, each, dtype=torch.int32, device=columns.device)
    with silence:  # of the beta state of such tensors
        return torch.sparse_csr_tensor(
            rows, columns.flatten(), values.flatten(), (count, count), check_invariants=False
        )


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    return torch.where(denominator > NEGLIGIBLE, numerator / denominator.clamp(min=NEGLIGIBLE), 0)
