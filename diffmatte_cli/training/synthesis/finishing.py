"""Finishing of whole batches, on any device: colours, blending (Eq. 1), and the camera's traces."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .camera import Camera, Tint, unpack
from .jpeg import compress
from .layers import GRAIN_UNIT, Layers

__all__ = ["Finished", "Stack", "finish", "stack"]

Finished = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Stack:
    """A batch of ``Layers``: colours and grain [B, S, S, 3], alpha and trimap [B, S, S], settings [B, N]."""

    front: Tensor
    back: Tensor
    alpha: Tensor
    trimap: Tensor
    grain: Tensor
    settings: Tensor

    def to(self, device: torch.device) -> "Stack":
        """Move every part, as bytes where they are bytes."""
        return Stack(*(part.to(device, non_blocking=True) for part in vars(self).values()))


def stack(samples: list[Layers]) -> Stack:
    """Join samples of one size into a batch."""
    parts = zip(*(vars(sample).values() for sample in samples), strict=True)
    return Stack(*(torch.from_numpy(np.stack(part)) for part in parts))


def finish(layers: Stack) -> Finished:
    """Turn layers into image [B, 3, S, S] in [0, 1], trimap [B, 1, S, S] in {0, .5, 1} and alpha [B, 1, S, S]."""
    front_tint, back_tint, camera = unpack(layers.settings)
    alpha = layers.alpha[:, None].float() / 255
    front, back = _tinted(_planes(layers.front) / 255, front_tint), _tinted(_planes(layers.back) / 255, back_tint)
    image = blend(_spilt(front, back, alpha, camera.spill), back, alpha, camera.linear)
    image = _exposed(image, _planes(layers.grain) / GRAIN_UNIT, camera)
    return image, (layers.trimap[:, None].float() / 127.5).round() / 2, alpha


def blend(front: Tensor, back: Tensor, alpha: Tensor, linear: Tensor) -> Tensor:
    """Apply Eq. 1; in linear light (a tone curve of exponent 2) where ``linear`` [B, 1, 1, 1] is 1."""
    plain = torch.lerp(back, front, alpha)
    return torch.where(linear > 0, torch.lerp(back * back, front * front, alpha).sqrt(), plain)


def _planes(pixels: Tensor) -> Tensor:
    return pixels.permute(0, 3, 1, 2).float().contiguous()


def _tinted(colours: Tensor, tint: "Tint[Tensor]") -> Tensor:
    """Change saturation, contrast, brightness and white balance of [B, 3, S, S]."""
    grey = colours.mean(dim=1, keepdim=True)
    colours = torch.lerp(grey, colours, tint.saturation)
    colours = (colours - 0.5) * tint.contrast + 0.5 + tint.brightness
    balance = torch.cat([tint.red, torch.ones_like(tint.red), tint.blue], dim=1)
    return (colours * balance).clamp(0, 1)


def _spilt(front: Tensor, back: Tensor, alpha: Tensor, spill: Tensor) -> Tensor:
    """Let the background's light shine on the foreground near its edge."""
    around = F.interpolate(F.avg_pool2d(back, 16), back.shape[-2:], mode="bilinear", align_corners=False)
    open_air = F.interpolate(F.avg_pool2d(1 - alpha, 8), back.shape[-2:], mode="bilinear", align_corners=False)
    return torch.lerp(front, around, spill * open_air)


def _exposed(image: Tensor, grain: Tensor, camera: "Camera[Tensor]") -> Tensor:
    """Apply tone curve, lens or sharpening, noise that grows with light, and JPEG or whole levels."""
    image = image.clamp(0, 1) ** camera.gamma
    image = image + camera.sharpness * (image - _softened(image))
    deviation = (camera.read_noise**2 + camera.shot_noise**2 * image.clamp(0, 1)).sqrt()
    # Blurred grain is weaker by the kernel's norm, 3 / 8.
    image = image + deviation * torch.lerp(grain, _softened(grain) * (8 / 3), camera.noise_width)
    image = (image.clamp(0, 1) * 255).round() / 255
    return torch.where(camera.quality > 0, compress(image, camera.quality, camera.subsampled), image)


def _softened(picture: Tensor) -> Tensor:
    """Blur by (1, 2, 1) / 4 both ways, borders repeated; by sums, which are alike on any number of threads."""
    wide = F.pad(picture, (1, 1, 1, 1), mode="replicate")
    wide = (wide[..., :-2] + 2 * wide[..., 1:-1] + wide[..., 2:]) / 4
    return (wide[..., :-2, :] + 2 * wide[..., 1:-1, :] + wide[..., 2:, :]) / 4
