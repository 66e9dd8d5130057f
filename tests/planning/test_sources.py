"""Many photographs: inputs, trimaps by name, manifests, and conflicts that are told all at once."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from diffmatte_cli.errors import PlanError, UsageError
from diffmatte_cli.planning import jobs
from diffmatte_cli.planning.jobs import Job, share
from diffmatte_cli.planning.pairing import GUIDE_SUFFIXES, PHOTO_SUFFIXES
from diffmatte_cli.planning.requests import Request
from diffmatte_cli.settings import Sampling
from diffmatte_cli.storage.paths import STREAM, location


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _touch(*names: str) -> None:
    """Make files that are never opened."""
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"never opened")


def _plan(*inputs: str, **rest: Any) -> list[Job]:
    return jobs.plan(Request(inputs, **rest))


def _planned(*inputs: str, **rest: Any) -> dict[str, tuple[str, str]]:
    """Plan and return photograph -> (trimap, result)."""
    return {str(job.image): (str(job.trimap), str(job.output)) for job in _plan(*inputs, **({"output": "out"} | rest))}


def _problems(*inputs: str, **rest: Any) -> tuple[str, ...]:
    with pytest.raises(PlanError) as caught:
        _plan(*inputs, **({"output": "out"} | rest))
    assert not Path("out").exists()
    return tuple(map(str, caught.value.problems))


def test_a_folder_and_its_trimaps() -> None:
    _touch("photos/b.JPG", "photos/a.png", "photos/notes.txt", "photos/.hidden.png", "photos/deep/c.png")
    _touch("trimaps/a.png", "trimaps/b_trimap.png", "trimaps/spare.png")
    assert _planned("photos", trimap="trimaps") == {
        "photos/a.png": ("trimaps/a.png", "out/a_alpha.png"),
        "photos/b.JPG": ("trimaps/b_trimap.png", "out/b_alpha.png"),
    }


@pytest.mark.parametrize("suffix", GUIDE_SUFFIXES["trimap"])
def test_every_suffix_of_trimaps(suffix: str) -> None:
    _touch("photos/a.jpg", f"trimaps/a{suffix}.tif")
    assert _planned("photos", trimap="trimaps") == {"photos/a.jpg": (f"trimaps/a{suffix}.tif", "out/a_alpha.png")}


@pytest.mark.parametrize("mark", PHOTO_SUFFIXES)
def test_photographs_that_are_marked_as_such(mark: str) -> None:
    _touch(f"p/a{mark}.jpg", "p/a_trimap.png")
    assert _planned("p", trimap="p") == {f"p/a{mark}.jpg": ("p/a_trimap.png", f"out/a{mark}_alpha.png")}
    _touch(f"p/a{mark}_trimap.png")
    assert any("has two trimaps" in problem for problem in _problems("p", trimap="p"))


def test_recursion_mirrors_the_tree() -> None:
    _touch("photos/a.png", "photos/x/a.png", "photos/x/y/b.c.png", "photos/.git/d.png")
    _touch("trimaps/a.png", "trimaps/x/a.png", "trimaps/x/y/b.c.png")
    assert _planned("photos", trimap="trimaps", recursive=True) == {
        "photos/a.png": ("trimaps/a.png", "out/a_alpha.png"),
        "photos/x/a.png": ("trimaps/x/a.png", "out/x/a_alpha.png"),
        "photos/x/y/b.c.png": ("trimaps/x/y/b.c.png", "out/x/y/b.c_alpha.png"),
    }


def test_results_inside_a_recursive_input_are_not_taken_for_inputs() -> None:
    _touch("photos/a.png", "photos/out/old.png", "trimaps/a.png")
    assert list(_planned("photos", trimap="trimaps", recursive=True, output="photos/out")) == ["photos/a.png"]


def test_linked_folders_are_not_followed_and_linked_files_are() -> None:
    _touch("elsewhere/a.png", "photos/b.png", "trimaps/b.png", "trimaps/c.png")
    Path("photos/loop").symlink_to("../photos")
    Path("photos/c.png").symlink_to("../elsewhere/a.png")
    assert list(_planned("photos", trimap="trimaps", recursive=True)) == ["photos/b.png", "photos/c.png"]


def test_a_pattern_and_trimaps_among_the_photographs() -> None:
    _touch("p/a.jpg", "p/a_trimap.png", "p/b.jpg", "p/b_trimap.png")
    expected = {f"p/{name}.jpg": (f"p/{name}_trimap.png", f"out/{name}_alpha.png") for name in "ab"}
    everything = ("p/a.jpg", "p/a_trimap.png", "p/b.jpg", "p/b_trimap.png")
    assert _planned("p", trimap="p/{stem}_trimap.png") == expected
    assert _planned("p", trimap="{folder}/{stem}_trimap.png") == expected
    assert _planned("p", trimap="p") == expected
    assert _planned(*everything, trimap="p/{stem}_trimap.png") == expected


def test_photographs_own_alpha() -> None:
    _touch("p/a.png", "b.png")
    planned = _plan("p", "b.png", trimap="alpha", output="out")
    assert [job.trimap for job in planned] == [None, None]
    assert [str(job.output) for job in planned] == ["out/a_alpha.png", "out/b_alpha.png"]


def test_one_file_into_a_folder() -> None:
    _touch("a.jpg", "t.png")
    Path("there").mkdir()
    assert _planned("a.jpg", trimap="t.png", output="there")["a.jpg"][1] == "there/a_alpha.png"
    assert _planned("a.jpg", trimap="t.png", output="made/")["a.jpg"][1] == "made/a_alpha.png"
    assert _planned("a.jpg", trimap="t.png", output=".")["a.jpg"][1] == "a_alpha.png"


def test_streams() -> None:
    _touch("t.png", "a.png")
    (job,) = _plan("-", trimap="t.png")
    assert (job.image, job.output, job.name) == (STREAM, STREAM, "standard input")
    (job,) = _plan("-", trimap="t.png", output="x.tif")
    assert (job.output, job.format) == (Path("x.tif"), "tiff")
    (job,) = _plan("a.png", trimap="-", output="-", format="webp")
    assert (job.trimap, job.output, job.format) == (STREAM, STREAM, "webp")
    for inputs, rest, words in (
        (("-",), {"trimap": "-"}, "cannot hold both"),
        (("-", "a.png"), {"trimap": "t.png", "output": "out"}, "give it alone"),
        (("-",), {"trimap": "{stem}.png"}, "standard input has none"),
        (("-",), {"trimap": "t.png", "cutout": True, "with_alpha": True}, "holds one image"),
        (("-",), {"trimap": "t.png", "format": "webp", "bits": 16}, "webp holds no 16-bit images"),
        (("a.png", "t.png"), {"trimap": "alpha", "output": "-"}, "holds one image"),
    ):
        with pytest.raises(UsageError, match=words):
            _plan(*inputs, **rest)


def test_a_file_called_minus_is_a_file() -> None:
    assert location("-") is not location("./-")
    assert location("./-") == Path(os.path.abspath("-"))
    assert location("-") == STREAM


def test_formats() -> None:
    _touch("a.png", "t.png", "p/b.png", "p/b_trimap.png")
    assert _planned("p", trimap="p", format="tiff") == {"p/b.png": ("p/b_trimap.png", "out/b_alpha.tif")}
    (job,) = _plan("a.png", trimap="t.png", format="webp")
    assert str(job.output) == "a_alpha.webp"
    with pytest.raises(UsageError, match=r"x\.png means png, but the format is tiff"):
        _plan("a.png", trimap="t.png", output="x.png", format="tiff")


def test_every_problem_is_told_at_once() -> None:
    _touch("p/a.jpg", "p/a.png", "p/b.png", "p/c.png", "p/d.png", "t/a.png", "t/c.png", "t/c_trimap.png", "t/d.png")
    Path("out/d_alpha.png").mkdir(parents=True)
    with pytest.raises(PlanError) as caught:
        _plan("p", "none.png", trimap="t", output="out")
    expected = [
        "the photograph none.png does not exist",
        "no trimap for p/b.png in t",
        "p/c.png has two trimaps, t/c.png and t/c_trimap.png",
        "p/a.jpg and p/a.png would both be written to out/a_alpha.png",
        "out/d_alpha.png is an existing folder",
    ]
    assert len(caught.value.problems) == len(expected)
    for text in expected:
        assert any(text in problem for problem in map(str, caught.value.problems)), text


def test_two_trees_never_share_a_result_or_a_trimap() -> None:
    _touch("p/a.png", "q/a.png", "p/x/b.png", "p/y/b.png", "t/a.png", "t/b.png")
    assert any("would both be written to" in problem for problem in _problems("p", "q", trimap="t"))
    shared = _problems("p", trimap="t", recursive=True)
    assert any("p/x/b.png and p/y/b.png would share the trimap t/b.png" in problem for problem in shared)


def test_inputs_are_never_written_to() -> None:
    _touch("p/a.png", "t/a.png", "a_alpha.png", "b.png", "t/b.png", "t/a_alpha.png")
    Path("link").symlink_to("p")
    for output in ("p", "./p/../p", "link", "t"):
        assert any("also contains inputs" in problem for problem in _problems("p", trimap="t", output=output))
    assert any("also contains inputs" in problem for problem in _problems("b.png", "p/a.png", trimap="t", output="."))


def test_folders_that_cannot_be() -> None:
    _touch("p/a.png", "t/a.png", "file")
    Path("empty").mkdir()
    assert _problems("empty", trimap="t") == ("the folder empty contains no images; subfolders are not searched",)
    with pytest.raises(UsageError, match="need a folder for their results"):
        _plan("p", trimap="t")
    with pytest.raises(UsageError, match="file is not one"):
        _plan("p", trimap="t", output="file")
    (problem,) = _problems("p", trimap="t", output="file/out")
    assert "file is a file" in problem
    problems = _problems("p", "file", trimap="t/a.png")
    assert any("one trimap, t/a.png, for 2 photographs" in problem for problem in problems)


def test_an_unreadable_folder_as_the_system_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    _touch("p/a.png", "t/a.png", "p/shut/b.png")
    scandir = os.scandir

    def refusing(path: Any) -> Any:
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert _problems("p", trimap="t", recursive=True) == ("cannot list the folder p/shut: Permission denied",)


def test_links_in_the_results_folder_lead_nowhere_else() -> None:
    _touch("p/a.png", "p/x/b.png", "t/a.png", "t/x/b.png", "precious/a_alpha.png")
    Path("out").mkdir()
    Path("out/x").symlink_to("../precious")
    Path("out/a_alpha.png").symlink_to("../precious/a_alpha.png")
    with pytest.raises(PlanError) as caught:
        _plan("p", trimap="t", recursive=True, output="out")
    assert len(caught.value.problems) == 2
    assert all("would be outside the folder out" in problem for problem in map(str, caught.value.problems))


def test_too_long_a_name_is_told_before_the_work() -> None:
    name = "n" * 250
    _touch(f"p/{name}.png", f"t/{name}.png")
    (problem,) = _problems("p", trimap="t")
    assert "is too long" in problem


def test_reports_replace_nothing() -> None:
    _touch("p/a.png", "t/a.png", "photo.csv")
    (problem,) = _problems("photo.csv", trimap="t/a.png", output="x.png", report=Path("photo.csv"))
    assert "would replace the input photo.csv" in problem
    (problem,) = _problems("p", trimap="t", report=Path("none/r.csv"))
    assert "the folder of the report none/r.csv does not exist" in problem


def _manifest(name: str, *rows: dict[str, object]) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_manifest_as_json_lines() -> None:
    _touch("lists/a.png", "lists/t.png", "b.png")
    row = {"image": "a.png", "trimap": "t.png", "output": "x/y.tif", "seed": 7, "steps": 3}
    path = _manifest("lists/m.jsonl", row, {"image": "../b.png", "trimap": "alpha"})
    first, second = jobs.plan(Request(manifest=path, output="out", sampling=Sampling(5, 1), dump_steps=Path("steps")))
    assert (first.image, first.trimap) == (Path("lists/a.png"), Path("lists/t.png"))
    assert (first.output, first.format, first.sampling) == (Path("out/x/y.tif"), "tiff", Sampling(3, 7))
    assert first.dump_dir == Path("steps/x/y")
    assert (second.trimap, second.output, second.sampling) == (None, Path("out/b_alpha.png"), Sampling(5, 1))


def test_a_manifest_as_csv_with_odd_names() -> None:
    names = ["a b.png", "line\nbreak.png", "-dash.png", "-", "ümlaut 😀.png", os.fsdecode(b"\xff.png"), 'quote".png']
    _touch(*names, "t.png")
    rows = "".join('"{}",t.png,{}.png,\n'.format(name.replace('"', '""'), number) for number, name in enumerate(names))
    Path("m.csv").write_bytes(b"\xef\xbb\xbf" + os.fsencode("image,trimap,output,seed\n" + rows))
    planned = jobs.plan(Request(manifest=Path("m.csv"), output="out"))
    assert [job.image.name for job in planned] == names
    assert all(os.path.isfile(job.image) for job in planned)
    assert STREAM not in [job.image for job in planned]


BAD_ROWS: dict[str, tuple[dict[str, object], str]] = {
    "no trimap": ({"image": "a.png"}, "it has no trimap"),
    "no such image": ({"image": "b.png", "trimap": "t.png"}, "the photograph b.png does not exist"),
    "no such trimap": ({"image": "a.png", "trimap": "u.png"}, "the trimap u.png does not exist"),
    "itself": ({"image": "a.png", "trimap": "./a.png"}, "as both the photograph and its trimap"),
    "unknown column": ({"image": "a.png", "trimap": "t.png", "stepz": 1}, "unknown column stepz"),
    "steps of text": ({"image": "a.png", "trimap": "t.png", "steps": "ten"}, "its steps is not a whole number"),
    "half a step": ({"image": "a.png", "trimap": "t.png", "steps": 1.5}, "its steps is not a whole number"),
    "no step": ({"image": "a.png", "trimap": "t.png", "steps": 0}, "steps must be a whole number from 1"),
    "seed": ({"image": "a.png", "trimap": "t.png", "seed": -1}, "the seed must be from"),
    "image is a number": ({"image": 3, "trimap": "t.png"}, "its image is not a path"),
    "half a character": ({"image": "\ud800.png", "trimap": "t.png"}, "its image is not a path"),
    "null byte": ({"image": "a\0.png", "trimap": "t.png"}, "its image is not a path"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_rows_of_a_manifest(case: str) -> None:
    _touch("a.png", "t.png")
    row, words = BAD_ROWS[case]
    path = _manifest("m.jsonl", {"image": "a.png", "trimap": "t.png"}, row)
    with pytest.raises(PlanError) as caught:
        jobs.plan(Request(manifest=path, output="out"))
    (problem,) = map(str, caught.value.problems)
    assert problem.startswith("line 2 of m.jsonl: ")
    assert words in problem


@pytest.mark.parametrize("output", ["../x.png", "/tmp/x.png", "a/../../x.png", "link/x.png", "x.bmp", "x", "."])
def test_a_manifest_cannot_write_elsewhere(output: str, folder: Path) -> None:
    _touch("a.png", "t.png", "elsewhere/y.png")
    Path("out").mkdir()
    Path("out/link").symlink_to(folder / "elsewhere")
    path = _manifest("m.jsonl", {"image": "a.png", "trimap": "t.png", "output": output})
    with pytest.raises(UsageError, match=r"outside the folder out|must end in one of"):
        jobs.plan(Request(manifest=path, output="out"))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("m.csv", b"picture,trimap\na,b\n", "lacks the column image"),
        ("m.csv", b"", "lacks the column image and trimap"),
        ("m.csv", b"image,image,trimap\n", "must name columns from"),
        ("m.csv", b"image,trimap,stepz\na.png,t.png,\n", "must name columns from"),
        ("m.jsonl", b"[" * 100_000, "it is not JSON"),
        ("m.csv", b"image,trimap\n", "has no rows"),
        ("m.csv", b"image,trimap\na.png,t.png,x.png\n", "more cells than the first line"),
        ("m.csv", b'image,trimap\n"a.png,t.png', "is not CSV"),
        ("m.jsonl", b"[1, 2]\n", "not a JSON object"),
        ("m.jsonl", b"{", "it is not JSON"),
        ("m.txt", b"", "must end in .csv or .jsonl"),
        ("none.csv", None, "cannot read the manifest"),
    ],
)
def test_files_that_are_no_manifest(name: str, content: bytes | None, words: str) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    with pytest.raises(UsageError, match=words):
        jobs.plan(Request(manifest=Path(name), output="out"))


def test_a_manifest_stands_alone() -> None:
    _touch("m.csv", "a.png")
    with pytest.raises(UsageError, match="omit the inputs"):
        Request(("a.png",), manifest=Path("m.csv"))
    with pytest.raises(UsageError, match="omit the inputs"):
        Request(manifest=Path("m.csv"), trimap="t")


def test_shares_are_disjoint_complete_and_stable() -> None:
    names = [f"p/{number}.png" for number in range(100)]
    _touch(*names, *(name.replace("p/", "t/") for name in names))
    planned = _plan("p", trimap="t", output="out")
    shares = [share(planned, part, 3) for part in (1, 2, 3)]
    assert sorted(job.name for part in shares for job in part) == sorted(names)
    assert min(len(part) for part in shares) > 20
    Path("p/0.png").unlink()
    fewer = _plan("p", trimap="t", output="elsewhere")
    for part, before in enumerate(shares, 1):
        assert [job.name for job in share(fewer, part, 3)] == [job.name for job in before if job.name != "p/0.png"]


def test_folders_of_steps_never_lie_in_one_another() -> None:
    _touch("p/a.jpg", "p/a/b.jpg", "t/a.png", "t/a/b.png")
    tree = {"trimap": "t", "recursive": True}
    (problem,) = _problems("p", **tree, dump_steps=Path("steps"))
    assert "steps/a, which is also the folder of" in problem
    rows = [{"image": f"p/{name}.jpg", "trimap": f"t/{name}.png"} for name in ("a", "a/b")]
    path = _manifest("m.jsonl", rows[0] | {"output": "x/y.png"}, rows[1] | {"output": "x.png"})
    for top in ("steps", "out"):
        with pytest.raises(PlanError, match="also the folder of"):
            jobs.plan(Request(manifest=path, output="out", dump_steps=Path(top)))
    _touch("..png")
    path = _manifest("m.jsonl", {"image": "..png", "trimap": "t/a.png"})
    with pytest.raises(PlanError, match="no usable name"):
        jobs.plan(Request(manifest=path, output="out", dump_steps=Path("steps")))


def test_results_never_lie_in_one_another() -> None:
    _touch("a.png", "t.png")
    row = {"image": "a.png", "trimap": "t.png"}
    path = _manifest("m.jsonl", row | {"output": "x.png"}, row | {"output": "x.png/y.png"})
    with pytest.raises(PlanError, match="also the folder of"):
        jobs.plan(Request(manifest=path, output="out"))


def test_a_manifest_is_never_written_to() -> None:
    _touch("a.png", "t.png")
    path = _manifest("out/m.jsonl", {"image": "../a.png", "trimap": "../t.png"})
    with pytest.raises(PlanError, match=r"would replace the input out/m\.jsonl"):
        jobs.plan(Request(manifest=path, output="out", report=path))


def test_what_is_no_file_is_told_before_the_work() -> None:
    _touch("p/a.png", "t/a.png", "t/b.png")
    os.mkfifo("p/b.png")
    os.mkfifo("pipe.png")
    os.mkfifo("pipe.csv")
    Path("p/c.png").symlink_to("nowhere")
    assert _problems("p", trimap="t") == (
        "the photograph p/b.png is not a file: name an image file",
        "the photograph p/c.png is a broken symlink",
    )
    (problem,) = _problems("p/a.png", trimap="t", output="pipe.png")
    assert "already exists and is not a file" in problem
    (problem,) = _problems("p/a.png", trimap="t", output="x.png", report=Path("pipe.csv"))
    assert "already exists and is not a file" in problem
    Path("t/a.png").unlink()
    os.mkfifo("t/a.png")
    (problem,) = _problems("p/a.png", trimap="t", output="x.png")
    assert "the trimap t/a.png is not a file" in problem


def test_a_read_only_folder_is_told_with_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    _touch("p/a.png", "t/a.png")
    monkeypatch.setattr(os, "access", lambda *_: False)
    problems = _problems("p", "none.png", trimap="t", dump_steps=Path("steps"))
    assert "the photograph none.png does not exist" in problems
    assert any("read-only" in problem for problem in problems)
    assert any("read-only" in problem for problem in _problems("p", trimap="t"))


def test_hard_links_among_results_are_no_conflict() -> None:
    _touch("p/a.png", "p/b.png", "t/a.png", "out/a_alpha.png")
    Path("out/b_alpha.png").hardlink_to("out/a_alpha.png")
    Path("t/b.png").hardlink_to("t/a.png")
    assert len(_planned("p", trimap="t")) == 2


@pytest.mark.parametrize("empty", ["inputs", "trimap", "output"])
def test_empty_arguments_are_no_folder(empty: str) -> None:
    _touch("a.png", "t.png")
    given = {"inputs": ("a.png",), "trimap": "t.png", "output": "x.png"}
    with pytest.raises(UsageError, match="a path is empty"):
        jobs.plan(Request(**(given | {empty: ("",) if empty == "inputs" else ""})))


def test_patterns_fill_each_place_once() -> None:
    _touch("{stem}/q.jpg", "{stem}/q_t.png", "-.jpg", "-")
    planned = _planned("{stem}/q.jpg", trimap="{folder}/{stem}_t.png", output="out/")
    assert planned["{stem}/q.jpg"][0] == "{stem}/q_t.png"
    (job,) = _plan("./-.jpg", trimap="{stem}", output="x.png")
    assert job.trimap == Path(os.path.abspath("-"))
