"""Fold batch norm into convolutions, and the decoder's bilinear doubling, too; ``region`` derives it."""

import copy
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from ..model.encoders.base import Encoder

__all__ = ["FoldedBlock", "FoldedHead", "fold", "folded_encoder", "ready"]

# [place, tap on the small map, tap on the doubled map]: see ``region``.
DOUBLING = torch.tensor([[[3.0, 1, 0], [1, 3, 3], [0, 0, 1]], [[1.0, 0, 0], [3, 3, 1], [0, 1, 3]]]) / 4


class FoldedBlock:
    """A block's convolutions with batch norm folded in."""

    def __init__(self, block: Any, dtype: torch.dtype) -> None:
        self.time = block.emb_layers
        skip = next(getattr(block, block.skip).children()).weight
        self.first, self.bias_1 = fold(block.conv1, block.bn1, 1 if block.skip == "upsample" else 0)
        second, bias_2 = fold(block.conv2, block.bn2, 0)
        if block.skip == "downsample":
            self.first = torch.cat([self.first, skip])
            self.bias_1 = torch.cat([self.bias_1, torch.zeros_like(self.bias_1)])
        else:
            places = torch.einsum("adu,bev,oiuv->aboide", *[DOUBLING.to(skip)] * 2, skip)
            self.places = ready(places.flatten(0, 2), dtype)
        self.skip = ready(skip, dtype)
        self.first, self.second = ready(self.first, dtype), ready(second, dtype)
        self.bias_1, self.bias_2 = self.bias_1.to(dtype), bias_2.to(dtype)

    @property
    def channels(self) -> int:
        """Channels of the block's output."""
        return len(self.bias_2)


class FoldedHead:
    """A matting head: its convolution with batch norm folded in, and the last layer as a vector."""

    def __init__(self, head: Any, dtype: torch.dtype) -> None:
        convolution, norm, _, last = head.matting_convs
        weight, bias = fold(convolution, norm, 0)
        self.weight, self.bias = ready(weight, dtype), bias.to(dtype)
        self.last: Tensor = last.weight.flatten().float()
        self.last_bias: Tensor = last.bias.float()


def folded_encoder(encoder: Encoder) -> Encoder:
    """Return a copy with each batch norm in the convolution defined before it; without any, the encoder itself."""
    if not any(isinstance(module, nn.BatchNorm2d) for module in encoder.modules()):
        return encoder
    folded = copy.deepcopy(encoder).eval()
    for module in folded.modules():
        for (name, convolution), (norm_name, norm) in pairwise(list(module.named_children())):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(convolution, norm))
                setattr(module, norm_name, nn.Identity())
    return folded


def fold(convolution: Any, norm: Any, out_axis: int) -> tuple[Tensor, Tensor]:
    """Return weight and bias of a convolution followed by batch norm in evaluation."""
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    shape = [1] * 4
    shape[out_axis] = -1
    bias = torch.zeros_like(scale) if convolution.bias is None else convolution.bias
    return convolution.weight * scale.reshape(shape), norm.bias + (bias - norm.running_mean) * scale


def ready(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a weight without gradient, of ``dtype``, channels last."""
    return weight.detach().to(dtype).contiguous(memory_format=torch.channels_last)
