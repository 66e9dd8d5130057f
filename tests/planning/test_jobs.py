"""Planning: names, pairs, and every conflict that shows before a picture is opened."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import fakes
from support.processes import finish

from diffmatte_cli.errors import OutputError, UsageError
from diffmatte_cli.evaluation.pairs import Pair, pair
from diffmatte_cli.imaging.formats import WRITERS, writer_for
from diffmatte_cli.planning.jobs import Job
from diffmatte_cli.planning.jobs import plan as plan_all
from diffmatte_cli.planning.requests import Request
from diffmatte_cli.planning.sequences import remarked


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder that holds a photograph and a trimap; nothing in them needs to be a picture."""
    monkeypatch.chdir(tmp_path)
    for name in ("cat.jpg", "cat_trimap.png"):
        Path(name).write_bytes(b"never opened")
    return tmp_path


CAT, TRIMAP = Path("cat.jpg"), Path("cat_trimap.png")


def plan(image: Path, trimap: Path | None, output: Path | None = None, **rest: Any) -> Job:
    """Plan a single photograph."""
    given = {"trimap": trimap, "output": output}
    texts = {name: str(path) for name, path in given.items() if path is not None}
    (job,) = plan_all(Request((str(image),), **texts, **rest))
    return job


def test_default_names() -> None:
    assert plan(CAT, TRIMAP) == Job(CAT, TRIMAP, Path("cat_alpha.png"), Path("cat"))
    assert plan(CAT, TRIMAP, cutout=True) == Job(CAT, TRIMAP, Path("cat_cutout.png"), Path("cat"))
    both = plan(CAT, TRIMAP, cutout=True, with_alpha=True, dump_steps=Path("steps"))
    assert both == Job(
        CAT,
        TRIMAP,
        Path("cat_cutout.png"),
        Path("cat"),
        alpha_output=Path("cat_alpha.png"),
        dump_dir=Path("steps/cat"),
        dump_top=Path("steps"),
    )


def test_results_go_to_the_current_folder_wherever_the_photograph_is() -> None:
    Path("deep/er").mkdir(parents=True)
    CAT.rename("deep/er/cat.jpg")
    assert plan(Path("deep/er/cat.jpg"), TRIMAP).output == Path("cat_alpha.png")


@pytest.mark.parametrize(
    ("output", "beside"),
    [
        ("x_cutout.png", "x_alpha.png"),
        ("x.webp", "x_alpha.png"),
        ("a/b_cutout.tiff", "a/b_alpha.png"),
        ("_cutout.png", "_alpha.png"),
    ],
)
def test_the_alpha_lies_beside_the_cutout(output: str, beside: str) -> None:
    Path("a").mkdir()
    job = plan(CAT, TRIMAP, Path(output), cutout=True, with_alpha=True, uncertainty=2)
    assert job.alpha_output == Path(beside)
    assert job.uncertainty_output == Path(beside.replace("_alpha", "_uncertainty"))


@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_names_never_collide_whatever_the_stem(stem: str) -> None:
    cutout, alpha, uncertainty = (
        remarked(f"{stem}_cutout", mark, ("alpha", "cutout")) for mark in ("cutout", "alpha", "uncertainty")
    )
    assert alpha == f"{stem}_alpha"
    assert len({cutout, alpha, uncertainty}) == 3


def test_no_trimap_says_what_one_is_and_how_to_get_it() -> None:
    with pytest.raises(UsageError) as caught:
        plan(CAT, None)
    for word in ("no trimap given", "black", "white", "grey", "paint", "mask", "diffmatte trimap"):
        assert word in str(caught.value)


def test_missing_inputs_and_folders_instead_of_pictures() -> None:
    with pytest.raises(UsageError, match=r"the photograph dog\.jpg does not exist"):
        plan(Path("dog.jpg"), TRIMAP)
    with pytest.raises(UsageError, match=r"the trimap dog\.png does not exist"):
        plan(CAT, Path("dog.png"))
    with pytest.raises(UsageError, match="need a folder for their results"):
        plan(Path(), TRIMAP)
    os.mkfifo("pipe.jpg")
    with pytest.raises(UsageError, match="is not a file"):
        plan(Path("pipe.jpg"), TRIMAP)
    _link("astray.jpg", "nowhere.jpg")
    with pytest.raises(UsageError, match="is a broken symlink"):
        plan(Path("astray.jpg"), TRIMAP)


def _link(name: str, target: str, *, hard: bool = False) -> Path:
    path = Path(name)
    path.hardlink_to(target) if hard else path.symlink_to(target)
    return path


