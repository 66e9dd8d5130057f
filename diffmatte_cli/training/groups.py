"""What AdamW decays, and how fast each part of a network learns."""

import re
from typing import Any

from torch import nn

from ..model.diffmatte import DiffMatte

__all__ = ["parameter_groups"]

# Tables of positions are matrices only in form.
TABLES = ("pos_embed", "rel_pos_h", "rel_pos_w", "relative_position_bias_table")
BLOCK = re.compile(r"encoder\.blocks\.(\d+)\.(?!residual\.)")
ENTRANCE = ("encoder.patch_embed.", "encoder.pos_embed")


def parameter_groups(
    model: DiffMatte, weight_decay: float, layer_decay: float, encoder_rate: float = 1.0
) -> list[dict[str, Any]]:
    """Return AdamW's groups of ``params``, each with its ``weight_decay`` and ``lr_scale``, a factor of the rate.

    Matrices decay; vectors and tables of positions do not. The encoder of a ViT learns the slower the nearer to the
    picture: with D blocks and ``layer_decay`` L in (0, 1], block i of 0 to D - 1 has the scale L ** (D - i), patch
    embedding and positions L ** (D + 1), the decoder and the convolutions at the ends of blocks 1, since no pretrained
    network has these. Every scale is 1 for other encoders. All scales of an encoder are multiplied by
    ``encoder_rate`` in [0, 1]; at 0 it needs no gradients. Groups come in the order of their first parameters.
    """
    if encoder_rate == 0:
        model.encoder.requires_grad_(False)
    blocks = getattr(model.encoder, "blocks", ())
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        decays = parameter.ndim > 1 and name.rpartition(".")[2] not in TABLES
        if not parameter.requires_grad:
            continue
        share = encoder_rate if name.startswith("encoder.") else 1.0
        key = share * _scale(name, len(blocks), layer_decay), weight_decay if decays else 0.0
        groups.setdefault(key, []).append(parameter)
    return [{"params": rows, "weight_decay": decay, "lr_scale": scale} for (scale, decay), rows in groups.items()]


def _scale(name: str, depth: int, layer_decay: float) -> float:
    if depth == 0:
        return 1.0
    if name.startswith(ENTRANCE):
        return layer_decay ** (depth + 1)
    block = BLOCK.match(name)
    return layer_decay ** (depth - int(block[1])) if block else 1.0
