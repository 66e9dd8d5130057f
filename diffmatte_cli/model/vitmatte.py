"""ViTMatte's published files: what they call our tensors, and of which variant they are."""

import re
from collections.abc import Mapping, Sequence

from .config import VARIANTS

__all__ = ["NAMES", "hub_name", "our_name", "published_variant"]

# Ours and theirs, below the encoder; the decoder's names are the same.
NAMES = (
    ("pos_embed", "embeddings.position_embeddings"),
    ("patch_embed.proj.", "embeddings.projection."),
    ("blocks.", "encoder.layer."),
    (".attn.", ".attention."),
)
OURS, THEIRS = "encoder.", "backbone."
_WIDTH = re.compile(r"backbone\.encoder\.layer\.\d+\.norm1\.weight")


def our_name(key: str) -> str:
    """Return our name of a tensor of a published file."""
    if not key.startswith(THEIRS):
        return key
    key = key.removeprefix(THEIRS)
    for ours, theirs in NAMES:
        key = key.replace(theirs, ours)
    return OURS + key


def hub_name(key: str) -> str:
    """Return what a published file calls a tensor of ours."""
    if not key.startswith(OURS):
        return key
    key = key.removeprefix(OURS)
    for ours, theirs in NAMES:
        key = key.replace(ours, theirs)
    return THEIRS + key


def published_variant(shapes: Mapping[str, Sequence[int]]) -> str | None:
    """Return the variant of a published file, told by the width of its blocks; None for another network's."""
    widths = {tuple(shape) for key, shape in shapes.items() if _WIDTH.fullmatch(key)}
    rows = (row for row in VARIANTS.values() if not row.iterates and widths == {(row.feature_channels,)})
    return next((row.variant for row in rows), None)
