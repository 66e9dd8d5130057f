"""Write the page: a template, and one entry after the other, so that memory does not grow with their number."""

import base64
import hashlib
import html
import json
import os
import re
import shutil
import tempfile
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

from ..console import masked, printable
from ..errors import UsageError
from ..storage.atomic import staged_file
from ..storage.pieces import open_file
from ..trimaps.trimap import unknown_share
from .entries import Entry
from .images import FULL_SIDE, SMALL_SIDE, EncodedImage, EntryImages, Shares, encode, measure, read_images, spot

__all__ = ["Summary", "check_target", "write_page"]

# Follows the doctype: only a page of ours is ever replaced by another.
MARKER = "<!-- diffmatte review -->"
_HEAD = f"<!doctype html>\n{MARKER}\n"
_SCRIPTS = ("data.js", "marks.js", "sheet.js", "viewer.js", "main.js")
# What entries are sorted by, as the page says.
_RISK = "risk"
_OF_UNKNOWN = "share half transparent (of the unknown region)"
_OF_IMAGE = "share half transparent (of the image)"


@dataclass
class Summary:
    """Say what became of a page: entries, bytes, and a sentence for each image that could not be shown."""

    entries: int = 0
    size: int = 0
    order: str = ""
    problems: list[str] = field(default_factory=list)


def check_target(path: Path, *, overwrite: bool) -> None:
    """Raise UsageError where no page can be written; nothing but a page of ours is ever replaced."""
    if os.path.isdir(path):
        raise UsageError(f"the page {path} is an existing folder: name a file")
    if not os.path.isdir(path.parent):
        raise UsageError(f"the folder of the page {path} does not exist: create it first")
    if not os.path.lexists(path):
        return
    if not overwrite:
        raise UsageError(f"the page {path} already exists, and overwriting is off", "overwrite")
    if not _is_ours(path):
        raise UsageError(f"{path} already exists and is not a page of `diffmatte review`: name another", "output")


