"""Write the page: a template, and entry by entry what it shows, so that memory does not grow with their number."""

import base64
import hashlib
import html
import json
import os
import re
import shutil
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

from ..console import printable
from ..errors import UsageError
from ..storage.atomic import staged_file
from ..trimaps.trimap import unknown_share
from .entries import Entry
from .pictures import FULL_SIDE, SMALL_SIDE, Measures, Packed, Seen, measure, pack, see, spot

__all__ = ["Summary", "check_target", "write_page"]

# Behind the doctype, so that a page of ours is known again and nothing else is ever replaced by one.
MARKER = "<!-- diffmatte review -->"
_HEAD = f"<!doctype html>\n{MARKER}\n"
_SCRIPTS = ("data.js", "marks.js", "sheet.js", "viewer.js", "main.js")
# What entries are sorted by, as the page words it.
_RISK = "risk"
_OF_UNKNOWN = "share half transparent (of the unknown region)"
_OF_PICTURE = "share half transparent (of the picture)"


@dataclass
class Summary:
    """Say what became of a page: entries, bytes, and a sentence for each picture that could not be shown."""

    entries: int = 0
    size: int = 0
    order: str = ""
    problems: list[str] = field(default_factory=list)


def check_target(path: Path, *, overwrite: bool) -> None:
    """Raise UsageError where no page can be written; what is there and is no page of ours is never replaced."""
    if os.path.isdir(path):
        raise UsageError(f"the page {path} is an existing folder: name a file")
    if not os.path.isdir(path.parent):
        raise UsageError(f"the folder of the page {path} does not exist: make it first")
    if not os.path.lexists(path):
        return
    if not overwrite:
        raise UsageError(f"the page {path} exists already, and is to be kept", "overwrite")
    if not _is_ours(path):
        raise UsageError(f"{path} is there already and is no page of `diffmatte review`: name another", "output")


def _is_ours(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_HEAD)) == _HEAD.encode()
    except OSError:
        return False


def write_page(
    entries: list[Entry],
    folder: Path,
    target: Path | IO[bytes],
    *,
    full: int = 24,
    overwrite: bool = True,
    began: Callable[[], None] = lambda: None,
) -> Summary:
    """Write a page that shows the entries, the worst first; the first ``full`` of them in full resolution.

    ``target`` is a path or an open stream. ``began`` is called before each picture is read.

    Raises:
        OutputError: it cannot be written; then nothing of it is left.
    """
    if not isinstance(target, Path):
        with tempfile.TemporaryFile() as later:
            return _Writing(target, later, full, began).run(entries, folder)
    with _replacing(target, overwrite) as (file, later):
        return _Writing(file, later, full, began).run(entries, folder)


@contextmanager
def _replacing(path: Path, overwrite: bool) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """Yield a file that takes the place of ``path`` when all went well, and another on the same disk."""
    with (
        staged_file(path, overwrite=overwrite) as temporary,
        temporary.open("xb") as file,
        tempfile.TemporaryFile(dir=temporary.parent) as later,
    ):
        yield file, later


