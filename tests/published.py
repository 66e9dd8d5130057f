"""Reproducible weights for the decoder, by the recipe that the recorded numbers were made with.

Every tensor depends on its published key and shape alone: normal numbers from a Philox stream seeded by
the key's CRC-32, scaled so that all inputs show in the output.
"""

import re
import zlib

import numpy as np
import torch
from torch import Tensor

from diffmatte_cli.model.decoder import Decoder

PREFIX = "model.decoder."
# Gain over the square root of the fan-in, by the end of the key; the others have the square root of two.
GAINS = {
    r"(time_embed\.\d|emb_layers\.0)\.weight": 2.0,
    r"(conv2|downsample\.op|upsample\.conv)\.weight": 1.0,
    r"matting_convs\.3\.weight": 0.6,
}
# Vectors: centre and spread, and whether the value is an exponent.
VECTORS = {"running_mean": (0.0, 0.1), "running_var": (0.0, 0.2), "bias": (0.0, 0.1), "weight": (1.0, 0.1)}


def published_weights(decoder: Decoder) -> dict[str, Tensor]:
    """Return a state dict for ``decoder`` as the published implementation was run with."""
    return {key: torch.from_numpy(_fill(key, tuple(value.shape))) for key, value in decoder.state_dict().items()}


def _fill(key: str, shape: tuple[int, ...]) -> np.ndarray:
    leaf = key.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    stream = np.random.Generator(np.random.Philox(key=zlib.crc32((PREFIX + key).encode())))
    values = stream.standard_normal(shape)
    if len(shape) < 2:
        centre, spread = VECTORS[leaf]
        values = centre + spread * values
        return (np.exp(values) if leaf == "running_var" else values).astype(np.float32)
    return _matrix(key, values).astype(np.float32)


def _matrix(key: str, values: np.ndarray) -> np.ndarray:
    transposed = re.search(r"(mid_blk|up_blks\.\d)\.conv1", key)
    # A 4x4 kernel of stride 2 gives each output pixel four taps.
    fan_in = 4 * values.shape[0] if transposed else int(np.prod(values.shape[1:]))
    gain = next((gain for end, gain in GAINS.items() if re.search(end + "$", key)), 2**0.5)
    values = gain / fan_in**0.5 * values
    if re.match(r"down_blks\.0\.(conv1|downsample)", key):
        values[:, :3] *= 0.4  # the picture's planes, which reach far beyond 1
        values[:, 6] *= 2.0  # x_t
    return values - values.astype(np.float32).mean() if key.endswith("matting_convs.3.weight") else values
