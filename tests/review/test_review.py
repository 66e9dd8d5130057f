"""``diffmatte review``: what is on the page, in which order, and that nothing on it can act."""

import base64
import errno
import hashlib
import os
import shutil
from pathlib import Path
from unicodedata import normalize

import fsspec
import numpy as np
import pytest
from PIL import Image
from support import fakes
from support.pages import ALPHA, HOSTILE, Page, make_results, page_of, row, save, write_report

from diffmatte_cli import review
from diffmatte_cli.composition.background import cutout
from diffmatte_cli.composition.foreground import estimate_foreground
from diffmatte_cli.imaging.formats import WRITERS
from diffmatte_cli.imaging.grey import read_grey
from diffmatte_cli.review import cutting, images


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_real_run_is_shown_by_its_report(matter: fakes.FakeMatter) -> None:
    fakes.make_photos(["a", "b"])
    Path("mattes").mkdir()
    arguments = ("photos", "--trimap", "trimaps", "-o", "mattes", "--cutout", "--with-alpha")
    for shard in ("1", "2"):
        report = f"{shard}.{'csv' if shard == '1' else 'jsonl'}"
        assert fakes.run("matte", *arguments, "--shard", f"{shard}/2", "--report", report).exit_code == 0
    page = page_of("mattes", "--report", "1.csv", "--report", "2.jsonl")
    assert sorted(page.names) == ["a", "b"]  # cutout and alpha are one
    for number, entry in enumerate(page.facts):
        assert set(entry["small"]) == {"photo", "trimap", "cutout"}
        assert not entry["notes"]
        assert (entry["width"], entry["height"], entry["error"]) == (fakes.WIDTH, fakes.HEIGHT, None)
        written = np.asarray(Image.open(f"mattes/{entry['name']}_cutout.png"))
        shown = page.levels(f"small-{number}-cutout")
        assert np.array_equal(shown[..., 3], written[..., 3])
        assert np.array_equal(page.levels(f"small-{number}-trimap")[..., 0], fakes.cat_trimap())


def _matte(*arguments: str) -> None:
    result = fakes.run("matte", *arguments, "--report", "r.jsonl")
    assert result.exit_code == 0, result.stderr


def test_a_composite_is_shown_as_it_is(matter: fakes.FakeMatter) -> None:
    fakes.make_photos("a")
    for output in ("mattes/a.png", "mattes/a_cutout.webp"):
        Path("mattes").mkdir(exist_ok=True)
        _matte("photos/a.png", "--trimap", "trimaps/a.png", "-o", output, "--background", "#00ff00")
        page = page_of("mattes", "--report", "r.jsonl")
        shown = page.levels("small-0-cutout")
        assert shown.shape[2] == 3 or (shown[..., 3] == 255).all()
        assert np.abs(shown[:3, :8, :3].astype(int) - (0, 255, 0)).max() < 12
        shutil.rmtree("mattes")


@pytest.mark.parametrize("form", fakes.FORMATS)
@pytest.mark.parametrize("settings", [("--straight",), ("--premultiplied",)])
@pytest.mark.parametrize("space", ["linear", "srgb"])
def test_colours_are_those_of_the_subject_however_they_are_stored(
    form: str, settings: tuple[str, ...], space: str, matter: fakes.FakeMatter
) -> None:
    fakes.make_photos("a")
    red = np.full((fakes.HEIGHT, fakes.WIDTH, 3), (200, 60, 20), np.uint8)
    save("photos/a.png", red)
    Path("mattes").mkdir()
    cutout = ("--cutout", "--format", form, "--exr-space", space, *settings)
    _matte("photos", "--trimap", "trimaps", "-o", "mattes", *cutout)
    (entry,) = review.find_entries(Path("mattes"), [Path("r.jsonl")]).entries
    seen = images.read_images(entry)
    assert seen.alpha is not None
    assert seen.colour is not None
    some = seen.alpha > 0.25
    assert (seen.alpha[some] < 1).any()
    assert np.abs(seen.colour[some].astype(int) - (200, 60, 20)).max() <= 3


