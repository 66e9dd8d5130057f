"""ViTMatte's files as they are published, of random numbers: of true shapes, or of a small network that tests add."""

from dataclasses import replace
from functools import cache
from io import BytesIO

import torch
from safetensors.torch import save

from diffmatte_cli.model.config import VARIANTS
from diffmatte_cli.model.diffmatte import DiffMatte

from .pretrained import State, vitmatte_name
from .published import published_weights

# The program in a process of its own that has the variant, too.
RUN = """
import sys
from dataclasses import replace
from diffmatte_cli.model.config import VARIANTS
VARIANTS["small"] = replace(
    VARIANTS["vitmatte-s"], variant="small", feature_channels=32, encoder_options={"heads": 2, "image_size": 512}
)
from diffmatte_cli.commands.app import main
main()
"""
# The same here, where nothing knows it yet.
SMALL = replace(
    VARIANTS["vitmatte-s"], variant="small", feature_channels=32, encoder_options={"heads": 2, "image_size": 512}
)


@cache
def state(variant: str) -> State:
    """Numbers by the Hub's names."""
    model = DiffMatte(SMALL if variant == "small" else VARIANTS[variant])
    return {vitmatte_name(key): value for key, value in published_weights(model).items()}


def as_safetensors(state: State) -> bytes:
    return save(state, {"format": "pt"})


def as_pickle(content: object) -> bytes:
    file = BytesIO()
    torch.save(content, file)
    return file.getvalue()