@pytest.mark.parametrize("spelling", ["cat.jpg", "./cat.jpg", "sub/../cat.jpg", "link.jpg", "hard.jpg"])
def test_a_photograph_is_never_its_own_trimap(spelling: str) -> None:
    Path("sub").mkdir()
    _link("link.jpg", "cat.jpg")
    _link("hard.jpg", "cat.jpg", hard=True)
    with pytest.raises(UsageError, match="as both the photograph and its trimap"):
        plan(CAT, Path(spelling))


@pytest.mark.parametrize("spelling", ["trimap.png", "./trimap.png", "sub/../trimap.png", "sub/link.png", "hard.png"])
def test_no_result_replaces_an_input(spelling: str, folder: Path) -> None:
    TRIMAP.rename("trimap.png")
    Path("sub").mkdir()
    _link("sub/link.png", "../trimap.png")
    _link("hard.png", "trimap.png", hard=True)
    for output in (Path(spelling), folder / spelling):
        with pytest.raises(UsageError, match="would replace the input"):
            plan(CAT, Path("trimap.png"), output)


def test_default_names_are_checked_too() -> None:
    TRIMAP.rename("cat_alpha.png")
    with pytest.raises(UsageError, match=r"would replace the input cat_alpha\.png"):
        plan(CAT, Path("cat_alpha.png"))
    with pytest.raises(UsageError, match="would replace the input"):
        plan(CAT, Path("cat_alpha.png"), cutout=True, with_alpha=True)
    assert plan(CAT, Path("cat_alpha.png"), cutout=True).output == Path("cat_cutout.png")


def test_target_folders() -> None:
    Path("out.png/cat_alpha.png").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"folder of the result none/x\.png does not exist"):
        plan(CAT, TRIMAP, Path("none/x.png"))
    with pytest.raises(UsageError, match="is an existing folder"):
        plan(CAT, TRIMAP, Path("out.png"))
    with pytest.raises(UsageError, match="does not exist"):
        plan(CAT, TRIMAP, Path("cat.jpg/x.png"))


def test_a_read_only_folder_is_told_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="read-only"):
        plan(CAT, TRIMAP)


def test_existing_results_are_replaced_unless_asked_not_to() -> None:
    Path("cat_alpha.png").touch()
    Path("x_alpha.png").touch()
    plan(CAT, TRIMAP)
    with pytest.raises(UsageError, match=r"cat_alpha\.png already exists"):
        plan(CAT, TRIMAP, overwrite=False)
    with pytest.raises(UsageError, match=r"x_alpha\.png already exists"):
        plan(CAT, TRIMAP, Path("x_cutout.png"), cutout=True, with_alpha=True, overwrite=False)


@pytest.mark.parametrize("output", ["x", "x.jp2", "x.gif", "./-", "x.png.txt", ".png"])
def test_unknown_endings(output: str) -> None:
    with pytest.raises(UsageError, match=r"must end in one of \.png"):
        plan_all(Request((str(CAT),), str(TRIMAP), output))


@pytest.mark.parametrize("name", fakes.FORMATS)
def test_every_ending_finds_its_format(name: str) -> None:
    for suffix in WRITERS[name].suffixes:
        assert writer_for(Path(f"x{suffix}")) is WRITERS[name]
        assert writer_for(Path(f"x{suffix.upper()}")) is WRITERS[name]


def test_depth_conflicts() -> None:
    with pytest.raises(UsageError, match="holds no 16-bit"):
        plan(CAT, TRIMAP, Path("x.webp"), bits=16)
    with pytest.raises(UsageError, match="exr holds no 8-bit"):
        plan(CAT, TRIMAP, Path("x.exr"), bits=8)
    with pytest.raises(UsageError, match="the bit depth must be 8 or 16"):
        plan(CAT, TRIMAP, bits=12)
    with pytest.raises(UsageError, match="beside a cutout only"):
        plan(CAT, TRIMAP, with_alpha=True)
    assert plan(CAT, TRIMAP, bits=16).bits == 16
    assert plan(CAT, TRIMAP).bits == 8


def test_what_needs_the_extra_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diffmatte_cli.extras.find_spec", lambda _: None)
    for settings in ({"bits": 16, "cutout": True}, {"output": Path("x.exr")}, {"format": "exr"}):
        with pytest.raises(UsageError, match=r"needs an extra: pip install 'diffmatte\[vfx\]'"):
            plan(CAT, TRIMAP, **settings)
    monkeypatch.setattr("diffmatte_cli.extras.find_spec", lambda _: object())
    assert plan(CAT, TRIMAP, Path("x.exr")).bits == 16
    assert plan(CAT, TRIMAP, bits=16, cutout=True).bits == 16