@pytest.mark.parametrize("form", fakes.FORMATS)
def test_an_alpha_of_any_format_is_one(form: str, matter: fakes.FakeMatter) -> None:
    fakes.make_photos("a")
    Path("mattes").mkdir()
    _matte("photos", "--trimap", "trimaps", "-o", "mattes", "--format", form)
    page = page_of("mattes", "--report", "r.jsonl")
    alpha = read_grey(Path(f"mattes/a_alpha{WRITERS[form].suffixes[0]}")).levels
    assert np.abs(page.levels("small-0-cutout")[..., 3] - 255 * alpha).max() < 1


@pytest.mark.parametrize("output", ["mattes/n.%04d.png", "mattes"])
@pytest.mark.parametrize("settings", [(), ("--background", "white")])
def test_a_sequence_has_an_entry_a_frame(output: str, settings: tuple[str, ...], matter: fakes.FakeMatter) -> None:
    fakes.make_photos(["shot.0001", "shot.0002"])
    Path("mattes").mkdir()
    wanted = ("--with-alpha", "--uncertainty", "2", *(settings or ("--cutout",)))
    _matte("photos/shot.%04d.png", "--trimap", "trimaps/shot.%04d.png", "-o", output, *wanted)
    page = page_of("mattes", "--report", "r.jsonl")
    stem = "n" if "%" in output else "shot"
    assert sorted(page.names) == [f"{stem}.0001", f"{stem}.0002"]
    for number, entry in enumerate(page.facts):
        assert set(entry["small"]) == {"photo", "trimap", "cutout", "uncertainty"}
        assert not entry["white"]
        shown = page.levels(f"small-{number}-cutout")
        assert (shown.shape[2] == 3 or (shown[..., 3] == 255).all()) == bool(settings)


def test_a_trimap_painted_before_the_cameras_turn_counts(matter: fakes.FakeMatter) -> None:
    fakes.make_photos("a")
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open("photos/a.png") as picture:
        picture.save("photos/a.jpg", exif=exif)
    os.remove("photos/a.png")
    Path("mattes").mkdir()
    _matte("photos", "--trimap", "trimaps", "-o", "mattes")
    page = page_of("mattes", "--photos", "photos", "--trimap", "trimaps")
    assert page.facts[0]["height"] == fakes.WIDTH
    assert page.about["order"] == "share half transparent (of the unknown region)"


def test_without_a_report_results_are_paired_by_name() -> None:
    make_results("a", "pets/b")
    page = page_of("mattes", "--photos", "photos", "--trimap", "trimaps")
    assert sorted(page.names) == ["a", "pets/b"]
    assert all(set(entry["small"]) == {"photo", "trimap", "cutout"} for entry in page.facts)
    assert page.about["order"] == "share half transparent (of the unknown region)"


def test_results_photographs_and_reports_in_other_spellings(matter: fakes.FakeMatter) -> None:
    composed, apart = (normalize(form, "Zoë") for form in ("NFC", "NFD"))
    make_results(composed, "cat")
    Path(f"mattes/{composed}_alpha.png").rename(f"mattes/{apart}_ALPHA.png")
    Path("photos/cat.png").rename("photos/CAT.PNG")
    Path("photos/Thumbs.db").touch()
    Path("photos/cat.xmp").touch()
    page = page_of("mattes", "--photos", "photos", "--trimap", "trimaps")
    assert sorted(page.names) == sorted([apart, "cat"])
    assert all(set(entry["small"]) == {"photo", "trimap", "cutout"} for entry in page.facts)
    rows = (f"photos/{composed}.png;trimaps/{composed}.png;mattes/{composed}_alpha.png;done;1,5\n",
            "photos/cat.png;trimaps/cat.png;mattes/cat_alpha.png;done;2\n")  # fmt: skip
    Path("r.csv").write_bytes(f"Image;Trimap;Output;Status;Risk\n{''.join(rows)}".encode("utf-16"))
    page = page_of("mattes", "--report", "r.csv")
    assert sorted(page.names) == sorted([apart, "cat"])
    assert all(set(entry["small"]) == {"photo", "trimap", "cutout"} for entry in page.facts)
    assert sorted(entry["risk"] for entry in page.facts) == [1.5, 2]


