"""The page's server: what it serves, to whom, and how much it takes."""

import base64
import io
import json
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from support.fakes import HEIGHT, WIDTH
from support.skipping import skip_without

from diffmatte_cli.extras import is_installed
from diffmatte_cli.paint.guides import Guide
from diffmatte_cli.paint.session import Session

if TYPE_CHECKING:
    from starlette.testclient import TestClient

pytestmark = skip_without(is_installed("web"), "needs the extra web (Starlette, uvicorn)")

TOKEN, ADDRESS = "a-token", "http://127.0.0.1:8765"
PAGE = Path(str(files("diffmatte_cli.paint"))) / "page"


@pytest.fixture
def client(session: Session) -> "TestClient":
    from starlette.testclient import TestClient

    from diffmatte_cli.paint.server import application

    review = Path(str(files("diffmatte_cli.review")))
    app = application(session, TOKEN, PAGE, review / "page.css")
    return TestClient(app, base_url=f"{ADDRESS}/{TOKEN}/", raise_server_exceptions=False)


@pytest.fixture
def opened(client: "TestClient", session: Session) -> "TestClient":
    session.open(Path("cat.png"), Guide("trimap", Path("cat_trimap.png")))
    return client


def wish(**changes: Any) -> str:
    return json.dumps({"picture": 1, "strokes": [], "model": "tiny", "steps": "3", "seed": "0"} | changes)


def test_the_page_and_all_that_it_loads_are_served(client: "TestClient") -> None:
    assert client.get("").text == (PAGE / "index.html").read_text()
    for path in PAGE.iterdir():
        assert client.get(path.name).content == path.read_bytes()
    assert client.get("main.js").headers["content-type"].startswith("text/javascript")
    assert "--ground" in client.get("base.css").text


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/state", "/main.js", "/other-token/", "/a-toke/state", "/a-token/server.py", "/a-token/../server.py"),
        *("/a-token/%2e%2e/server.py", "/a-token/..%2fserver.py", "/a-token//etc/passwd", "/a-token/photo/1"),
        *("/a-token/page/main.js", "/a-token/photo/..%2f..%2fcat.png", "/a-token/open/other"),
    ],
)
def test_nothing_else_is_served(client: "TestClient", path: str) -> None:
    assert client.get(f"{ADDRESS}{path}").status_code in (404, 405)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "0.0.0.0", ""])