def test_dumps_go_into_a_new_or_an_old_dump_folder_only() -> None:
    Path("steps/cat").mkdir(parents=True)
    for name in ("step_01.png", "step_100.png", "trajectory.png"):
        Path("steps/cat", name).touch()
    assert plan(CAT, TRIMAP, dump_steps=Path("steps")).dump_dir == Path("steps/cat")
    with pytest.raises(UsageError, match="already exists"):
        plan(CAT, TRIMAP, dump_steps=Path("steps"), overwrite=False)
    Path("steps/cat/precious.txt").touch()
    with pytest.raises(UsageError, match=r"contains other files \(precious\.txt\)"):
        plan(CAT, TRIMAP, dump_steps=Path("steps"))
    Path("steps/cat/precious.txt").unlink()
    Path("steps/cat/step_05.png").mkdir()
    with pytest.raises(UsageError, match=r"contains other files \(step_05\.png\)"):
        plan(CAT, TRIMAP, dump_steps=Path("steps"))


def test_dump_folders_that_cannot_be() -> None:
    Path("file").touch()
    Path("steps").mkdir()
    Path("steps/cat").touch()
    with pytest.raises(UsageError, match="does not exist: create it first"):
        plan(CAT, TRIMAP, dump_steps=Path("none/steps"))
    with pytest.raises(UsageError, match="is a file"):
        plan(CAT, TRIMAP, dump_steps=Path("file"))
    with pytest.raises(UsageError, match="as a file"):
        plan(CAT, TRIMAP, dump_steps=Path("steps"))


def test_a_dump_never_replaces_the_folder_of_an_input_or_a_result() -> None:
    Path("cat").mkdir()
    with pytest.raises(UsageError, match="also the folder of"):
        plan(CAT, TRIMAP, Path("cat/x.png"), dump_steps=Path())
    dots = CAT.rename("...png")
    with pytest.raises(UsageError, match="no usable name"):
        plan(dots, TRIMAP, dump_steps=Path("cat"))
    named = dots.rename("y.png.png")
    with pytest.raises(UsageError, match="would both be written to"):
        plan(named, TRIMAP, Path("y.png"), dump_steps=Path())
    named.rename("cat/cat.jpg")
    with pytest.raises(UsageError, match="also the folder of"):
        plan(Path("cat/cat.jpg"), TRIMAP, dump_steps=Path())


def _folders(**contents: str) -> tuple[Path, Path, Path]:
    for folder, names in contents.items():
        Path(folder).mkdir()
        for name in names.split():
            Path(folder, name).touch()
    return Path("pred"), Path("gt"), Path("trimap")


def test_files_pair_as_given() -> None:
    Path("out_alpha.png").touch()
    assert pair(Path("out_alpha.png"), CAT, TRIMAP) == [Pair("out", Path("out_alpha.png"), CAT, TRIMAP)]


def test_folders_pair_by_name_in_order() -> None:
    folders = _folders(
        pred="b_alpha.png a_alpha.tif notes.txt .hidden.png",
        gt="a.png b.PNG",
        trimap="a_trimap.png b.png c.png",
    )
    assert pair(*folders) == [
        Pair("a", Path("pred/a_alpha.tif"), Path("gt/a.png"), Path("trimap/a_trimap.png")),
        Pair("b", Path("pred/b_alpha.png"), Path("gt/b.PNG"), Path("trimap/b.png")),
    ]


def test_all_missing_partners_are_listed() -> None:
    folders = _folders(pred="a.png b.png", gt="b.png c.png", trimap="a.png c.png")
    with pytest.raises(UsageError) as caught:
        pair(*folders)
    assert str(caught.value) == "no partner for: a (ground truth), b (trimap), c (prediction)"


def test_pairs_that_cannot_be() -> None:
    folders = _folders(pred="a.png a_alpha.png", gt="a.png", trimap="a.png")
    with pytest.raises(UsageError, match="go by the same name, a"):
        pair(*folders)
    with pytest.raises(UsageError, match="three files or three folders"):
        pair(CAT, *folders[1:])
    with pytest.raises(UsageError, match="the trimap none does not exist"):
        pair(*folders[:2], Path("none"))
    Path("empty").mkdir()
    with pytest.raises(UsageError, match="holds no images"):
        pair(Path("empty"), Path("empty"), Path("empty"))


def test_planning_needs_the_standard_library_alone() -> None:
    script = (
        "import sys, diffmatte_cli.planning.jobs; print({'torch', 'numpy', 'PIL', 'typer', 'rich'} & set(sys.modules))"
    )
    assert finish("-c", script).stdout.strip() == "set()"


def test_a_report_may_lie_in_the_folder_of_results_that_is_still_to_be_made() -> None:
    assert plan_all(Request((str(CAT),), str(TRIMAP), "out/", report=Path("out/deep/r.jsonl")))
    with pytest.raises(UsageError, match=r"the folder of the report elsewhere/r\.jsonl does not exist"):
        plan_all(Request((str(CAT),), str(TRIMAP), "out/", report=Path("elsewhere/r.jsonl")))
    assert not Path("out").exists()