def test_results_alone_are_white_and_what_would_bring_more_is_said() -> None:
    save("mattes/a_alpha.png", ALPHA)
    result = fakes.run("review", "mattes")
    assert result.exit_code == 0
    line, _ = result.stderr.splitlines()
    assert all(word in line for word in ("1 photographs", "1 trimaps", "1 risks", "--report", "--photos", "--trimap"))
    page = Page(Path("review.html").read_text())
    shown = page.levels("small-0-cutout")
    assert np.array_equal(shown[..., 3], ALPHA)
    assert (shown[..., :3][ALPHA > 0] > 250).all()
    assert page.facts[0]["white"]
    assert page.about["order"] == "share half transparent (of the image)"


@pytest.mark.parametrize("suffix", ["_alpha.tif", "_alpha.webp", "_cutout.png", "_cutout.tif", "_cutout.webp"])
def test_every_format_is_an_entry(suffix: str) -> None:
    pixels = (
        ALPHA if "alpha" in suffix else np.dstack([*[np.full_like(ALPHA, level) for level in (200, 40, 90)], ALPHA])
    )
    save(f"mattes/a{suffix}", pixels)
    if "cutout" in suffix:
        save("mattes/a_alpha.png", ALPHA)
    unsure = np.where(ALPHA > 99, 300, 150).astype(np.uint16)  # black to the eye
    save("mattes/a_uncertainty.png", unsure)
    page = page_of("mattes")
    assert page.names == ["a"]
    shown = page.levels("small-0-cutout").astype(int)
    assert np.array_equal(shown[..., 3], ALPHA)
    if "cutout" in suffix:
        assert np.abs(shown[..., :3] - (200, 40, 90))[ALPHA > 64].max() < 12
    stretched = page.levels("small-0-uncertainty").astype(int)
    assert stretched.max() > 240
    assert abs(stretched[unsure == 150].mean() - 128) < 12


def test_a_deep_alpha_and_a_lone_uncertainty_are_read() -> None:
    save("mattes/a_alpha.png", ALPHA.astype(np.uint16) * 257)
    save("mattes/b_uncertainty.png", ALPHA)
    save("mattes/other.png", ALPHA)
    result = fakes.run("review", "mattes")
    assert "1 images are neither named like results" in result.stderr
    page = Page(Path("review.html").read_text())
    assert page.names == ["a"]
    assert np.array_equal(page.levels("small-0-cutout")[..., 3], ALPHA)


def test_an_alpha_is_cut_out_with_the_subjects_colours() -> None:
    make_results("a")
    photo = np.zeros((*ALPHA.shape, 3), np.uint8)
    photo[:, 16:] = (220, 30, 30)
    save("photos/a.png", photo)
    save("mattes/a_alpha.png", np.where(np.arange(32) < 16, 0, 255)[None].repeat(24, 0).astype(np.uint8))
    page = page_of("mattes", "--photos", "photos")
    assert np.abs(page.levels("small-0-cutout")[:, 17:, :3].astype(int) - (220, 30, 30)).max() < 12


def test_tiles_of_a_large_picture_fit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    photo = np.full((300, 500, 3), (30, 90, 160), np.uint8)
    photo[:, 250:] = rng.integers(120, 250, (300, 250, 3))
    alpha = np.clip((np.arange(500) - 200) * 3, 0, 255).astype(np.uint8)[None].repeat(300, 0)
    levels = alpha.astype(np.float32) / np.float32(255)
    whole = cutout(estimate_foreground(photo, levels), levels, 8, premultiplied=False)
    monkeypatch.setattr(cutting, "_TILE", 128)
    tiled = cutting.cut_out(photo, alpha)
    assert np.array_equal(tiled[..., 3], alpha)
    weight = alpha[..., None] / 255
    assert np.abs(weight * (tiled[..., :3].astype(float) - whole[..., :3])).max() < 3


def test_the_worst_come_first_and_failures_before() -> None:
    make_results("a", "b", "c", "d")
    os.remove("mattes/d_alpha.png")
    failed = row("d", status="failed", error="photos/d.png: not enough memory")
    write_report("r.jsonl", row("a", risk=0.1), row("b", risk=0.5), row("c", risk=0.3), failed)
    page = page_of("mattes", "--report", "r.jsonl")
    assert page.names == ["d", "b", "c", "a"]
    assert page.about["order"] == "risk"
    assert [entry["score"] for entry in page.facts] == [None, 0.5, 0.3, 0.1]
    assert page.facts[0]["error"] == "photos/d.png: not enough memory"
    assert set(page.facts[0]["small"]) == {"photo", "trimap"}


