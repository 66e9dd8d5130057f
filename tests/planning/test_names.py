"""Names as other systems spell them, what lies beside photographs, and photographs without a trimap."""

import csv
import json
import os
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
import pytest
from PIL import Image
from support import fakes

from diffmatte_cli.errors import PlanError, UsageError
from diffmatte_cli.evaluation.layouts import examples
from diffmatte_cli.evaluation.pairs import pair
from diffmatte_cli.imaging.formats import WRITERS
from diffmatte_cli.planning.jobs import Job, plan, share
from diffmatte_cli.planning.requests import Request
from diffmatte_cli.storage.paths import Place

COMPOSED, APART = (normalize(form, "Zoë") for form in ("NFC", "NFD"))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DIFFMATTE_MODEL", raising=False)
    return tmp_path


def _touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"never opened")


def _plan(*inputs: str, **rest: Any) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Plan and return photograph -> (trimap, result), and the warnings."""
    told: list[str] = []
    jobs: list[Job] = plan(Request(inputs, **({"output": "out"} | rest)), told.append)
    return {str(job.image): (str(job.trimap), str(job.output)) for job in jobs}, told


def _trimap(*inputs: str, **rest: Any) -> str:
    ((trimap, _),) = _plan(*inputs, **rest)[0].values()
    return trimap


def _problems(*inputs: str, **rest: Any) -> tuple[str, ...]:
    with pytest.raises(PlanError) as caught:
        plan(Request(inputs, **({"output": "out"} | rest)))
    return tuple(map(str, caught.value.problems))


@pytest.mark.parametrize(
    ("photo", "trimap"),
    [
        (f"{COMPOSED}.jpg", f"{APART}.png"),
        (f"{APART}.JPG", f"{COMPOSED}_trimap.PNG"),
        ("cat.jpg", "cat_TRIMAP.png"),
        ("cat.jpg", "cat-Trimap.png"),
        ("cat_RGB.jpg", "cat_trimap.png"),
        ("IMG_7.JPG", "img_7.png"),
    ],
)
def test_a_trimaps_name_may_be_spelled_otherwise(photo: str, trimap: str) -> None:
    _touch(f"p/{photo}", f"t/{trimap}")
    assert _trimap("p", trimap="t") == f"t/{trimap}"


def test_the_very_spelling_comes_first() -> None:
    _touch("p/cat.jpg", "t/CAT.png", "t/cat.png", "t/Cat.png")
    assert _trimap("p", trimap="t") == "t/cat.png"
    Path("t/cat.png").unlink()
    assert "p/cat.jpg has two trimaps, t/CAT.png and t/Cat.png" in _problems("p", trimap="t")[0]


def test_arguments_patterns_and_manifests_find_the_other_spelling() -> None:
    _touch(f"{APART}/{APART}.JPG", f"t/{APART}_TRIMAP.png")
    photo = f"{COMPOSED}/{COMPOSED}.jpg"
    assert _plan(photo, trimap=f"t/{COMPOSED}_trimap.png", output="out/")[0] == {
        f"{APART}/{APART}.JPG": (f"t/{APART}_TRIMAP.png", f"out/{APART}_alpha.png")
    }
    assert _trimap(photo, trimap="t/{stem}_trimap.png", output="out/") == f"t/{APART}_TRIMAP.png"
    Path("m.csv").write_text(f"image,trimap\n{photo},t/{COMPOSED}_trimap.png\n", encoding="utf-8")
    ((image, (trimap, _)),) = _plan(manifest=Path("m.csv"))[0].items()
    assert (image, trimap) == (f"{APART}/{APART}.JPG", f"t/{APART}_TRIMAP.png")


def test_a_missing_path_of_any_depth_is_missing() -> None:
    _touch("a/b.png")
    place = Place(Path())
    assert place.named("A/B.PNG").found.path == Path("a/b.png")
    for text in ("a/c.png", "a/b.png/c", "x/y/z", "x/" * 2000 + "y", "", "a/" * 2000):
        path = place.at(Path(text))
        assert path.found.path == path.path


def test_frames_in_other_spellings() -> None:
    _touch(f"s/{APART}.0001.PNG", f"s/{APART}.0002.png", f"m/{APART}_TRIMAP.1.png", f"m/{APART}_TRIMAP.2.png")
    found, _ = _plan(f"s/{COMPOSED}.%04d.png", trimap=f"m/{COMPOSED}_trimap.#.png")
    assert [trimap for trimap, _ in found.values()] == [f"m/{APART}_TRIMAP.{number}.png" for number in (1, 2)]


def test_pairs_of_an_evaluation_in_other_spellings() -> None:
    _touch(f"p/{APART}_ALPHA.png", "p/cat.png", "p/Dog.png", "p/dog.png")
    _touch(f"g/{COMPOSED}.PNG", "g/CAT.tif", "g/dog.png", "g/Dog.png", f"t/{COMPOSED}_Trimap.png", "t/cat.png")
    _touch("t/dog.png", "t/Dog.png")
    found = {pair.name: (str(pair.gt), str(pair.trimap)) for pair in pair(Path("p"), Path("g"), Path("t"))}
    assert found == {
        APART: (f"g/{COMPOSED}.PNG", f"t/{COMPOSED}_Trimap.png"),
        "cat": ("g/CAT.tif", "t/cat.png"),
        "dog": ("g/dog.png", "t/dog.png"),
        "Dog": ("g/Dog.png", "t/Dog.png"),
    }
    assert pair(Path(f"p/{COMPOSED}_alpha.png"), Path("g/cat.TIF"))[0].files == [
        Path(f"p/{APART}_ALPHA.png"),
        Path("g/CAT.tif"),
    ]


def test_test_sets_in_other_spellings_and_with_other_files() -> None:
    _touch(f"d/image/{APART}.jpg", f"d/alpha/{COMPOSED}.png", f"d/trimap/{COMPOSED}.PNG", "d/image/Thumbs.db")
    _touch("d/alpha/notes.txt")
    told: list[str] = []
    (example,) = examples("plain", Path("d"), told.append)
    assert example.alpha == Path(f"d/alpha/{COMPOSED}.png")
    assert told == ["in d/alpha 1 file is of no readable kind, and left out: .txt"]


@pytest.mark.parametrize(("one", "other"), [("cat", "CAT"), (COMPOSED, APART), ("straße", "STRASSE")])
def test_two_results_that_are_one_file_elsewhere_are_refused(one: str, other: str) -> None:
    _touch(f"p/{one}.jpg", f"p/{other}.jpg", f"t/{one}.png", f"t/{other}.png")
    (problem,) = _problems("p", trimap="t")
    assert "which are one file on disks that ignore case or Unicode form: rename one" in problem
    assert f"out/{one}_alpha.png" in problem
    assert f"out/{other}_alpha.png" in problem


def test_shares_do_not_depend_on_the_unicode_form() -> None:
    names = [f"é{number}" for number in range(20)]
    jobs = [[Job(Path(), None, Path(), Path(normalize(form, name))) for name in names] for form in ("NFC", "NFD")]
    parts = [[normalize("NFC", str(job.relative)) for job in share(each, 1, 3)] for each in jobs]
    assert parts[0] == parts[1]


@pytest.mark.parametrize("name", ["cat #2", "my%20dog", "####", "100%d", "a#b#c", "%0999999999d"])
def test_signs_of_a_sequence_are_letters_where_there_is_none(name: str) -> None:
    _touch(f"{name}.png", f"{name}_trimap.png", f"p{name}/a.png", f"t{name}/a.png")
    assert _plan(f"{name}.png", trimap=f"{name}_trimap.png", output=f"{name}_cut.png")[0] == {
        f"{name}.png": (f"{name}_trimap.png", f"{name}_cut.png")
    }
    assert _plan(f"p{name}", trimap=f"t{name}", output=f"mattes{name}")[0] == {
        f"p{name}/a.png": (f"t{name}/a.png", f"mattes{name}/a_alpha.png")
    }
    _touch(f"t{name}/a {name}.png")
    assert _trimap(f"p{name}", trimap=f"t{name}/{{stem}} {name}.png") == f"t{name}/a {name}.png"


def test_a_sequence_whose_name_has_a_sign_before_its_number() -> None:
    _touch("take #2.0001.png", "take #2.0002.png", "held #1.png")
    planned, told = _plan("take #2.%04d.png", trimap="held #1.png", output="out #3.%02d.png")
    assert planned["take #2.0002.png"] == ("held #1.png", "out #3.02.png")
    assert told == ["the trimap held #1.png serves all 2 frames"]
    with pytest.raises(UsageError, match=r"no frames match cat #9\.png, and no file has that very name"):
        plan(Request(("cat #9.png",), "held #1.png"))


def test_a_frame_of_trimaps_serves_up_to_the_next() -> None:
    _touch(*(f"s/{number:02}.png" for number in (3, 4, 5, 7, 8)), "k/k3.png", "k/k7.png")
    planned, told = _plan("s/##.png", trimap="k/k%d.png")
    assert [trimap for trimap, _ in planned.values()] == [f"k/k{number}.png" for number in (3, 3, 3, 7, 7)]
    assert told == [
        "s/##.png is missing frames between the first and the last: 6",
        "frames without a trimap of their own take the last one before them: 4-5, 8",
    ]
    Path("k/k3.png").unlink()
    assert "the trimap k/k3.png does not exist, and s/03.png needs it" in _problems("s/##.png", trimap="k/k%d.png")[0]


def test_two_sequences_have_no_trimap_in_common() -> None:
    _touch("a1.png", "a2.png", "b1.png", "b2.png", "t.png")
    (problem,) = _problems("a%d.png", "b%d.png", trimap="t.png")
    assert "one trimap, t.png, for 4 photographs" in problem


def test_a_manifest_may_hold_a_trimap() -> None:
    _touch("a1.png", "a2.png", "t.png")
    Path("m.csv").write_text("image,trimap\na1.png,t.png\na2.png,t.png\n")
    assert len(_plan(manifest=Path("m.csv"))[0]) == 2


def test_what_systems_leave_is_passed_by_and_other_kinds_are_counted() -> None:
    _touch("p/a.jpg", "p/Thumbs.db", "p/._a.jpg", "p/@eaDir/a.jpg/thumb.jpg", "p/__MACOSX/b.jpg", "t/a.png")
    assert _plan("p", trimap="t", recursive=True) == ({"p/a.jpg": ("t/a.png", "out/a_alpha.png")}, [])
    _touch("p/a.XMP", "p/b.psd", "p/c.psd", "p/Makefile")
    told = "in p 4 files are of no readable kind, and left out: .psd, .xmp, Makefile"
    assert _plan("p", trimap="t")[1] == [told]
    Path("p/a.jpg").unlink()
    assert "the folder p contains no images (4 files are" in _problems("p", trimap="t")[0]


def test_a_shells_pattern_may_bring_what_is_no_photograph() -> None:
    _touch(
        "p/a.jpg", "p/a.xmp", "p/Thumbs.db", "p/desktop.ini", "p/.DS_Store", "p/._a.jpg", "p/@eaDir/a.jpg", "t/a.png"
    )
    Path("p/out").mkdir()
    inputs = [str(path) for path in sorted(Path("p").iterdir())]
    planned, told = _plan(*inputs, trimap="t", output="p/out")
    assert planned == {"p/a.jpg": ("t/a.png", "p/out/a_alpha.png")}
    assert told == ["7 files are of no readable kind, and left out: .DS_Store, .db, .ini, .jpg, .xmp, @eaDir, out"]
    assert _trimap("p/a.xmp", trimap="t/a.png", output="x.png") == "t/a.png"  # named alone: told when it is read


def test_results_of_an_earlier_run_are_passed_by() -> None:
    _touch("p/a.jpg", "p/a_trimap.png", "p/a_alpha.png", "p/a_CUTOUT.webp", "p/a_uncertainty.png", "p/b_alpha.png")
    _touch("p/b_alpha_trimap.png", "p/steps/a/step_01.png", "p/steps/a/trajectory.png")
    planned, told = _plan("p", trimap="p", recursive=True)
    assert list(planned) == [
        "p/a.jpg",
        "p/b_alpha.png",
    ]  # the other one has a trimap, and nothing that it is named after
    assert told == [
        "5 images are taken for results of an earlier run, and left out: p/a_CUTOUT.webp, p/a_alpha.png,"
        " p/a_uncertainty.png, and 2 more"
    ]
    for name in ("p/b_alpha.png", "p/b_alpha_trimap.png"):
        Path(name).unlink()
    assert list(_plan("p", trimap="p/a_trimap.png")[0]) == ["p/a.jpg"]
    assert "p/a_alpha.png" not in _plan("p", trimap="alpha")[0]


@pytest.mark.parametrize("form", fakes.FORMATS)
def test_a_result_is_known_by_its_receipt(form: str, matter: fakes.FakeMatter) -> None:
    fakes.make_photos(["a", "b"])
    result = f"photos/mine{WRITERS[form].suffixes[0]}"
    made = fakes.run("matte", "photos/a.png", "--trimap", "trimaps/a.png", "-o", result, "--cutout")
    assert made.exit_code == 0, made.stderr
    planned, told = _plan("photos", trimap="trimaps")
    assert list(planned) == ["photos/a.png", "photos/b.png"]
    assert told == [f"1 image is taken for results of an earlier run, and left out: {result}"]


def test_photographs_without_a_trimap_are_reported_and_the_rest_is_made(matter: fakes.FakeMatter) -> None:
    fakes.make_photos(["a", "b", "c"])
    Path("trimaps/b.png").unlink()
    arguments = ("matte", "photos", "--trimap", "trimaps", "-o", "out", "--report", "r.jsonl")
    refused = fakes.run(*arguments)
    assert refused.exit_code == 2
    assert "no trimap for photos/b.png in trimaps: expected b.png or similar" in refused.stderr
    assert "give masks instead, or pass such photographs by (--mask, --skip-unpaired)" in refused.stderr
    seen = fakes.run(*arguments, "--skip-unpaired", "--dry-run")
    assert "photos/b.png passed by: no trimap for photos/b.png" in seen.stdout
    done = fakes.run(*arguments, "--skip-unpaired")
    assert done.exit_code == 0, done.stderr
    assert "warning: without a trimap, and passed by: photos/b.png (1 of 3)" in done.stderr
    assert "2 done, 1 unpaired in" in done.stderr
    assert sorted(os.listdir("out")) == ["a_alpha.png", "c_alpha.png"]
    rows = {row["image"]: row for row in map(json.loads, Path("r.jsonl").read_text().splitlines())}
    assert {Path(image).stem: row["status"] for image, row in rows.items()} == {
        "a": "done",
        "b": "unpaired",
        "c": "done",
    }
    unpaired = rows["photos/b.png"]
    assert (unpaired["trimap"], "expected b.png" in unpaired["error"]) == (None, True)
    page = fakes.run("review", "out", "--report", "r.jsonl")
    assert page.exit_code == 0, page.stderr
    assert "3 results" in page.stderr
    for path in Path("trimaps").iterdir():
        path.unlink()
    assert fakes.run(*arguments, "--skip-unpaired").exit_code == 2  # none at all is a mistake


def test_rows_of_a_manifest_without_a_trimap() -> None:
    _touch("a.png", "b.png", "c.png", "t.png")
    Path("m.csv").write_text("image,trimap\na.png,t.png\nb.png,\nc.png,none.png\n")
    assert [problem.split(";")[0] for problem in _problems(manifest=Path("m.csv"))] == [
        "line 3 of m.csv: it has no trimap",
        "line 4 of m.csv: the trimap none.png does not exist",
    ]
    jobs = plan(Request(manifest=Path("m.csv"), output="out", skip_unpaired=True))
    assert [job.unpaired is None for job in jobs] == [True, False, False]


@pytest.mark.parametrize("output", ["result.png", "RESULT.TIF", "out/mattes.jpg", "film.mov", "x%0999999999d.png"])
def test_one_images_name_for_several_is_refused(output: str) -> None:
    _touch("p/a.png", "p/b.png", "t/a.png", "t/b.png", "s1.png", "s2.png")
    Path("m.csv").write_text("image,trimap\np/a.png,t/a.png\n")
    for inputs, rest in (
        (("p",), {"trimap": "t"}),
        (("p/a.png", "p/b.png"), {"trimap": "t"}),
        (("s%d.png",), {"trimap": "t/a.png"}),
        ((), {"manifest": Path("m.csv")}),
    ):
        with pytest.raises(UsageError, match=r"names a single image: name a folder, or .*/ to mean one"):
            plan(Request(inputs, output=output, **rest))
        assert plan(Request(inputs, output=f"{output}/", **rest))
    with pytest.raises(PlanError, match="named like a single image"):
        plan(Request(("p",), "t", "out", dump_steps=Path("steps.png")))


def test_the_example_of_the_page_works_as_printed(matter: fakes.FakeMatter) -> None:
    page = (Path(__file__).parents[2] / "docs/batches.md").read_text()
    lines = page[page.index("    image,trimap,output,seed,steps") :].split("\n\n")[0].splitlines()
    Path("jobs.csv").write_text("".join(f"{line.strip()}\n" for line in lines))
    picture = np.random.default_rng(0).integers(0, 256, (fakes.HEIGHT, fakes.WIDTH, 4)).astype(np.uint8)
    picture[..., 3] = fakes.cat_trimap()
    for row in csv.DictReader(line.strip() for line in lines):
        Image.fromarray(picture if row["trimap"] == "alpha" else picture[..., :3]).save(row["image"])
        if row["trimap"] != "alpha":
            Image.fromarray(fakes.cat_trimap()).save(row["trimap"])
    assert "diffmatte matte --manifest jobs.csv -o mattes" in page
    done = fakes.run("matte", "--manifest", "jobs.csv", "-o", "mattes")
    assert done.exit_code == 0, done.stderr
    assert [setting.steps for setting in matter.settings] == [10, 20]


def test_a_sequence_of_masks(matter: fakes.FakeMatter) -> None:
    for number in (1, 2, 4):
        Image.fromarray(np.uint8(255) * (fakes.cat_trimap() > 200)).save(f"mask.{number}.png")
    done = fakes.run("trimap", "mask.%d.png", "-o", "tri.%03d.png")
    assert done.exit_code == 0, done.stderr
    assert "missing frames between the first and the last: 3" in done.stderr
    assert sorted(path.name for path in Path().glob("tri.*")) == ["tri.001.png", "tri.002.png", "tri.004.png"]
    assert "names a single image" in fakes.run("trimap", "mask.%d.png", "-o", "tri.png").stderr
