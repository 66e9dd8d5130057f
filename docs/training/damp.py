"""Make a model's later steps differ less from its first one, without training.

    python docs/training/damp.py IN OUT [--sample 0.3] [--time 0.25]

Two things tell the decoder which step it is in: x_t, whose weights in the first block are multiplied by
``--sample``, and the time embedding, whose distance from that of t = 1 is multiplied by ``--time``. With 1
and 1 nothing changes; with 0 and 0 every step repeats the first.
"""

import argparse
from pathlib import Path

import torch

from diffmatte_cli.model.checkpoint import read_model, write_model
from diffmatte_cli.model.decoder import time_embedding
from diffmatte_cli.storage.atomic import staged_file


@torch.no_grad()
def main() -> None:
    """Read, damp and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--sample", type=float, default=0.3)
    parser.add_argument("--time", type=float, default=0.25)
    options = parser.parse_args()
    model, metadata = read_model(options.source)
    first = model.decoder.down_blks[0]
    for convolution in (first.conv1, first.downsample.op):
        convolution.weight[:, -1] *= options.sample
    layers = model.decoder.time_embed
    (at_first,) = layers(time_embedding(torch.ones(1)))
    layers[-1].weight *= options.time
    layers[-1].bias.copy_(options.time * layers[-1].bias + (1 - options.time) * at_first)
    notes = {"damped": f"x_t {options.sample:g}, time {options.time:g}"}
    with staged_file(options.target) as path:
        write_model(path, model, dict(metadata) | notes, "fp16")


if __name__ == "__main__":
    main()