def test_where_a_risk_is_missing_all_are_sorted_by_the_same_share() -> None:
    make_results("a", "b")
    save("mattes/a_alpha.png", np.where(ALPHA < 200, ALPHA, 255).astype(np.uint8))
    write_report("mattes/r.jsonl", row("a", risk=0.9), {k: v for k, v in row("b").items() if k != "risk"})
    page = page_of("mattes")
    assert page.names == ["b", "a"]
    assert page.facts[1]["risk"] == 0.9
    assert page.about["order"].startswith("share half transparent")


def test_a_later_report_stands_for_an_earlier_one() -> None:
    make_results("a", "b")
    write_report("1.jsonl", row("a", status="failed", error="once"), row("b", risk=0.5))
    write_report("2.jsonl", row("a", risk=0.25), row("b", status="skipped"))
    page = page_of("mattes", "--report", "1.jsonl", "--report", "2.jsonl")
    assert [(entry["name"], entry["error"], entry["risk"]) for entry in page.facts] == [
        ("b", None, 0.5),
        ("a", None, 0.25),
    ]


def test_reports_lie_where_they_were_written() -> None:
    make_results("a")
    Path("run").mkdir()
    for name in ("photos", "trimaps", "mattes"):
        os.rename(name, f"run/{name}")
    write_report(
        "run/mattes/r.jsonl", row("a", risk=0.5, **{k: f"../{row('a')[k]}" for k in ("image", "trimap", "output")})
    )
    Path("run/mattes/prices.csv").write_text("article,price\nshoe,3\n")
    named = ("--photos", "run/photos", "--trimap", "run/trimaps")
    assert set(page_of("run/mattes", *named).facts[0]["small"]) == {"photo", "trimap", "cutout"}


