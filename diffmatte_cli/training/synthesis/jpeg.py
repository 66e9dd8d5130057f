"""JPEG's losses without its files: cosine transform, quantisation and coarse colours, in batches on any device.

Tables and transform as in ITU-T T.81 (Annexes A.3.3 and K.1), their scaling by quality as in the IJG's library.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["compress"]

BRIGHTNESS_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
COLOUR_TABLE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *[(99, 99, 99, 99, 99, 99, 99, 99)] * 4,
)


def compress(image: Tensor, quality: Tensor, subsampled: Tensor) -> Tensor:
    """Return what is left of images after JPEG.

    Arguments: ``image`` [B, 3, H, W] in [0, 1], H and W multiples of 16; ``quality`` [B, 1, 1, 1] of 1 to 100;
    ``subsampled`` [B, 1, 1, 1], 1 for colours at half the resolution, else 0.
    """
    red, green, blue = (255 * image).round().unbind(1)
    brightness = 0.299 * red + 0.587 * green + 0.114 * blue
    # Rounded wherever files hold bytes.
    colours = torch.stack([(blue - brightness) / 1.772, (red - brightness) / 1.402], dim=1).round()
    brightness = _quantise((brightness.round() - 128)[:, None], BRIGHTNESS_TABLE, quality)
    full = _quantise(colours, COLOUR_TABLE, quality)
    half = _quantise(F.avg_pool2d(colours, 2).round(), COLOUR_TABLE, quality)
    half = F.interpolate(half, scale_factor=2, mode="bilinear", align_corners=False)
    light, (towards_blue, towards_red) = brightness[:, 0] + 128, torch.where(subsampled > 0, half, full).unbind(1)
    green = light - (0.114 * 1.772 * towards_blue + 0.299 * 1.402 * towards_red) / 0.587
    decoded = torch.stack([light + 1.402 * towards_red, green, light + 1.772 * towards_blue], dim=1)
    return decoded.round().clamp(0, 255) / 255


def _quantise(planes: Tensor, table: tuple[tuple[int, ...], ...], quality: Tensor) -> Tensor:
    """Round the cosine coefficients of 8 x 8 blocks of planes [B, C, H, W] to multiples of the scaled table."""
    batch, channels, height, width = planes.shape
    percent = torch.where(quality < 50, (5000 / quality.clamp(min=1)).floor(), 200 - 2 * quality)
    steps = ((planes.new_tensor(table) * percent + 50) / 100).floor().clamp(1, 255)  # [B, 1, 8, 8]
    cosines = _cosines(planes.device)
    blocks = planes.view(batch, channels, height // 8, 8, width // 8, 8).transpose(3, 4)
    coefficients = cosines @ blocks @ cosines.T
    steps = steps[:, :, None, None]
    kept = (coefficients / steps).round() * steps
    return (cosines.T @ kept @ cosines).round().transpose(3, 4).reshape(planes.shape)


def _cosines(device: torch.device) -> Tensor:
    """Return the orthonormal transform [8, 8], a row for each frequency."""
    rows = [
        [math.sqrt((1 if k == 0 else 2) / 8) * math.cos((2 * n + 1) * k * math.pi / 16) for n in range(8)]
        for k in range(8)
    ]
    return torch.tensor(rows, device=device)
