"""What is open, computed and saved, without the page."""

import shutil
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support import fakes
from support.fakes import FakeMatter, run

from diffmatte_cli.errors import DiffmatteError, ImageError, MaskError, PlanError, UsageError
from diffmatte_cli.imaging.receipts import read_receipt, sha256_of
from diffmatte_cli.paint.guides import Guide
from diffmatte_cli.paint.session import Session, TakenError

CAT, TRIMAP = Path("cat.png"), Guide("trimap", Path("cat_trimap.png"))
DOT = [128, 3, [16, 12]]
SAVED = ["cat_alpha.png", "cat_cutout.png", "cat_trimap.png"]


def values(session: Session, *strokes: Any, **changes: Any) -> dict[str, Any]:
    assert session.picture is not None
    usual = {"picture": session.picture.number, "strokes": [*strokes], "model": "tiny", "steps": "3", "seed": "0"}
    return usual | changes


def events(session: Session, *strokes: Any, **changes: Any) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    session.matte(session.wish(values(session, *strokes, **changes)), told.append, threading.Event())
    return told


def saved() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(Path("out").iterdir())}


def test_every_step_is_told_and_then_the_end(session: Session, matter: FakeMatter) -> None:
    session.open(CAT, TRIMAP)
    told = events(session)
    assert [(event["step"], event["of"]) for event in told if "step" in event] == [(1, 3), (2, 3), (3, 3)]
    assert "tiny on cpu, 3 steps" in told[-1]["done"]
    assert told[-1]["image"]
    assert (matter.encoded[0][1] == fakes.cat_trimap()).all()


def test_the_matte_is_of_what_is_painted_and_set(session: Session, matter: FakeMatter) -> None:
    session.open(CAT, TRIMAP)
    events(session, [0, 100, [16, 12]], [255, 4, [16, 12]], DOT, seed="7", steps="2")
    trimap = matter.encoded[0][1]
    assert [int(trimap[12, x]) for x in (16, 19, 25)] == [128, 255, 0]
    assert (matter.settings[0].seed, matter.settings[0].steps) == (7, 2)


def test_without_a_trimap_all_is_background(session: Session) -> None:
    session.open(CAT)
    assert session.state()["picture"]["guide"] == "nothing"
    assert session.picture is not None
    assert not session.picture.trimap.any()
    told = events(session)
    assert "no model needed" in told[-1]["done"]
    assert any("no known foreground" in event.get("note", "") for event in told)


def test_a_mask_of_another_size_becomes_a_trimap(session: Session) -> None:
    mask = np.zeros((48, 64), np.uint8)
    mask[12:-12, 16:-16] = 255
    Image.fromarray(mask).save("mask.png")
    session.open(CAT, Guide("mask", Path("mask.png")))
    assert session.picture is not None
    trimap = session.picture.trimap
    assert (trimap.shape, *(int(trimap[12, x]) for x in (0, 8, 16))) == ((24, 32), 0, 128, 255)


def test_what_is_saved_has_the_command_lines_bytes(session: Session) -> None:
    session.open(CAT, TRIMAP)
    events(session, DOT)
    wish = session.wish(values(session, DOT))
    assert [path.name for path in session.save(wish, results=True, overwrite=False)] == [*SAVED[::-1][:2], SAVED[0]]
    ours = saved()
    receipt = read_receipt(Path("out/cat_alpha.png"))
    assert receipt is not None
    assert receipt.trimap == sha256_of(ours["cat_trimap.png"])
    arguments = ("--trimap", "out/cat_trimap.png", "--cutout", "--with-alpha", "--steps", "3")
    assert "skipped, already done" in run("matte", "cat.png", *arguments, "-o", "out/", "--skip-existing").stderr
    assert run("matte", "cat.png", *arguments).exit_code == 0
    assert {name: Path(name).read_bytes() for name in SAVED[:2]} == {name: ours[name] for name in SAVED[:2]}


