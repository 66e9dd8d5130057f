"""The page of ``diffmatte review`` in a real browser: it is driven by keys and mouse, as by a person."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import numpy as np
import pytest
from PIL import Image
from support.browser import CHROMIUM, Browser
from support.pages import ALPHA, HOSTILE, make_results, page_of, row, save, write_report
from support.skipping import skip_without

pytestmark = skip_without(CHROMIUM, "needs Chromium: none is found")

SIDE = 960  # of the one that is larger than what goes in for all


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a page of a large picture, several with hostile names and one that failed."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_results(*HOSTILE, "fine")
        pixels = np.zeros((SIDE // 2, SIDE), np.uint8)
        pixels[:, ::2] = 255  # stripes that no reduced copy shows
        save("mattes/large_alpha.png", pixels)
        save("photos/large.png", np.full((SIDE // 2, SIDE, 3), (200, 60, 20), np.uint8))
        rows = [row(name, risk=0.5 - 0.01 * place) for place, name in enumerate((*HOSTILE, "fine"))]
        rows += [row("large", risk=0.9, trimap="standard input")]
        failed = row("bad", status="failed", error="<img src=x onerror=alert(3)> failed")
        write_report("report.jsonl", *rows, failed)
        page_of("mattes", "--report", "report.jsonl", "--full", "1")
    return folder / "review.html"


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def browser(tab: Browser, made: Path) -> Iterator[Browser]:
    tab.open(made)
    tab.ask("localStorage.clear()")
    tab.open(made)
    yield tab
    assert tab.errors == []


def text(browser: Browser, selector: str) -> str:
    return str(browser.ask(f"document.querySelector({selector!r}).textContent"))


def pixel(browser: Browser, x: int, y: int) -> list[int]:
    """Return the colour that the large view shows at a place of the picture."""
    across = f"({x} + .5 - viewer.x) * viewer.zoom + canvas.width / 2"
    down = f"({y} + .5 - viewer.y) * viewer.zoom + canvas.height / 2"
    return list(browser.ask(f"[...context.getImageData({across}, {down}, 1, 1).data]"))


def open_large(browser: Browser) -> None:
    browser.press("Home", "j", "Enter")
    browser.wait(f"viewer.bitmaps.get('cutout')?.width === {SIDE}")


def test_every_entry_has_its_card_and_the_worst_is_selected(browser: Browser) -> None:
    assert browser.ask("document.querySelectorAll('.card').length") == len(HOSTILE) + 3
    assert "<img src=x onerror=alert(3)> failed" in text(browser, ".card .error")
    assert text(browser, "[aria-current] .name") == "bad"
    browser.wait("[...document.querySelectorAll('#card-2 img')].every((image) => image.naturalWidth === 32)")
    assert browser.ask("[...document.images].every((image) => image.alt)")
    assert browser.ask("document.querySelectorAll('#card-2 img').length") == 7


def test_hostile_names_are_shown_as_text(browser: Browser) -> None:
    names = browser.ask("[...document.querySelectorAll('.name')].map((name) => name.textContent)")
    assert names == ["bad", "large", *HOSTILE[:2], "line\\nbreak", HOSTILE[3], "\\udcff\\udcfe", "fine"]
    assert browser.ask("document.querySelectorAll('script:not([type])').length") == 1
    browser.press("j", "j", "Enter")
    assert text(browser, "#viewer-name") == HOSTILE[0]


def test_keys_move_the_selection(browser: Browser) -> None:
    places = []
    for key in ("j", "ArrowDown", "k", "End", "j", "ArrowUp", "Home", "k"):
        browser.press(key)
        places.append(browser.ask("Number(document.activeElement.dataset.number)"))
    last = len(HOSTILE) + 2
    assert places == [1, 2, 1, last, last, last - 1, 0, 0]
    browser.press("?")
    assert browser.ask("document.querySelector('#help').open")
    browser.press("Escape", "j")
    assert browser.ask("document.activeElement.id") == "card-1"


def test_what_is_left_behind_is_not_decoded(browser: Browser) -> None:
    browser.ask(
        "window.decoded = 0, window.really = createImageBitmap,"
        " window.createImageBitmap = async (blob) => (window.decoded++, really(blob))"
    )
    # Two looks without a pause between: three small pictures, then two small and two whole ones.
    browser.ask("select(2), openViewer(), closeViewer(), select(1), openViewer()")
    browser.wait(f"viewer.bitmaps.size === 2 && [...viewer.bitmaps.values()].every((map) => map.width === {SIDE})")
    browser.ask("new Promise((resolve) => setTimeout(resolve, 200))")
    assert browser.ask("decoded") == 7


def test_backgrounds_change_by_keys_down_to_the_pixels(browser: Browser) -> None:
    open_large(browser)
    browser.press("z")
    assert browser.ask("viewer.zoom >= 2 && !context.imageSmoothingEnabled")
    x, y = browser.ask("[2 * Math.round(viewer.x / 2), Math.round(viewer.y)]")
    for key, colour in (("2", [0, 0, 0]), ("3", [255, 255, 255]), ("4", [255, 0, 255]), ("5", [0, 0, 0])):
        browser.press(key)
        assert pixel(browser, x + 1, y) == [*colour, 255]  # a gap between stripes
    assert pixel(browser, x, y) == [255, 255, 255, 255]  # a stripe's alpha
    browser.press("1")
    assert pixel(browser, x + 1, y)[0] in (0x8A, 0xBD)
    assert np.abs(np.subtract(pixel(browser, x, y)[:3], (200, 60, 20))).max() < 40
    browser.press(" ")
    assert browser.ask("shownView().id") == "photo"
    assert np.abs(np.subtract(pixel(browser, x + 1, y)[:3], (200, 60, 20))).max() < 12
    browser.press(" ", "0")
    assert browser.ask("viewer.fitted && shownView().id") == "checker"


def test_wheel_and_drag_move_the_picture(browser: Browser) -> None:
    open_large(browser)
    browser.mouse("mouseWheel", 700, 400, deltaX=0, deltaY=-900)
    browser.wait("!viewer.fitted && viewer.zoom > 2")
    before = browser.ask("viewer.x")
    browser.mouse("mousePressed", 700, 400, button="left", clickCount=1)
    browser.mouse("mouseMoved", 600, 400, button="left", buttons=1)
    browser.mouse("mouseReleased", 600, 400, button="left", clickCount=1)
    browser.wait(f"Math.abs(viewer.x - {before} - 100 / viewer.zoom) < 1")
    assert "alpha" in text(browser, "#pixel")


def test_blinking_swaps_by_itself_until_it_is_told_to_stop(browser: Browser) -> None:
    open_large(browser)
    browser.press("b")
    for shown in ("photo", "checker", "photo"):
        browser.wait(f"shownView().id === '{shown}'")
    browser.press("b")
    assert browser.ask("viewer.blink") == 0


def test_what_is_reduced_says_so(browser: Browser, made: Path, tmp_path: Path) -> None:
    open_large(browser)
    assert text(browser, "#viewer-note") == ""
    shutil.copy(made, tmp_path / "page.html")
    content = (tmp_path / "page.html").read_text().replace('id="full-', 'id="other-')
    (tmp_path / "page.html").write_text(content)
    browser.open(tmp_path / "page.html")
    browser.press("j", "Enter")
    browser.wait("viewer.bitmaps.has('cutout')")
    assert text(browser, "#viewer-note") == "shown reduced, 640 \N{MULTIPLICATION SIGN} 320"


def test_marks_are_kept_listed_and_filtered(browser: Browser, made: Path) -> None:
    browser.press("r", "a", "R", "Enter", "j", "r", "Escape")
    browser.open(made)
    marks = browser.ask("[...document.querySelectorAll('.card')].map((card) => card.dataset.mark || '')")
    assert marks[:5] == ["redo", "accept", "redo", "redo", ""]
    browser.press("l")
    listed = browser.ask("document.querySelector('#list-text').value")
    assert listed == f"photos/bad.png\nphotos/{HOSTILE[0]}.png\nphotos/{HOSTILE[1]}.png\n"
    browser.press("Escape", "f", "f")
    assert browser.ask("[...document.querySelectorAll('.card')].filter((card) => !card.hidden).length") == 3
    browser.press("c", "/", "s", "c", "r", "i", "p", "t")
    assert browser.ask("shown.map((number) => entries[number].name)") == [HOSTILE[0]]
    browser.press("Escape")
    assert browser.ask("shown.length") == 2


def test_an_entry_without_pictures_opens_too(browser: Browser) -> None:
    browser.ask("entries[0].small = {}, entries[0].width = 0")
    browser.press("Home", "Enter", "+", "z", "0", "1", " ")
    assert "failed" in text(browser, "#viewer-error")
    browser.press("j")
    assert text(browser, "#viewer-place") == f"2 / {len(HOSTILE) + 3}"


def test_unknown_gradients_are_shown_as_alpha(browser: Browser) -> None:
    browser.press("End", "5")
    browser.wait("viewer.bitmaps.has('cutout')")
    assert abs(pixel(browser, 16, 12)[0] - int(ALPHA[12, 16])) <= 1


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_page_of_300_opens_by_its_first_cards(tab: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more is decoded than lies near what is shown."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for number in range(300):
        noise = Image.fromarray(rng.integers(0, 256, (60, 90, 3), np.uint8)).resize((720, 480))
        save(f"photos/{number}.jpg", np.asarray(noise))
        save(f"mattes/{number}_alpha.png", np.asarray(noise.convert("L")))
    page_of("mattes", "--photos", "photos")
    assert Path("review.html").stat().st_size > 20e6
    began = monotonic()
    tab.open(tmp_path / "review.html")
    tab.wait("[...document.images].filter((image) => image.src && image.complete).length >= 18")
    print(f"\nopened in {monotonic() - began:.1f} s")
    assert tab.ask("[...document.images].filter((image) => image.src).length") < 0.1 * tab.ask("document.images.length")
    assert tab.ask("document.querySelectorAll('.card').length") == 300
