"""A photograph, its trimap and its colour priors, stored compactly and given to the model window by window."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..model.diffmatte import Condition, DiffMatte, prior_logits
from ..priors.colours import Priors, Window, colour_priors
from ..trimaps.trimap import UNKNOWN

__all__ = ["Canvas"]


@dataclass(frozen=True)
class Canvas:
    """The known data of an image: ``image`` uint8 [1, 3, H, W], ``levels`` uint8 [1, 1, H, W] in {0, 128, 255}.

    A window is in pixels of the image as the model pads it; it starts at multiples of 32.
    """

    model: DiffMatte
    image: Tensor
    levels: Tensor
    priors: Priors | None

    @classmethod
    def of(
        cls, model: DiffMatte, image: NDArray[np.uint8], trimap: NDArray[np.uint8], device: torch.device
    ) -> "Canvas":
        """Read ``image`` [H, W, 3] and the classes [H, W] of its trimap, and compute the model's priors if any."""
        pixels = torch.from_numpy(np.array(image.transpose(2, 0, 1), order="C")).to(device)[None]
        canvas = cls(model, pixels, torch.tensor(trimap, device=device)[None, None], None)
        if not model.config.priors:
            return canvas
        # On the CPU if the device has no double precision.
        where = torch.device("cpu") if device.type == "mps" else device
        found = colour_priors(pixels.to(where).float().div_(255), canvas.decided.to(where))
        planes = (plane.to(device) for plane in (found.foreground, found.background, found.alpha))
        return cls(model, canvas.image, canvas.levels, Priors(*planes))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self.levels.shape[-2], self.levels.shape[-1]

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width that the model sees."""
        return self.model.config.padded_size(*self.size)

    @property
    def unknown(self) -> Tensor:
        """Where alpha is unknown, boolean [1, 1, H, W]."""
        return self.levels == UNKNOWN

    @property
    def decided(self) -> Tensor:
        """The trimap as 0, 0.5 and 1, float32 [1, 1, H, W]."""
        return torch.where(self.unknown, 0.5, (self.levels > UNKNOWN).float())

    @property
    def settled(self) -> Tensor:
        """What x_0 is wherever alpha is known, -1 or 1, float32 [1, 1, H, W]."""
        return (self.levels > UNKNOWN).float().mul_(2).sub_(1)

    def condition(self, window: Window | None = None) -> Condition:
        """Return the condition for a window, by default the whole image, padded."""
        window = window or (slice(0, self.padded[0]), slice(0, self.padded[1]))
        cut, size = self._within(window), (window[0].stop - window[0].start, window[1].stop - window[1].start)
        image = self.image[..., cut[0], cut[1]].float() / 255
        levels = self.levels[..., cut[0], cut[1]]
        trimap = torch.where(levels == UNKNOWN, 0.5, (levels > UNKNOWN).float())
        planes = None if self.priors is None else self.priors.planes(image, trimap, cut)
        return self.model.condition(image, trimap, planes, size)

    def prior_logits(self, window: Window) -> Tensor | None:
        """Return the prior's logits for a window of the unpadded image, [1, 1, h, w], if the model has priors."""
        return None if self.priors is None else prior_logits(self.priors.alpha[..., window[0], window[1]])

    def _within(self, window: Window) -> Window:
        """Return the part of a window that is not padding."""
        ends = [min(place.stop, size) for place, size in zip(window, self.size, strict=True)]
        rows, columns = (slice(place.start, max(place.start, end)) for place, end in zip(window, ends, strict=True))
        return rows, columns
