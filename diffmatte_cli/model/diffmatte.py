"""The whole model f_theta of Eq. 5: condition -> encoder once -> decoder at every step."""

from dataclasses import dataclass
from importlib import import_module

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from ..priors import colour_priors
from .config import ModelConfig, check_attention_grids
from .decoder import Decoder

__all__ = ["Condition", "DiffMatte", "condition_planes", "pad", "pad_amounts"]

# ImageNet statistics: every published encoder was trained with them.
PIXEL_MEAN = (0.485, 0.456, 0.406)
PIXEL_STD = (0.229, 0.224, 0.225)
SIZE_MULTIPLE = 32
# Keeps the prior's logit within +-4.6, so that the network can still overrule it.
PRIOR_MARGIN = 0.01


@dataclass(frozen=True)
class Condition:
    """What the network knows of a picture, padded to multiples of 32, [B, C, H, W] each.

    ``encoder_input`` goes through the encoder once; ``decoder_input`` stands beside x_t at every
    step; ``prior_logit`` is there when the model corrects a colour prior.
    """

    encoder_input: Tensor
    decoder_input: Tensor
    prior_logit: Tensor | None


class DiffMatte(nn.Module):
    """A matting encoder and the diffusion decoder that iterates over its one feature map."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        encoder = import_module(f".{config.encoder}", __package__)
        self.encoder: nn.Module = encoder.Encoder(
            config.encoder_channels, config.feature_channels, **config.encoder_options
        )
        self.decoder = Decoder(
            config.decoder_width, config.condition_channels, config.feature_channels, config.feature_stride
        )

    def condition(self, image: Tensor, trimap: Tensor, priors: Tensor | None = None) -> Condition:
        """Build the condition from ``image`` [B, 3, H, W] in [0, 1] and ``trimap`` [B, 1, H, W] in {0, .5, 1}.

        ``priors`` are the planes of ``colour_priors`` [B, 7, H, W] where they are at hand, else None.
        """
        planes, prior_logit = condition_planes(image, trimap), None
        if self.config.priors:
            priors = self._priors(image, trimap) if priors is None else priors
            planes = torch.cat([planes, priors], dim=1)
            prior_logit = pad(priors[:, -1:].logit(PRIOR_MARGIN))
        seen = torch.cat([planes[:, :3], trimap], dim=1) if self.config.trimap_as_value else planes
        return Condition(pad(seen), pad(2 * planes - 1), prior_logit)

    @staticmethod
    def _priors(image: Tensor, trimap: Tensor) -> Tensor:
        """Compute the planes where the picture is, or on the CPU: MPS has no sparse products."""
        where = torch.device("cpu") if image.device.type == "mps" else image.device
        return colour_priors(image.to(where), trimap.to(where)).planes.to(image.device)

    def encode(self, condition: Condition) -> Tensor:
        """Return the feature F, [B, N_F, H/stride, W/stride]; called once a picture."""
        return self.encoder(condition.encoder_input)  # type: ignore[no-any-return]

    def use_attention_grids(self, count: int) -> None:
        """Make a ViT encoder's global attention work within ``count`` x ``count`` interleaved grids; 1 is the whole.

        Raises UsageError for another encoder, or a count that is out of range.
        """
        check_attention_grids(count, self.config.variant)
        if count > 1:
            self.encoder.grids = count  # type: ignore[assignment]

    def fold(self) -> "DiffMatte":
        """Make each parametrised weight (spectral norm) a plain one; for inference, since training needs the parts."""
        for module in list(self.modules()):
            if parametrize.is_parametrized(module):
                parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
        return self

    def decode(self, x_in: Tensor, t: Tensor, condition: Condition, features: Tensor) -> Tensor:
        """Return x_0 in [-1, 1] for variance-normalised samples ``x_in`` [B, 1, H, W] at times ``t`` [B].

        ``x_in`` has the picture's own size; padding is added and taken off here.
        """
        height, width = x_in.shape[-2:]
        stacked = torch.cat([condition.decoder_input, pad(x_in)], dim=1)
        x_0 = self.decoder(stacked, t, features, condition.prior_logit)
        return x_0[..., :height, :width]  # type: ignore[no-any-return]


def condition_planes(image: Tensor, trimap: Tensor) -> Tensor:
    """Return normalised RGB and the trimap as planes background, unknown, foreground, [B, 6, H, W].

    The decoder gets them as 2c - 1, on top of the normalisation.
    """
    mean, std = (image.new_tensor(v).reshape(1, 3, 1, 1) for v in (PIXEL_MEAN, PIXEL_STD))
    one_hot = [(trimap == level).to(image.dtype) for level in (0.0, 0.5, 1.0)]
    return torch.cat([(image - mean) / std, *one_hot], dim=1)


def pad_amounts(height: int, width: int) -> tuple[int, int]:
    """Return rows and columns to add so that both sides are multiples of 32.

    As in the published code, once one side is off, a side that already is a multiple grows by 32
    too; results depend on it.
    """
    down, right = (SIZE_MULTIPLE - side % SIZE_MULTIPLE for side in (height, width))
    return (0, 0) if down == right == SIZE_MULTIPLE else (down, right)


def pad(x: Tensor) -> Tensor:
    """Pad [B, C, H, W] with zeros at the bottom and right."""
    down, right = pad_amounts(*x.shape[-2:])
    return F.pad(x, (0, right, 0, down)) if down or right else x
