"""The command line's options as annotated types, each written once, and the checks that need no torch."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import UsageError
from ..model.config import SAMPLER_NAMES, SCHEDULE_NAMES

__all__ = [
    "AttentionGridsOption",
    "BitDepthOption",
    "CacheDirOption",
    "CutoutOption",
    "DeviceOption",
    "DumpStepsOption",
    "ImageArgument",
    "InputScaleOption",
    "KeepKnownOption",
    "ModelOption",
    "OfflineOption",
    "OutputOption",
    "OverwriteOption",
    "QuietOption",
    "SamplerOption",
    "ScheduleOption",
    "SeedOption",
    "StepsOption",
    "ThreadsOption",
    "TrimapOption",
    "VerboseOption",
    "WeightsFileOption",
    "WithAlphaOption",
    "check_choice",
    "check_seed",
    "check_threads",
]

ImageArgument = Annotated[Path, typer.Argument(metavar="IMAGE", help="The photograph.")]
TrimapOption = Annotated[
    Path | None,
    typer.Option(
        "--trimap",
        metavar="TRIMAP",
        help="Needed: its trimap, black background, white foreground, grey unknown.",
    ),
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        help="The result, .png, .tif, .tiff or .webp; default: IMAGE's name with _alpha.png or _cutout.png,"
        " in the current folder.",
    ),
]
ModelOption = Annotated[
    str,
    typer.Option("--model", metavar="NAME|FILE", envvar="DIFFMATTE_MODEL", help="Weights, by name or file."),
]
WeightsFileOption = Annotated[
    Path | None,
    typer.Option(
        "--weights-file",
        metavar="FILE",
        help="More models: tables like those of weights.toml; default: what DIFFMATTE_WEIGHTS_FILE names.",
    ),
]
CacheDirOption = Annotated[
    Path | None,
    typer.Option(
        "--cache-dir", metavar="DIR", help="Where pulled and imported weights lie; default: Hugging Face's cache."
    ),
]
OfflineOption = Annotated[
    bool, typer.Option("--offline", help="Do not use the network, as with HF_HUB_OFFLINE=1: only what is on disk.")
]
StepsOption = Annotated[int, typer.Option("--steps", metavar="N", help="Sampling steps.")]
SeedOption = Annotated[
    int, typer.Option("--seed", metavar="N", help="Seed of the noise; the same seed gives the same result.")
]
DeviceOption = Annotated[
    str,
    typer.Option("--device", metavar="auto|cpu|cuda[:N]|mps", help="Where to compute; auto says what it took."),
]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", metavar="N", help="CPU threads; default: as many as torch takes.")
]
SamplerOption = Annotated[
    str, typer.Option("--sampler", metavar="|".join(SAMPLER_NAMES), help="How noise becomes alpha.")
]
ScheduleOption = Annotated[
    str | None,
    typer.Option("--schedule", metavar="|".join(SCHEDULE_NAMES), help="Noise schedule; default: the weights' own."),
]
InputScaleOption = Annotated[
    float | None,
    typer.Option("--input-scale", metavar="B", help="Signal scale b, 0 to 1; default: the weights' own."),
]
AttentionGridsOption = Annotated[
    int,
    typer.Option(
        "--attention-grids",
        metavar="N",
        help="ViT models: global attention within N x N interleaved grids, for very large pictures; 3 as the authors"
        " did, not verified.",
    ),
]
BitDepthOption = Annotated[int, typer.Option("--bit-depth", metavar="8|16", help="Bits of the written alpha.")]
CutoutOption = Annotated[
    bool, typer.Option("--cutout", help="Write the subject as RGBA, freed of the old background's colour.")
]
WithAlphaOption = Annotated[bool, typer.Option("--with-alpha", help="With --cutout: write the alpha beside it, too.")]
DumpStepsOption = Annotated[
    Path | None,
    typer.Option(
        "--dump-steps",
        metavar="DIR",
        help="Keep each step's alpha and a picture of the whole iteration, in a folder of DIR named like"
        " IMAGE, which is replaced.",
    ),
]
KeepKnownOption = Annotated[
    bool,
    typer.Option("--keep-known/--raw", help="Make known pixels exactly 0 or 1, or leave what was computed."),
]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite/--no-overwrite", help="Replace an existing result, or refuse.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Say nothing but warnings and errors.")]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", help="Say more; after an unexpected error, show the traceback.")
]

_MOST_THREADS = 512


def check_threads(threads: int | None) -> None:
    """Raise UsageError for a number of threads that no machine has."""
    if threads is not None and not 1 <= threads <= _MOST_THREADS:
        raise UsageError(f"--threads must be at least 1 and at most {_MOST_THREADS}, not {threads}")


def check_seed(seed: int) -> None:
    """Raise UsageError for a seed that the generator cannot take."""
    if not 0 <= seed < 2**63:
        raise UsageError(f"--seed must be between 0 and 2**63 - 1, not {seed}")


def check_choice(option: str, value: str | None, choices: tuple[str, ...]) -> None:
    """Raise UsageError for a value that is not among the choices; none given is fine."""
    if value is not None and value not in choices:
        raise UsageError(f"{option} must be one of {', '.join(choices)}, not {value!r}")
