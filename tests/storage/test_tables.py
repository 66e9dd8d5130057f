"""Tables as spreadsheets and other systems write them."""

from pathlib import Path

import pytest

from diffmatte_cli.errors import UsageError
from diffmatte_cli.planning.jobs import plan
from diffmatte_cli.planning.requests import Request
from diffmatte_cli.review.reports import read_report
from diffmatte_cli.storage.tables import read_table

ROW = {"image": "Zoë, 1.png", "trimap": "t.png", "seed": "7"}
SPREADSHEETS = {
    "semicolons": "image;trimap;seed\r\nZoë, 1.png;t.png;7\r\n".encode(),
    "tabs in UTF-16": "image\ttrimap\tseed\r\nZoë, 1.png\tt.png\t7\r\n".encode("utf-16"),
    "big-endian, unmarked": 'image,trimap,seed\n"Zoë, 1.png",t.png,7\n'.encode("utf-16-be"),
    "little-endian, unmarked": 'image,trimap,seed\n"Zoë, 1.png",t.png,7\n'.encode("utf-16-le"),
    "UTF-32": 'image,trimap,seed\n"Zoë, 1.png",t.png,7\n'.encode("utf-32"),
    "mark of UTF-8": b"\xef\xbb\xbf" + "image;trimap;seed\nZoë, 1.png;t.png;7\n".encode(),
    "separator named": "sep=;\r\nimage;trimap;seed\r\nZoë, 1.png;t.png;7\r\n".encode(),
    "separator named in quotes": '"sep=,"\r\nimage,trimap,seed\r\n"Zoë, 1.png",t.png,7\r\n'.encode(),
    "capitals and spaces": '  Image , TRIMAP, Seed\n "Zoë, 1.png", t.png , 7 \n'.encode(),
    "quoted header": '"image";"trimap";"seed"\n"Zoë, 1.png";"t.png";"7"\n'.encode(),
    "empty rows and columns": "\r\n;;\r\nimage;trimap;seed;;\r\nZoë, 1.png;t.png;7;;\r\n;;;;\r\n\r\n".encode(),
    "old line ends": "image;trimap;seed\rZoë, 1.png;t.png;7\r".encode(),
    "bars": "image|trimap|seed\nZoë, 1.png|t.png|7".encode(),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("case", SPREADSHEETS)
def test_every_spelling_is_the_same_table(case: str) -> None:
    Path("m.csv").write_bytes(SPREADSHEETS[case])
    for name in ("Zoë, 1.png", "t.png"):
        Path(name).touch()
    assert [row for _, row in read_table(Path("m.csv"), "table")] == [ROW]
    (job,) = plan(Request(manifest=Path("m.csv"), output="out"))
    assert (job.image, job.trimap, job.sampling.seed) == (Path("Zoë, 1.png"), Path("t.png"), 7)


def test_lines_are_counted_as_an_editor_does() -> None:
    Path("m.csv").write_text('\nsep=;\nimage;trimap\n"a\nb";t\nc;d;e\n')
    assert list(read_table(Path("m.csv"), "table")) == [
        (5, {"image": "a\nb", "trimap": "t"}),
        (6, {"image": "c", "trimap": "d", None: ["e"]}),
    ]


def test_fractions_with_a_comma_are_numbers_and_names_stay() -> None:
    head = "image;trimap;output;status;risk"
    Path("r.csv").write_text(f"{head}\n1,5.png;t.png;o.png;done;1,25\nb.png;t.png;p.png;done;2,5E-03\n")
    assert [(row.image, row.risk) for row in read_report(Path("r.csv"))] == [("1,5.png", 1.25), ("b.png", 0.0025)]


def test_spaces_and_backslashes_are_letters_where_a_file_has_them() -> None:
    for name in (" a.png", "b.png", "t.png", "x\\y.png", "x/z.png"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    Path("m.csv").write_text("image,trimap\n a.png,t.png\nb.png , t.png\nx\\y.png,t.png\nx\\z.png,t.png\n")
    jobs = plan(Request(manifest=Path("m.csv"), output="out"))
    assert [str(job.image) for job in jobs] == [" a.png", "b.png", "x\\y.png", "x/z.png"]


def test_a_name_of_another_encoding_is_told() -> None:
    Path("t.png").touch()
    Path("m.csv").write_bytes("image,trimap\nZoë.png,t.png\n".encode("cp1252"))
    with pytest.raises(UsageError, match="the manifest is not UTF-8: save it as CSV in UTF-8"):
        plan(Request(manifest=Path("m.csv"), output="out"))


@pytest.mark.parametrize("content", [b"\xff\xfeabc", b"\xff\xfe\x00\xd8", b"\x00\x01\x02\x03abcd"])
def test_what_is_no_text_is_told(content: bytes) -> None:
    Path("m.csv").write_bytes(content)
    with pytest.raises(UsageError, match=r"is not text: save it as CSV in UTF-8|lacks the column image"):
        plan(Request(manifest=Path("m.csv"), output="out"))
