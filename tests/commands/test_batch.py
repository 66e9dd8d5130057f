"""``diffmatte matte`` on many photographs: results, receipts, reports, failures and exit codes."""

import csv
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support import fakes
from typer.testing import Result

from diffmatte_cli.errors import FullError, OutputError, ResourceError, WeightsError
from diffmatte_cli.imaging.encoding import Result as Written
from diffmatte_cli.imaging.receipts import Receipt, read_receipt
from diffmatte_cli.imaging.write import write_images
from diffmatte_cli.planning.rows import COLUMNS
from diffmatte_cli.settings import Sampling

NAMES = ("a", "b", "c", "d", "e")


@pytest.fixture(autouse=True)
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, matter: fakes.FakeMatter) -> None:
    """Work beside a folder of photographs and a folder of their trimaps."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DIFFMATTE_MODEL", raising=False)
    fakes.make_photos(NAMES)


def _matte(*arguments: str, code: int = 0) -> Result:
    result = fakes.run("matte", "photos", "--trimap", "trimaps", "-o", "out", *arguments)
    assert result.exit_code == code, result.stderr
    assert result.stdout == ""
    return result


def _found() -> list[str]:
    return sorted(path.relative_to("out").as_posix() for path in Path("out").rglob("*") if path.is_file())


def _rows(path: str) -> dict[str, dict[str, Any]]:
    """Read a report; what is skipped or fails early may end before what came before it."""
    rows = [json.loads(line) for line in Path(path).read_text().splitlines()]
    return {row["image"]: row for row in rows}


def _statuses(path: str) -> dict[str, str]:
    return {Path(image).stem: row["status"] for image, row in _rows(path).items()}


def test_a_folder_with_a_line_for_each_and_one_for_all() -> None:
    lines = _matte().stderr.splitlines()
    assert _found() == [f"{name}_alpha.png" for name in NAMES]
    assert lines[0] == "device: cpu"
    for number, name in enumerate(NAMES, 1):
        assert lines[number].startswith(f"{number}/5 photos/{name}.png: 32x24, 33.3% unknown, tiny on cpu, 10 steps")
        assert lines[number].endswith(f"out/{name}_alpha.png")
    assert lines[6].startswith("5 done in ")
    assert lines[6].endswith(" a minute")
    assert len(lines) == 7


def test_the_same_bytes_alone_and_in_a_batch() -> None:
    _matte("--seed", "3")
    fakes.run("matte", "photos/c.png", "--trimap", "trimaps/c.png", "--seed", "3", "-o", "alone.png")
    assert Path("alone.png").read_bytes() == Path("out/c_alpha.png").read_bytes()


def test_cutouts_alphas_and_steps_of_a_tree() -> None:
    Path("photos/deep").mkdir()
    for name in ("photos", "trimaps"):
        Path(name, "deep").mkdir(exist_ok=True)
        Path(name, "b.png").rename(Path(name, "deep", "b.png"))
    _matte("--recursive", "--cutout", "--with-alpha", "--dump-steps", "steps", "--steps", "2")
    expected = [f"{name}_{kind}.png" for name in ("a", "c", "d", "e", "deep/b") for kind in ("alpha", "cutout")]
    assert _found() == sorted(expected)
    assert sorted(p.as_posix() for p in Path("steps").rglob("step_02.png"))[-1] == "steps/e/step_02.png"
    assert Path("steps/deep/b/trajectory.png").is_file()


def test_several_files_and_a_manifest() -> None:
    result = fakes.run("matte", "photos/a.png", "photos/c.png", "--trimap", "trimaps/{stem}.png", "-o", "out")
    assert result.exit_code == 0, result.stderr
    assert _found() == ["a_alpha.png", "c_alpha.png"]
    Path("m.csv").write_text("image,trimap,output,seed,steps\nphotos/a.png,trimaps/a.png,x/one.png,5,2\n")
    assert fakes.run("matte", "--manifest", "m.csv", "-o", "out").exit_code == 0
    receipt = read_receipt(Path("out/x/one.png"))
    assert receipt is not None
    assert receipt.sampling == Sampling(steps=2, seed=5)


def test_own_alpha_channel_as_trimap() -> None:
    rgba = np.dstack([np.full((24, 32, 3), 99, np.uint8), fakes.cat_trimap()])
    Image.fromarray(rgba).save("cut.png")
    result = fakes.run("matte", "cut.png", "photos/a.png", "--trimap", "alpha", "-o", "out", "--report", "r.jsonl")
    assert result.exit_code == 1
    assert "photos/a.png has no alpha channel to use as its trimap" in result.stderr
    assert _statuses("r.jsonl") == {"cut": "done", "a": "failed"}
    done = _rows("r.jsonl")["cut.png"]
    assert done["trimap"] == done["receipt"]["trimap"] == "alpha"


def test_a_bad_file_is_reported_and_the_rest_goes_on() -> None:
    Path("photos/b.png").write_bytes(b"no picture")
    Path("trimaps/d.png").write_bytes(Path("trimaps/d.png").read_bytes()[:60])
    result = _matte("--report", "r.csv", code=1)
    assert _found() == ["a_alpha.png", "c_alpha.png", "e_alpha.png"]
    errors = sorted(line for line in result.stderr.splitlines() if line.startswith("error: "))
    assert len(errors) == 2
    assert errors[0].startswith("error: cannot read photos/b.png: ")
    assert errors[1].startswith("error: photos/d.png: cannot read trimaps/d.png: ")
    assert result.stderr.splitlines()[-1].startswith("3 done, 2 failed in ")
    with Path("r.csv").open(newline="") as file:
        rows = {row["image"]: row for row in csv.DictReader(file)}
    assert [rows[f"photos/{name}.png"]["status"] for name in NAMES] == ["done", "failed", "done", "failed", "done"]
    assert "cannot read" in rows["photos/b.png"]["error"]


def test_fail_fast_stops_at_the_first_failure_and_says_what_is_left() -> None:
    Path("photos/b.png").write_bytes(b"no picture")
    lines = _matte("--fail-fast", code=1).stderr.splitlines()
    assert "error: " in "".join(lines)
    assert "not processed: photos/e.png" in lines
    assert "1 failed" in lines[-1]
    assert " not processed (resume with --skip-existing)" in lines[-1]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ResourceError("16x12 would fit"), "16x12 would fit"),
        (MemoryError(), "not enough memory"),
        (ValueError("odd"), "unexpected ValueError: odd"),
    ],
)
def test_what_one_photograph_fails_with_does_not_stop_the_others(
    error: Exception, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _failing_at(1, error, monkeypatch)
    assert words in _matte(code=1).stderr
    assert len(_found()) == 4


@pytest.mark.parametrize("error", [WeightsError("the weights are damaged"), FullError("no space left on device")])
def test_what_all_would_fail_with_stops_the_run(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    _failing_at(1, error, monkeypatch)
    lines = _matte(code=1).stderr.splitlines()
    assert lines[-1] == f"error: {error}"
    assert any(line.startswith("not processed: photos/") for line in lines)


def _failing_at(number: int, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fakes.FakeMatter.steps

    def steps(self: fakes.FakeMatter, encoding: Any, **settings: Any) -> Any:
        if encoding[0] == number:
            raise error
        return whole(self, encoding, **settings)

    monkeypatch.setattr(fakes.FakeMatter, "steps", steps)


def test_reports_have_a_row_for_each_job_with_all_there_is_to_know() -> None:
    _matte("--report", "r.jsonl", "--seed", "4")
    rows = _rows("r.jsonl")
    assert sorted(rows) == [f"photos/{name}.png" for name in NAMES]
    row = rows["photos/a.png"]
    assert tuple(row) == COLUMNS
    assert (row["status"], row["error"], row["width"], row["height"]) == ("done", None, 32, 24)
    assert row["unknown"] == pytest.approx(1 / 3, abs=1e-5)
    assert row["seconds"] > 0
    assert row["peak_memory"] is None or row["peak_memory"] > 10**6
    assert Receipt.of(row["receipt"]) == read_receipt(Path("out/a_alpha.png"))


def test_a_report_makes_its_place_among_the_results() -> None:
    result = fakes.run("matte", "photos", "--trimap", "trimaps", "-o", "fresh", "--report", "fresh/r.jsonl")
    assert result.exit_code == 0, result.stderr
    assert Path("fresh/r.jsonl").is_file()


def test_a_report_needs_a_known_ending() -> None:
    result = _matte("--report", "r.txt", code=2)
    assert result.stderr == "error: the report r.txt must end in .jsonl or .csv\n"
    assert not Path("out").exists()


def test_skipping_trusts_receipts_alone(matter: fakes.FakeMatter) -> None:
    _matte()
    before = {name: Path("out", name).stat().st_mtime_ns for name in _found()}
    Image.fromarray(np.full((24, 32, 3), 7, np.uint8)).save("photos/a.png")  # the photograph changed
    Image.fromarray(255 - fakes.cat_trimap()).save("trimaps/b.png")  # the trimap changed
    Path("out/c_alpha.png").write_bytes(Path("out/c_alpha.png").read_bytes()[:-30])  # the result was cut short
    Image.fromarray(fakes.cat_trimap()).save("out/d_alpha.png")  # somebody else's file
    result = _matte("--skip-existing", "--report", "r.jsonl")
    assert _statuses("r.jsonl") == dict.fromkeys("abcd", "done") | {"e": "skipped"}
    assert " photos/e.png: skipped, already done: out/e_alpha.png" in result.stderr
    assert Path("out/e_alpha.png").stat().st_mtime_ns == before["e_alpha.png"]
    assert "0 done, 5 skipped in " in _matte("--skip-existing").stderr


@pytest.mark.parametrize(
    "change",
    [
        ["--seed", "1"],
        ["--steps", "3"],
        ["--sampler", "ddpm"],
        ["--schedule", "cosine"],
        ["--input-scale", "0.5"],
        ["--raw"],
        ["--bit-depth", "16"],
        ["--model", "other"],
    ],
)
def test_other_settings_are_made_again(change: list[str]) -> None:
    _matte()
    assert "5 done in " in _matte("--skip-existing", *change).stderr
    assert "0 done, 5 skipped" in _matte("--skip-existing", *change).stderr


@pytest.mark.parametrize("form", ["png", "tiff", "webp"])
def test_every_format_carries_its_receipt(form: str) -> None:
    for _ in range(2):
        result = _matte("--format", form, "--cutout", "--with-alpha", "--skip-existing")
    assert "0 done, 5 skipped" in result.stderr
    Path("out/b_alpha.png").unlink()
    assert "1 done, 4 skipped" in _matte("--format", form, "--cutout", "--with-alpha", "--skip-existing").stderr


def test_another_version_of_the_program_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    _matte()
    monkeypatch.setattr("diffmatte_cli.batch.stages.__version__", "9.9")
    assert "5 done" in _matte("--skip-existing").stderr


def test_skipping_and_keeping_contradict_each_other() -> None:
    assert "omit one" in _matte("--skip-existing", "--no-overwrite", code=2).stderr


def test_shares_together_do_everything() -> None:
    for part in ("1/3", "2/3", "3/3"):
        _matte("--shard", part)
    assert _found() == [f"{name}_alpha.png" for name in NAMES]
    for wrong in ("0/3", "4/3", "1", "a/b", "1/0", "-1/2"):
        assert "--shard must be I/N" in _matte("--shard", wrong, code=2).stderr


def test_a_dry_run_prints_the_plan_and_does_nothing() -> None:
    result = fakes.run("matte", "photos", "--trimap", "trimaps", "-o", "out", "--dry-run", "--cutout", "--with-alpha")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"photos/{name}.png with trimaps/{name}.png -> out/{name}_cutout.png, out/{name}_alpha.png" for name in NAMES
    ]
    assert not Path("out").exists()


def test_conflicts_are_listed_and_nothing_is_written() -> None:
    Path("trimaps/a.png").unlink()
    Path("trimaps/b_trimap.png").touch()
    result = _matte(code=2)
    assert [line.split()[0] for line in result.stderr.splitlines()] == ["error:", "error:"]
    assert not Path("out").exists()


def test_warnings_name_their_photograph() -> None:
    Image.fromarray(255 - fakes.cat_trimap()).save("trimaps/b.png")
    assert "warning: photos/b.png: the trimap looks inverted" in _matte().stderr


def test_quiet_batches_speak_of_failures_alone() -> None:
    assert _matte("--quiet").stderr == ""
    Path("photos/b.png").write_bytes(b"no picture")
    lines = _matte("--quiet", code=1).stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("error: cannot read photos/b.png")
    assert lines[1].startswith("4 done, 1 failed in ")


def test_two_devices_share_the_work(matter: fakes.FakeMatter) -> None:
    matter.pause = 0.02
    result = _matte("--device", "cuda:0,cuda:1")
    assert _found() == [f"{name}_alpha.png" for name in NAMES]
    assert {"cuda:0", "cuda:1"} == {word.strip(",") for word in result.stderr.split() if word.startswith("cuda:")}


@pytest.mark.parametrize("devices", ["cpu,cpu", "auto,cpu", "cpu,tpu", "cuda:7", ""])
def test_devices_that_cannot_be(devices: str) -> None:
    assert "error: " in _matte("--device", devices, code=2).stderr


def test_a_single_photograph_into_a_folder_is_a_batch_of_one() -> None:
    result = fakes.run("matte", "photos/a.png", "--trimap", "trimaps/a.png", "-o", "out/")
    assert result.exit_code == 0
    assert _found() == ["a_alpha.png"]
    assert result.stderr.splitlines()[-1].startswith("1 done in ")


def test_names_of_every_kind() -> None:
    names = [
        "with space",
        "line\nbreak",
        "-dash",
        "ümlaut 😀",
        "[bold]",
        "a.b.c",
        os.fsdecode(b"\xff\xfe"),
        "alpha",
        "{stem}",
    ]
    fakes.make_photos(names)
    result = _matte("--report", "r.jsonl", "--dump-steps", "steps", "--steps", "1")
    assert len(_found()) == len(names) + len(NAMES)
    assert set(_rows("r.jsonl")) == {f"photos/{name}.png" for name in [*names, *NAMES]}
    assert all(Path("out", f"{name}_alpha.png").is_file() for name in names)
    assert len(result.stderr.splitlines()) == len(names) + len(NAMES) + 2


def _meanwhile(action: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let somebody else do something between the plan and the writing."""
    whole = fakes.FakeMatter.steps

    def steps(self: fakes.FakeMatter, encoding: Any, **settings: Any) -> Any:
        action()
        return whole(self, encoding, **settings)

    monkeypatch.setattr(fakes.FakeMatter, "steps", steps)


