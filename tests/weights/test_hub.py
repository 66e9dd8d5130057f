"""Pulling weights: the real client, in real processes, against a local server that speaks the Hub's protocol."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import fakes
from support.hub_server import REPO, Fault, serving
from support.hub_user import LARGE, SHA256, WEIGHTS, Place, ended, failure
from support.processes import terminal

pytestmark = pytest.mark.usefixtures("cat_folder")

MATTE = ("matte", "cat.png", "--trimap", "cat_trimap.png", "--steps", "1", "--device", "cpu")


def test_the_first_run_pulls_and_the_second_needs_no_server(place: Place) -> None:
    first = place.run(*MATTE, "--model", "ours")
    assert first.returncode == 0, first.stderr
    pulled, summary = first.stderr.splitlines()
    assert pulled == f"pulling ours, 9.1 MB, from {REPO}"
    assert "ours on cpu, 1 step" in summary
    first_bytes = Path("cat_alpha.png").read_bytes()

    place.hub.fault = Fault(status=500)
    asked = len(place.hub.requests)
    second = place.run(*MATTE, "--model", "ours")
    assert second.returncode == 0, second.stderr
    assert "pulling" not in second.stderr
    assert len(place.hub.requests) == asked
    assert Path("cat_alpha.png").read_bytes() == first_bytes


def test_nothing_is_pulled_that_is_not_needed(place: Place) -> None:
    Image.fromarray(np.zeros_like(fakes.cat_trimap(), np.uint8)).save("cat_trimap.png")
    assert place.run(*MATTE, "--model", "ours").returncode == 0
    assert place.run(*MATTE, "--model", "ours", "--steps", "0").returncode == 2
    assert place.hub.requests == []


def test_pulling_says_where_it_is_and_quietly_nothing(place: Place) -> None:
    done = place.run("weights", "pull", "ours")
    _, ready = done.stderr.splitlines()
    path = place.run("weights", "path", "ours").stdout.rstrip("\n")
    assert ready == f"ours is ready: {path}"
    assert Path(path).read_bytes() == WEIGHTS
    assert place.run("weights", "remove", "ours", "--quiet").returncode == 0
    quiet = place.run("weights", "pull", "--quiet", "ours")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    assert Path(path).exists()


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX terminal")
@pytest.mark.parametrize(("arguments", "bar"), [((), True), (("--quiet",), False)])
def test_a_progress_bar_on_a_terminal(place: Place, arguments: tuple[str, ...], bar: bool) -> None:
    with (
        terminal() as (stderr, shown),
        place.start("weights", "pull", "ours", *arguments, stderr=stderr) as process,
    ):
        assert (b"ours.safetensors: 100%" in shown()) == bar
        assert ended(process).returncode == 0


def test_a_token_goes_to_the_hub_and_nowhere_else(place: Place) -> None:
    assert place.run("weights", "pull", "ours", env={"HF_TOKEN": "hf_secret"}).returncode == 0
    (fetched,) = place.hub.asked("GET")
    assert all(request.headers["authorization"] == "Bearer hf_secret" for request in place.hub.asked("HEAD"))
    assert "hf_secret" not in str(fetched.headers)


def test_another_cache(place: Place, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("cache")
    assert place.run("weights", "pull", "ours", "--cache-dir", str(folder)).returncode == 0
    assert not place.home.exists()
    path = place.run("weights", "path", "ours", "--cache-dir", str(folder)).stdout.rstrip("\n")
    assert Path(path).is_relative_to(folder)
    assert "ours is not on disk" in failure(place.run("weights", "path", "ours"))


REFUSALS = {
    "private": (Fault(401, "RepoNotFound"), "HTTP 401, no access: set HF_TOKEN or run `hf auth login`"),
    "no code": (Fault(401), "HTTP 401, no access: set HF_TOKEN"),
    "gated": (Fault(403, "GatedRepo"), "HTTP 403, no access: set HF_TOKEN or run `hf auth login`, and accept"),
    "no repository": (Fault(404, "RepoNotFound"), "HTTP 404, no such repository, revision or file"),
    "no file": (Fault(404, "EntryNotFound"), "HTTP 404, no such repository, revision or file"),
    "busy": (Fault(429, headers={"Retry-After": "300"}), "HTTP 429, too many requests: try again in a few minutes"),
    "broken": (Fault(500), "HTTP 500, it is out of order: try again later"),
    "broken store": (Fault(store_status=500), "HTTP 500, it is out of order: try again later"),
    "silent": (Fault(stall="head"), "does not answer in time: try again later, or allow more seconds with HF_HUB_ETAG"),
    "no hub": (Fault(plain=True), "does not answer as a Hub does: check HF_ENDPOINT"),
    "another length": (Fault(size=len(WEIGHTS) + 1), f"it has {len(WEIGHTS) + 1} bytes there but {len(WEIGHTS)} in"),
    "another file": (Fault(etag="f" * 64), f"its sha256 is {'f' * 64} but the weights file asks for {SHA256}"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(place: Place, case: str) -> None:
    place.hub.fault, text = REFUSALS[case]
    env = {"HF_HUB_ETAG_TIMEOUT": "1"} if case == "silent" else {}
    line = failure(place.run("weights", "pull", "ours", env=env))
    assert line.startswith(f"error: cannot pull ours from {REPO}: ")
    assert text in line
    assert place.left() == []
    assert case == "broken store" or place.hub.asked("GET") == []


def test_a_refusal_in_the_middle_of_a_matte(place: Place) -> None:
    place.hub.fault = Fault(429)
    assert "HTTP 429" in failure(place.run(*MATTE, "--model", "ours"))
    assert sorted(os.listdir()) == ["cat.png", "cat_trimap.png"]


def test_nobody_there(place: Place) -> None:
    line = failure(place.run("weights", "pull", "ours", env={"HF_ENDPOINT": "http://127.0.0.1:9"}))
    assert "http://127.0.0.1:9 cannot be reached" in line
    assert "check the network, the proxy and HF_ENDPOINT" in line


def test_a_client_that_is_set_up_wrongly(place: Place) -> None:
    line = failure(place.run("weights", "pull", "ours", env={"HF_HUB_ETAG_TIMEOUT": "soon"}), 2)
    assert "HF_HUB_ETAG_TIMEOUT and HF_HUB_DOWNLOAD_TIMEOUT must be whole numbers" in line
    assert "cannot be reached" in failure(place.run("weights", "pull", "ours", env={"HF_ENDPOINT": "nowhere"}))


def test_a_wrong_content_is_never_kept(place: Place) -> None:
    other = bytes(len(WEIGHTS))
    place.hub.fault = Fault(content=other)
    line = failure(place.run("weights", "pull", "ours"))
    assert f"its sha256 is {hashlib.sha256(other).hexdigest()} but the weights file asks for {SHA256}" in line
    assert place.left() == []
    place.hub.fault = Fault()
    assert place.run("weights", "pull", "ours").returncode == 0
    assert place.run("weights", "verify", "ours").stdout.startswith("ok ")


def test_a_transfer_that_breaks_off_is_resumed(place: Place) -> None:
    place.hub.fault = Fault(cuts=[11 * 2**20])
    done = place.run("weights", "pull", "large")
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert [request.headers.get("Range") for request in place.hub.asked("GET")] == [None, f"bytes={10 * 2**20}-"]
    assert Path(place.run("weights", "path", "large").stdout.rstrip("\n")).read_bytes() == LARGE


def test_a_connection_that_is_reset_is_tried_again(place: Place) -> None:
    place.hub.fault = Fault(cuts=[1000] * 2, resets=2)
    assert place.run("weights", "pull", "ours").returncode == 0
    place.run("weights", "remove", "ours")
    place.hub.fault = Fault(cuts=[1000] * 5, resets=5)
    assert "the connection broke off: run the command again" in failure(place.run("weights", "pull", "ours"))
    assert len(place.hub.asked("GET")) == 3 + 3
    assert place.left() == []


def test_transfers_that_never_end(place: Place, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Cut off each time, or silent in the middle: given up after some tries. Both at once, since they take a while."""
    place.hub.fault = Fault(cuts=[1000] * 100)
    with serving({"ours.safetensors": WEIGHTS}) as silent:
        silent.fault = Fault(cuts=[1000] * 100, stall="body")
        other = Place(silent, tmp_path_factory.mktemp("other") / "home", place.tables)
        pull = ("weights", "pull", "ours")
        with place.start(*pull) as cut_off, other.start(*pull, env={"HF_HUB_DOWNLOAD_TIMEOUT": "1"}) as kept_waiting:
            cut, stalled = failure(ended(cut_off)), failure(ended(kept_waiting))
    assert "the connection broke off: run the command again" in cut
    assert "does not answer in time: try again later" in stalled
    assert "HF_HUB_DOWNLOAD_TIMEOUT" in stalled
    assert place.left() == other.left() == []


