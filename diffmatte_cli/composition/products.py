"""The results of a job: alpha, cutout or composite, what is asked for beside it, each with its own receipt."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..imaging.colour import quantise
from ..imaging.encoding import Result
from ..imaging.read import ColourImage
from ..imaging.receipts import Receipt
from ..planning.jobs import Job
from ..planning.options import MatteOptions
from .background import Background, Plane, composite, cutout
from .foreground import FOREGROUNDS
from .trajectory import StepDump

if TYPE_CHECKING:
    from ..imaging.colour import Floats

__all__ = ["Products", "Work"]

UNCERTAINTY_BITS = 16
_SHARES = np.array([0, 0.5, 1], np.float32)  # of a trimap's 0, 128 and 255


@dataclass
class Work:
    """A job in progress: its inputs, then its results.

    Attributes:
        receipts: of its results.
        seconds: spent on it so far, waiting excluded.
        mask: float32 [H, W] in [0, 1], of which the trimap is to be made; None where it was given.
        trimap: uint8 [H, W], at once or as soon as it is made.
        alpha, uncertainty: float32 [H, W], once computed.
        risk: see ``uncertainty.risk_of``.
        engine: what computed it, as a phrase.
        dump, open: the step folder, and what keeps it open until the result is written.
    """

    job: Job
    receipts: Mapping[Path, Receipt]
    photo: ColourImage
    seconds: float
    mask: "Floats | None" = None
    trimap: NDArray[np.uint8] = field(init=False)
    alpha: "Floats" = field(init=False)
    uncertainty: "Floats | None" = None
    risk: float | None = None
    engine: str = "no model needed"
    dump: StepDump | None = None
    open: ExitStack = field(default_factory=ExitStack)


@dataclass(frozen=True)
class Products:
    """Make the results of jobs; ``background`` is the new one, if any."""

    options: MatteOptions
    background: Background | None = None

    def receipts(self, job: Job, base: Receipt) -> Mapping[Path, Receipt]:
        """Return the receipt of each result of a job; ``base`` holds what determines the alpha."""
        has_layers = job.format == "exr"
        main = replace(base, result="cutout" if self.options.cutout else "alpha", bits=job.bits)
        if self.options.cutout or has_layers:
            main = replace(main, foreground=self.options.foreground, space=self._space(job))
        if self.options.cutout:
            main = replace(
                main,
                background=self.background.name if self.background else None,
                linear_light=self.options.linear_light,
                premultiplied=self._premultiplied(job),
                quality=self.options.quality if job.format == "jpg" else None,
            )
        receipts = {job.output: replace(main, seeds=self.options.uncertainty if has_layers else None)}
        if job.alpha_output is not None:
            receipts[job.alpha_output] = replace(base, bits=job.bits)
        if job.cutout_output is not None:
            receipts[job.cutout_output] = replace(
                main, background=None, linear_light=False, premultiplied=False, space="srgb", quality=None
            )
        if job.uncertainty_output is not None:
            seeds = self.options.uncertainty
            receipts[job.uncertainty_output] = replace(base, result="uncertainty", bits=UNCERTAINTY_BITS, seeds=seeds)
        if job.trimap_output is not None:
            receipts[job.trimap_output] = replace(base, result="trimap", bits=8)
        return receipts

    def results(self, work: Work) -> list[Result]:
        """Return the results of a job, ready to write."""
        job = work.job
        alpha = Result(job.output, work.alpha, job.bits, dpi=work.photo.dpi)
        colour = self._colour(work)
        results = [self._main(work, alpha, colour)]
        if job.alpha_output is not None:
            results.append(replace(alpha, path=job.alpha_output))
        if job.cutout_output is not None and colour is not None:
            plain = _described(replace(alpha, path=job.cutout_output), work.photo)
            pixels = cutout(colour.as_linear(False).values, work.alpha, job.bits, premultiplied=False)
            results.append(replace(plain, pixels=pixels))
        if job.uncertainty_output is not None and work.uncertainty is not None:
            uncertainty = replace(alpha, path=job.uncertainty_output, pixels=work.uncertainty)
            results.append(replace(uncertainty, bits=UNCERTAINTY_BITS, notes={"risk": work.risk}))
        return [replace(result, receipt=work.receipts[result.path]) for result in results]

    def _colour(self, work: Work) -> Plane | None:
        """Estimate the subject's colour, if a result of the job holds any."""
        if not self.options.cutout and work.job.format != "exr":
            return None
        photo = work.photo
        return Plane(FOREGROUNDS[self.options.foreground](photo.colour, work.alpha), photo.linear)

    def _main(self, work: Work, plain: Result, colour: Plane | None) -> Result:
        """Return the alpha, the cutout or the composite, with layers if the format has them."""
        job, photo, alpha, options = work.job, work.photo, work.alpha, self.options
        plain = replace(plain, format=job.format, header=photo.header, quality=options.quality)
        if colour is None:
            return plain
        has_layers = job.format == "exr"
        linear, bits = self._space(job) == "linear", None if has_layers else job.bits
        foreground = colour.as_linear(linear)
        if has_layers:
            plain = replace(plain, linear=linear, layers=_layers(foreground.values, work))
        if not options.cutout:
            return plain
        plain = replace(plain, exif=photo.exif) if has_layers else _described(plain, photo)
        if self.background is not None:
            below = self.background.plane(photo, alpha)
            whole = composite(colour, below, alpha, linear_light=options.linear_light).as_linear(linear)
            return replace(plain, pixels=whole.values if bits is None else quantise(whole.values, bits))
        premultiplied = self._premultiplied(job)
        pixels = cutout(foreground.values, alpha, bits, premultiplied=premultiplied)
        return replace(plain, pixels=pixels, premultiplied=premultiplied)

    def _space(self, job: Job) -> str:
        return self.options.exr_space if job.format == "exr" else "srgb"

    def _premultiplied(self, job: Job) -> bool:
        """Tell whether colour is multiplied by alpha; by default, as is usual for the format."""
        said = self.options.premultiplied
        return self.background is None and (job.format == "exr" if said is None else said)


def _described(result: Result, photo: ColourImage) -> Result:
    """Return a result that holds colour with what its photograph says of that, and with its EXIF."""
    if photo.linear:
        return replace(result, exif=photo.exif)
    return replace(result, exif=photo.exif, icc_profile=photo.icc_profile, chunks=photo.chunks)


def _layers(foreground: "Floats", work: Work) -> dict[str, "Floats"]:
    """Return the named layers of an EXR: straight foreground, alpha, trimap and, if any, uncertainty."""
    layers = {f"foreground.{name}": foreground[..., channel] for channel, name in enumerate("RGB")}
    layers |= {"alpha.Y": work.alpha, "trimap.Y": _SHARES[work.trimap // 127]}
    return layers | ({"uncertainty.Y": work.uncertainty} if work.uncertainty is not None else {})
