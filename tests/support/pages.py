"""Pages of ``diffmatte review`` read back as a browser reads them, and folders to make them of."""

import base64
import io
import json
import os
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from . import fakes

HEIGHT, WIDTH = 24, 32
ALPHA = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))
# Names that would act if they were taken for anything but text.
HOSTILE = (
    *("<script>alert(1)<", "quote\"s & 'more'", "line\nbreak", "--><img src=x onerror=alert(2)>"),
    os.fsdecode(b"\xff\xfe"),
)


class Page(HTMLParser):
    """The page's scripts, by kind, and every tag in the order of the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.facts: list[dict[str, Any]] = []
        self.about: dict[str, Any] = {}
        self.pictures: dict[str, Image.Image] = {}
        self.code = self.policy = self.style = self.title = ""
        self._open: dict[str, str | None] = {}
        self._tag = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._tag, self._open = tag, dict(attrs)
        if self._open.get("http-equiv") == "Content-Security-Policy":
            self.policy = self._open["content"] or ""

    def handle_endtag(self, tag: str) -> None:
        self._tag = ""

    def handle_data(self, data: str) -> None:
        if self._tag in ("style", "title"):
            setattr(self, self._tag, getattr(self, self._tag) + data)
        elif self._tag == "script" and self._open.get("class") == "entry":
            self.facts.append(json.loads(data))
        elif self._tag == "script" and self._open.get("class") == "page":
            self.about = json.loads(data)
        elif self._tag == "script" and self._open.get("type") == "text/plain":
            picture = Image.open(io.BytesIO(base64.b64decode(data, validate=True)))
            assert Image.MIME[picture.format or ""] == self._open["data-media"]
            self.pictures[self._open["id"] or ""] = picture
        elif self._tag == "script":
            self.code += data

    @property
    def names(self) -> list[str]:
        return [str(entry["name"]) for entry in self.facts]

    def levels(self, name: str) -> np.ndarray:
        """Return one picture's pixels."""
        return np.asarray(self.pictures[name])


def page_of(*arguments: str, code: int = 0) -> Page:
    """Make a page and read it back."""
    result = fakes.run("review", *arguments)
    assert result.exit_code == code, result.stderr
    return Page(Path("review.html").read_text("utf-8"))


def save(path: str, pixels: np.ndarray) -> None:
    """Write a picture, with its folders."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, lossless=True)


def make_results(*names: str, folder: str = "mattes", suffix: str = "_alpha.png") -> None:
    """Write photographs, trimaps and results of the same names."""
    for name in names:
        save(f"photos/{name}.png", np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8))
        save(f"trimaps/{name}.png", fakes.cat_trimap())
        save(f"{folder}/{name}{suffix}", ALPHA)


def row(name: str, **values: Any) -> dict[str, Any]:
    """Return a report's row of one of them."""
    usual = {"image": f"photos/{name}.png", "trimap": f"trimaps/{name}.png", "output": f"mattes/{name}_alpha.png"}
    return usual | {"alpha_output": None, "status": "done", "error": None, "risk": None} | values


def write_report(path: str, *rows: dict[str, Any]) -> None:
    """Write a report of lines of JSON."""
    Path(path).write_text("".join(json.dumps(line) + "\n" for line in rows))