@pytest.mark.parametrize("report", ["run/r.jsonl", "run/mattes/r.jsonl", "run/mattes/logs/r.jsonl"])
@pytest.mark.parametrize("where", ["above", "elsewhere", "in the results"])
def test_a_run_is_looked_at_from_anywhere(report: str, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    top = Path.cwd()
    for name in ("run/mattes/logs", "elsewhere"):
        Path(name).mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.chdir("run")
        make_results("a", "b/c")
        os.remove("mattes/b/c_alpha.png")
        os.rmdir("mattes/b")
        failed = row("b/c", status="failed", error="not enough memory")
        write_report(str(top / report), row("a", risk=0.5), failed)
    folder, told = "run/mattes", report
    if where == "elsewhere":
        monkeypatch.chdir("elsewhere")
        folder, told = str(top / folder), f"../{report}"
    elif where == "in the results":
        monkeypatch.chdir("run/mattes")
        folder, told = ".", str(top / report)
    page = page_of(folder, "--report", told)
    assert page.names == ["b/c", "a"]
    assert page.facts[0]["error"] == "not enough memory"
    assert [set(entry["small"]) for entry in page.facts] == [{"photo", "trimap"}, {"photo", "trimap", "cutout"}]


def test_rows_of_other_folders_are_left_out() -> None:
    make_results("a")
    outputs = ("elsewhere/z_alpha.png", "standard output", "mattes", "memory://mattes/z_alpha.png")
    write_report("r.jsonl", row("a", risk=0.5), *(row("z", output=output) for output in outputs))
    result = fakes.run("review", "mattes", "--report", "r.jsonl")
    assert "4 rows of reports are about results outside mattes" in result.stderr
    assert Page(Path("review.html").read_text()).names == ["a"]


def test_an_output_that_is_the_folder_itself_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    make_results("a")
    monkeypatch.chdir("mattes")
    inputs = {"image": "../photos/a.png", "trimap": "../trimaps/a.png"}
    write_report("r.jsonl", row("a", output="a_alpha.png", **inputs), row("b", output="."))
    assert page_of(".").names == ["a"]


def test_photographs_in_a_store_are_shown() -> None:
    make_results("a")
    save("white.png", np.full((*ALPHA.shape, 3), 255, np.uint8))
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/in/a.png", Path("white.png").read_bytes())
    memory.pipe_file("/in/a_trimap.png", Path("trimaps/a.png").read_bytes())
    write_report("r.jsonl", row("a", risk=0.5, image="memory://in/a.png", trimap="memory://in/a_trimap.png"))
    assert set(page_of("mattes", "--report", "r.jsonl").facts[0]["small"]) == {"cutout"}
    page = page_of("mattes", "--report", "r.jsonl", "--photos", "memory://in")
    memory.rm("/in", recursive=True)
    assert set(page.facts[0]["small"]) == {"photo", "trimap", "cutout"}
    assert page.levels("small-0-photo").min() > 250


def test_empty_lines_of_a_report_are_passed_by() -> None:
    make_results("a")
    write_report("r.jsonl", row("a", risk=0.5))
    Path("r.jsonl").write_text(f"\n{Path('r.jsonl').read_text()}\n \n")
    assert page_of("mattes", "--report", "r.jsonl").facts[0]["risk"] == 0.5


def test_a_folder_that_cannot_be_looked_into_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    make_results("a")

    def refuse(_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "iterdir", refuse)
    result = fakes.run("review", "mattes")
    assert (result.exit_code, result.stderr) == (
        2,
        "error: cannot list the folder mattes: Permission denied\n",
    )


def test_uncertainty_is_where_the_report_says() -> None:
    make_results("a")
    save("maps/a.png", np.full(ALPHA.shape, 65535 // 4, np.uint16))
    write_report("r.jsonl", row("a", risk=0.5, uncertainty_output="maps/a.png"))
    assert "uncertainty" in page_of("mattes", "--report", "r.jsonl").facts[0]["small"]


def test_a_photographs_own_alpha_is_its_trimap() -> None:
    make_results("a")
    save("photos/a.png", np.dstack([np.zeros((*ALPHA.shape, 3), np.uint8), fakes.cat_trimap()]))
    write_report("r.jsonl", row("a", trimap="alpha", risk=0.5))
    page = page_of("mattes", "--report", "r.jsonl")
    assert np.array_equal(page.levels("small-0-trimap")[..., 0], fakes.cat_trimap())
    assert np.array_equal(
        page_of("mattes", "--photos", "photos", "--trimap", "alpha").levels("small-0-trimap")[..., 0],
        fakes.cat_trimap(),
    )


def test_large_pictures_are_whole_for_the_first_only() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 900), np.uint8)
    for name, share in (("a", 0.9), ("b", 0.5)):
        save(f"mattes/{name}_alpha.png", pixels)
        save(f"photos/{name}.png", np.zeros((*pixels.shape, 3), np.uint8))
        write_report(f"mattes/{name}.jsonl", row(name, trimap="standard input", risk=share))
    page = page_of("mattes", "--full", "1", "--photos", "photos")
    assert page.names == ["a", "b"]
    assert page.pictures["small-0-cutout"].size == page.pictures["small-1-photo"].size == (640, 21)
    assert {name for name in page.pictures if "full" in name} == {"full-0-cutout", "full-0-photo"}
    assert np.array_equal(page.levels("full-0-cutout")[..., 3], pixels)
    assert not [name for name in page_of("mattes", "--full", "0").pictures if "full" in name]


def test_names_are_text_whatever_they_hold() -> None:
    make_results("a")
    plain = page_of("mattes", "--photos", "photos")
    folder = "@SCRIPT@<script>alert(3)<"
    make_results(*HOSTILE, folder=folder)
    rows = [{**row(name, risk=0.5, error="</script><b>"), "output": f"{folder}/{name}_alpha.png"} for name in HOSTILE]
    write_report("r.jsonl", *rows, row("gone", output=f"{folder}/gone.png", status="failed", error="</script><b>"))
    page = page_of(folder, "--report", "r.jsonl")
    assert page.title == f"{folder}: review"
    assert set(page.names) == {"gone", *HOSTILE[:2], HOSTILE[3], "line\\nbreak", "\\udcff\\udcfe"}
    assert page.facts[0]["error"] == "</script><b>"
    assert set(page.tags) == set(plain.tags)
    assert (page.code, page.style, page.policy) == (plain.code, plain.style, plain.policy)
    assert len([tag for tag in page.tags if tag == "script"]) == 2 + len(page.facts) + len(page.pictures)


def test_the_redo_list_spells_names_as_files_have_them() -> None:
    name = "Shot at 9.41\u202fAM\u00a0\U0001f469\u200d\U0001f9b0"
    make_results("a")
    rows = (row("a", image=f"photos/{text}.png", risk=0.5) for text in (name, "line\nbreak\x85", os.fsdecode(b"\xff")))
    spelled = []
    for one in rows:
        write_report("r.jsonl", one)
        spelled.append(page_of("mattes", "--report", "r.jsonl", code=1).facts[0]["spelled"])
    assert spelled == [f"photos/{name}.png", "photos/line\\nbreak\\x85.png", "photos/\\udcff.png"]


def test_the_page_lets_in_nothing_but_its_own() -> None:
    make_results("a")
    page = page_of("mattes")
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (page.style, page.code)]
    assert "default-src 'none'; img-src data: blob:;" in page.policy
    assert all(f"-src 'sha256-{digest}'" in page.policy for digest in hashes)
    assert "unsafe" not in page.policy
    assert not {"link", "iframe", "img"} & set(page.tags)
    assert "http:" not in page.code + page.style
    assert "https:" not in page.code + page.style


