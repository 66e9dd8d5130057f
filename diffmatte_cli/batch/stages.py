"""The stages of matting one photograph: read, compute, write."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..composition.background import Background
from ..composition.products import Products, Work
from ..composition.trajectory import dumping, is_dump_of
from ..errors import ImageError
from ..imaging.encoding import Result, check_fits
from ..imaging.formats import WRITERS
from ..imaging.grey import BY_ALPHA, GreyImage, decode_grey, decode_mask, decode_opacity
from ..imaging.oiio import USUAL
from ..imaging.png import is_usual_colour
from ..imaging.read import ColourImage, decode_image, reads_deep
from ..imaging.receipts import Receipt, read_notes, read_receipt, sha256_of
from ..imaging.write import write_images
from ..inference.known import check_not_mask, fit_trimap, settled_alpha
from ..inference.masking import MaskModel
from ..inference.uncertainty import Spread, risk_of
from ..planning.jobs import Job
from ..planning.options import MatteOptions
from ..planning.sources import ALPHA, AUTO, MASK, TRIMAP
from ..process.memory import give_back
from ..progress import Progress
from ..storage.reading import read_bytes
from ..trimaps.masks import SURE_BACKGROUND, fit_mask, trimap_from_mask
from ..trimaps.trimap import BACKGROUND, UNKNOWN, diagnose, parse_trimap, unknown_share
from ..version import __version__
from ..weights.store import Identity
from .engines import Engine
from .outcome import Outcome
from .pipeline import Stopped

__all__ = ["Stages", "made_before"]

_WHITE = 1 + 0.5 / 255  # what is less beyond it is rounding


def _unwatched(*_: object) -> None:
    """Let a job or step pass."""


@dataclass(frozen=True)
class Stages:
    """The three stages, for one run.

    Arguments: ``weights`` says which are used; ``several`` says whether warnings name the
    photograph; ``show_steps`` whether to show each image's steps; ``stop`` is checked between steps;
    ``masks`` makes masks; ``background`` is the new one, if any; ``begin`` receives each job that is to be computed,
    ``watch`` each step's number, from 1, and alpha.
    """

    options: MatteOptions
    weights: Identity
    warn: Callable[[str], None]
    stop: threading.Event
    masks: MaskModel
    several: bool = False
    show_steps: bool = False
    background: Background | None = None
    begin: Callable[[Job], None] = _unwatched
    watch: Callable[[int, NDArray[np.float32]], None] = _unwatched

    def read(self, job: Job) -> Work | Outcome:
        """Read and check a photograph and its trimap, unless their result exists already.

        Raises ImageError, or OutputError if the result's format cannot hold the image.
        """
        if job.unpaired is not None:
            return Outcome("unpaired")
        began = time.monotonic()
        content = read_bytes(job.image, self.check_stop)
        drawn = None if job.trimap is None else read_bytes(job.trimap, self.check_stop)
        receipts = self._products.receipts(job, self._receipt(job, content, drawn))
        if self.options.skip_existing and (there := _found(job, receipts)):
            return replace(there, seconds=time.monotonic() - began)
        photo = decode_image(content, job.image, self.options.input_space, self.options.layer)
        check_fits(job.output, WRITERS[job.format], *photo.pixels.shape[:2])
        work = Work(job, receipts, photo, 0)
        subject, texts = self._guide(work, content, drawn)
        colour = _about_colour(job, photo, subject) if self.options.cutout or job.format == "exr" else ()
        self._warn(job, *photo.notes, *colour, *texts)
        work.seconds = time.monotonic() - began
        return work

    def _guide(self, work: Work, image: bytes, drawn: bytes | None) -> tuple[NDArray[np.bool_], list[str]]:
        """Give the work its trimap or mask; return where there may be subject, [H, W], and what is to be said."""
        grey = self._guide_levels(work, image, drawn)
        if work.job.guide != TRIMAP:
            work.mask, told = fit_mask(grey, work.photo)
            notes = [note for note in (*grey.notes, told) if note not in (BY_ALPHA, "")]
            return work.mask > SURE_BACKGROUND, [f"the mask {note}" for note in notes]
        levels = fit_trimap(grey, work.photo)
        work.trimap = parse_trimap(levels)
        check_not_mask(work.trimap, work.job.sampling)
        findings = (finding.text for finding in diagnose(levels, work.trimap))
        return work.trimap != BACKGROUND, [*(f"the trimap {note}" for note in grey.notes), *findings]

    def _warn(self, job: Job, *texts: str) -> None:
        for text in texts:
            self.warn(f"{job.name}: {text}" if self.several else text)

    def check_stop(self) -> None:
        """Raise Stopped once the run is stopping."""
        if self.stop.is_set():
            raise Stopped

    def _receipt(self, job: Job, image: bytes, guide: bytes | None) -> Receipt:
        mask = {TRIMAP: None, MASK: "given", AUTO: self.masks.name}[job.guide]
        return Receipt(
            program=__version__,
            weights=self.weights.sha256,
            download=self.weights.download,
            preprocessing=self.weights.preprocessing,
            image=sha256_of(image),
            trimap=self.masks.sha256 if job.guide == AUTO else ALPHA if guide is None else sha256_of(guide),
            result="alpha",
            bits=job.bits,
            sampling=job.sampling,
            computing=self.options.computing,
            input_space=self.options.input_space,
            deep=reads_deep(image, self.options.layer),
            layer=self.options.layer,
            channel=self.options.channel,
            mask=mask,
            band=None if mask is None else self.options.band.name,
        )

    def _guide_levels(self, work: Work, image: bytes, drawn: bytes | None) -> GreyImage:
        """Read the trimap or mask, or make the mask."""
        job, channel = work.job, self.options.channel
        if job.guide == AUTO:
            return GreyImage(self.masks.mask(work.photo.pixels))
        if drawn is not None and job.trimap is not None:
            return (decode_grey if job.guide == TRIMAP else decode_mask)(drawn, job.trimap, channel)
        own = decode_opacity(image, job.image, self.options.layer, channel)
        if own is None:
            raise ImageError(f"{job.name} has no alpha channel to use as its {job.guide}: name a {job.guide}")
        return own

    @property
    def _products(self) -> Products:
        return Products(self.options, self.background)

    def computer(self, engine: Engine) -> Callable[[Work], Work]:
        """Return the stage that computes alpha on one engine; its errors are those of ``Matter``."""

        def compute(work: Work) -> Work:
            began = time.monotonic()
            self.begin(work.job)
            self._make_trimap(work)
            job, settled = work.job, settled_alpha(work.trimap, work.job.sampling)
            steps = job.sampling.steps if settled is None else 0
            with ExitStack() as opened:
                dump = dumping(job, work.photo.pixels, work.trimap, steps)
                work.dump = opened.enter_context(dump)
                if settled is None:
                    self._sample(work, engine)
                    give_back()
                else:
                    work.alpha = settled
                    work.uncertainty = np.zeros_like(settled) if self.options.uncertainty else None
                work.open = opened.pop_all()
            work.seconds += time.monotonic() - began
            return work

        return compute

    def _make_trimap(self, work: Work) -> None:
        """Make the trimap of a mask, if that is what was given."""
        if work.mask is not None:
            work.trimap, work.mask = trimap_from_mask(work.mask, self.options.band), None
            levels = (work.trimap / np.float32(255)).astype(np.float32)
            self._warn(work.job, *(finding.text for finding in diagnose(levels, work.trimap)))

    def _sample(self, work: Work, engine: Engine) -> None:
        job, matter, seeds = work.job, engine.matter, self.options.uncertainty or 1
        sampling, first = job.sampling, job.sampling.seed
        spread = Spread((work.trimap == UNKNOWN) | (not sampling.keep_known))
        total = seeds * sampling.steps
        with Progress("encoding", total, "step", shown=self.show_steps, lines=False, leave=False) as progress:
            encoding = matter.encode(work.photo.pixels, work.trimap)
            progress.now("matting")
            for seed in range(first, first + seeds):
                for number, alpha in enumerate(matter.steps(encoding, sampling=replace(sampling, seed=seed)), 1):
                    self.check_stop()
                    if seed == first:
                        if work.dump is not None:
                            work.dump.add(number, alpha)
                        self.watch(number, alpha)
                        work.alpha, taken = alpha, number
                    if seeds > 1:
                        spread.add(alpha)
                    progress.advance()
        work.uncertainty = spread.deviation() if seeds > 1 else None
        work.engine = f"{engine.name} on {matter.device}, {taken} step{'s' * (taken > 1)}"

    def write(self, work: Work) -> Outcome:
        """Write everything that a job makes, all or nothing; raises OutputError."""
        began, job = time.monotonic(), work.job
        if work.uncertainty is not None:
            work.risk = round(risk_of(work.uncertainty, work.alpha, work.trimap == UNKNOWN), 3)
        with work.open:
            if work.dump is not None:
                work.dump.finish(work.receipts[job.output])
            if job.trimap_output is not None:  # in a folder of its own
                trimap = Result(job.trimap_output, work.trimap, receipt=work.receipts[job.trimap_output])
                write_images([trimap], job.trimap_top, links=job.links, overwrite=job.overwrite)
            write_images(self._products.results(work), job.folder, links=job.links, overwrite=job.overwrite)
        work.seconds += time.monotonic() - began
        return _done(work, unknown_share(work.trimap))


def made_before(work: Work) -> Outcome | None:
    """Return the outcome of a job that may not overwrite its result, if an interrupted attempt has written it."""
    there = None if work.job.overwrite else _found(work.job, work.receipts)
    if there is None:
        return None
    work.engine, work.risk = "made by a worker that died", there.risk
    return _done(work, None if work.mask is not None else unknown_share(work.trimap))


def _done(work: Work, unknown: float | None) -> Outcome:
    height, width = work.photo.pixels.shape[:2]
    return Outcome(
        "done",
        None,
        work.receipts[work.job.output],
        width,
        height,
        unknown,
        work.engine,
        work.seconds,
        work.risk,
    )


def _found(job: Job, receipts: Mapping[Path, Receipt]) -> Outcome | None:
    """Return the outcome of a job all of whose results are there as it would make them now; None if they are not."""
    if not all(read_receipt(path) == expected for path, expected in receipts.items()):
        return None
    if job.dump_dir is not None and not is_dump_of(job.dump_dir, receipts[job.output]):
        return None
    risk = None if job.uncertainty_output is None else read_notes(job.uncertainty_output).get("risk")
    if risk is None and job.uncertainty_output is not None:
        return None
    return Outcome("skipped", receipt=receipts[job.output], risk=risk)


def _about_colour(job: Job, photo: ColourImage, subject: NDArray[np.bool_]) -> Iterator[str]:
    """Warn if a result that holds colour cannot hold the photograph's as it is, or say what it means."""
    profile = (photo.icc_profile or b"").replace(b"\0", b"")
    if job.format == "exr" and profile and b"sRGB" not in profile:
        yield "its colour profile is not sRGB, and an EXR is written as if it were: convert the photograph first"
    if job.format != "exr" and photo.header.gamut != USUAL:
        yield f"its primaries are not sRGB's, and {job.format} is written as if they were: convert the photograph first"
    if job.format != "png" and not (profile or photo.linear or is_usual_colour(photo.chunks)):
        names = ", ".join(sorted(name.decode() for name in photo.chunks))
        yield f"its colour is not sRGB but what {names} say, which {job.format} cannot hold: write png, or convert it"
    if job.format != "exr" and photo.colour.dtype == np.float32:
        bright = (photo.colour.max(axis=-1) > _WHITE) & subject
        if count := int(bright.sum()):
            share = f"{count} pixels of the subject ({count / subject.sum():.1%})"
            yield f"{share} are brighter than white, which {job.format} cuts off: write exr to keep them"
