"""What every encoder is: the part of the network that sees an image once."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib import import_module
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..config import ModelConfig

__all__ = ["Encoder", "encoder_class"]


class Encoder(nn.Module, ABC):
    """B of Eq. 5: from the image and its trimap to the feature F, in two parts.

    Class attributes:
        shallow_stride: the factor between the image and what ``shallow`` returns.
        halo: pixels above and below a strip that ``shallow`` has to see beside it.
        bytes_per_pixel: peak memory while encoding, measured, for 384 channels of the feature.
        depth: blocks with learning rates of their own under layer decay, see ``blocks_above``.
        tables: last names of parameters that are matrices only in form, which weight decay spares.
        drops: numbers a sample that stochastic depth needs in training.

    Attributes:
        grids: n makes global attention work within n x n interleaved grids; 1 is the whole image. The authors use 3 x 3
            for very large images: the cost of global attention falls by its square.
        whole: holds all logits of an attention at a time, as the published code does.
        draws: [B, drops] in [0, 1), which updates of each sample are left out in training; None draws afresh.
    """

    shallow_stride: ClassVar[int]
    halo: ClassVar[int] = 0
    bytes_per_pixel: ClassVar[int]
    depth: ClassVar[int] = 0
    tables: ClassVar[tuple[str, ...]] = ()
    drops: ClassVar[int] = 0

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.grids, self.whole = 1, False
        self.draws: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return the feature F, [B, N_F, H/stride, W/stride].

        ``x`` is [B, C, H, W] with H and W multiples of 32: RGB, then the trimap and what else the configuration shows.
        """
        return self.deep(self.shallow(x))

    def in_strips(self, strip: Callable[[slice], Tensor], height: int, rows: int) -> Tensor:
        """Return the feature F of a picture whose planes never stand in memory at once, the same but for rounding.

        ``strip`` gives the planes [B, C, R, W] of some of its ``height`` rows; ``rows`` are how many to see at a time,
        both multiples of 32. ``shallow`` sees them with a halo.
        """
        stride, halo, parts = self.shallow_stride, self.halo, []
        for start in range(0, height, rows):
            stop = min(start + rows, height)
            begin = max(0, start - halo)
            part = self.shallow(strip(slice(begin, min(height, stop + halo))))
            parts.append(part[..., (start - begin) // stride : (stop - begin) // stride, :].clone())
        return self.deep(torch.cat(parts, dim=2))

    @abstractmethod
    def shallow(self, x: Tensor) -> Tensor:
        """Return the features of the first layers, which see no more than ``halo`` pixels around them."""

    @abstractmethod
    def deep(self, x: Tensor) -> Tensor:
        """Return the feature F for what ``shallow`` gave."""

    def blocks_above(self, parameter: str) -> int:
        """Return how many blocks lie above a parameter, itself included: the exponent of its layer decay."""
        return 0

    @classmethod
    def attention_bytes(cls, config: ModelConfig, height: int, width: int) -> int:
        """Return the bytes of global attention that is held whole, of which an encoder may have none."""
        return 0


def encoder_class(name: str) -> type[Encoder]:
    """Return the encoder that the module ``name`` of this package defines."""
    module = import_module(f".{name}", __package__)
    (found,) = (kind for kind in Encoder.__subclasses__() if kind.__module__ == module.__name__)
    return found
