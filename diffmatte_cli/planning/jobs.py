"""Plan before any work: name the results and report every conflict at once. No image is opened.

Standard library only.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from unicodedata import normalize

from ..errors import PlanError, Problem, UsageError, listed
from ..extras import require
from ..imaging.formats import WRITERS
from ..settings import Sampling, without_effect
from ..storage.paths import STREAM, Place, spelled
from ..storage.remotes import is_remote
from .dumps import top_problem, with_dump
from .manifest import read_manifest
from .naming import check_folder, composite_mark, format_of, results_folder
from .options import BACKGROUNDS
from .pairing import paired
from .requests import Request
from .rows import with_report
from .sequences import beside, frame_path, marked
from .sources import AUTO, MASK, TRIMAP, Source, Sources, gather
from .targets import Targets, painted

__all__ = ["Job", "plan", "share"]


@dataclass(frozen=True)
class Job:
    """The paths and settings of one matting job.

    Attributes:
        image: the photograph, or ``STREAM`` for standard input.
        trimap: its trimap or mask, likewise; None for the photograph's own alpha channel, or a mask that is made.
        guide: what ``trimap`` is: ``TRIMAP``, ``MASK`` or ``AUTO``.
        output: the result, a composite, cutout or alpha, or ``STREAM`` for standard output.
        relative: what the result is named after, see ``Source``.
        format: the result's format, a key of ``WRITERS``.
        sampling: how its alpha is sampled.
        bits: of the result, and of the alpha beside it.
        alpha_output: the alpha beside a cutout or a composite, if wanted.
        cutout_output: the cutout beside a composite, likewise.
        uncertainty_output: the uncertainty map, if wanted.
        trimap_output: the trimap that is made of a mask, if it is to be kept.
        dump_dir: the folder for the images of each step, if wanted.
        folder, dump_top, trimap_top: folders that must contain the results, the step folders, and the trimaps.
        overwrite: whether existing files may be replaced.
        links: results that are symlinks, which are followed; none that appears later is.
        unpaired: why there is no trimap, and nothing to do; None if there is one.
    """

    image: Path
    trimap: Path | None
    output: Path
    relative: Path
    format: str = "png"
    sampling: Sampling = Sampling()
    bits: int = 8
    alpha_output: Path | None = None
    uncertainty_output: Path | None = None
    dump_dir: Path | None = None
    folder: Path | None = None
    dump_top: Path | None = None
    overwrite: bool = True
    links: tuple[Path, ...] = ()
    unpaired: str | None = None
    guide: str = TRIMAP
    trimap_output: Path | None = None
    trimap_top: Path | None = None
    cutout_output: Path | None = None

    @property
    def name(self) -> str:
        """The job's name in messages."""
        return spelled(self.image, "standard input")

    @property
    def written(self) -> tuple[Path, ...]:
        """Every file and folder that the job writes."""
        return tuple(path for path in (*self.images, self.dump_dir) if path is not None)

    @property
    def images(self) -> tuple[Path, ...]:
        """Every image that the job writes, except steps."""
        return (*self.results, *([] if self.trimap_output is None else [self.trimap_output]))

    @property
    def results(self) -> tuple[Path, ...]:
        """Every image that the job makes of its alpha, except steps."""
        wanted = (self.output, self.alpha_output, self.cutout_output, self.uncertainty_output)
        return tuple(path for path in wanted if path is not None)


def plan(request: Request, warn: Callable[[str], None] = lambda _: None) -> list[Job]:
    """Name the results of every photograph and refuse every conflict that is visible before an image is opened.

    ``warn`` receives what is odd but harmless.

    Raises:
        PlanError: missing or ambiguous paths, results that would replace an input or each other, and the
            like, all at once.
        UsageError: the request makes no sense as a whole.
        OutputError: a target folder exists and is read-only.
    """
    planner = _Planner(request)
    sources = planner.sources()
    skipped = sources.unpaired if request.skip_unpaired and sources.found else []
    problems, jobs = list(sources.problems), []
    if not skipped:
        problems += [_unpaired(source) for source in sources.unpaired]
    for source in (*sources.found, *skipped):
        try:
            jobs.append(planner.job(source))
        except UsageError as error:
            problems.append(error)
    problems += planner.conflicts(sources, jobs)
    if problems:
        raise PlanError(problems)
    for text in (*sources.warnings, *planner.in_vain(sources)):
        warn(text)
    if skipped:
        names = listed([str(source.image) for source in skipped])
        warn(f"without a trimap, and passed by: {names} ({len(skipped)} of {len(jobs)})")
    return [replace(job, links=links) if (links := planner.links(job)) else job for job in jobs]


def _unpaired(source: Source) -> UsageError:
    if source.guide == TRIMAP:
        text = f"{source.unpaired}; add one, give masks instead, or pass such photographs by"
        return UsageError(text, "mask", "skip_unpaired")
    return UsageError(f"{source.unpaired}; add one, or pass such photographs by", "skip_unpaired")


def share(jobs: list[Job], part: int, parts: int) -> list[Job]:
    """Return the jobs of ``part`` (from 1) of ``parts``; which part a job is in depends on its name alone."""
    return [job for job in jobs if _digest(job) % parts == part - 1]


def _digest(job: Job) -> int:
    return int.from_bytes(hashlib.sha256(os.fsencode(normalize("NFC", str(job.relative)))).digest()[:8])


