"""Estimate the subject's colour where it is translucent, so that a cutout shows no old background.

Blur fusion, after M. Forte, "Approximate Fast Foreground Colour Estimation" (ICIP 2021): smooth fills of
foreground and background, then one step of the foreground towards the photograph's colour; a wide pass
first, then a narrow one on its result. Unlike in the paper, a pixel is weighted by the square of its share
in the layer: nearly transparent ones, which show mostly the other layer, would stain the fill; and the step
is that which would explain the photograph's colour exactly by the least change of both layers.
"""

import atexit
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..imaging.colour import as_shares
from ..process.threads import local_threads

if TYPE_CHECKING:
    import torch

__all__ = ["FOREGROUNDS", "blurred_background", "estimate_foreground"]

_WIDE, _NARROW = 40, 12  # radii in pixels of the two passes; the paper's, 90 and 6, fetch colour from too far away
_WEAK = 1e-4  # weight of colour from beyond a window, as a share of its area: more than stray alphas of 1/255
_BLUR = 0.02  # of the longer side: radius of a blurred background
_importing = threading.Lock()
_STRIP = 64  # rows or columns summed at once: small enough for the processor's cache
_ROWS = 512  # rows that are estimated at once


def estimate_foreground(image: NDArray[Any], alpha: NDArray[np.float32]) -> NDArray[np.float32]:
    """Estimate the foreground's colour at every pixel.

    ``image`` is uint8 or uint16 [H, W, 3], or float32 from 0; ``alpha`` float32 [H, W] in [0, 1]. Returns float32
    [H, W, 3], in [0, 1] or up to the image's largest value: the photograph's own colour where alpha is 1, a smooth fill
    from nearby foreground where alpha is 0.
    """
    import torch

    foreground = np.empty(image.shape, np.float32)
    with torch.inference_mode():
        beyond, tops = _means(image, alpha), np.maximum(1, as_shares(image.max((0, 1))))
        for rows in _strips(len(alpha)):
            seen = slice(max(0, rows.start - _WIDE - _NARROW), rows.stop + _WIDE + _NARROW)
            known = _shares(alpha[seen])
            scales = [(_layer(known, radius), _layer(1 - known, radius)) for radius in (_WIDE, _NARROW)]
            for channel in range(3):
                colour = torch.from_numpy(as_shares(image[seen, :, channel]))
                fused = _fuse(colour, scales, beyond[:, channel], float(tops[channel]))
                foreground[rows, :, channel] = fused[rows.start - seen.start :][: rows.stop - rows.start].numpy()
    return foreground


def multi_level(image: NDArray[Any], alpha: NDArray[np.float32]) -> NDArray[np.float32]:
    """Estimate the foreground by pymatting's multi-level method (T. Germer et al., 2020); needs the extra ``ml``.

    Arguments and result as for :func:`estimate_foreground`.
    """
    colour = as_shares(image)
    top = max(1.0, float(colour.max(initial=0)))  # it needs [0, 1]
    with local_threads():  # which Numba changes for torch, too, when it is loaded
        estimate = _pymatting()(colour / top, alpha)
    foreground: NDArray[np.float32] = estimate.astype(np.float32) * np.float32(top)
    return np.where(alpha[..., None] < 1, foreground, colour)


def _pymatting() -> Any:
    """Return pymatting's function, which Numba compiles and keeps in a folder: if there is none, in a temporary one.

    Raises UsageError where that cannot be made, either.
    """
    with _importing:
        try:
            from pymatting import estimate_foreground_ml
        except RuntimeError:  # nowhere to keep it
            try:
                folder = tempfile.mkdtemp(prefix="diffmatte-")
                atexit.register(shutil.rmtree, folder, ignore_errors=True)
                sys.modules["numba"].config.CACHE_DIR = folder
                from pymatting import estimate_foreground_ml
            except (OSError, RuntimeError) as error:
                raise UsageError(
                    "the foreground ml keeps compiled code in a folder, and none can be written: set NUMBA_CACHE_DIR or"
                    " TMPDIR to one that can, or choose another foreground",
                    "foreground",
                ) from error
    return estimate_foreground_ml


