"""``diffmatte paint``: paint a trimap in the browser, and watch its matte come."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from ..console import say
from ..errors import UsageError
from ..extras import require
from ..planning.options import MatteOptions
from ..settings import Computing, Sampling
from ..storage.paths import STREAM, location
from ..weights.store import WeightsStore
from . import options as opt
from .records import taking_records

__all__ = ["paint"]

PhotoArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="PHOTO", parser=location, help="The photograph; one can be opened in the page, too.", show_default=False
    ),
]
TrimapOption = Annotated[
    Path | None,
    typer.Option(
        "--trimap",
        metavar="FILE",
        parser=location,
        help="The photograph's trimap so far.",
        rich_help_panel=opt.help.FIRST,
    ),
]
MaskOption = Annotated[
    Path | None,
    typer.Option(
        "--mask",
        metavar="FILE",
        parser=location,
        help="A mask, soft segmentation or rough cutout to make the trimap of; default without both: all background.",
        rich_help_panel=opt.help.FIRST,
    ),
]
FolderOption = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        metavar="DIR",
        help="Folder for what is saved, made if missing; default: the current one.",
        rich_help_panel=opt.help.FIRST,
    ),
]
PortOption = Annotated[
    int, typer.Option("--port", metavar="N", min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")
]


@taking_records
def paint(
    photo: PhotoArgument = None,
    trimap: TrimapOption = None,
    mask: MaskOption = None,
    output: FolderOption = None,
    sampling: Sampling = Sampling(),
    model: opt.ModelOption = MatteOptions.model,
    store: WeightsStore = WeightsStore(),
    device: opt.OneDeviceOption = MatteOptions.device,
    computing: Computing = Computing(),
    port: PortOption = 0,
    verbose: opt.VerboseOption = False,
) -> None:
    """Paint a trimap in the browser, watch the matte come, and save both: a page that only this machine sees.

    Prints the page's address and serves it until Ctrl-C; needs the extra web.
    """
    if trimap is not None and mask is not None:
        raise UsageError("a trimap and a mask conflict: give one of them", "trimap", "mask")
    if photo is None and (trimap is not None or mask is not None):
        raise UsageError("a trimap or a mask belongs to a photograph: name it, too")
    if STREAM in (photo, trimap, mask):
        raise UsageError("painting reads files, and no standard input: name one")
    if output is not None and location(output) == STREAM:
        raise UsageError("what is saved needs a folder, and - is standard output: name one", "output")
    require("web", "painting in the browser")
    options = MatteOptions(model, store, device, computing, verbose=verbose)
    store.records()  # refuses a weights file that is wrong

    from ..paint.guides import Guide
    from ..paint.server import serve
    from ..paint.session import Session
    from ..process.signals import stopping_on_signals

    with tempfile.TemporaryDirectory(prefix="diffmatte-") as own, stopping_on_signals() as stop:
        session = Session(options, sampling, Path(own), output, say)
        if photo is not None:
            guides = [Guide(kind, path) for kind, path in (("trimap", trimap), ("mask", mask)) if path is not None]
            session.open(photo, *guides)
        serve(session, port, lambda address: say(f"open {address} in a browser; Ctrl-C ends"), stop.event)
