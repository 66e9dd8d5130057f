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
    """Return the bytes of a size like 4GB, 800M or 2GiB; raises UsageError if it is not one."""
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,15})?)\s*([KMG]?I?)B?", text.strip().upper())
    if not found or found[2] not in _UNITS:
        raise UsageError(f"the memory must be a size like 4GB or 800MB, not {text!r}", "memory")
    return int(float(found[1]) * _UNITS[found[2]])


# One per group of ``help``.
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
        help="Black background, white foreground, grey unknown. A file; a folder, where cat.png or"
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
        help="Instead of INPUT and --trimap: a .csv or .jsonl table with image, trimap or mask and, optionally,"
        " output, seed and steps.",
    ),
]
RecursiveOption = Annotated[bool, _first("--recursive", help="Include subfolders; results keep the tree.")]
ShardOption = Annotated[
    str | None,
    _batches("--shard", metavar="I/N", help="Run only the I-th of N parts of the jobs; the split is always the same."),
]
DryRunOption = Annotated[bool, _batches("--dry-run", help="Print what would be done, without doing it.")]
OutputOption = Annotated[
    str | None,
    _first(
        "-o",
        "--output",
        metavar="FILE|DIR|-",
        help="The result, .png, .tif, .tiff, .webp, .exr or, on a background, .jpg; a pattern of frames; a folder for"
        " several, made if missing; - for standard output. Default: the photograph's name with _alpha.png, _cutout.png"
        " or _on_white.png, in the current folder; for a photograph from standard input, standard output.",
    ),
]
FormatOption = Annotated[
    str | None,
    _first("--format", metavar="|".join(WRITERS), help="The results' format; default: by the suffix of -o, or png."),
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
        help="Additional models, in the format of weights.toml; default: $DIFFMATTE_WEIGHTS_FILE.",
    ),
]
CacheDirOption = Annotated[
    Path | None,
    _model(
        "--cache-dir", metavar="DIR", help="Where pulled and imported weights are kept; default: Hugging Face's cache."
    ),
]
OfflineOption = Annotated[
    bool, _model("--offline", help="Do not use the network, as with HF_HUB_OFFLINE=1: only weights on disk.")
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
        help="Where to compute; auto reports its choice. Several GPUs share the photographs: cuda:0,cuda:1.",
    ),
]
OneDeviceOption = Annotated[str, _first("--device", metavar="auto|cpu|cuda[:N]|mps", help="Where to compute.")]
ThreadsOption = Annotated[int | None, _machine("--threads", metavar="N", help="CPU threads; default: torch's.")]
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
        help="ViT models: global attention within N x N interleaved grids, not verified; default: 1, or 3"
        " beyond 8.4 million pixels, as the authors did.",
    ),
]
PlainOption = Annotated[
    bool,
    _machine("--plain", help="Compute as the paper's own code does, for comparison: slow, and needs much memory."),
]
WholeOption = Annotated[
    bool, _sampling("--whole", help="Compute known pixels too and discard them: the same numbers, slower.")
]
PrecisionOption = Annotated[
    str,
    _machine(
        "--precision",
        metavar="|".join(DTYPE_NAMES),
        help="Floating-point precision of the network; bf16 is faster on GPUs, and on CPUs that support it.",
    ),
]
UntilStableOption = Annotated[
    float | None,
    _sampling(
        "--until-stable",
        metavar="E",
        help="Stop after a step that changes no unknown pixel by more than E of 255 levels.",
    ),
]
MemoryOption = Annotated[
    int | None,
    _machine(
        "--memory",
        metavar="SIZE",
        parser=parse_memory,
        help="Memory budget, like 4GB; default: half of the machine's or GPU's memory; with mps 4 GiB.",
    ),
]
BitDepthOption = Annotated[
    int | None,
    _results(
        "--bit-depth",
        metavar="8|16",
        help="Bits per channel of results; default: 8, or half floats in EXR; 16 with --cutout needs the extra vfx.",
    ),
]
CutoutOption = Annotated[
    bool,
    _first(
        "--cutout",
        help="Write the subject as RGBA, without the old background's colour; with --background beside the composite.",
    ),
]
QualityOption = Annotated[int, _results("--quality", metavar="N", help="Quality of JPEG, 1 to 100.")]
ForegroundOption = Annotated[
    str,
    _colour(
        "--foreground",
        metavar="|".join(FOREGROUND_NAMES),
        help="How to estimate the subject's own colour; ml is pymatting's multi-level method and needs the extra ml.",
    ),
]
BackgroundOption = Annotated[
    str | None,
    _first(
        "--background",
        metavar="COLOUR|IMAGE|checker|blur",
        help="Lay the cutout on a colour (white, #ff8800), an image scaled to cover, a checkerboard, or the"
        " photograph's own background out of focus.",
    ),
]
LinearLightOption = Annotated[
    bool, _colour("--linear-light", help="With --background: blend in linear light, as a camera does, instead of sRGB.")
]
PremultipliedOption = Annotated[
    bool | None,
    _colour(
        "--premultiplied/--straight",
        help="Multiply a cutout's colour by its alpha, or not; default: in EXR only.",
        show_default=False,
    ),
]
InputSpaceOption = Annotated[
    str,
    _inputs(
        "--input-space",
        metavar="|".join(INPUT_SPACES),
        help="Colour space of photographs; auto takes EXR as linear unless it says otherwise.",
    ),
]
LayerOption = Annotated[
    str | None,
    _inputs("--layer", metavar="NAME|N", help="Of a file of several pictures: EXR layer or part, or page or frame N."),
]
ChannelOption = Annotated[
    str | None,
    _inputs("--channel", metavar="NAME", help="The trimap's or mask's channel, as in mask.Y; default: by its name."),
]
ExrSpaceOption = Annotated[str, _colour("--exr-space", metavar="|".join(SPACES), help="Colour space of EXR results.")]
UncertaintyOption = Annotated[
    int | None,
    _sampling(
        "--uncertainty",
        metavar="K",
        help="Sample with K seeds and write the standard deviation over seeds and steps, NAME_uncertainty.png; alpha"
        " stays the first seed's.",
    ),
]
WithAlphaOption = Annotated[bool, _results("--with-alpha", help="With --cutout or --background: also write the alpha.")]
DumpStepsOption = Annotated[
    Path | None,
    _results(
        "--dump-steps",
        metavar="DIR",
        parser=location,
        help="Keep each step's alpha and a sheet of all steps, in a folder of DIR named like the"
        " photograph, which is replaced.",
    ),
]
KeepKnownOption = Annotated[
    bool,
    _sampling("--keep-known/--raw", help="Keep known pixels at exactly 0 or 1, or give the raw prediction."),
]
OverwriteOption = Annotated[
    bool, _results("--overwrite/--no-overwrite", help="Replace existing results, or refuse to.")
]
SkipExistingOption = Annotated[
    bool,
    _first("--skip-existing", help="Skip results whose receipt names the same inputs, weights, settings and version."),
]
SkipUnpairedOption = Annotated[
    bool,
    _batches("--skip-unpaired", help="Pass by and report photographs without a trimap; default: refuse the run."),
]
FailFastOption = Annotated[bool, _batches("--fail-fast", help="Stop at the first photograph that fails.")]
EngineOption = Annotated[
    str,
    _batches(
        "--engine",
        metavar="|".join(ENGINES),
        help="Work on this machine, or distribute the photographs over a Ray cluster (needs the extra ray).",
    ),
]
RayAddressOption = Annotated[
    str | None,
    _batches(
        "--ray-address",
        metavar="HOST:PORT|auto",
        help="The Ray cluster; default: $RAY_ADDRESS, or a local cluster for the run.",
    ),
]
ReportOption = Annotated[
    Path | None,
    _batches(
        "--report",
        metavar="FILE",
        parser=location,
        help="Write a row per photograph as it ends, .jsonl or .csv.",
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Print only warnings and errors.")]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", help="Print more; after an unexpected error, show the traceback.")
]
