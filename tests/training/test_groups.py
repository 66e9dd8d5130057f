"""AdamW's groups: what decays, and how fast each part of a network learns."""

import pytest
import torch
from torch.optim import AdamW

from diffmatte_cli.model.config import VARIANTS
from diffmatte_cli.model.diffmatte import DiffMatte
from diffmatte_cli.model.encoders.base import encoder_class
from diffmatte_cli.training.groups import parameter_groups

TABLES = ("pos_embed", "rel_pos_h", "rel_pos_w", "relative_position_bias_table")


def grouped(variant: str, layer_decay: float, encoder_rate: float = 1.0) -> dict[str, tuple[float, float]]:
    """Return scale and weight decay of each parameter that learns by its name."""
    with torch.device("meta"):
        model = DiffMatte(VARIANTS[variant])
    groups = parameter_groups(model, 0.1, layer_decay, encoder_rate)
    names = {parameter: name for name, parameter in model.named_parameters() if parameter.requires_grad}
    rows = [(names[p], (group["lr_scale"], group["weight_decay"])) for group in groups for p in group["params"]]
    assert sorted(name for name, _ in rows) == sorted(names.values())
    assert len({row for _, row in rows}) == len(groups)
    return dict(rows)


@pytest.mark.parametrize("layer_decay", [1.0, 0.5])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_parameter_is_in_one_group_and_only_matrices_decay(variant: str, layer_decay: float) -> None:
    with torch.device("meta"):
        parameters = dict(DiffMatte(VARIANTS[variant]).named_parameters())
    rows = grouped(variant, layer_decay)
    decaying = {name for name, p in parameters.items() if p.ndim > 1 and not name.endswith(TABLES)}
    assert {name for name, (_, decay) in rows.items() if decay == 0.1} == decaying
    assert {decay for _, decay in rows.values()} == {0.0, 0.1}
    if layer_decay == 1 or encoder_class(VARIANTS[variant].encoder).depth == 0:
        assert {scale for scale, _ in rows.values()} == {1.0}


SCALES = {
    "encoder.patch_embed.proj.weight": 0.5**13,
    "encoder.patch_embed.proj.bias": 0.5**13,
    "encoder.pos_embed": 0.5**13,
    "encoder.blocks.0.attn.rel_pos_h": 0.5**12,
    "encoder.blocks.2.residual.conv1.weight": 1,
    "encoder.blocks.10.mlp.fc1.weight": 0.5**2,
    "encoder.blocks.11.norm2.bias": 0.5,
    "decoder.mid_blk.conv1.weight": 1,
    "decoder.matting_head.matting_convs.3.bias": 1,
}


@pytest.mark.parametrize("variant", ["vits", "vits-1024", "vitb"])
def test_a_vit_learns_the_slower_the_nearer_to_the_picture(variant: str) -> None:
    rows = grouped(variant, 0.5)
    assert {name: rows[name][0] for name in SCALES} == SCALES
    for name, (scale, _) in rows.items():
        if name.startswith("encoder.blocks.") and ".residual." not in name:
            assert scale == 0.5 ** (12 - int(name.split(".")[2]))
    assert {scale for scale, _ in rows.values()} == {0.5**power for power in range(14)}


@pytest.mark.parametrize("variant", ["tiny", "vits"])
def test_an_encoder_learns_at_a_rate_of_its_own(variant: str) -> None:
    layer_decay = 0.5 if variant == "vits" else 1.0
    plain, scaled, frozen = (grouped(variant, layer_decay, rate) for rate in (1.0, 0.25, 0.0))
    assert plain.keys() == scaled.keys()
    for name, (scale, decay) in plain.items():
        assert scaled[name] == (scale * (0.25 if name.startswith("encoder.") else 1), decay), name
    assert frozen == {name: row for name, row in plain.items() if name.startswith("decoder.")}


def test_groups_are_few_in_a_fixed_order_and_the_optimiser_takes_them() -> None:
    model = DiffMatte(VARIANTS["vits"])
    groups = parameter_groups(model, 0.1, 0.5)
    # Positions and the patches' biases share a group; each block has two.
    assert [(group["lr_scale"], group["weight_decay"]) for group in groups[:4]] == [
        (0.5**13, 0.0),
        (0.5**13, 0.1),
        (0.5**12, 0.0),
        (0.5**12, 0.1),
    ]
    assert len(groups) == 2 * 14
    optimiser = AdamW(groups, lr=1.0)
    assert [group["lr_scale"] for group in optimiser.param_groups] == [group["lr_scale"] for group in groups]
    # Without layer decay the groups are matrices and vectors, in the network's order.
    matrices, vectors = parameter_groups(DiffMatte(VARIANTS["tiny"]), 0.1, 1.0)
    assert (matrices["weight_decay"], vectors["weight_decay"]) == (0.1, 0.0)
