"""The page in a real browser, on the true program: a stroke is painted, and the matte changes."""

import io
import math
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE

import numpy as np
import pytest
from PIL import Image
from support import ROOT
from support.browser import CHROMIUM, Browser
from support.fakes import run
from support.processes import read_until, start
from support.skipping import skip_without

from diffmatte_cli.extras import is_installed

pytestmark = [
    skip_without(CHROMIUM, "needs Chromium: none is found"),
    skip_without(is_installed("web"), "needs the extra web (Starlette, uvicorn)"),
]
WIDTH, HEIGHT = 384, 288
Point = tuple[float, float]


@dataclass
class Page:
    """The page, with hands: places are the photograph's."""

    browser: Browser
    address: str

    def ask(self, module: str, expression: str) -> object:
        """Evaluate an expression with what a module exports."""
        return self.browser.ask(f"import('{self.address}{module}.js').then((the) => {expression})")

    def text(self, selector: str) -> str:
        return str(self.browser.ask(f"document.querySelector({selector!r}).textContent"))

    def wait_text(self, selector: str, words: str) -> None:
        self.browser.wait(f"document.querySelector({selector!r}).textContent.includes({words!r})")

    def click(self, selector: str) -> None:
        self.browser.ask(f"document.querySelector({selector!r}).click()")

    def choose(self, kind: str, path: Path) -> None:
        """Choose a file as a person does who presses a button."""
        call = self.browser.call
        call("Page.setInterceptFileChooserDialog", enabled=True)
        box = f"document.querySelector('#open-{kind}').getBoundingClientRect()"
        x, y = self.browser.ask(f"[{box}.left + 5, {box}.top + 5]")
        for event in ("mousePressed", "mouseReleased"):
            self.browser.mouse(event, x, y, button="left", clickCount=1)
        root = call("DOM.getDocument")["root"]["nodeId"]
        node = call("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
        call("DOM.setFileInputFiles", files=[str(path.resolve())], nodeId=node)

    def drag(self, *points: Point, button: str = "left") -> None:
        for number, point in enumerate(points):
            x, y = self.place(point)
            self.browser.mouse("mouseMoved", x, y, button=button if number else "none", buttons=1 if number else 0)
            if number == 0:
                self.browser.mouse("mousePressed", x, y, button=button, clickCount=1)
        self.browser.mouse("mouseReleased", x, y, button=button, clickCount=1)

    def place(self, point: Point) -> Point:
        across, down = (f"({value} - the.view.{axis}) * the.view.zoom" for value, axis in zip(point, "xy", strict=True))
        frame = "the.canvas.getBoundingClientRect()"
        found = self.ask(
            "view", f"[{across} + the.canvas.width / 2 + {frame}.left, {down} + the.canvas.height / 2 + {frame}.top]"
        )
        x, y = found  # type: ignore[misc]
        return x, y

    def seen(self, box: tuple[int, int, int, int]) -> np.ndarray:
        """Return what the screen shows of a box of the photograph (left, top, right, bottom), [H, W, 3]."""
        self.browser.ask("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        path = Path("seen.png")
        self.browser.screenshot(path)
        corners = [*self.place(box[:2]), *self.place(box[2:])]
        return np.asarray(Image.open(path).convert("RGB").crop([round(value) for value in corners]))

    def matte(self) -> None:
        self.browser.press("Enter")
        self.wait_text("#matte", "Stop")
        self.wait_text("#matte", "Matte")
        assert " unknown, tiny on cpu" in self.text("#doing"), self.text("#notes")


def ring(across: float, down: float, radius: float) -> list[Point]:
    turns = [turn * math.tau / 30 for turn in range(31)]
    return [(across + radius * math.cos(turn), down + radius * math.sin(turn)) for turn in turns]


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    with Image.open(ROOT / "docs" / "examples" / "fluff.jpg") as image:
        image.resize((WIDTH, HEIGHT)).save("fluff.png")
    return tmp_path


@pytest.fixture
def page(tab: Browser, folder: Path) -> Iterator[Page]:
    with start("-m", "diffmatte_cli", "paint", "fluff.png", "--steps", "2", "--device", "cpu", stderr=PIPE) as process:
        address = re.findall(r"http://\S+", read_until("Ctrl-C ends", process))[0]
        tab.open(address)
        tab.wait("document.querySelector('#zoom').textContent")
        yield Page(tab, address)
        errors = [*tab.errors]
        tab.open("about:blank")
        tab.errors.clear()  # that nobody was asked about strokes that are not saved
    assert errors == []


def paint_subject(page: Page) -> None:
    """Draw round the subject, and round its inside."""
    assert "All is background so far" in page.text("#hint")
    page.drag(*ring(192, 152, 115))
    assert "draw round the inside" in page.text("#hint")
    page.browser.press("f")
    page.drag(*ring(192, 152, 85))
    assert page.text("#hint") == ""
    assert page.ask("trimap", "the.all().length") == 2


def test_a_stroke_changes_the_matte_and_what_is_saved_is_the_command_lines(page: Page) -> None:
    paint_subject(page)
    page.matte()
    corner, inside = (4, 4, 20, 20), (180, 140, 204, 164)
    page.browser.press("4")
    assert (page.seen(corner) == (255, 0, 255)).all()
    before = page.seen(inside)
    assert (before != (255, 0, 255)).any(axis=2).all()

    page.browser.press("l", "b")
    page.drag((170, 150), (215, 150))
    page.matte()
    assert (page.seen((165, 144, 190, 156)) == (255, 0, 255)).all()
    for key, colour in (("2", 0), ("3", 255), ("5", 0)):
        page.browser.press(key)
        assert (page.seen(corner) == colour).all()
    assert (page.seen((185, 102, 195, 112)) == 255).all()  # alpha, inside

    page.browser.press("1")
    page.click("#save")
    page.wait_text("#notes", "saved fluff_trimap.png, fluff_cutout.png, fluff_alpha.png")
    names = ("fluff_alpha.png", "fluff_cutout.png")
    ours = [Path(name).read_bytes() for name in names]
    trimap = np.asarray(Image.open(io.BytesIO(Path("fluff_trimap.png").read_bytes())))
    assert [int(trimap[150, x]) for x in (2, 60 + 192 - 152, 130, 190)] == [0, 128, 255, 0]
    arguments = ("--trimap", "fluff_trimap.png", "--cutout", "--with-alpha", "--steps", "2", "--device", "cpu")
    assert "skipped, already done" in run("matte", "fluff.png", *arguments, "--skip-existing").stderr
    for name in names:
        Path(name).unlink()
    assert run("matte", "fluff.png", *arguments).exit_code == 0
    assert [name for name, before in zip(names, ours, strict=True) if Path(name).read_bytes() != before] == []


def test_undo_redo_and_views_follow(page: Page) -> None:
    paint_subject(page)
    inside = (185, 145, 199, 159)
    clear = page.seen(inside)
    page.click("#undo")
    covered = page.seen(inside)
    assert np.abs(covered.astype(int) - clear).mean() > 20
    assert page.ask("trimap", "[the.all().length, the.canRedo()]") == [1, True]
    page.click("#redo")
    assert (page.seen(inside) == clear).all()
    page.browser.press("t")
    untinted = page.seen((4, 4, 20, 20))
    page.browser.press("t")
    assert np.abs(page.seen((4, 4, 20, 20)).astype(int) - untinted).mean() > 10
    assert page.browser.ask("[...document.querySelectorAll('#views button:disabled')].length") == 5


def test_a_second_press_begins_anew_and_stop_stops(page: Page) -> None:
    paint_subject(page)
    page.browser.ask("document.querySelector('#steps').value = 5000")
    page.browser.press("Enter")
    page.wait_text("#doing", "step 2 of 5000")
    page.browser.press("Enter")
    page.wait_text("#doing", "step 1 of 5000")
    page.browser.press("Escape")
    assert page.text("#matte") == "Matte"
    assert page.browser.ask("document.querySelector('#save').disabled")
    page.browser.ask("document.querySelector('#steps').value = 1")
    page.matte()


def test_wheel_keys_and_the_right_button_move_the_picture(page: Page) -> None:
    middle = page.place((192, 144))
    fitted = page.ask("view", "the.view.zoom")
    page.browser.mouse("mouseWheel", *middle, deltaX=0, deltaY=-600)
    page.browser.wait(f"document.querySelector('#zoom').textContent !== '{round(100 * float(str(fitted)))} %'")
    assert np.allclose(page.place((192, 144)), middle, atol=1)
    page.drag((192, 144), (180, 144), button="right")
    assert page.ask("trimap", "the.all().length") == 0
    assert page.place((192, 144))[0] < middle[0] - 20
    page.browser.press("0")
    assert page.ask("view", "the.view.zoom") == fitted


def test_two_fingers_zoom_and_one_paints(page: Page) -> None:
    def touch(kind: str, *points: Point) -> None:
        places = [dict(zip("xy", page.place(point), strict=True), id=number) for number, point in enumerate(points)]
        page.browser.call("Input.dispatchTouchEvent", type=kind, touchPoints=places)

    before = page.ask("view", "the.view.zoom")
    touch("touchStart", (100, 100))
    touch("touchMove", (130, 100))
    touch("touchEnd")
    assert page.ask("trimap", "the.all().length") == 1
    touch("touchStart", (150, 144))
    touch("touchStart", (150, 144), (230, 144))
    touch("touchMove", (130, 144), (250, 144))
    touch("touchEnd")
    assert page.ask("trimap", "the.all().length") == 1
    assert float(str(page.ask("view", "the.view.zoom"))) > 1.2 * float(str(before))


def test_what_was_painted_outlives_a_reload(page: Page) -> None:
    paint_subject(page)
    page.click("#save-trimap")
    page.wait_text("#notes", "saved fluff_trimap.png")
    page.browser.open(page.address)
    page.browser.wait("document.querySelector('#zoom').textContent")
    assert page.ask("trimap", "the.all().length") == 2


def test_a_photograph_and_a_mask_can_be_opened_in_the_page(page: Page) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[60:-60, 60:-60] = 255
    Image.fromarray(mask).save("mask.png")
    shutil.copy("fluff.png", "other.png")
    page.choose("photo", Path("other.png"))
    page.wait_text("#title", "other")
    page.choose("mask", Path("mask.png"))
    page.wait_text("#hint", "Unknown lies along the mask")
    page.click("#save-trimap")
    page.wait_text("#notes", "saved other_trimap.png")
    trimap = np.asarray(Image.open("other_trimap.png"))
    assert [int(trimap[144, x]) for x in (10, 60, 192)] == [0, 128, 255]


def test_opening_another_asks_before_strokes_are_lost(page: Page) -> None:
    paint_subject(page)
    page.browser.ask("window.asked = '', window.confirm = (text) => ((window.asked = text), false)")
    page.choose("photo", Path("fluff.png"))
    page.browser.wait("window.asked.includes('not saved')")
    assert page.ask("trimap", "the.all().length") == 2


def test_saving_asks_before_it_replaces(page: Page) -> None:
    Path("fluff_trimap.png").write_bytes(b"by hand")
    page.browser.ask("window.asked = '', window.confirm = (text) => ((window.asked = text), false)")
    page.click("#save-trimap")
    page.browser.wait("window.asked.includes('fluff_trimap.png')")
    assert Path("fluff_trimap.png").read_bytes() == b"by hand"
    page.browser.ask("window.confirm = () => true")
    page.click("#save-trimap")
    page.wait_text("#notes", "saved fluff_trimap.png")
    page.browser.errors.clear()  # that the answer was 409
    assert Path("fluff_trimap.png").read_bytes() != b"by hand"
