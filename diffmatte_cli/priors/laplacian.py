"""The matting Laplacian around the unknown region, and its solution.

In every 3x3 window alpha is close to a linear function of the colours (Levin,
Lischinski, Weiss, "A Closed-Form Solution to Natural Image Matting", 2008). Only
windows that touch the unknown region matter, so that the cost follows that region
and not the picture.
"""

from collections.abc import Callable
from itertools import combinations_with_replacement, product

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["MattingLaplacian"]

# Added to the variance of a window's colours in [0, 1], as in the published experiments.
REGULARISATION = 1e-7
WINDOW = tuple(product((-1, 0, 1), repeat=2))
# Pixels that share a window are at most this many rows and columns apart.
REACH = 2
# Half of those around a pixel, itself first: the matrix is symmetric.
NEIGHBOURS = tuple(product(range(-REACH, REACH + 1), repeat=2))[12:]
# Pixels that are computed at a time, so that they stay in the processor's cache.
PART = 2**16
# A curvature below this is rounding: the solution stands.
NEGLIGIBLE = 1e-20


class MattingLaplacian:
    """The matting Laplacian for the N pixels of a batch within ``REACH`` of the unknown ones.

    Arguments: ``image`` [B, 3, H, W] in [0, 1]; ``trimap`` [B, 1, H, W] in {0, .5, 1}. Below 3 x 3
    there are no windows, and the solution is the start.

    Pixels are numbered row by row. Those that share a window and a row follow each other, so that columns are
    slices, and only other rows are looked up. ``REACH`` numbers of nothing, with zeros, come first and last.
    """

    def __init__(self, image: Tensor, trimap: Tensor) -> None:
        unknown = trimap == 0.5
        touched = _around(unknown) > 0
        near = _around(touched) > 0
        self.counts = near.flatten(1).sum(1)
        self.places = near.flatten().nonzero()[:, 0].int()
        self.unknown = self._numbered(unknown)
        self.rows = self._rows(near)
        centres = F.pad(touched[..., 1:-1, 1:-1], (1,) * 4) if min(touched.shape[-2:]) > 2 else touched & False
        self.values = image.new_zeros(len(NEIGHBOURS), len(self.unknown))
        colours = [self._numbered(plane) for plane in image.unbind(1)]
        exists = self._numbered(centres).to(image.dtype)
        for part in self._parts(PART):
            self._add(part, colours, exists[part])
        self.values /= -len(WINDOW)
        self.values[0] += self._numbered(_around(centres))

    def solve(self, start: Tensor, guess: Tensor, weight: Tensor, iterations: int) -> Tensor:
        """Return alpha that follows the colours where windows say so, and ``guess`` where ``weight`` does.

        Arguments: ``start``, the first iterate, and ``guess``, [B, 1, H, W] in [0, 1]; ``weight``
        [B, 1, H, W], at least 0 (a pixel's own entry in the matrix is near 8); ``iterations`` of
        conjugate gradients, scaled by the diagonal. No sample depends on the others.
        Returns ``start`` with new unknown pixels, in [0, 1].
        """
        x, pull = self._numbered(start), self._numbered(weight) * self.unknown
        diagonal, direction = self.values[0] + pull, x.clone()
        product = self._product(direction, diagonal)
        residual = pull * self._numbered(guess) - product()
        scale = self.unknown / diagonal.clamp(min=NEGLIGIBLE)  # 0 where alpha is known, which keeps it
        torch.mul(residual, scale, out=direction)
        energy = self._dot(residual, direction)
        for _ in range(iterations):
            image = product()
            pace = self._of_pixels(_ratio(energy, self._dot(direction, image)))
            x.addcmul_(pace, direction)
            residual.addcmul_(pace, image, value=-1)
            scaled = torch.mul(residual, scale, out=image)
            before, energy = energy, self._dot(residual, scaled)
            direction.mul_(self._of_pixels(_ratio(energy, before))).add_(scaled)
        found = x[REACH:-REACH].clamp_(0, 1)
        return start.flatten().index_copy(0, self.places.long(), found).view_as(start)

    def _numbered(self, plane: Tensor) -> Tensor:
        """Return the values of a plane [B, 1, H, W] by the pixels' numbers."""
        return F.pad(plane.flatten().index_select(0, self.places), (REACH, REACH))

    def _rows(self, near: Tensor) -> dict[int, Tensor]:
        """Return for each other row within reach the number of the pixel of the same column, or 0."""
        numbers = F.pad(torch.zeros_like(near, dtype=torch.int32), (0, 0, REACH, REACH))
        places = F.pad(near, (0, 0, REACH, REACH)).flatten().nonzero()[:, 0]
        flat, width = numbers.flatten(), near.shape[-1]
        flat[places] = torch.arange(REACH, len(places) + REACH, dtype=torch.int32, device=flat.device)
        others = (row for row in range(-REACH, REACH + 1) if row)
        return {row: F.pad(flat.index_select(0, places + row * width), (REACH, REACH)) for row in others}

    def _parts(self, size: int) -> list[slice]:
        """Divide the pixels' numbers."""
        end = len(self.unknown) - REACH
        return [slice(start, min(start + size, end)) for start in range(REACH, end, size)]

    def _add(self, part: slice, colours: list[Tensor], exists: Tensor) -> None:
        """Add the windows around the pixels of ``part``, of which only those that ``exists`` count."""
        count, wide = len(exists), slice(part.start - 1, part.stop + 1)
        factors = exists.expand(len(WINDOW), 4, count).clone()
        for row, channel in product((-1, 0, 1), range(3)):
            line = colours[channel][wide] if row == 0 else colours[channel].index_select(0, self.rows[row][wide])
            for column in range(3):
                factors[3 * (row + 1) + column, channel] = line[column : column + count]
        _whiten(factors[:, :3], exists)
        sums = {-1: factors.new_zeros(13, count + 2), 0: self.values[:, wide], 1: factors.new_zeros(3, count + 2)}
        for place, other in combinations_with_replacement(range(len(WINDOW)), 2):
            (row, column), (row_2, column_2) = WINDOW[place], WINDOW[other]
            total = sums[row][NEIGHBOURS.index((row_2 - row, column_2 - column)), 1 + column : 1 + column + count]
            for one, two in zip(factors[place], factors[other], strict=True):
                total.addcmul_(one, two)
        for row in (-1, 1):
            for total, more in zip(self.values, sums[row], strict=False):
                total.index_add_(0, self.rows[row][wide], more)

    def _product(self, x: Tensor, diagonal: Tensor) -> Callable[[], Tensor]:
        """Return what multiplies ``x``, as it stands at each call, by the matrix with another diagonal."""
        total, ahead, back = (torch.empty_like(x) for _ in range(3))
        steps: dict[int, list[tuple[Tensor, Tensor, Tensor]]] = {0: [], 1: [], 2: []}
        for part, (number, (row, column)) in product(self._parts(2 * PART), enumerate(NEIGHBOURS)):
            if number:
                values, other = self.values[number, part], slice(part.start + column, part.stop + column)
                steps[row].append((total[part], values, ahead[other] if row else x[other]))
                steps[row].append((back[other] if row else total[other], values, x[part]))

        def multiplied() -> Tensor:
            torch.mul(x, diagonal, out=total)
            for row, parts in steps.items():
                if row:
                    torch.index_select(x, 0, self.rows[row], out=ahead)
                    back.zero_()
                for sums, one, two in parts:
                    sums.addcmul_(one, two)
                if row:
                    total.add_(torch.index_select(back, 0, self.rows[-row], out=ahead))
            return total

        return multiplied

    def _dot(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the inner product of each sample, [B], or [] for one sample."""
        products = (x * y)[REACH:-REACH].double()
        if len(self.counts) == 1:
            return products.sum().float()
        # Nothing is checked, since a GPU would have to be waited for.
        sums: Tensor = torch.segment_reduce(products, "sum", lengths=self.counts, initial=0, unsafe=True)
        return sums.float()

    def _of_pixels(self, values: Tensor) -> Tensor:
        """Return what samples have, [B], for each of their pixels, [N]."""
        if len(self.counts) == 1:
            return values
        pixels = values.repeat_interleave(self.counts, output_size=len(self.unknown) - 2 * REACH)
        return F.pad(pixels, (REACH, REACH))


def _around(mask: Tensor) -> Tensor:
    """Count for each pixel of a mask [B, 1, H, W] where it holds within one row and column."""
    padded = F.pad(mask.to(torch.uint8), (1,) * 4)
    tall = padded[..., :-2, :] + padded[..., 1:-1, :] + padded[..., 2:, :]
    return tall[..., :-2] + tall[..., 1:-1] + tall[..., 2:]


def _whiten(colours: Tensor, exists: Tensor) -> None:
    """Take mean and covariance out of the colours [9, 3, K] of windows, and all where not ``exists`` [K].

    Cholesky's factor of the covariance is divided out, which keeps its precision where colours are nearly flat.
    """
    colours -= colours.mean(0)
    red, green, blue = colours.unbind(1)
    floor = REGULARISATION / len(WINDOW)
    a = (_covariance(red, red) + floor).sqrt()
    b, c = _covariance(red, green) / a, _covariance(red, blue) / a
    d = (_covariance(green, green) - b * b + floor).clamp(min=floor).sqrt()
    e = (_covariance(green, blue) - b * c) / d
    f = (_covariance(blue, blue) - c * c - e * e + floor).clamp(min=floor).sqrt()
    red *= exists / a
    green.addcmul_(b, red, value=-1).mul_(exists / d)
    blue.addcmul_(c, red, value=-1).addcmul_(e, green, value=-1).mul_(exists / f)


def _covariance(one: Tensor, two: Tensor) -> Tensor:
    return (one * two).mean(0)


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    return torch.where(denominator > NEGLIGIBLE, numerator / denominator.clamp(min=NEGLIGIBLE), 0)
