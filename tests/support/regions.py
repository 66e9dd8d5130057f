"""Pixels that are wanted of a picture, of every kind that tiles and blocks meet."""

import torch
from torch import Tensor

__all__ = ["masks"]


def masks(height: int, width: int) -> dict[str, Tensor]:
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    distance = (rows - height / 2).hypot(columns - width / 2)
    one = torch.zeros(height, width, dtype=torch.bool)
    one[height // 3, width // 5] = True
    return {
        "ring": (distance > 30) & (distance < 36),
        "all": torch.ones(height, width, dtype=torch.bool),
        "corner": (rows < 3) & (columns > width - 5),
        "border": (rows == height - 1) | (columns == 0),
        "one": one,
    }
