"""The published checkpoints of ViTMatte, the paper's baseline, under the names that the Hub's files have."""

from collections.abc import Collection

__all__ = ["hub_name", "is_vitmatte", "our_name"]

# Ours and theirs.
NAMES = (
    ("encoder.pos_embed", "backbone.embeddings.position_embeddings"),
    ("encoder.patch_embed.proj.", "backbone.embeddings.projection."),
    ("encoder.blocks.", "backbone.encoder.layer."),
    (".attn.", ".attention."),
)
POSITIONS = "backbone.embeddings.position_embeddings"


def is_vitmatte(keys: Collection[str]) -> bool:
    """Tell by its keys whether a file is a published ViTMatte."""
    return POSITIONS in keys and any(key.startswith("decoder.convstream.") for key in keys)


def our_name(key: str) -> str:
    """Return our name of a tensor of a published file."""
    for ours, theirs in NAMES:
        key = key.replace(theirs, ours)
    return key


def hub_name(key: str) -> str:
    """Return what published files call the tensor that is ``key`` in a weights file of ours."""
    for ours, theirs in NAMES:
        key = key.replace(ours, theirs)
    return key