def test_other_hosts_are_refused(opened: "TestClient", host: str) -> None:
    """As when a name that another page is of has come to mean this machine."""
    assert opened.get("state", headers={"Host": host}).status_code == 400
    assert opened.get("state", headers={"Host": "localhost:8765"}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1:8765"])
def test_other_pages_are_refused(opened: "TestClient", origin: str) -> None:
    assert opened.post("matte", content=wish(), headers={"Origin": origin}).status_code == 403
    assert opened.get("state", headers={"Origin": ADDRESS}).status_code == 200


def test_every_answer_keeps_the_page_to_itself(opened: "TestClient") -> None:
    answers = [opened.get(""), opened.get("state"), opened.get("absent"), opened.get("photo/1")]
    answers += [opened.get("state", headers={"Host": "evil.example"}), opened.options("state", headers={"Origin": "x"})]
    for answer in answers:
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_the_photograph_and_its_trimap_are_shown(opened: "TestClient") -> None:
    for kind in ("photo", "trimap"):
        assert Image.open(io.BytesIO(opened.get(f"{kind}/1").content)).size == (WIDTH, HEIGHT)
    state = opened.get("state").json()["picture"]
    assert (state["name"], state["width"], state["height"], state["guide"]) == ("cat", WIDTH, HEIGHT, "trimap")


def test_large_photographs_are_shown_smaller(client: "TestClient", session: Session) -> None:
    Image.new("L", (5000, 20)).save("wide.png")
    session.open(Path("wide.png"))
    assert Image.open(io.BytesIO(client.get("photo/1").content)).size == (4096, 16)
    assert client.get("state").json()["picture"]["width"] == 5000


def test_files_that_the_page_sends_are_opened(client: "TestClient", session: Session) -> None:
    for name, kept in (
        ("../x/dog.png", "dog"),
        ("a\0b.png", "a_b"),
        ("...", "photograph"),
        ("kätzchen.jpg", "kätzchen"),
    ):
        answer = client.post("open/photo", params={"name": name}, content=Path("cat.png").read_bytes())
        assert (answer.status_code, answer.json()["picture"]["name"]) == (200, kept)
    assert len([path for path in session.folder.rglob("*") if path.is_file()]) == 2  # the last one, and the trimap
    guided = client.post("open/trimap", params={"name": "t.png"}, content=Path("cat_trimap.png").read_bytes()).json()
    assert (guided["picture"]["name"], guided["picture"]["guide"]) == ("kätzchen", "trimap")
    assert client.post("matte", content=wish(picture=guided["picture"]["number"])).text.count('"step"') == 3
    assert len([path for path in session.folder.rglob("*") if path.is_file()]) == 2


def test_files_that_cannot_be_opened_leave_nothing(
    client: "TestClient", session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    from diffmatte_cli.paint import server

    answer = client.post("open/photo", params={"name": "x.png"}, content=b"no picture")
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("cannot read x.png: ")
    assert client.post("open/trimap", content=b"1").json()["error"].startswith("no photograph is open")
    monkeypatch.setattr(server, "MOST_OF_A_FILE", 10)
    assert client.post("open/photo", params={"name": "x.png"}, content=b"x" * 11).status_code == 413
    assert [path.name for path in session.folder.rglob("*")] == ["trimap.png"]
    assert client.get("state").json()["picture"] is None


def test_steps_come_line_by_line(opened: "TestClient") -> None:
    lines = [json.loads(line) for line in opened.post("matte", content=wish()).text.splitlines()]
    assert [line["step"] for line in lines if "step" in line] == [1, 2, 3]
    shown = Image.open(io.BytesIO(base64.b64decode(lines[-1]["image"])))
    assert (shown.size, shown.mode) == ((WIDTH, HEIGHT), "RGBA")


@pytest.mark.parametrize("content", ["", "{", "[" * 100_000, "null", "[]", "{}", wish(picture=2), wish(strokes=[1])])
@pytest.mark.parametrize("action", ["matte", "save"])
def test_requests_that_make_no_sense_are_answered(opened: "TestClient", action: str, content: str) -> None:
    answer = opened.post(action, content=content)
    assert (answer.status_code, list(answer.json())) == (400, ["error", "taken"])


def test_requests_are_bounded(opened: "TestClient", monkeypatch: pytest.MonkeyPatch) -> None:
    from diffmatte_cli.paint import server

    monkeypatch.setattr(server, "MOST_OF_A_WISH", 10)
    assert opened.post("matte", content=wish()).status_code == 413


def test_saving_asks_before_it_replaces(opened: "TestClient") -> None:
    Path("out").mkdir()
    Path("out/cat_alpha.png").touch()
    opened.post("matte", content=wish())
    answer = opened.post("save", content=wish(results=True))
    assert (answer.status_code, answer.json()["taken"]) == (409, ["out/cat_alpha.png"])
    answer = opened.post("save", content=wish(results=True, overwrite=True))
    assert answer.json() == {"saved": ["out/cat_trimap.png", "out/cat_cutout.png", "out/cat_alpha.png"]}
    assert Path("out/cat_alpha.png").stat().st_size > 0


def test_an_unforeseen_error_is_answered_in_one_sentence(opened: "TestClient", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "save", lambda *_, **__: Path("absent").read_bytes())
    answer = opened.post("save", content=wish())
    assert "FileNotFoundError" in answer.json()["error"]
