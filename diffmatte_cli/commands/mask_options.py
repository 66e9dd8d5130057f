"""The options of masks as annotated types, each written once."""

from pathlib import Path
from typing import Annotated

import typer

from ..storage.paths import location
from ..trimaps.band import Band
from . import help

__all__ = ["BandOption", "MaskModelOption", "MaskOption", "TrimapOutputOption"]

MaskOption = Annotated[
    str | None,
    typer.Option(
        "--mask",
        metavar="MASK|auto",
        rich_help_panel=help.FIRST,
        help="In place of --trimap: white subject on black, rough or soft, any size, or a cutout, of which a trimap is"
        " made; paired as trimaps are, with cat_mask.png for cat.jpg. auto: made of the photograph (needs the extra"
        " auto).",
    ),
]
MaskModelOption = Annotated[
    str,
    typer.Option(
        "--mask-model",
        metavar="NAME",
        rich_help_panel=help.MODEL,
        help="With --mask auto: the segmentation model, by rembg's names, each with a licence of its own; NAME:FILE for"
        " custom ones.",
    ),
]
BandOption = Annotated[
    float | None,
    typer.Option(
        "--band",
        metavar="PERCENT",
        rich_help_panel=help.INPUTS,
        help="With --mask: width of the unknown region on each side of the mask's edge, in percent of the longer side;"
        f" default: {Band().name}.",
    ),
]
TrimapOutputOption = Annotated[
    Path | None,
    typer.Option(
        "--trimap-output",
        metavar="DIR",
        rich_help_panel=help.RESULTS,
        parser=location,
        help="With --mask: keep the trimaps that are made, as NAME.png.",
    ),
]
