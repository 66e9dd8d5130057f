"""The whole model f_theta of Eq. 5: condition -> encoder once -> decoder at every step, or at once."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from ..priors.colours import colour_priors
from .capture import DetailCapture
from .config import ModelConfig, check_attention_grids
from .decoder import Decoder
from .encoders.base import encoder_class

__all__ = ["Condition", "DiffMatte", "condition_planes", "pad", "prior_logits"]

# Mean and deviation by which RGB is normalised: every published encoder was trained with ImageNet's.
PIXELS = {"trained": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), "hub": ((0.5,) * 3, (0.5,) * 3)}
# Keeps the prior's logit within +-4.6, so that the network can still overrule it.
PRIOR_MARGIN = 0.01


@dataclass(frozen=True)
class Condition:
    """What the network knows of a picture, [B, C, H, W] each.

    ``encoder_input`` goes through the encoder once; ``decoder_input`` stands beside x_t at every step: the ``planes``,
    doubled and shifted; ``prior_logit`` is there when the model corrects a colour prior. All but ``planes`` are padded
    to ``size``, height and width that are multiples of 32.
    """

    encoder_input: Tensor
    planes: Tensor
    prior_logit: Tensor | None
    size: tuple[int, int]

    @cached_property
    def decoder_input(self) -> Tensor:
        """The decoder's share of the condition, worked out when it is first asked for."""
        return pad(2 * self.planes - 1, self.size)


class DiffMatte(nn.Module):
    """A matting encoder, and the decoder that iterates over its one feature map or, as ViTMatte's, reads it once."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder_class(config.encoder)(config)
        self.decoder: Decoder | DetailCapture = (
            Decoder(config.decoder_width, config.condition_channels, config.feature_channels, config.feature_stride)
            if config.iterates
            else DetailCapture(config.encoder_channels, config.feature_channels)
        )

    def condition(
        self, image: Tensor, trimap: Tensor, priors: Tensor | None = None, size: tuple[int, int] | None = None
    ) -> Condition:
        """Build the condition from ``image`` [B, 3, H, W] in [0, 1] and ``trimap`` [B, 1, H, W] in {0, .5, 1}.

        ``priors`` are the planes of ``colour_priors`` [B, 7, H, W] where they are at hand, else None;
        ``size`` is what they are padded to, by default the configuration's ``padded_size``.
        """
        size = self.config.padded_size(*trimap.shape[-2:]) if size is None else size
        planes, prior_logit = condition_planes(image, trimap, self.config.preprocessing), None
        if self.config.priors:
            priors = colour_priors(image, trimap).planes(image, trimap) if priors is None else priors
            planes = torch.cat([planes, priors], dim=1)
            prior_logit = pad(prior_logits(priors[:, -1:]), size)
        seen = torch.cat([planes[:, :3], trimap], dim=1) if self.config.trimap_as_value else planes
        return Condition(pad(seen, size), planes, prior_logit, size)

    def encode(self, condition: Condition, drops: Tensor | None = None) -> Tensor:
        """Return the feature F, [B, N_F, H/stride, W/stride]; called once a picture.

        ``drops`` [B, self.encoder.drops] in [0, 1) decide which updates are left out in training (stochastic depth),
        drawn afresh where they are not given.
        """
        self.encoder.draws = drops
        features: Tensor = self.encoder(condition.encoder_input)
        return features

    def use_attention(self, grids: int, whole: bool = False) -> None:
        """Choose how the encoder's attention works: within ``grids`` x ``grids`` grids, and ``whole`` or in parts.

        Raises UsageError for grids that are out of range, or where there is no global attention.
        """
        check_attention_grids(grids, self.config.variant)
        self.encoder.grids, self.encoder.whole = grids, whole

    def on(self, device: torch.device) -> "DiffMatte":
        """Move to a device, with convolutions' weights in the order that is fastest."""
        moved: DiffMatte = self.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return moved

    def fold(self) -> "DiffMatte":
        """Make each parametrised weight (spectral norm) a plain one; for inference, since training needs the parts."""
        for module in list(self.modules()):
            if parametrize.is_parametrized(module):
                parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
        return self

    def decoder_planes(self, condition: Condition) -> Tensor:
        """Return the decoder's share of a condition, padded: 2c - 1 beside x_t, or, at once, the encoder's input."""
        return condition.decoder_input if self.config.iterates else condition.encoder_input

    def decode(self, x_in: Tensor, t: Tensor, condition: Condition, features: Tensor) -> Tensor:
        """Return x_0 in [-1, 1] for variance-normalised samples ``x_in`` [B, 1, H, W] at times ``t`` [B].

        ``x_in`` has the picture's own size; padding is added and taken off here. A decoder that gives alpha at once
        looks at neither.
        """
        height, width = x_in.shape[-2:]
        planes = self.decoder_planes(condition)
        if isinstance(self.decoder, Decoder):
            stacked = torch.cat([planes, pad(x_in, condition.size)], dim=1)
            x_0: Tensor = self.decoder(stacked, t, features, condition.prior_logit)
        else:
            x_0 = 2 * torch.sigmoid(self.decoder(planes, features).float()) - 1
        return x_0[..., :height, :width]


def condition_planes(image: Tensor, trimap: Tensor, preprocessing: str = "trained") -> Tensor:
    """Return normalised RGB and the trimap as planes background, unknown, foreground, [B, 6, H, W].

    The decoder gets them as 2c - 1, on top of the normalisation.
    """
    mean, std = (image.new_tensor(v).reshape(1, 3, 1, 1) for v in PIXELS[preprocessing])
    one_hot = [(trimap == level).to(image.dtype) for level in (0.0, 0.5, 1.0)]
    return torch.cat([(image - mean) / std, *one_hot], dim=1)


def prior_logits(alpha: Tensor) -> Tensor:
    """Return the logit of the colour prior's alpha in [0, 1], same shape, that the network's own is added to."""
    return alpha.logit(PRIOR_MARGIN)


def pad(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Pad [..., H, W] with zeros at the bottom and at the right to the height and width ``size``."""
    down, right = size[0] - x.shape[-2], size[1] - x.shape[-1]
    return F.pad(x, (0, right, 0, down)) if down or right else x
