"""A Hub, or a mirror of it, that means harm: nothing outside the cache, and no more than there may be."""

import re
from pathlib import Path

import pytest
from support.hub_server import REVISION, Fault
from support.hub_user import WEIGHTS, Place, failure

from diffmatte_cli.weights.guard import MOST_ANSWERED

pytestmark = pytest.mark.usefixtures("cat_folder")

OUT = "../../../../out"
LIES = {
    "ETag of the linked file": {"X_Linked_Etag": f'"{OUT}"'},
    "ETag": {"X_Linked_Etag": "", "ETag": f'W/"{OUT}"'},
    "absolute ETag": {"X_Linked_Etag": "/tmp/diffmatte-out"},
    "commit": {"X_Repo_Commit": OUT},
    "empty commit": {"X_Repo_Commit": ".."},
}


def _outside(place: Place) -> list[Path]:
    """List what a run has made, but for the cache."""
    folders = (place.tables.parent, Path.cwd(), Path("/tmp"))
    return sorted(path for folder in folders for path in folder.glob("*") if "out" in path.name and path != place.cache)


@pytest.mark.parametrize("honest", [0, 1], ids=["at once", "from its second answer on"])
@pytest.mark.parametrize("lie", LIES)
def test_nothing_is_written_outside_the_cache(lie: str, honest: int, place: Place) -> None:
    before = _outside(place)
    place.hub.fault = Fault(said=LIES[lie], honest=honest)
    line = failure(place.run("weights", "pull", "ours"))
    assert re.search(r"does not answer as a Hub does: .*\((its (ETag|commit) is not|no commit)", line)
    assert _outside(place) == before
    assert place.left() == []


def test_an_answer_that_a_file_is_not_there_makes_no_other_one(place: Place) -> None:
    before = _outside(place)
    place.hub.fault = Fault(404, "EntryNotFound", {"X-Repo-Commit": OUT}, honest=1)
    assert "its commit is not 40 hex digits" in failure(place.run("weights", "pull", "ours"))
    assert _outside(place) == before
    assert place.left() == []


@pytest.mark.parametrize("revision", ["..%2F..%2Fout", "a%5C..%5Cout", "..", "x%2F"])
def test_a_revision_that_leads_out_is_refused(revision: str, place: Place) -> None:
    location = f"hf://lab/mattes@{revision}/ours.safetensors"
    code = "import sys; from diffmatte_cli.weights.hub import WeightsStore, fetch; fetch(sys.argv[1], WeightsStore())"
    done = place.run_python("-c", code, location)
    assert "is not a file on the Hub" in done.stderr.splitlines()[-1]
    assert place.hub.requests == []


@pytest.mark.parametrize("headers", [{}, {"Content-Length": str(2**40)}, {"Content-Length": str(len(WEIGHTS))}])
def test_a_file_without_an_end_is_left_at_its_pinned_size(headers: dict[str, str], place: Place) -> None:
    place.hub.fault = Fault(pours="body", headers=headers)
    line = failure(place.run("weights", "pull", "ours"))
    assert "sends more than the" in line or "its sha256 is" in line
    assert place.hub.poured < len(WEIGHTS) + 2**25
    assert place.left() == []


def test_another_size_in_the_second_answer_changes_nothing(place: Place) -> None:
    place.hub.fault = Fault(pours="body", size=2**35, honest=1)
    assert f"sends more than the {len(WEIGHTS)} bytes" in failure(place.run("weights", "pull", "ours"))
    assert place.hub.poured < len(WEIGHTS) + 2**25


def test_what_unpacks_to_more_is_not_unpacked(place: Place) -> None:
    place.hub.fault = Fault(pours="body", headers={"Content-Encoding": "gzip"})
    assert "it compresses unasked" in failure(place.run("weights", "pull", "ours"))
    assert place.left() == []


def test_an_answer_of_the_hub_itself_without_an_end(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    file.write_bytes(WEIGHTS)
    place.hub.fault = Fault(pours="head")
    arguments = ("weights", "publish", "tiny", str(file), "--repo", "lab/new")
    line = failure(place.run(*arguments, env={"HF_TOKEN": "hf_secret"}))
    assert f"sends more than the {MOST_ANSWERED} bytes" in line
    assert place.hub.poured < 2 * MOST_ANSWERED + 2**25


def test_nobody_waits_as_long_as_a_server_likes(place: Place) -> None:
    place.hub.fault = Fault(store_status=429)
    assert "HTTP 429" in failure(place.run("weights", "pull", "ours"))


def test_the_client_is_left_as_it_was_found(place: Place) -> None:
    code = """
from huggingface_hub import constants, get_session
from diffmatte_cli.weights.store import WeightsStore, resolve_model
from diffmatte_cli.weights.pulling import obtain
obtain(resolve_model("ours"), WeightsStore())
asked = get_session().get(constants.ENDPOINT + "/nowhere").request
print(constants.HF_HUB_DISABLE_XET, asked.headers["Accept-Encoding"])
"""
    done = place.run_python("-c", code)
    assert done.stdout.startswith("False gzip"), done.stderr
    assert REVISION in str(place.left())
