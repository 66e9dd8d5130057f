"""Publishing weights: the real client uploads to a local Hub, and what it prints serves to pull them."""

import os
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from support.hub_user import SHA256, WEIGHTS, Place, failure

from diffmatte_cli.errors import UsageError, WeightsError
from diffmatte_cli.weights.publishing import _draft, model_card, publish
from diffmatte_cli.weights.records import Metrics, WeightsRecord, read_records
from diffmatte_cli.weights.store import PACKAGE, WeightsStore

BUNDLED = PACKAGE / "bundled" / "tiny.safetensors"
LOGIN = {"HF_TOKEN": "hf_secret"}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_what_is_published_can_be_pulled(place: Place) -> None:
    place.hub.repos.add("lab/new")  # asked for again, it answers 409
    done = place.run("weights", "publish", "mine", str(BUNDLED), "--repo", "lab/new", env=LOGIN)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "published mine at lab/new: put the table above into a weights file to use it\n"
    assert len(place.hub.asked("POST", "/api/repos/create")) == 1
    (commit,) = place.hub.commits
    assert commit["repo"] == "lab/new"
    assert commit["files"].keys() == {"mine.safetensors", "README.md"}
    assert commit["files"]["mine.safetensors"] == WEIGHTS

    place.tables.write_text(done.stdout)
    assert read_records(place.tables) == {
        "mine": WeightsRecord(
            "mine",
            "tiny",
            "MIT",
            WeightsStore().record("tiny").trained_on,
            repo="lab/new",
            revision=commit["oid"],
            filename="mine.safetensors",
            sha256=SHA256,
            size=len(WEIGHTS),
            parameters=WeightsStore().record("tiny").parameters,
        )
    }
    assert place.run("weights", "pull", "mine").returncode == 0
    assert place.run("weights", "verify", "mine").stdout.startswith("ok ")


def test_nobody_publishes_without_a_login(place: Place) -> None:
    refused = failure(place.run("weights", "publish", "tiny", str(BUNDLED), "--repo", "lab/new"))
    assert "cannot publish tiny to lab/new: the Hub answered HTTP 401, no access: set HF_TOKEN" in refused
    assert place.hub.commits == []


@pytest.mark.parametrize("repo", ["new", "lab/new/x", "https://huggingface.co/lab/new", "lab/", "../x"])
def test_a_repository_without_owner(place: Place, repo: str) -> None:
    line = failure(place.run("weights", "publish", "mine", str(BUNDLED), "--repo", repo), 2)
    assert line == f"error: the repository must be OWNER/REPO, not {repo!r} (--repo)"
    assert place.hub.requests == []


def copy(target: Path, **metadata: str) -> Path:
    """Write the bundled weights anew, with other metadata."""
    shape = {
        "format": "diffmatte",
        "variant": "tiny",
        "decoder_width": "16",
        "schedule": "linear",
        "input_scale": "0.2",
    }
    save_file(load_file(BUNDLED), target, shape | metadata)
    return target


def test_a_file_that_does_not_say_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("something was sent")

    monkeypatch.setattr("diffmatte_cli.weights.publishing.hub_client", refuse)
    silent = copy(Path("silent.safetensors"))
    with pytest.raises(UsageError, match="does not say its licence"):
        publish("mine", silent, "lab/new", WeightsStore())
    with pytest.raises(UsageError, match="a model's name may hold letters"):
        publish("my own", silent, "lab/new", WeightsStore())
    with pytest.raises(UsageError, match="is of the variant tiny, but vits is vits"):
        publish("vits", silent, "lab/new", WeightsStore())
    Path("text.safetensors").write_text("not weights")
    with pytest.raises(WeightsError, match="is a text, not a weights file"):
        publish("mine", Path("text.safetensors"), "lab/new", WeightsStore())
    assert sorted(os.listdir()) == ["silent.safetensors", "text.safetensors"]


OWN = {"licence": "CC0-1.0", "trained_on": "our own"}


@pytest.mark.parametrize(
    ("notes", "is_its_own"),
    [
        ({"model": "tiny", "licence": "MIT", "trained_on": "x"}, True),
        (OWN, False),
        (OWN | {"model": "tiny"}, False),  # imported under that name, which keeps what it was trained on
    ],
)
def test_a_tables_figures_go_only_with_its_own_file(notes: dict[str, str], is_its_own: bool) -> None:
    """Somebody's own weights of a known variant and name are not what its authors measured."""
    figures = WeightsRecord(
        "tiny", "tiny", "MIT", "x", upstream="https://example.org", metrics=(Metrics("d", 1, 1.0, 1.0, 1.0, 1.0, "s"),)
    )
    draft = _draft("tiny", copy(Path("own.safetensors"), **notes), figures)
    assert (draft.licence, draft.trained_on) == (notes["licence"], notes["trained_on"])
    assert (draft.metrics == figures.metrics) == is_its_own
    assert (draft.upstream == figures.upstream) == is_its_own


def test_offline_nothing_is_published(place: Place) -> None:
    done = place.run(
        "weights", "publish", "mine", str(BUNDLED), "--repo", "lab/new", env=LOGIN | {"HF_HUB_OFFLINE": "1"}
    )
    assert "HF_HUB_OFFLINE forbids the network: unset it" in failure(done)


def test_the_card_says_what_people_must_know() -> None:
    record = WeightsRecord(
        "vits",
        "vits",
        "non-commercial: research only",
        "some | data",
        repo="lab/new",
        filename="vits.safetensors",
        sha256=SHA256,
        size=116_000_000,
        parameters=29_014_273,
        upstream="https://example.org/vits.pth",
    )
    card = model_card(record)
    _, header, body = card.split("---\n", 2)
    assert "license: other\n" in header
    assert "library_name: diffmatte\n" in header
    for text in (
        "non-commercial: research only",
        "| some \\| data |",
        "29,014,273",
        "116 MB",
        SHA256,
        "example.org",
        "--model vits",
    ):
        assert text in body