@pytest.mark.parametrize(("arguments", "env"), [(("--offline",), {}), ((), {"HF_HUB_OFFLINE": "1"})])
def test_without_network_and_cache(place: Place, arguments: tuple[str, ...], env: dict[str, str]) -> None:
    line = failure(place.run(*MATTE, "--model", "ours", *arguments, env=env), 2)
    assert f"ours is not in the cache {place.cache} and the network is switched off" in line
    assert "`diffmatte weights pull ours`" in line
    assert place.hub.requests == []


def test_without_network_from_the_cache(place: Place) -> None:
    assert place.run("weights", "pull", "ours").returncode == 0
    asked = len(place.hub.requests)
    done = place.run("weights", "pull", "ours", "--offline")
    assert (done.returncode, len(place.hub.requests)) == (0, asked)


@pytest.mark.parametrize("env", [{}, {"HF_HUB_DISABLE_SYMLINKS": "1"}])
def test_a_damaged_file_in_the_cache(place: Place, env: dict[str, str]) -> None:
    assert place.run("weights", "pull", "ours", env=env).returncode == 0
    path = Path(place.run("weights", "path", "ours").stdout.rstrip("\n"))
    damaged = WEIGHTS[:-1] + b"?"
    path.write_bytes(damaged)
    sha256 = hashlib.sha256(damaged).hexdigest()

    verified = place.run("weights", "verify", "ours")
    assert verified.returncode == 1
    assert verified.stdout == f"damaged  ours cached {path}\n"
    assert (
        f"{path} is damaged, sha256 {sha256} instead of {SHA256}: run `diffmatte weights pull ours`" in verified.stderr
    )

    assert f"{path} is damaged" in failure(place.run("weights", "pull", "ours", "--offline"))
    assert path.read_bytes() == damaged

    done = place.run("weights", "pull", "ours", env=env)
    assert done.returncode == 0
    assert done.stderr.startswith("pulling ours again, since what is in the cache is damaged, 9.1 MB, from")
    assert path.read_bytes() == WEIGHTS


