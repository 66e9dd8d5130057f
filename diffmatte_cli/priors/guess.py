"""The alpha that filled-in colours imply, in and around the unknown region alone."""

from collections.abc import Iterable
from functools import reduce
from itertools import product

import torch
from torch import Tensor

__all__ = ["guess_alpha", "halve", "mean", "quarters"]

# Weight of the filled-in colours' alpha against the matting Laplacian, at its most certain.
COLOUR_WEIGHT = 3e-3
# Unknown pixels of the smallest size whose parts are computed at a time.
BLOCKS = 2**13


def guess_alpha(
    sizes: list[tuple[Tensor, Tensor]], foreground: Tensor, background: Tensor
) -> list[tuple[Tensor, Tensor]]:
    """Return the alpha that the colours imply and its weight, [B, 1, H, W] each, for every size.

    Arguments: ``sizes``, image [B, 3, H, W] and trimap [B, 1, H, W], each half as large as the one before; the colours
    filled in at half of the first size. What is no part of an unknown pixel of the last size is 0.
    """
    found = [(torch.zeros_like(trimap), torch.zeros_like(trimap)) for _, trimap in sizes]
    for blocks in torch.split((sizes[-1][1] == 0.5).nonzero(), BLOCKS):
        sample, _, row, column = blocks.unbind(1)
        rows = _parts(row, [image.shape[-2] for image, _ in sizes])
        columns = _parts(column, [image.shape[-1] for image, _ in sizes])
        own, classes = (_taken(plane, sample, rows[0], columns[0]) for plane in sizes[0])
        colours = [
            torch.where(classes == known, own, _doubled(fill, sample, rows[0], columns[0]))
            for known, fill in ((1, foreground), (0, background))
        ]
        for number, (planes, (image, _)) in enumerate(zip(found, sizes, strict=True)):
            if number:
                colours = [halve(colour.movedim(-1, 1)).movedim(1, -1) for colour in colours]
            places = sample, rows[number], columns[number]
            index = _index(planes[0], *places).flatten()
            for plane, values in zip(planes, _colour_alpha(_taken(image, *places), *colours), strict=True):
                plane.view(-1).scatter_(0, index, values.flatten())
    return found


def _parts(place: Tensor, lengths: list[int]) -> list[Tensor]:
    """Return the rows, or columns, [S, N] of each size that make up those of the last size, [N].

    Where a size ends with half a pixel of the next, its last one counts twice.
    """
    parts = [place[None]]
    for length in reversed(lengths[:-1]):
        halves = 2 * parts[0][:, None] + torch.arange(2, device=place.device)[:, None]
        parts.insert(0, halves.flatten(0, 1).clamp(max=length - 1))
    return parts


def _index(plane: Tensor, sample: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return where in ``plane`` [B, C, H, W], flat, the first channel of some pixels is, [S, S, N]."""
    _, channels, height, width = plane.shape
    return (sample * (channels * height) + rows[:, None]) * width + columns


def _taken(plane: Tensor, sample: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return some pixels of ``plane`` [B, C, H, W], [C, S, S, N]."""
    index = _index(plane, sample, rows, columns)
    flat, size = plane.flatten(), plane.shape[-2] * plane.shape[-1]
    channels = [flat[channel * size :].index_select(0, index.flatten()) for channel in range(plane.shape[1])]
    return torch.stack(channels).view(plane.shape[1], *index.shape)


def _doubled(half: Tensor, sample: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return some pixels of ``half`` [B, C, H, W] at twice the size, bilinearly, [C, S, S, N]."""
    sides = [
        (place // 2, (place // 2 + place % 2 * 2 - 1).clamp(0, length - 1))
        for place, length in zip((rows, columns), half.shape[-2:], strict=True)
    ]
    (above, below), (left, right) = sides

    def line(row: Tensor) -> Tensor:
        return torch.lerp(_taken(half, sample, row, left), _taken(half, sample, row, right), 0.25)

    return torch.lerp(line(above), line(below), 0.25)


def _colour_alpha(image: Tensor, foreground: Tensor, background: Tensor) -> tuple[Tensor, Tensor]:
    """Return the alpha that colours [3, ...] imply and the weight it deserves, [...] each.

    The weight falls where the colours do not explain the picture, or do not differ.
    """
    difference = foreground - background
    contrast = difference.square().sum(0)
    alpha = (((image - background) * difference).sum(0) / (contrast + 1e-3)).clamp(0, 1)
    residual = (image - background - alpha * difference).abs().sum(0)
    return alpha, COLOUR_WEIGHT * torch.exp(-10 * residual) * contrast / (contrast + 0.05)


def halve(x: Tensor) -> Tensor:
    """Return ``x`` [..., H, W] at half the size, rounded up, by the mean of each 2x2 pixels."""
    return mean(quarters(x))


def mean(parts: Iterable[Tensor]) -> Tensor:
    """Return the mean of four."""
    return reduce(torch.add, parts).mul_(0.25)


def quarters(x: Tensor) -> list[Tensor]:
    """Divide ``x`` [..., H, W] into the four pixels of each 2x2; an odd row or column at the end counts twice."""
    if x.shape[-2] % 2:
        x = torch.cat([x, x[..., -1:, :]], dim=-2)
    if x.shape[-1] % 2:
        x = torch.cat([x, x[..., -1:]], dim=-1)
    return [x[..., row::2, column::2] for row, column in product((0, 1), repeat=2)]