def test_nothing_is_replaced_without_a_word(session: Session) -> None:
    Path("out").mkdir()
    Path("out/cat_trimap.png").write_bytes(b"painted by hand")
    session.open(CAT, TRIMAP)
    wish = session.wish(values(session, DOT))
    with pytest.raises(TakenError) as caught:
        session.save(wish, results=False, overwrite=False)
    assert caught.value.names == ["out/cat_trimap.png"]
    assert saved() == {"cat_trimap.png": b"painted by hand"}
    session.save(wish, results=False, overwrite=True)
    session.save(session.wish(values(session)), results=False, overwrite=False)  # its own
    assert (np.asarray(Image.open("out/cat_trimap.png")) == fakes.cat_trimap()).all()
    assert list(saved()) == ["cat_trimap.png"]


@pytest.mark.parametrize("change", [{"seed": "1"}, {"steps": "4"}, {"model": "res34"}, {"strokes": [DOT]}])
def test_a_matte_of_something_else_is_not_saved(session: Session, change: dict[str, Any]) -> None:
    session.open(CAT, TRIMAP)
    events(session)
    wish = session.wish(values(session, **change))
    with pytest.raises(UsageError, match="matte it first"):
        session.save(wish, results=True, overwrite=False)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    "change", [{"steps": "0"}, {"steps": "x"}, {"seed": "-1"}, {"picture": 9}, {"model": "/etc/passwd"}, {"strokes": 1}]
)
def test_what_makes_no_sense_is_refused(session: Session, change: dict[str, Any]) -> None:
    session.open(CAT, TRIMAP)
    with pytest.raises(UsageError):
        session.wish(values(session, **change))


def test_errors_are_told_and_the_next_press_works(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    session.open(CAT, TRIMAP)
    assert "no model named 'res34'" in events(session, model="res34")[-1]["error"]
    monkeypatch.setattr(FakeMatter, "encode", lambda *_: 1 / 0)
    assert "ZeroDivisionError" in events(session)[-1]["error"]
    monkeypatch.undo()


def test_the_latest_press_wins(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    session.open(CAT, TRIMAP)
    go, told, threads = threading.Event(), [list[dict[str, Any]]() for _ in range(3)], []
    monkeypatch.setattr(FakeMatter, "_wait", lambda _: go.wait())
    for number, kept in enumerate(told):
        wish, stop = session.wish(values(session, seed=str(number))), threading.Event()
        threads.append(threading.Thread(target=session.matte, args=(wish, kept.append, stop)))
        threads[-1].start()
        while session._stop is not stop or not session._working.locked():
            time.sleep(0.01)
    go.set()
    for thread in threads:
        thread.join()
    assert [events[-1].get("stopped", False) for events in told] == [True, True, False]
    assert not [event for event in told[1] if "step" in event]
    assert "done" in told[2][-1]


@pytest.mark.parametrize(
    ("photo", "guide", "kind"),
    [
        ("absent.png", None, PlanError),
        (".", None, DiffmatteError),
        ("cat.png", Guide("trimap", Path("small.png")), ImageError),
        ("cat.png", Guide("trimap", Path("small_mask.png")), MaskError),
        ("text.png", None, ImageError),
    ],
)
def test_what_cannot_be_opened_leaves_the_one_before(
    session: Session, photo: str, guide: Guide | None, kind: type[DiffmatteError]
) -> None:
    session.open(CAT, TRIMAP)
    Image.new("L", (3, 3)).save("small.png")
    Image.fromarray(255 * np.eye(3, dtype=np.uint8)).save("small_mask.png")
    Path("text.png").write_text("no picture")
    with pytest.raises(kind):
        session.open(Path(photo), guide)
    assert session.state()["picture"]["number"] == 1
    assert "done" in events(session)[-1]


def test_the_photograph_stays_as_it_is(session: Session) -> None:
    Path("out").mkdir()
    photo = Path("out/cat.png")
    shutil.copy(CAT, photo)
    session.open(photo, TRIMAP)
    events(session)
    session.save(session.wish(values(session)), results=True, overwrite=True)
    assert photo.read_bytes() == CAT.read_bytes()
    assert list(saved()) == ["cat.png", *SAVED]