class _Planner:
    """A request and the places that it names, each looked up once."""

    def __init__(self, request: Request) -> None:
        """Resolve the paths; raises UsageError if the results need a folder and have none."""
        self.request = request
        self.here = here = Place(Path())
        self.inputs = [here.named(text).found for text in request.inputs]
        self.output = None if request.output is None else here.named(request.output)
        self.folder = results_folder(self.output, self.inputs, several=request.manifest is not None)

    def sources(self) -> Sources:
        """Find the photographs, each with its trimap; raises UsageError if the request makes no sense as a whole."""
        request = self.request
        if request.manifest is not None:
            sources = read_manifest(self.here.at(request.manifest), self.folder)
        else:
            guide, text = (TRIMAP, request.trimap) if request.mask is None else (MASK, request.mask)
            named = None if text is None else self.here.named(text)
            sources = paired(gather(self.inputs, recursive=request.recursive, except_in=self.folder), named, guide)
        if any(source.guide == AUTO for source in sources.found):
            require("auto", "a mask that is made of the photograph", "mask")
        self.background = None
        if request.background is not None and request.background not in BACKGROUNDS:
            from .backgrounds import background_file

            self.background = background_file(request.background, self.here)
        return sources

    def job(self, source: Source) -> Job:
        """Name the results of one photograph; raises UsageError for invalid names and settings."""
        request, output = self.request, self._output(source)
        form = format_of(output, request.format, request.bits, opaque=request.background is not None)
        seed = request.sampling.seed if source.seed is None else source.seed
        steps = request.sampling.steps if source.steps is None else source.steps
        sampling = replace(request.sampling, seed=seed, steps=steps)
        replace(sampling, seed=seed + (request.uncertainty or 1) - 1)  # checks the last seed
        sampling = sampling if request.iterates else sampling.at_once()
        return Job(
            source.image.path,
            None if source.trimap is None else source.trimap.path,
            output,
            source.relative,
            form,
            sampling,
            WRITERS[form].depth(request.bits),
            self._beside(output, "alpha", source) if request.with_alpha else None,
            self._beside(output, "uncertainty", source) if request.uncertainty else None,
            request.dump_steps / source.relative if request.dump_steps is not None else None,
            None if self.folder is None else self.folder.path,
            request.dump_steps,
            request.overwrite,
            unpaired=source.unpaired,
            guide=source.guide,
            trimap_output=self._trimap_output(source),
            trimap_top=request.trimap_output,
            cutout_output=self._beside(output, "cutout", source) if request.with_cutout else None,
        )

    def in_vain(self, sources: Sources) -> Iterator[str]:
        """Yield what to tell of settings without effect, in options or in a manifest."""
        rows = {name for source in sources.found for name in ("steps", "seed") if getattr(source, name) is not None}
        if not self.request.iterates and (text := without_effect(self.request.given | rows)):
            yield text

    def _beside(self, output: Path, mark: str, source: Source) -> Path:
        """Return the path of an image written along with a result, which the user may have named."""
        if output == STREAM or source.output is not None or (self.folder is None and self.output is not None):
            return beside(output, mark, source.frame)
        return output.with_name(marked(source.relative.name, mark, source.frame) + ".png")

    def _trimap_output(self, source: Source) -> Path | None:
        top = self.request.trimap_output
        if top is None or source.guide == TRIMAP:
            return None
        return top / source.relative.parent / f"{source.relative.name}.png"

    def _output(self, source: Source) -> Path:
        background = self.request.background
        mark = composite_mark(background) if background else "cutout" if self.request.cutout else "alpha"
        named = marked(source.relative.name, mark, source.frame) + self.request.ending
        if self.folder is not None:
            chosen = source.output or source.relative.parent / named
            return chosen if is_remote(chosen) else self.folder.path / chosen
        if self.output is not None:
            return self.output.path if source.frame is None else frame_path(self.output.path, source.frame)
        return STREAM if source.image.is_stream else Path(named)

    def links(self, job: Job) -> tuple[Path, ...]:
        """Return the results of a job that are symlinks."""
        return tuple(path for path in job.images if path != STREAM and self.here.at(path).is_link)

    def conflicts(self, sources: Sources, jobs: list[Job]) -> Iterator[Problem]:
        """Yield every conflict of jobs with inputs, with each other, and with existing files."""
        request, folder = self.request, self.folder
        inputs = [place for source in sources.found for place in (source.image, source.trimap)]
        targets = Targets(folder, inputs, sources.folders, overwrite=request.overwrite)
        lone_file = len(self.inputs) == 1 and not sources.folders
        if folder is not None and not lone_file and targets.holds_inputs(folder):
            yield UsageError(f"the folder of results {folder} also contains inputs: name another one", "output")
        manifest = None if request.manifest is None else self.here.at(request.manifest)
        targets.inputs |= {place.identity: place for place in (manifest, self.background) if place is not None}
        if request.report is not None:
            yield from with_report(self.here.at(request.report), targets)
        top = None if request.dump_steps is None else self.here.at(request.dump_steps)
        if top is not None and (problem := top_problem(top)):
            yield UsageError(problem, "dump_steps")
            return
        trimaps = None if request.trimap_output is None else self.here.at(request.trimap_output)
        if trimaps is not None:
            check_folder(trimaps, "the trimaps need a folder", "trimap_output")
            if targets.holds_inputs(trimaps):
                yield UsageError(f"the folder of trimaps {trimaps} also contains inputs: name another", "trimap_output")
        for job in (job for job in jobs if job.unpaired is None):
            for path in job.results:
                yield from targets.add(self.here.at(path), job.name)
            if job.trimap_output is not None and trimaps is not None:
                yield from targets.add(made := self.here.at(job.trimap_output), job.name, trimaps)
                yield from painted(made, "trimap_output")
            if job.dump_dir is not None and top is not None:
                yield from with_dump(self.here.at(job.dump_dir), top, job.name, targets)
        yield from targets.nested()
