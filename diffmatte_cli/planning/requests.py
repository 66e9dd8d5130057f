"""What is to be planned, as the user gave it, checked as far as no path is needed. Standard library only."""

from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError
from ..extras import require
from ..imaging.formats import WRITERS
from ..settings import Sampling, check_choice
from .rows import check_report

__all__ = ["Request"]


@dataclass(frozen=True)
class Request:
    """What to plan, as the user gave it.

    Attributes:
        inputs: files, folders, or ``-``.
        trimap, mask: see ``pairing.paired``; one of them.
        trimap_output: the folder in which trimaps that are made of masks are kept.
        output: a file, a folder, or ``-``.
        manifest: a table instead of inputs and trimap.
        recursive: include subfolders.
        format: a key of ``WRITERS``; None to follow the result's suffix, or png.
        cutout, background, with_alpha, with_cutout, uncertainty: which images to write: a cutout, on a background if
            there is one, and beside it the alpha and, of a composite, the cutout.
        bits: their depth, 8 or 16; None for the format's usual depth.
        dump_steps: the folder for the jobs' step folders.
        report: the file for one row per job.
        overwrite: replace results that exist.
        skip_unpaired: go on without the photographs that have no trimap.
        sampling: how alpha is sampled; a manifest may give a job its own seed and steps.
        iterates: whether the model does; one that does not takes one step, whatever was asked for.
        given: names of the settings that the user gave, to tell those without effect from defaults.
    """

    inputs: tuple[str, ...] = ()
    trimap: str | None = None
    output: str | None = None
    manifest: Path | None = None
    recursive: bool = False
    format: str | None = None
    cutout: bool = False
    with_alpha: bool = False
    uncertainty: int | None = None
    background: str | None = None
    bits: int | None = None
    dump_steps: Path | None = None
    report: Path | None = None
    overwrite: bool = True
    skip_unpaired: bool = False
    sampling: Sampling = Sampling()
    mask: str | None = None
    trimap_output: Path | None = None
    with_cutout: bool = False
    iterates: bool = True
    given: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Refuse values out of range, and options that conflict."""
        if self.uncertainty is not None and not self.iterates:
            raise UsageError(
                "the uncertainty is the spread of alpha over seeds, and the model does not iterate, so seeds change"
                " nothing: omit it, or choose another model",
                *("uncertainty", "model"),
            )
        check_choice("format", self.format, tuple(WRITERS))
        if self.report is not None:
            check_report(self.report)
        if self.with_alpha and not self.cutout:
            raise UsageError(
                "the alpha can be written beside a cutout only: otherwise it is the result itself",
                *("with_alpha", "cutout"),
            )
        if self.bits not in (None, 8, 16):
            raise UsageError(f"the bit depth must be 8 or 16, not {self.bits}", "bits")
        if self.bits == 16 and self.cutout:
            require("vfx", "a cutout of 16 bits", "bits", "cutout")
        if self.manifest is not None and (self.inputs or self.trimap is not None or self.mask is not None):
            raise UsageError(
                "a manifest already names photographs and trimaps: omit the inputs and the trimap",
                *("manifest", "trimap", *["mask"] * (self.mask is not None)),
            )
        if self.trimap is not None and self.mask is not None:
            raise UsageError("a mask stands in the place of a trimap: give one of them", "trimap", "mask")
        if self.trimap_output is not None and not self.has_masks:
            raise UsageError("trimaps that are made of masks can be kept: give a mask", "trimap_output", "mask")

    @property
    def has_masks(self) -> bool:
        """Whether there may be masks in the place of trimaps."""
        return self.mask is not None or self.manifest is not None

    @property
    def ending(self) -> str:
        """The suffix of results that the program names."""
        return WRITERS[self.format or "png"].suffixes[0]