def test_a_damaged_blob_without_its_link_does_not_poison_the_next_pull(place: Place) -> None:
    blob = place.cache / f"models--{REPO.replace('/', '--')}" / "blobs" / SHA256
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"half of it")
    assert place.run("weights", "pull", "ours").returncode == 0
    assert blob.read_bytes() == WEIGHTS


def test_a_wrong_table_costs_nobody_a_good_file(place: Place) -> None:
    """What is cached goes only when the Hub offers what the table asks for."""
    assert place.run("weights", "pull", "ours").returncode == 0
    path = Path(place.run("weights", "path", "ours").stdout.rstrip("\n"))
    place.tables.write_text(place.tables.read_text().replace(SHA256, "e" * 64))
    assert "asks for " + "e" * 64 in failure(place.run("weights", "pull", "ours"))
    assert "cannot be reached" in failure(
        place.run("weights", "pull", "ours", env={"HF_ENDPOINT": "http://127.0.0.1:9"})
    )
    assert path.read_bytes() == WEIGHTS


def test_a_link_out_of_the_cache_is_cut_and_its_target_stays(place: Place, tmp_path: Path) -> None:
    assert place.run("weights", "pull", "ours").returncode == 0
    path = Path(place.run("weights", "path", "ours").stdout.rstrip("\n"))
    elsewhere = tmp_path / "precious.safetensors"
    for content, command in ((b"something else", "pull"), (WEIGHTS, "remove")):
        elsewhere.write_bytes(content)
        path.unlink()
        path.symlink_to(elsewhere)
        assert place.run("weights", command, "ours").returncode == 0
        assert elsewhere.read_bytes() == content
        assert path.exists() == (command == "pull")
        assert not path.exists() or path.read_bytes() == WEIGHTS


def test_two_at_once_replace_a_damaged_file(place: Place) -> None:
    assert place.run("weights", "pull", "ours", "large").returncode == 0
    path = Path(place.run("weights", "path", "large").stdout.rstrip("\n"))
    path.write_bytes(LARGE[:-1] + b"?")
    with place.start("weights", "pull", "large") as one, place.start("weights", "pull", "large") as other:
        for done in map(ended, (one, other)):
            assert done.returncode == 0, done.stderr
    assert path.read_bytes() == LARGE


def test_two_at_once_fetch_it_once(place: Place) -> None:
    place.hub.hold_until = 4  # each asks twice before it fetches
    with place.start("weights", "pull", "ours") as one, place.start("weights", "pull", "ours") as other:
        for done in map(ended, (one, other)):
            assert done.returncode == 0, done.stderr
    assert len(place.hub.asked("GET")) == 1
    assert place.run("weights", "verify").returncode == 0


def _limit_files() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX limits")
@pytest.mark.parametrize(
    ("how", "text"), [("full", "cannot be written (File too large): make room"), ("file", "cannot be written (")]
)
def test_a_cache_that_takes_nothing(place: Place, how: str, text: str) -> None:
    settings: dict[str, Callable[[], None]] = {}
    if how == "full":
        settings["preexec_fn"] = _limit_files
    else:
        place.home.mkdir()
        place.cache.write_text("a file where a folder should be")
    line = failure(place.run("weights", "pull", "ours", **settings))
    assert text in line
    assert "--cache-dir" in line
    assert place.left() == []


@pytest.mark.parametrize("broken", [False, True])
def test_removing_gives_the_room_back_and_keeps_the_neighbour(broken: bool, place: Place) -> None:
    assert place.run("weights", "pull", "ours", "large").returncode == 0
    path = place.run("weights", "path", "ours").stdout.rstrip("\n")
    if broken:  # the client then lists nothing of the repository
        Path(path).with_name("gone").symlink_to("nowhere")
    done = place.run("weights", "remove", "ours")
    assert done.stderr == f"removed ours, cached, 9.1 MB: {path}\n"
    assert SHA256 not in str(place.left())
    assert not os.path.lexists(path)
    assert place.run("weights", "verify", "large").returncode == 0
    assert "ours is not on disk: run `diffmatte weights pull ours`" in failure(place.run("weights", "remove", "ours"))
