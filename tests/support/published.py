"""Reproducible weights for a whole network, by the recipe that the recorded numbers were made with.

Every tensor depends on its published key and shape alone: normal numbers from a Philox stream seeded by
the key's CRC-32, scaled so that all inputs show in the output.
"""

import re
import zlib

import numpy as np
import torch
from torch import Tensor, nn

from diffmatte_cli.inference.matter import Matter
from diffmatte_cli.model.config import VARIANTS
from diffmatte_cli.model.diffmatte import DiffMatte
from diffmatte_cli.model.official import official_name

# Of the published key: gain over the square root of the fan-in; the others have the square root of two.
GAINS = {
    r"patch_embed\.proj\.weight|attn\.proj\.weight|mlp\.fc\d\.weight|residual\.conv\d\.weight|reduction\.weight": 1.0,
    r"attn\.qkv\.weight": 1.2,
    r"backbone\..+\.conv2\.module\.weight_bar": 0.8,
    r"downsample\.1\.module\.weight_bar": 1.0,
    r"(time_embed\.\d|emb_layers\.0)\.weight": 2.0,
    r"decoder\..*(conv2|downsample\.op|upsample\.conv)\.weight": 1.0,
    r"matting_convs\.3\.weight": 0.6,
}
# Of the key's last part: how far the values of a vector or table lie from their centre.
SPREADS = {"running_mean": 0.1, "running_var": 0.2, "pos_embed": 0.2, "rel_pos_h": 0.1, "rel_pos_w": 0.1}
SPREADS |= {"relative_position_bias_table": 0.3, "bias": 0.1}


def published_matter(variant: str) -> Matter:
    """Return a published variant with these weights, ready to matte."""
    model = DiffMatte(VARIANTS[variant])
    model.load_state_dict(published_weights(model))
    return Matter(model.eval().requires_grad_(False), torch.device("cpu"))


def published_weights(network: nn.Module) -> dict[str, Tensor]:
    """Return a state dict for a whole model, under our keys."""
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    return {key: torch.from_numpy(_fill(official_name(key), shape)) for key, shape in shapes.items()}


def _fill(key: str, shape: tuple[int, ...]) -> np.ndarray:
    leaf = key.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    return _values(key, leaf, shape).astype(np.float32)


def _values(key: str, leaf: str, shape: tuple[int, ...]) -> np.ndarray:
    if leaf in ("weight_u", "weight_v"):
        return _unit(key, shape)
    if leaf == "weight_bar":
        # A part along the stored vectors, so that u^T W v is about 1 but the greatest singular value about 2.
        along = _unit(key[:-3] + "u", shape[:1])[:, None] * _unit(key[:-3] + "v", (int(np.prod(shape[1:])),))
        return _matrix(key, shape) + along.reshape(shape)
    if leaf in SPREADS:
        values = SPREADS[leaf] * _normal(key, shape)
        return np.exp(values) if leaf == "running_var" else values
    return 1 + 0.1 * _normal(key, shape) if len(shape) == 1 else _matrix(key, shape)


def _normal(key: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.Generator(np.random.Philox(key=zlib.crc32(key.encode()))).standard_normal(shape)


def _unit(key: str, shape: tuple[int, ...]) -> np.ndarray:
    values = _normal(key, shape)
    return values / np.sqrt((values * values).sum())


def _matrix(key: str, shape: tuple[int, ...]) -> np.ndarray:
    transposed = re.search(r"decoder\.(mid_blk|up_blks\.\d)\.conv1", key)
    # A 4x4 kernel of stride 2 gives each output pixel four taps.
    fan_in = 4 * shape[0] if transposed else int(np.prod(shape[1:]))
    gain = next((gain for end, gain in GAINS.items() if re.search(f"({end})$", key)), 2**0.5)
    values = gain / fan_in**0.5 * _normal(key, shape)
    if re.search(r"decoder\.down_blks\.0\.(conv1|downsample)", key):
        values[:, :3] *= 0.4  # the picture's planes, which reach far beyond 1
        values[:, 6] *= 2.0  # x_t
    return values - values.astype(np.float32).mean() if key.endswith("matting_convs.3.weight") else values