def _is_ours(path: Path) -> bool:
    try:
        with open_file(path) as file:
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

    ``target`` is a path or an open stream. ``began`` is called before the images of each entry are read.

    Raises:
        OutputError: the page cannot be written; nothing of it is left.
    """
    if not isinstance(target, Path):
        with tempfile.TemporaryFile() as later:
            return _PageWriter(target, later, full, began).write(entries, folder)
    with (
        staged_file(target, overwrite=overwrite) as temporary,
        temporary.open("wb") as file,
        tempfile.TemporaryFile(dir=temporary.parent) as later,
    ):
        return _PageWriter(file, later, full, began).write(entries, folder)


@dataclass
class _PageWriter:
    """Write a page to ``file``, with ``later`` to keep the large images in, which come last in it."""

    file: IO[bytes]
    later: IO[bytes]
    full: int
    began: Callable[[], None]
    summary: Summary = field(default_factory=Summary)

    def write(self, entries: list[Entry], folder: Path) -> Summary:
        ordered, order = self._ordered(entries)
        place = os.path.realpath(folder)
        title = printable(os.path.basename(place) or os.fspath(folder))
        head, middle, tail = _template(title)
        self._write(self.file, head)
        self._json("page", {"id": _short_hash(os.fsencode(place)), "title": title, "order": order})
        left = self.full
        for number, (entry, score) in enumerate(ordered):
            left -= self._add(number, entry, score, full=left > 0)
        self._write(self.file, middle)
        self.later.seek(0)
        shutil.copyfileobj(self.later, self.file)
        self._write(self.file, tail)
        self.file.flush()
        self.summary.entries, self.summary.order = len(entries), order
        return self.summary

    def _ordered(self, entries: list[Entry]) -> tuple[list[tuple[Entry, float | None]], str]:
        """Sort entries, those without a result first, then the worst; return by what, too."""
        shares: list[Shares | None] = []
        if any(entry.risk is None for entry in entries if entry.failure is None):
            for entry in entries:
                self.began()
                shares.append(measure(entry))
        scores, order = _scores(entries, shares)
        pairs = zip(entries, scores, strict=True)
        return sorted(pairs, key=lambda pair: (pair[1] is not None, -(pair[1] or 0), pair[0].name)), order

    def _add(self, number: int, entry: Entry, score: float | None, *, full: bool) -> bool:
        """Write one entry; return whether it went in with full resolution."""
        self.began()
        images = read_images(entry)
        if entry.failure is None:  # what a failed job lacks was told when it failed
            result = str(entry.result)
            self.summary.problems += [told if result in told else f"{result}: {told}" for told in images.problems]
        small = encode(images, SMALL_SIDE)
        self._json("entry", _facts(entry, images, score, small))
        self._images(self.file, f"small-{number}", small)
        if not full or images.alpha is None:
            return False
        if max(images.alpha.shape) > SMALL_SIDE:
            self._images(self.later, f"full-{number}", encode(images, FULL_SIDE))
        return True

    def _images(self, file: IO[bytes], prefix: str, images: list[EncodedImage]) -> None:
        for image in images:
            tag = f'<script type="text/plain" id="{prefix}-{image.kind}" data-media="{image.media_type}">'
            self._write(file, tag, base64.b64encode(image.content), "</script>\n")

    def _json(self, kind: str, value: dict[str, Any]) -> None:
        self._write(self.file, f'<script type="application/json" class="{kind}">{_script_json(value)}</script>\n')

    def _write(self, file: IO[bytes], *parts: str | bytes) -> None:
        for part in parts:
            content = part.encode() if isinstance(part, str) else part
            self.summary.size += len(content)
            file.write(content)


def _scores(entries: list[Entry], shares: list[Shares | None]) -> tuple[list[float | None], str]:
    """Return the scores to sort by, the first kind that is known of all, and its name; None without a result."""
    if not shares:
        return [None if entry.failure is not None else entry.risk for entry in entries], _RISK
    if all(share.of_unknown is not None for share in shares if share):
        return [share.of_unknown if share else None for share in shares], _OF_UNKNOWN
    return [share.of_image if share else None for share in shares], _OF_IMAGE


def _facts(entry: Entry, images: EntryImages, score: float | None, small: list[EncodedImage]) -> dict[str, Any]:
    """Return what the page says of an entry."""
    shown = (images.alpha, images.image.pixels if images.image else None, images.trimap)
    height, width = next((image.shape[:2] for image in shown if image is not None), (0, 0))
    return {
        "name": printable(entry.name),
        "file": printable(entry.result.name),
        "spelled": _for_the_shell(masked(entry.spelled)),
        "key": _short_hash(os.fsencode(entry.name) + b"\0" + images.digest.encode()),
        "score": None if score is None or images.error else round(score, 6),
        "risk": entry.risk,
        "error": None if images.error is None else printable(images.error),
        "notes": [printable(text) for text in (*images.problems, *images.notes) if text not in (images.error or "")],
        "unknown": None if images.trimap is None else round(unknown_share(images.trimap), 6),
        "width": width,
        "height": height,
        "spot": [round(share, 4) for share in spot(images)] if images.alpha is not None else [0.5, 0.5],
        "white": images.colour is None and images.image is None,
        "small": {image.kind: [image.width, image.height] for image in small},
    }


def _for_the_shell(text: str) -> str:
    """Escape what would end a line or is not text, and nothing else, so that the path stays the file's.

    What begins with a dash is no option, so it begins with the folder.
    """
    escaped = "".join(printable(c) if unicodedata.category(c) in ("Cc", "Cs") else c for c in text)
    return f"./{escaped}" if escaped.startswith("-") else escaped


def _short_hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _script_json(value: dict[str, Any]) -> str:
    """Return JSON in ASCII in which no HTML parser sees the end of the script."""
    text = json.dumps(value, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _template(title: str) -> list[str]:
    """Return the three parts of the page around the entries and the large images.

    Its policy admits its own style and script only, by their hashes.
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