def test_missing_and_damaged_files_are_told_and_the_page_is_made() -> None:
    make_results("a", "b", "c", "d")
    Path("mattes/a_alpha.png").write_bytes(Path("mattes/a_alpha.png").read_bytes()[:60])
    os.remove("photos/b.png")
    save("trimaps/c.png", np.zeros((5, 5), np.uint8))
    os.remove("mattes/d_alpha.png")
    write_report("r.jsonl", *(row(name, risk=0.5) for name in "abcd"))
    page = page_of("mattes", "--report", "r.jsonl", code=1)
    of = {entry["name"]: entry for entry in page.facts}
    assert "damaged" in of["a"]["error"]
    assert of["a"]["score"] is None
    assert of["b"]["error"] is None
    assert "photos/b.png: No such file" in of["b"]["notes"][0]
    assert "the trimap is 5x5" in of["c"]["notes"][0]
    assert "d_alpha.png: No such file" in of["d"]["error"]
    told = fakes.run("review", "mattes", "--report", "r.jsonl", "--quiet").stderr.splitlines()
    assert [line.split(":")[0] for line in told] == ["error"] * 4


def test_how_a_trimap_was_read_is_noted_and_no_error() -> None:
    make_results("a")
    with Image.open("trimaps/a.png") as trimap:
        save("trimaps/a.png", np.asarray(trimap) // 127)
    write_report("r.jsonl", row("a", risk=0.5))
    (entry,) = page_of("mattes", "--report", "r.jsonl").facts
    told = "holds the levels 0, 1 and 2 of 255 alone, taken as black, grey and white"
    assert [note.endswith(f"trimaps/a.png {told}") for note in entry["notes"]] == [True]


def test_a_photograph_of_another_size_is_not_shown() -> None:
    make_results("a")
    save("photos/a.png", np.zeros((50, 50, 3), np.uint8))
    page = page_of("mattes", "--photos", "photos", code=1)
    assert "photos/a.png is 50x50, and the result is 32x24" in page.facts[0]["notes"][0]
    assert set(page.facts[0]["small"]) == {"cutout"}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("nowhere",), "nowhere does not exist"),
        (("empty",), "holds no results"),
        (("mattes", "--trimap", "trimaps"), "--photos"),
        (("mattes", "--photos", "nowhere"), "does not exist"),
        (("mattes", "--photos", "photos", "--trimap", "trimaps/a.png"), "must be a folder"),
        (("mattes", "--report", "r.txt"), "must end in"),
        (("mattes", "--report", "nothing.jsonl"), "cannot read the report"),
        (("mattes", "--report", "other.csv"), "line 2 of other.csv is not one"),
        (("mattes", "--report", "other.jsonl"), "line 1 of other.jsonl is not one"),
        (("mattes", "--report", "half.jsonl"), "line 1 of half.jsonl is not one"),
        (("mattes", "--full", "-1"), "--full must be 0 or more"),
        (("",), "a path is empty"),
        (("mattes", "--report", ""), "a path is empty"),
        (("mattes", "--photos", ""), "a path is empty"),
        (
            ("s3://bucket/mattes",),
            "the folder of results s3://bucket/mattes is a URL, and review reads local files only",
        ),
        (("mattes", "--report", "s3://bucket/r.jsonl"), "the report s3://bucket/r.jsonl is a URL"),
        (("mattes", "--photos", "memory://photos"), "memory://photos does not exist"),
        (("mattes", "--photos", "reference://photos"), "reference:// can run programs and is not supported"),
        (("mattes", "-o", "memory://page.html"), "the page memory://page.html is a URL"),
        (("mattes", "-o", "photos"), "existing folder"),
        (("mattes", "-o", "nowhere/page.html"), "create it first"),
        (("mattes", "-o", "mattes/a_alpha.png"), "is not a page of"),
    ],
)
def test_mistakes_are_one_line(arguments: tuple[str, ...], text: str) -> None:
    make_results("a")
    Path("empty").mkdir()
    Path("other.csv").write_text("image,price\nshoe,3\n")
    Path("other.jsonl").write_text('{"image": "a\\u0000", "trimap": "b", "output": "c", "status": "done"}\n[[[')
    Path("half.jsonl").write_text('{"image": "\\ud83d", "trimap": "b", "output": "\\ud83d", "status": "done"}')
    before = sorted(Path.cwd().rglob("*"))
    result = fakes.run("review", *arguments)
    assert result.exit_code == 2, result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert text in line
    assert sorted(Path.cwd().rglob("*")) == before


