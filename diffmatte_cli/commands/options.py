"""The command line's options as annotated types, each written once."""

import re
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UsageError
from ..imaging.formats import WRITERS
from ..planning.options import ENGINES, FOREGROUND_NAMES, INPUT_SPACES, SPACES
from ..settings import DTYPE_NAMES, SAMPLER_NAMES, SCHEDULE_NAMES
from ..storage.paths import location
from . import help

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}


def parse_memory(text: str) -> int:
    """Return the bytes that a text like 4GB, 800M or 2GiB means; raises UsageError for another."""
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,15})?)\s*([KMG]?I?)B?", text.strip().upper())
    if not found or found[2] not in _UNITS:
        raise UsageError(f"the memory must be a size like 4GB or 800MB, not {text!r}", "memory")
    return int(float(found[1]) * _UNITS[found[2]])


# Of each group of ``help``.
_first = partial(typer.Option, rich_help_panel=help.FIRST)
_inputs = partial(typer.Option, rich_help_panel=help.INPUTS)
_model = partial(typer.Option, rich_help_panel=help.MODEL)
_sampling = partial(typer.Option, rich_help_panel=help.SAMPLING)
_results = partial(typer.Option, rich_help_panel=help.RESULTS)
_colour = partial(typer.Option, rich_help_panel=help.COLOUR)
_batches = partial(typer.Option, rich_help_panel=help.BATCHES)
_machine = partial(typer.Option, rich_help_panel=help.MACHINE)

InputsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="INPUT",
        help="Photographs, folders of them, URLs (s3://bucket/cat.jpg), frames by a pattern (shot.%04d.exr), or - for a"
        " photograph on standard input.",
        show_default=False,
    ),
]
TrimapOption = Annotated[
    str | None,
    _first(
        "--trimap",
        metavar="TRIMAP",
        help="Needed: black background, white foreground, grey unknown. A file; a folder, where cat.png or"
        " cat_trimap.png goes with cat.jpg; a pattern with {stem} (and {folder}, the photograph's); alpha for the"
        " photographs' own alpha channel; frames by a pattern; or - for standard input.",
    ),
]
ManifestOption = Annotated[
    Path | None,
    _inputs(
        "--manifest",
        metavar="FILE",
        parser=location,
        help="Instead of INPUT and --trimap: a .csv or .jsonl table with image, trimap and, if wanted, output, seed"
        " and steps.",
    ),
]
RecursiveOption = Annotated[bool, _first("--recursive", help="Look into folders below, too; results keep the tree.")]
ShardOption = Annotated[
    str | None,
    _batches("--shard", metavar="I/N", help="Do only the I-th of N shares of the jobs, each always the same."),
]
DryRunOption = Annotated[bool, _batches("--dry-run", help="Print what would be done, and do nothing.")]
OutputOption = Annotated[
    str | None,
    _first(
        "-o",
        "--output",
        metavar="FILE|DIR|-",
        help="The result, .png, .tif, .tiff, .webp or .exr; a pattern of frames; a folder for several, which is made; -"
        " for standard output. Default: the photograph's name with _alpha.png or _cutout.png, in the current folder;"
        " for a photograph from standard input, standard output.",
    ),
]
FormatOption = Annotated[
    str | None,
    _first(
        "--format", metavar="|".join(WRITERS), help="The results' format; default: what the ending of -o says, or png."
    ),
]
ModelOption = Annotated[
    str,
    _first("--model", metavar="NAME|FILE", envvar="DIFFMATTE_MODEL", help="Weights, by name or file."),
]
WeightsFileOption = Annotated[
    Path | None,
    _model(
        "--weights-file",
        metavar="FILE",
        help="More models: tables like those of weights.toml; default: what DIFFMATTE_WEIGHTS_FILE names.",
    ),
]
CacheDirOption = Annotated[
    Path | None,
    _model("--cache-dir", metavar="DIR", help="Where pulled and imported weights lie; default: Hugging Face's cache."),
]
OfflineOption = Annotated[
    bool, _model("--offline", help="Do not use the network, as with HF_HUB_OFFLINE=1: only what is on disk.")
]
StepsOption = Annotated[int, _first("--steps", metavar="N", help="Sampling steps.")]
SeedOption = Annotated[
    int, _sampling("--seed", metavar="N", help="Seed of the noise; the same seed gives the same result.")
]
DeviceOption = Annotated[
    str,
    _first(
        "--device",
        metavar="auto|cpu|cuda[:N]|mps",
        help="Where to compute; auto says what it took. Several GPUs share the photographs: cuda:0,cuda:1.",
    ),
]
OneDeviceOption = Annotated[str, _first("--device", metavar="auto|cpu|cuda[:N]|mps", help="Where to compute.")]
ThreadsOption = Annotated[
    int | None, _machine("--threads", metavar="N", help="CPU threads; default: as many as torch takes.")
]
SamplerOption = Annotated[str, _sampling("--sampler", metavar="|".join(SAMPLER_NAMES), help="How noise becomes alpha.")]
ScheduleOption = Annotated[
    str | None,
    _sampling("--schedule", metavar="|".join(SCHEDULE_NAMES), help="Noise schedule; default: the weights' own."),
]
InputScaleOption = Annotated[
    float | None,
    _sampling("--input-scale", metavar="B", help="Signal scale b, 0 to 1; default: the weights' own."),
]
AttentionGridsOption = Annotated[
    int | None,
    _machine(
        "--attention-grids",
        metavar="N",
        help="ViT models: global attention within N x N interleaved grids, not verified; default: 1, and 3 as the"
        " authors did beyond 8.4 million pixels.",
    ),
]
PlainOption = Annotated[
    bool,
    _machine(
        "--plain", help="Compute as the paper's own code does, whole and without reuse, to compare: slow, needs much."
    ),
]
WholeOption = Annotated[
    bool, _sampling("--whole", help="Compute known pixels, too, and throw them away: the same numbers, slower.")
]
PrecisionOption = Annotated[
    str,
    _machine(
        "--precision",
        metavar="|".join(DTYPE_NAMES),
        help="Floating-point precision of the network; bf16 is faster on GPUs, and on CPUs that have it.",
    ),
]
UntilStableOption = Annotated[
    float | None,
    _sampling(
        "--until-stable",
        metavar="E",
        help="Stop after a step that moves no unknown pixel by more than E of 255 levels.",
    ),
]
MemoryOption = Annotated[
    int | None,
    _machine(
        "--memory",
        metavar="SIZE",
        parser=parse_memory,
        help="Memory budget, like 4GB; default: half of the machine's, or GPU's; with mps 4 GiB.",
    ),
]
BitDepthOption = Annotated[
    int | None,
    _results(
        "--bit-depth",
        metavar="8|16",
        help="Bits a channel of what is written; default: 8, and half floats in EXR; 16 with --cutout needs the extra"
        " vfx.",
    ),
]
CutoutOption = Annotated[
    bool, _first("--cutout", help="Write the subject as RGBA, freed of the old background's colour.")
]
ForegroundOption = Annotated[
    str,
    _colour(
        "--foreground",
        metavar="|".join(FOREGROUND_NAMES),
        help="How the subject's own colour is estimated; ml is pymatting's multi-level method and needs the extra ml.",
    ),
]
BackgroundOption = Annotated[
    str | None,
    _first(
        "--background",
        metavar="COLOUR|IMAGE|checker|blur",
        help="A cutout laid on a colour (white, #ff8800), a picture scaled to cover, a checkerboard, or the"
        " photograph's own background out of focus.",
    ),
]
LinearLightOption = Annotated[
    bool, _colour("--linear-light", help="With --background: mix light, as a camera would, and not sRGB values.")
]
PremultipliedOption = Annotated[
    bool | None,
    _colour(
        "--premultiplied/--straight",
        help="Multiply a cutout's colour by its alpha, or do not; default: only in EXR.",
        show_default=False,
    ),
]
InputSpaceOption = Annotated[
    str,
    _inputs(
        "--input-space",
        metavar="|".join(INPUT_SPACES),
        help="What photographs hold: linear light or sRGB; auto takes EXR as linear unless it says otherwise.",
    ),
]
ExrSpaceOption = Annotated[str, _colour("--exr-space", metavar="|".join(SPACES), help="What colour is written in EXR.")]
UncertaintyOption = Annotated[
    int | None,
    _sampling(
        "--uncertainty",
        metavar="K",
        help="Sample with K seeds and write the standard deviation over seeds and steps, NAME_uncertainty.png; alpha"
        " stays the first seed's.",
    ),
]
WithAlphaOption = Annotated[bool, _results("--with-alpha", help="With --cutout: write the alpha beside it, too.")]
DumpStepsOption = Annotated[
    Path | None,
    _results(
        "--dump-steps",
        metavar="DIR",
        parser=location,
        help="Keep each step's alpha and a picture of the whole iteration, in a folder of DIR named like"
        " the photograph, which is replaced.",
    ),
]
KeepKnownOption = Annotated[
    bool,
    _sampling("--keep-known/--raw", help="Make known pixels exactly 0 or 1, or leave what was computed."),
]
OverwriteOption = Annotated[bool, _results("--overwrite/--no-overwrite", help="Replace an existing result, or refuse.")]
SkipExistingOption = Annotated[
    bool,
    _first(
        "--skip-existing",
        help="Leave out what is done: a result whose receipt names the same inputs, weights, settings and version.",
    ),
]
FailFastOption = Annotated[bool, _batches("--fail-fast", help="Stop at the first photograph that fails.")]
EngineOption = Annotated[
    str,
    _batches(
        "--engine",
        metavar="|".join(ENGINES),
        help="Work on this machine, or spread the photographs over a Ray cluster (needs the [ray] extra).",
    ),
]
RayAddressOption = Annotated[
    str | None,
    _batches(
        "--ray-address",
        metavar="HOST:PORT|auto",
        help="The Ray cluster; default: what RAY_ADDRESS names, or one of this machine, made for the run.",
    ),
]
ReportOption = Annotated[
    Path | None,
    _batches(
        "--report",
        metavar="FILE",
        parser=location,
        help="Write a row for each photograph as it ends, .jsonl or .csv.",
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Say nothing but warnings and errors.")]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", help="Say more; after an unexpected error, show the traceback.")
]
