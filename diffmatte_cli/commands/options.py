"""The command line's options as annotated types, each written once."""

from pathlib import Path
from typing import Annotated

import typer

from ..imaging.formats import WRITERS
from ..planning.options import ENGINES, FOREGROUND_NAMES, INPUT_SPACES, SPACES
from ..planning.sizes import parse_memory
from ..settings import DTYPE_NAMES, SAMPLER_NAMES, SCHEDULE_NAMES
from ..storage.paths import location

__all__ = [
    "AttentionGridsOption",
    "BackgroundOption",
    "BitDepthOption",
    "CacheDirOption",
    "CutoutOption",
    "DeviceOption",
    "DryRunOption",
    "DumpStepsOption",
    "EngineOption",
    "ExrSpaceOption",
    "FailFastOption",
    "ForegroundOption",
    "FormatOption",
    "InputScaleOption",
    "InputSpaceOption",
    "InputsArgument",
    "KeepKnownOption",
    "LinearLightOption",
    "ManifestOption",
    "MemoryOption",
    "ModelOption",
    "OfflineOption",
    "OneDeviceOption",
    "OutputOption",
    "OverwriteOption",
    "PlainOption",
    "PrecisionOption",
    "PremultipliedOption",
    "QuietOption",
    "RayAddressOption",
    "RecursiveOption",
    "ReportOption",
    "SamplerOption",
    "ScheduleOption",
    "SeedOption",
    "ShardOption",
    "SkipExistingOption",
    "StepsOption",
    "ThreadsOption",
    "TrimapOption",
    "UncertaintyOption",
    "UntilStableOption",
    "VerboseOption",
    "WeightsFileOption",
    "WholeOption",
    "WithAlphaOption",
]

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
    typer.Option(
        "--trimap",
        metavar="TRIMAP",
        help="Needed: black background, white foreground, grey unknown. A file; a folder, where cat.png or"
        " cat_trimap.png goes with cat.jpg; a pattern with {stem} (and {folder}, the photograph's); alpha for the"
        " photographs' own alpha channel; frames by a pattern; or - for standard input.",
    ),
]
ManifestOption = Annotated[
    Path | None,
    typer.Option(
        "--manifest",
        metavar="FILE",
        parser=location,
        help="Instead of INPUT and --trimap: a .csv or .jsonl table with image, trimap and, if wanted, output, seed"
        " and steps.",
    ),
]
RecursiveOption = Annotated[
    bool, typer.Option("--recursive", help="Look into folders below, too; results keep the tree.")
]
ShardOption = Annotated[
    str | None,
    typer.Option("--shard", metavar="I/N", help="Do only the I-th of N shares of the jobs, each always the same."),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and do nothing.")]
OutputOption = Annotated[
    str | None,
    typer.Option(
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
    typer.Option(
        "--format", metavar="|".join(WRITERS), help="The results' format; default: what the ending of -o says, or png."
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
    typer.Option(
        "--device",
        metavar="auto|cpu|cuda[:N]|mps",
        help="Where to compute; auto says what it took. Several GPUs share the photographs: cuda:0,cuda:1.",
    ),
]
OneDeviceOption = Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda[:N]|mps", help="Where to compute.")]
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
    int | None,
    typer.Option(
        "--attention-grids",
        metavar="N",
        help="ViT models: global attention within N x N interleaved grids, not verified; default: 1, and 3 as the"
        " authors did beyond 8.4 million pixels.",
    ),
]
PlainOption = Annotated[
    bool,
    typer.Option(
        "--plain", help="Compute as the paper's own code does, whole and without reuse, to compare: slow, needs much."
    ),
]
WholeOption = Annotated[
    bool, typer.Option("--whole", help="Compute known pixels, too, and throw them away: the same numbers, slower.")
]
PrecisionOption = Annotated[
    str,
    typer.Option(
        "--precision",
        metavar="|".join(DTYPE_NAMES),
        help="Numbers within the network; bf16 is faster on GPUs and on CPUs that have it.",
    ),
]
UntilStableOption = Annotated[
    float | None,
    typer.Option(
        "--until-stable",
        metavar="E",
        help="Stop after a step that moves no unknown pixel by more than E of 255 levels.",
    ),
]
MemoryOption = Annotated[
    int | None,
    typer.Option(
        "--memory",
        metavar="SIZE",
        parser=parse_memory,
        help="Memory to make do with, like 4GB; default: half of the machine's, or GPU's; with mps 4 GiB.",
    ),
]
BitDepthOption = Annotated[
    int | None,
    typer.Option(
        "--bit-depth",
        metavar="8|16",
        help="Bits a channel of what is written; default: 8, and half floats in EXR; 16 with --cutout needs the extra"
        " vfx.",
    ),
]
CutoutOption = Annotated[
    bool, typer.Option("--cutout", help="Write the subject as RGBA, freed of the old background's colour.")
]
ForegroundOption = Annotated[
    str,
    typer.Option(
        "--foreground",
        metavar="|".join(FOREGROUND_NAMES),
        help="How the subject's own colour is estimated; ml is pymatting's multi-level method and needs the extra ml.",
    ),
]
BackgroundOption = Annotated[
    str | None,
    typer.Option(
        "--background",
        metavar="COLOUR|IMAGE|checker|blur",
        help="A cutout laid on a colour (white, #ff8800), a picture scaled to cover, a checkerboard, or the"
        " photograph's own background out of focus.",
    ),
]
LinearLightOption = Annotated[
    bool, typer.Option("--linear-light", help="With --background: mix light, as a camera would, and not sRGB values.")
]
PremultipliedOption = Annotated[
    bool | None,
    typer.Option(
        "--premultiplied/--straight",
        help="Multiply a cutout's colour by its alpha, or do not; default: only in EXR.",
        show_default=False,
    ),
]
InputSpaceOption = Annotated[
    str,
    typer.Option(
        "--input-space",
        metavar="|".join(INPUT_SPACES),
        help="What photographs hold: linear light or sRGB; auto takes EXR as linear unless it says otherwise.",
    ),
]
ExrSpaceOption = Annotated[
    str, typer.Option("--exr-space", metavar="|".join(SPACES), help="What colour is written in EXR.")
]
UncertaintyOption = Annotated[
    int | None,
    typer.Option(
        "--uncertainty",
        metavar="K",
        help="Sample with K seeds and write the standard deviation over seeds and steps, NAME_uncertainty.png; alpha"
        " stays the first seed's.",
    ),
]
WithAlphaOption = Annotated[bool, typer.Option("--with-alpha", help="With --cutout: write the alpha beside it, too.")]
DumpStepsOption = Annotated[
    Path | None,
    typer.Option(
        "--dump-steps",
        metavar="DIR",
        parser=location,
        help="Keep each step's alpha and a picture of the whole iteration, in a folder of DIR named like"
        " the photograph, which is replaced.",
    ),
]
KeepKnownOption = Annotated[
    bool,
    typer.Option("--keep-known/--raw", help="Make known pixels exactly 0 or 1, or leave what was computed."),
]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite/--no-overwrite", help="Replace an existing result, or refuse.")
]
SkipExistingOption = Annotated[
    bool,
    typer.Option(
        "--skip-existing",
        help="Leave out what is done: a result whose receipt names the same inputs, weights, settings and version.",
    ),
]
FailFastOption = Annotated[bool, typer.Option("--fail-fast", help="Stop at the first photograph that fails.")]
EngineOption = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="|".join(ENGINES),
        help="Work on this machine, or spread the photographs over a Ray cluster (needs the [ray] extra).",
    ),
]
RayAddressOption = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        metavar="HOST:PORT|auto",
        help="The Ray cluster; default: what RAY_ADDRESS names, or one of this machine, made for the run.",
    ),
]
ReportOption = Annotated[
    Path | None,
    typer.Option(
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
