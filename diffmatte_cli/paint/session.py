"""What the page works on: one photograph at a time, its trimap, the matte last computed, and what is saved."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..batch.engines import Engine, engines
from ..batch.pipeline import Stopped
from ..batch.stages import Stages
from ..composition.products import Work
from ..console import printable
from ..errors import DiffmatteError, UsageError, described
from ..imaging.encoding import Result
from ..imaging.read import ColourImage, read_image
from ..imaging.write import write_images
from ..inference.masking import MaskModel
from ..planning.jobs import Job, plan
from ..planning.options import MatteOptions
from ..planning.requests import Request
from ..settings import Sampling
from ..storage.paths import Place, spelled
from ..trimaps.trimap import unknown_share
from ..weights.pulling import identified
from ..weights.store import ModelSource, resolve_model
from .guides import Guide, trimap_of_guide
from .picture import SHOWN_SIDE, STEP_SIDE, Picture, cutout, reduced
from .strokes import Stroke, painted, strokes_of

__all__ = ["Session", "TakenError", "Wish"]

Event = dict[str, Any]


class TakenError(DiffmatteError):
    """Files that would be replaced without having been saved from this page before."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(f"{', '.join(names)} exists already")
        self.names = names


@dataclass(frozen=True)
class Wish:
    """What the page wants computed or saved; equal wishes have equal results."""

    picture: int
    strokes: tuple[Stroke, ...]
    model: str
    sampling: Sampling