def as_photographed(image: NDArray[Any], alpha: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the photograph's own colour, old background included; arguments as for :func:`estimate_foreground`."""
    return as_shares(image)


FOREGROUNDS: Mapping[str, Callable[[NDArray[Any], NDArray[np.float32]], NDArray[np.float32]]] = MappingProxyType(
    {"blur-fusion": estimate_foreground, "ml": multi_level, "none": as_photographed}
)


def blurred_background(image: NDArray[Any], alpha: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the background out of focus, without the subject bleeding into it.

    Arguments and result as for :func:`estimate_foreground`; the subject is filled with colour from around it.
    """
    import torch

    with torch.inference_mode():
        share, (_, beyond) = 1 - _shares(alpha), _means(image, alpha)
        radius = max(1, round(_BLUR * max(alpha.shape)))
        far, near = _layer(share, 4 * radius), _layer(share, radius)
        area = _box_sum(torch.ones_like(share), radius)
        background = np.empty(image.shape, np.float32)
        for channel in range(3):
            colour = torch.from_numpy(as_shares(image[..., channel]))
            filled = near.fill(colour, far.fill(colour, beyond[channel]))
            for _ in range(2):  # three box filters are nearly a Gaussian one
                filled = _box_sum(filled, radius) / area
            background[..., channel] = filled.numpy()
    return background


@dataclass(frozen=True)
class _Layer:
    """Each pixel's share in a layer, its weight, and the weight summed over the window (all [H, W])."""

    share: "torch.Tensor"
    weight: "torch.Tensor"
    reach: "torch.Tensor"
    radius: int

    def fill(self, colour: "torch.Tensor", beyond: "torch.Tensor") -> "torch.Tensor":
        """Average ``colour`` [H, W] over the window by weight; use ``beyond`` where there is no weight nearby."""
        weak = _WEAK * (2 * self.radius + 1) ** 2
        return (_box_sum(colour * self.weight, self.radius) + weak * beyond) / (self.reach + weak)


def _layer(share: "torch.Tensor", radius: int) -> _Layer:
    weight = share.square()
    return _Layer(share, weight, _box_sum(weight, radius), radius)


def _strips(height: int) -> list[slice]:
    return [slice(start, min(start + _ROWS, height)) for start in range(0, height, _ROWS)]


def _shares(alpha: NDArray[np.float32]) -> "torch.Tensor":
    import torch

    return torch.from_numpy(np.clip(alpha, 0, 1, dtype=np.float32))


def _means(image: NDArray[Any], alpha: NDArray[np.float32]) -> "torch.Tensor":
    """Average the colour of foreground and background over the whole image by weight, [2, 3]."""
    import torch

    sums, areas = torch.zeros(2, 3, dtype=torch.float64), torch.zeros(2, 1, dtype=torch.float64)
    for rows in _strips(len(alpha)):
        share, colour = _shares(alpha[rows]), torch.from_numpy(as_shares(image[rows]))
        for layer, weight in enumerate((share.square(), (1 - share).square())):
            sums[layer] += (colour * weight[..., None]).sum((0, 1), dtype=torch.float64)
            areas[layer] += weight.sum(dtype=torch.float64)
    return (sums / areas.clamp_min(1e-12)).float()


def _fuse(
    colour: "torch.Tensor", scales: list[tuple[_Layer, _Layer]], beyond: "torch.Tensor", top: float
) -> "torch.Tensor":
    """Refine both layers of one channel [H, W] from scale to scale; opaque pixels keep their colour.

    ``beyond`` is what both layers are filled with far from any colour of theirs.
    """
    foreground = background = colour
    beyond_above, beyond_below = beyond
    for above, below in scales:
        smooth = above.fill(foreground, beyond_above)
        background = beyond_below = below.fill(background, beyond_below)
        missing = colour - above.share * smooth - below.share * background
        step = above.share * missing / (above.weight + below.weight)  # the least squares' for both layers
        foreground = beyond_above = (smooth + step).clamp_(0, top)
    return foreground.where(above.share < 1, colour)


def _box_sum(values: "torch.Tensor", radius: int) -> "torch.Tensor":
    """Sum [H, W] over windows of 2 radius + 1 a side, clipped at the borders, in linear time."""
    return _sums_along(0, _sums_along(1, values, radius), radius)


def _sums_along(axis: int, values: "torch.Tensor", radius: int) -> "torch.Tensor":
    import torch

    length = values.shape[axis]
    sums = torch.empty_like(values)
    across = values.shape[1 - axis]
    for start in range(0, across, _STRIP):
        strip, out = (plane.narrow(1 - axis, start, min(_STRIP, across - start)) for plane in (values, sums))
        # Running sums, in double precision as they grow; constant beyond both ends, which clips the windows.
        body = strip.cumsum(axis, dtype=torch.float64)
        before = torch.zeros_like(body.narrow(axis, 0, 1)).expand(*_sized(body, axis, radius + 1))
        after = body.narrow(axis, length - 1, 1).expand(*_sized(body, axis, radius))
        running = torch.cat([before, body, after], axis)
        torch.sub(running.narrow(axis, 2 * radius + 1, length), running.narrow(axis, 0, length), out=out)
    return sums


def _sized(like: "torch.Tensor", axis: int, length: int) -> list[int]:
    return [length if dim == axis else size for dim, size in enumerate(like.shape)]
