"""What AdamW decays, and how fast each part of a network learns."""

from typing import Any

from torch import nn

from ..model.diffmatte import DiffMatte

__all__ = ["parameter_groups"]


def parameter_groups(
    model: DiffMatte, weight_decay: float, layer_decay: float, encoder_rate: float = 1.0
) -> list[dict[str, Any]]:
    """Return AdamW's groups of ``params``, each with its ``weight_decay`` and ``lr_scale``, a factor of the rate.

    Matrices decay; vectors and tables of positions do not. An encoder of blocks learns the slower the nearer to the
    image: with D blocks and ``layer_decay`` L in (0, 1], block i of 0 to D - 1 has the scale L ** (D - i), what lies
    below them L ** (D + 1), the decoder and what no pretrained network has 1. All scales of an encoder are multiplied
    by ``encoder_rate`` in [0, 1]; at 0 it needs no gradients. Groups come in the order of their first parameters.
    """
    encoder = model.encoder
    if encoder_rate == 0:
        encoder.requires_grad_(False)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        part, _, own = name.partition(".")
        scale = encoder_rate * layer_decay ** encoder.blocks_above(own) if part == "encoder" else 1.0
        decays = parameter.ndim > 1 and own.rpartition(".")[2] not in encoder.tables
        groups.setdefault((scale, weight_decay if decays else 0.0), []).append(parameter)
    return [{"params": rows, "weight_decay": decay, "lr_scale": scale} for (scale, decay), rows in groups.items()]