@dataclass
class Session:
    """What is open and what has been computed; methods may be called from any thread.

    Arguments: ``folder`` is the session's own, for files that come from the page; ``output`` the folder of what is
    saved, None for the current one; ``sampling`` and ``options.model`` are what the page begins with.
    """

    options: MatteOptions
    sampling: Sampling
    folder: Path
    output: str | None = None
    say: Callable[[str], None] = lambda _: None
    picture: Picture | None = None
    strokes: Any = ()
    _finished: tuple[Wish, Work] | None = None
    _engine: tuple[str, ModelSource, Engine] | None = None
    _count: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _queueing: threading.Lock = field(default_factory=threading.Lock)
    _working: threading.Lock = field(default_factory=threading.Lock)
    _saving: threading.Lock = field(default_factory=threading.Lock)

    def state(self) -> Event:
        """Describe everything that the page shows at its start."""
        store, opened = self.options.store, self.picture
        models = {record.name: store.where(record) for record in store.records().values()}
        state: Event = {
            "models": {self.options.model: "", **models},
            "model": self.options.model,
            "steps": self.sampling.steps,
            "seed": str(self.sampling.seed),
            "picture": None,
        }
        if opened is not None:
            height, width = opened.trimap.shape
            state["picture"] = {
                "number": opened.number,
                "name": printable(opened.job.relative.name),
                "width": width,
                "height": height,
                "guide": opened.guide,
                "notes": [printable(note) for note in opened.notes],
                "files": [printable(str(path)) for path in (opened.trimap_output, *opened.job.images)],
                "strokes": self.strokes,
            }
        return state

    def open(self, photo: Path, guide: Guide | None = None) -> None:
        """Open a photograph, whatever else is going on; raises what planning and reading do."""
        with self._turn(threading.Event()):
            job = self._planned(photo)
            self._begin(job, replace(read_image(photo), deep=None), guide)

    def guide(self, guide: Guide) -> None:
        """Begin the trimap of the open photograph anew, by a trimap or a mask; raises ImageError."""
        with self._turn(threading.Event()):
            opened = self._opened()
            self._begin(opened.job, opened.image, guide)

    def _planned(self, photo: Path) -> Job:
        """Name what is saved of a photograph; no image has been opened yet."""
        own = self.folder / "trimap.png"
        own.touch()
        where = None if self.output is None else self.output.rstrip("/") + "/"
        request = Request((spelled(photo, "-"),), str(own), where, sampling=self.sampling, cutout=True, with_alpha=True)
        jobs = plan(request)
        if len(jobs) != 1:
            raise UsageError("one photograph is painted at a time: name one file")
        return jobs[0]

    def _begin(self, job: Job, image: ColourImage, guide: Guide | None) -> None:
        trimap, notes = trimap_of_guide(guide, image)
        self._count += 1
        kind = "nothing" if guide is None else guide.kind
        self.picture = Picture(self._count, image, trimap, kind, job, (*image.notes, *notes))
        self.strokes, self._finished = (), None

    def _opened(self, number: int | None = None) -> Picture:
        """Return what is open; raises UsageError if that is nothing, or not what has this ``number``."""
        opened = self.picture
        if opened is None:
            raise UsageError("no photograph is open yet: open one")
        if number not in (None, opened.number):
            raise UsageError("another photograph or trimap was opened since: reload the page")
        return opened

    def wish(self, values: Any) -> Wish:
        """Read what the page wants; raises UsageError for what makes no sense, or is of a photograph open before."""
        try:
            number, model = int(values["picture"]), str(values["model"])
            steps, seed = int(values["steps"]), int(values["seed"])
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError("steps and seed must be whole numbers") from error
        self._opened(number)
        if model != self.options.model and model not in self.options.store.records():
            raise UsageError(f"there is no model named {model!r}: choose one of the page's")
        strokes = strokes_of(values["strokes"])
        self.strokes = values["strokes"]
        return Wish(number, strokes, model, replace(self.sampling, steps=steps, seed=seed))

    @contextmanager
    def _turn(self, stop: threading.Event) -> Iterator[None]:
        """Stop what is being computed, or waits to be, and wait for its end; the next turn sets this one's ``stop``."""
        with self._queueing:
            self._stop.set()
            self._stop = stop
        with self._working:
            yield

    def stop(self) -> None:
        """Stop what is being computed, between two steps."""
        self._stop.set()

    def matte(self, wish: Wish, tell: Callable[[Event], None], stop: threading.Event) -> None:
        """Compute a matte until ``stop`` is set; ``tell`` receives every step and, last, done, stopped or an error."""
        with self._turn(stop):
            try:
                work = self._computed(wish, tell, stop)
            except Stopped:
                tell({"stopped": True})
                return
            except Exception as error:  # whatever it is, the page goes on
                tell({"error": printable(described(error))})
                return
            self._finished = wish, work
            done = f"{unknown_share(work.trimap):.1%} unknown, {work.engine}, {work.seconds:.1f} s"
            tell({"done": done, "image": cutout(work.photo, work.alpha, SHOWN_SIDE)})

    def _computed(self, wish: Wish, tell: Callable[[Event], None], stop: threading.Event) -> Work:
        if stop.is_set():
            raise Stopped
        opened = self._opened(wish.picture)
        assert opened.job.trimap is not None
        write_images([Result(opened.job.trimap, painted(opened.trimap, wish.strokes))])
        tell({"say": "loading the model"})
        source, engine = self._loaded(wish.model, stop)
        sampling = wish.sampling if source.iterates else wish.sampling.at_once()
        small = reduced(opened.image, STEP_SIDE)

        def watch(number: int, alpha: NDArray[np.float32]) -> None:
            tell({"step": number, "of": sampling.steps, "image": cutout(small, alpha, STEP_SIDE)})

        stages = Stages(
            replace(self.options, model=wish.model, cutout=True),
            source.identity,
            lambda text: tell({"note": printable(text)}),
            stop,
            MaskModel(self.options.mask_model),
            watch=watch,
        )
        work = stages.read(replace(opened.job, sampling=sampling))
        assert isinstance(work, Work)
        tell({"say": "looking at the photograph"})
        stages.check_stop()
        return stages.computer(engine)(work)

    def _loaded(self, model: str, stop: threading.Event) -> tuple[ModelSource, Engine]:
        """Return a model with its sha256, and its engine; only the last one is kept."""

        def check() -> None:
            if stop.is_set():
                raise Stopped

        if self._engine is None or self._engine[0] != model:
            self._engine = None
            options = replace(self.options, model=model)
            source = identified(
                resolve_model(model, options.store), options.store, progress=False, tell=self.say, check=check
            )
            (engine,) = engines(source, options, self.say, check)
            engine.matter  # noqa: B018 (loads it, while ``check`` is this run's)
            self._engine = model, source, engine
        return self._engine[1:]

    def save(self, wish: Wish, *, results: bool, overwrite: bool) -> list[Path]:
        """Write the trimap and, with ``results``, the cutout and the alpha, as ``diffmatte matte`` does.

        Raises TakenError without ``overwrite``, if there are files that were not saved from this page, and UsageError
        for a matte of another trimap or other settings than the wish's.
        """
        with self._saving:
            opened, finished = self._opened(wish.picture), self._finished
            if results and (finished is None or finished[0] != wish):
                raise UsageError("the matte is not of what is painted and set now: matte it first")
            targets = [opened.trimap_output, *(opened.job.images if results else ())]
            if not overwrite:
                self._check_free(opened, targets)
            trimap = Result(opened.trimap_output, painted(opened.trimap, wish.strokes))
            write_images([trimap], opened.job.folder)
            opened.saved.add(opened.trimap_output)
            if results and finished is not None and self._engine is not None:
                options = replace(self.options, model=wish.model, cutout=True)
                masks = MaskModel(options.mask_model)
                Stages(options, self._engine[1].identity, self.say, threading.Event(), masks).write(finished[1])
                opened.saved.update(opened.job.images)
            return targets

    def _check_free(self, opened: Picture, targets: list[Path]) -> None:
        here = Place(Path())
        taken = [path for path in targets if path not in opened.saved and here.at(path).kind is not None]
        if taken:
            raise TakenError([printable(str(path)) for path in taken])