@dataclass
class _Writing:
    """One page on its way: ``file`` for the page, ``later`` for the large pictures, which come last in it."""

    file: IO[bytes]
    later: IO[bytes]
    full: int
    began: Callable[[], None]
    summary: Summary = field(default_factory=Summary)

    def run(self, entries: list[Entry], folder: Path) -> Summary:
        ordered, self.summary.order = self._ordered(entries)
        head, middle, tail = _template(_title(folder))
        self._text(self.file, head)
        self._json("page", self._about(folder))
        left = self.full
        for number, (entry, score) in enumerate(ordered):
            left -= self._add(number, entry, score, full=left > 0)
        self._text(self.file, middle)
        self.later.seek(0)
        shutil.copyfileobj(self.later, self.file)
        self._text(self.file, tail)
        self.file.flush()
        self.summary.entries = len(entries)
        return self.summary

    def _about(self, folder: Path) -> dict[str, Any]:
        place = hashlib.sha256(os.fsencode(os.path.realpath(folder))).hexdigest()[:16]
        return {"id": place, "title": _title(folder), "order": self.summary.order}

    def _ordered(self, entries: list[Entry]) -> tuple[list[tuple[Entry, float | None]], str]:
        """Sort entries, without a result first, then the worst; say by what."""
        measures: list[Measures | None] = []
        if not all(entry.risk is not None for entry in entries if entry.failure is None):
            for entry in entries:
                self.began()
                measures.append(measure(entry))
        scores, order = _scores(entries, measures)
        pairs = zip(entries, scores, strict=True)
        return sorted(pairs, key=lambda pair: (pair[1] is not None, -(pair[1] or 0), pair[0].name)), order

    def _add(self, number: int, entry: Entry, score: float | None, *, full: bool) -> bool:
        """Write one entry; return whether it went in with full resolution."""
        self.began()
        seen = see(entry)
        if entry.failure is None:  # what a failed job lacks has been told when it failed
            self.summary.problems += [_named(entry, problem) for problem in seen.problems]
        small = pack(seen, SMALL_SIDE)
        self._json("entry", _facts(entry, seen, score, small))
        self._pictures(self.file, f"small-{number}", small)
        if not full or seen.alpha is None:
            return False
        if max(seen.alpha.shape) > SMALL_SIDE:
            self._pictures(self.later, f"full-{number}", pack(seen, FULL_SIDE))
        return True

    def _pictures(self, file: IO[bytes], prefix: str, pictures: list[Packed]) -> None:
        for picture in pictures:
            tag = f'<script type="text/plain" id="{prefix}-{picture.kind}" data-media="{picture.media_type}">'
            self._text(file, tag)
            file.write(base64.b64encode(picture.content))
            self.summary.size += -(-len(picture.content) // 3) * 4
            self._text(file, "</script>\n")

    def _json(self, kind: str, value: dict[str, Any]) -> None:
        self._text(self.file, f'<script type="application/json" class="{kind}">{_script_json(value)}</script>\n')

    def _text(self, file: IO[bytes], text: str) -> None:
        content = text.encode()
        self.summary.size += len(content)
        file.write(content)


def _scores(entries: list[Entry], measures: list[Measures | None]) -> tuple[list[float | None], str]:
    """Return the figure to sort by, the first that is known of all, and its name; None for what has no result."""
    if not measures:
        return [None if entry.failure is not None else entry.risk for entry in entries], _RISK
    shares = [found.of_unknown if found else None for found in measures]
    if all(share is not None for share, found in zip(shares, measures, strict=True) if found):
        return shares, _OF_UNKNOWN
    return [found.of_picture if found else None for found in measures], _OF_PICTURE


def _named(entry: Entry, problem: str) -> str:
    return problem if str(entry.result) in problem else f"{entry.result}: {problem}"


def _facts(entry: Entry, seen: Seen, score: float | None, small: list[Packed]) -> dict[str, Any]:
    """Return what the page says of an entry in words."""
    height, width = _size(seen)
    return {
        "name": printable(entry.name),
        "file": printable(entry.result.name),
        "spelled": _for_the_shell(entry.spelled),
        "key": hashlib.sha256(os.fsencode(entry.name) + b"\0" + seen.digest.encode()).hexdigest()[:16],
        "score": None if score is None or seen.error else round(score, 6),
        "risk": entry.risk,
        "error": None if seen.error is None else printable(seen.error),
        "notes": [printable(problem) for problem in seen.problems if problem not in (seen.error or "")],
        "unknown": None if seen.trimap is None else round(unknown_share(seen.trimap), 6),
        "width": width,
        "height": height,
        "spot": [round(share, 4) for share in spot(seen)] if seen.alpha is not None else [0.5, 0.5],
        "white": seen.colour is None and seen.photo is None,
        "small": {picture.kind: [picture.width, picture.height] for picture in small},
    }


def _for_the_shell(text: str) -> str:
    """Escape what would end a line or is no text, and nothing else, so that the path is still the file's."""
    return "".join(printable(c) if unicodedata.category(c) in ("Cc", "Cs") else c for c in text)


def _size(seen: Seen) -> tuple[int, int]:
    shown = (seen.alpha, seen.photo.pixels if seen.photo else None, seen.trimap)
    return next((picture.shape[:2] for picture in shown if picture is not None), (0, 0))


def _title(folder: Path) -> str:
    return printable(os.path.basename(os.path.realpath(folder)) or os.fspath(folder))


def _script_json(value: dict[str, Any]) -> str:
    """Return JSON in plain ASCII that no parser of HTML takes for an end of the script."""
    text = json.dumps(value, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _template(title: str) -> list[str]:
    """Return the page's three parts, around the entries and around the large pictures.

    Its policy lets in its own style and script alone, by their hashes.
    """
    data = files(__package__)
    style = data.joinpath("page.css").read_text("utf-8")
    script = '"use strict";\n' + "\n".join(data.joinpath(name).read_text("utf-8") for name in _SCRIPTS)
    policy = (
        f"default-src 'none'; img-src data: blob:; style-src {_hashed(style)}; script-src {_hashed(script)};"
        " base-uri 'none'; form-action 'none'"
    )
    values = {"POLICY": policy, "TITLE": html.escape(title), "STYLE": style, "SCRIPT": script}
    page = _HEAD + data.joinpath("page.html").read_text("utf-8")
    parts = re.split("@(?:ENTRIES|FULL)@\n", page)
    return [re.sub(f"@({'|'.join(values)})@", lambda found: values[found[1]], part) for part in parts]


def _hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