def test_our_own_page_is_replaced_unless_it_is_to_stay() -> None:
    make_results("a")
    page_of("mattes")
    old = Path("review.html").read_bytes()
    result = fakes.run("review", "mattes", "--no-overwrite")
    assert (result.exit_code, Path("review.html").read_bytes()) == (2, old)
    assert "and overwriting is off (--no-overwrite)" in result.stderr
    make_results("b")
    assert page_of("mattes").names == ["a", "b"]


def test_the_same_results_give_the_same_page_on_standard_output_too() -> None:
    make_results("a", "b")
    page_of("mattes", "--photos", "photos")
    result = fakes.run("review", "mattes", "--photos", "photos", "-o", "-", "--quiet")
    assert result.exit_code == 0
    assert result.stdout_bytes == Path("review.html").read_bytes()
    assert result.stderr == ""


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_it_leaves_nothing(error: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    make_results("a", "b")
    page_of("mattes")
    before = Path("review.html").read_bytes()
    real, calls = review.page.read_images, []

    def read_images(entry: review.Entry) -> object:
        calls.append(entry)
        if len(calls) == 2:
            raise error
        return real(entry)

    monkeypatch.setattr(review.page, "read_images", read_images)
    result = fakes.run("review", "mattes")
    assert (result.exit_code, len(calls)) == (130 if error is KeyboardInterrupt else 0, 2)
    assert Path("review.html").read_bytes() == before
    assert not [name for name in os.listdir() if name.endswith(".part")]


def test_marks_stay_with_what_they_were_given_to() -> None:
    make_results("a", "b")
    first = {entry["name"]: entry["key"] for entry in page_of("mattes").facts}
    save("mattes/b_alpha.png", 255 - ALPHA)
    second = {entry["name"]: entry["key"] for entry in page_of("mattes").facts}
    assert first["a"] == second["a"]
    assert first["b"] != second["b"]


def test_the_place_to_look_at_first_is_the_most_uncertain() -> None:
    alpha = np.zeros((100, 200), np.uint8)
    alpha[80:90, 20:40] = 128
    save("mattes/a_alpha.png", alpha)
    x, y = page_of("mattes").facts[0]["spot"]
    assert (20 <= x * 200 <= 40, 80 <= y * 100 <= 90) == (True, True)


PRIVATE = np.full((*ALPHA.shape, 3), 9, np.uint8)


def _hostile_rows(text: str) -> None:
    """Write a report, where somebody else's results lie, whose row names a picture for everything."""
    make_results("a")
    write_report("mattes/r.jsonl", row("a", image=text, trimap=text, uncertainty_output=text, risk=0.5))


@pytest.mark.parametrize(
    "text",
    ["{here}/secret/x.png", "secret/x.png", "mattes/../secret/x.png", "file://{here}/secret/x.png", "mattes/l.png"],
)
def test_a_report_among_results_shows_no_picture_of_elsewhere(text: str, folder: Path) -> None:
    save("secret/x.png", PRIVATE)
    save("photos/x.png", PRIVATE)
    _hostile_rows(text.format(here=folder))
    Path("mattes/l.png").symlink_to(folder / "secret/x.png")
    result = fakes.run("review", "mattes")
    assert result.exit_code == 0
    assert "3 pictures that reports name are not read" in result.stderr
    assert "--photos" in result.stderr
    page = Page(Path("review.html").read_text())
    assert set(page.facts[0]["small"]) == {"cutout"}
    assert page.facts[0]["risk"] == 0.5
    for named in (("--photos", "secret"), ("--report", "mattes/r.jsonl")):
        assert "photo" in page_of("mattes", *named).facts[0]["small"]
    # Those that are found by name take their place.
    page = page_of("mattes", "--photos", "photos", "--trimap", "trimaps")
    assert page.levels("small-0-photo").std() > 20
    assert set(page.facts[0]["small"]) == {"photo", "trimap", "cutout"}


def test_a_report_among_results_shows_the_pictures_beside_it() -> None:
    make_results("a")
    os.rename("photos", "mattes/photos")
    os.rename("trimaps", "mattes/trimaps")
    inputs = {"image": "mattes/photos/a.png", "trimap": "mattes/trimaps/a.png"}
    write_report("mattes/r.jsonl", row("a", risk=0.5, **inputs))
    assert set(page_of("mattes").facts[0]["small"]) == {"photo", "trimap", "cutout"}


@pytest.mark.parametrize("named", [(), ("--report", "mattes/r.jsonl"), ("--photos", "photos")])
@pytest.mark.parametrize(
    "url", ["https://host/a.png", "s3://b/a.png", "reference://a.png", "reference://a.png::data:,", "memory://in/a.png"]
)
def test_no_report_has_anything_fetched(url: str, named: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(*_: object, **__: object) -> None:
        raise AssertionError("a store is asked")

    for name in ("fsspec.get_filesystem_class", "fsspec.core.url_to_fs"):
        monkeypatch.setattr(name, ask)
    _hostile_rows(url)
    page = page_of("mattes", *named)
    assert ("photo" in page.facts[0]["small"]) == ("--photos" in named)
    assert not page.facts[0]["notes"]


@pytest.mark.parametrize("device", ["/dev/zero", "pipe"])
def test_what_is_no_file_is_told_and_the_rest_goes_on(device: str) -> None:
    make_results("a")
    os.mkfifo("pipe")
    write_report("r.jsonl", row("a", image=device, risk=0.5))
    page = page_of("mattes", "--report", "r.jsonl", code=1)
    assert page.facts[0]["notes"] == [f"cannot read {device}: it is not a file"]
    assert set(page.facts[0]["small"]) == {"trimap", "cutout"}


def test_no_line_of_the_list_is_an_option() -> None:
    names = ["--report=accounts.csv", "-o", "-", "plain"]
    make_results(*names)
    write_report("r.jsonl", *(row(name, image=name, risk=0.5) for name in names))
    page = page_of("mattes", "--report", "r.jsonl", "--photos", "photos")
    assert sorted(entry["spelled"] for entry in page.facts) == ["./-", "./--report=accounts.csv", "./-o", "plain"]


def test_names_are_shown_without_what_would_turn_or_hide_them() -> None:
    name = "a\u202egnp\x1b[2J"
    make_results(name)
    write_report("r.jsonl", row(name, image="https://me:secret@host/?token=secret", risk=0.5))
    result = fakes.run("review", "mattes", "--report", "r.jsonl")
    text = Path("review.html").read_text()
    assert "secret" not in text + result.stderr
    assert Page(text).names == ["a\\u202egnp\\x1b[2J"]


def test_a_linked_result_is_shown() -> None:
    make_results("a")
    save("elsewhere/x.png", ALPHA)
    Path("mattes/b_alpha.png").symlink_to(Path("elsewhere/x.png").absolute())
    assert sorted(page_of("mattes").names) == ["a", "b"]