@pytest.mark.parametrize(
    ("link", "words"),
    [("out/a_alpha.png", "a symlink leads out of out"), ("steps/a", "it contains other files by now")],
)
def test_links_that_come_after_the_plan_are_not_followed_out(
    link: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("out", "steps", "precious"):
        Path(folder).mkdir()
    Path("precious/file").write_text("kept")
    target = Path("precious") if link.startswith("steps") else Path("precious/file")

    def connect() -> None:
        if not Path(link).is_symlink():
            Path(link).symlink_to(target.absolute())

    _meanwhile(connect, monkeypatch)
    result = fakes.run("matte", "photos/a.png", "--trimap", "trimaps", "-o", "out/", "--dump-steps", "steps")
    assert result.exit_code == 1
    assert words in result.stderr
    assert os.listdir("precious") == ["file"]
    assert Path("precious/file").read_text() == "kept"


def test_files_that_come_after_the_plan_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def come() -> None:
        for path in ("out/a_alpha.png", "steps/b/notes.txt"):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text("mine")

    _meanwhile(come, monkeypatch)
    result = _matte("--no-overwrite", "--dump-steps", "steps", code=1)
    assert "out/a_alpha.png: it exists by now, and overwriting is off" in result.stderr
    assert "it contains other files by now (notes.txt)" in result.stderr
    assert Path("out/a_alpha.png").read_text() == Path("steps/b/notes.txt").read_text() == "mine"


def test_steps_are_made_again_unless_they_are_all_there() -> None:
    arguments = ("--dump-steps", "steps", "--skip-existing")
    _matte(*arguments, "--steps", "3")
    _matte("--steps", "1")
    assert "5 done" in _matte(*arguments, "--steps", "1").stderr
    assert "0 done, 5 skipped" in _matte(*arguments, "--steps", "1").stderr
    Path("steps/b/step_01.png").unlink()
    assert "1 done, 4 skipped" in _matte(*arguments, "--steps", "1").stderr


@pytest.mark.parametrize("step", ["step_02.png", "trajectory.png"])
@pytest.mark.parametrize("damage", ["cut short", "swapped", "other pixels", "a folder"])
def test_steps_that_are_not_as_they_were_are_made_again(step: str, damage: str) -> None:
    arguments = ("--dump-steps", "steps", "--skip-existing", "--steps", "2")
    _matte(*arguments)
    path = Path("steps/b", step)
    before = path.read_bytes()
    if damage == "cut short":
        path.write_bytes(before[:-12])
    elif damage == "swapped":
        path.write_bytes(Path("steps/b/step_01.png").read_bytes())
    elif damage == "other pixels":
        Image.fromarray(fakes.cat_trimap()).save(path)
    else:
        path.unlink()
        path.mkdir()
        assert "which contains other files" in _matte(*arguments, code=2).stderr
        return
    assert "1 done, 4 skipped" in _matte(*arguments).stderr
    assert path.read_bytes() == before
    assert "0 done, 5 skipped" in _matte(*arguments).stderr


def test_steps_whose_digests_are_unknown_are_made_again() -> None:
    # As versions before wrote them: the results alone still count.
    arguments = ("--dump-steps", "steps", "--skip-existing", "--steps", "2")
    _matte(*arguments)
    sheet = Path("steps/b/trajectory.png")
    receipt = read_receipt(sheet)
    write_images([Written(sheet, np.asarray(Image.open(sheet)), receipt=receipt)])
    assert read_receipt(sheet) == receipt
    assert "0 done, 5 skipped" in _matte("--skip-existing", "--steps", "2").stderr
    assert "1 done, 4 skipped" in _matte(*arguments).stderr


@pytest.mark.parametrize("settings", [["--until-stable", "1"], ["--steps", "12"]])
def test_steps_are_kept_however_many_there_are(settings: list[str]) -> None:
    Image.fromarray(np.zeros((fakes.HEIGHT, fakes.WIDTH), np.uint8)).save("trimaps/b.png")  # none at all
    for line in ("5 done", "0 done, 5 skipped"):
        assert line in _matte("--dump-steps", "steps", "--skip-existing", *settings).stderr
    assert sorted(os.listdir("steps/b")) == ["trajectory.png"]


def test_an_uncertainty_without_its_risk_is_made_again() -> None:
    arguments = ("--uncertainty", "2", "--skip-existing", "--report", "r.jsonl")
    _matte(*arguments)
    path, before = Path("out/b_uncertainty.png"), _rows("r.jsonl")["photos/b.png"]["risk"]
    write_images([Written(path, np.asarray(Image.open(path)), receipt=read_receipt(path))])
    assert "1 done, 4 skipped" in _matte(*arguments).stderr
    assert _rows("r.jsonl")["photos/b.png"]["risk"] == before


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_a_report_replaces_nothing_but_a_report(suffix: str) -> None:
    report = Path(f"r{suffix}")
    strange = ("mine\n", "image,trimap,output\n", '{"image": 1}\n', "[1]\n", "\n", "\0", "[" * 9999, "1", "x" * 2**21)
    for content in strange:
        report.write_text(content)
        words = f"r{suffix} already exists and is not a report of `diffmatte matte`: name another (--report)"
        for arguments in ((), ("--dry-run",)):
            assert words in _matte("--report", str(report), *arguments, code=2).stderr
        assert report.read_text() == content
    report.write_text("")  # of a run that was killed at once
    report.chmod(0o600)
    for _ in range(2):
        _matte("--report", str(report))
    assert len(report.read_text().splitlines()) == len(NAMES) + (suffix == ".csv")
    assert report.stat().st_mode & 0o777 == 0o600
    before = report.read_bytes()
    line = fakes.run("matte", "photos", "--trimap", "trimaps", "-o", "new", "--report", str(report), "--no-overwrite")
    assert f"the report r{suffix} already exists, and overwriting is off (--no-overwrite)" in line.stderr
    assert (line.exit_code, report.read_bytes()) == (2, before)
    for name in (f"new{suffix}", f"new/r{suffix}"):
        done = fakes.run("matte", "photos", "--trimap", "trimaps", "-o", "new", "--report", name, "--no-overwrite")
        assert done.exit_code == (0 if "/" not in name else 2)  # the second time its results are there


def test_a_report_does_not_replace_what_came_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    from diffmatte_cli.batch.report import Report

    Path("r.jsonl").write_text("mine")
    with pytest.raises(OutputError, match="is not a report"):
        Report(Path("r.jsonl"))
    Path("precious").write_text("mine")
    Path("dir").mkdir()
    Path("dir/s.jsonl").symlink_to("../precious")
    with pytest.raises(OutputError, match="is not a report"):
        Report(Path("dir/s.jsonl"))
    Path("precious").write_text("")
    with pytest.raises(OutputError, match="a symlink leads out of dir"):
        Report(Path("dir/s.jsonl"))
    assert (Path("r.jsonl").read_text(), Path("precious").read_text()) == ("mine", "")


def test_a_link_that_comes_after_the_plan_is_not_written_through(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("precious.png").write_text("mine")
    Path("out").mkdir()
    Path("out/b.png").write_text("of somebody")
    Path("linked.png").symlink_to("out/c.png")  # before the plan: meant

    def connect() -> None:
        for link, target in (("lone.png", "precious.png"), ("out/a_alpha.png", "b.png")):
            if not Path(link).is_symlink():
                Path(link).symlink_to(target)

    _meanwhile(connect, monkeypatch)
    for output, code in (("lone.png", 1), ("out/", 1), ("linked.png", 0)):
        for link in ("lone.png", "out/a_alpha.png"):
            Path(link).unlink(missing_ok=True)
        result = fakes.run("matte", "photos/a.png", "--trimap", "trimaps", "-o", output)
        assert result.exit_code == code, result.stderr
        assert ("it is a symlink by now" in result.stderr) == bool(code)
    assert (Path("precious.png").read_text(), Path("out/b.png").read_text()) == ("mine", "of somebody")
    assert Path("linked.png").is_symlink()
    assert read_receipt(Path("out/c.png")) is not None


def test_results_for_their_owner_alone_stay_so() -> None:
    _matte("--dump-steps", "steps", "--steps", "1")
    private = [Path("out/a_alpha.png"), Path("steps/a/step_01.png")]
    for path in private:
        path.chmod(0o600)
    _matte("--dump-steps", "steps", "--steps", "1", "--seed", "1")
    assert [path.stat().st_mode & 0o777 for path in private] == [0o600, 0o600]
    assert Path("out/b_alpha.png").stat().st_mode & 0o777 == Path("photos/b.png").stat().st_mode & 0o777


def test_fail_fast_begins_no_other_job() -> None:
    for name in NAMES:
        Path(f"photos/{name}.png").write_bytes(b"no picture")
    lines = _matte("--fail-fast", code=1).stderr.splitlines()
    assert sum(line.startswith("error: ") for line in lines) == 1
    assert "0 done, 1 failed, 4 not processed" in lines[-1]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_report_that_fails_ends_the_run_and_says_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def full(path: Path, *rest: Any, **more: Any) -> Any:
        is_report = path.suffix == ".part" and rest[:1] == ("w",)
        file = opened(path, *rest, **more)
        if not is_report:
            return file
        file.close()
        return opened(Path("/dev/full"), *rest, **more)

    monkeypatch.setattr(Path, "open", full)
    lines = _matte("--report", "r.jsonl", code=1).stderr.splitlines()
    assert lines[-1] == "error: cannot write the report r.jsonl: No space left on device"
    assert not Path("r.jsonl").read_text()
    assert any(line.startswith("not processed: photos/") for line in lines)
