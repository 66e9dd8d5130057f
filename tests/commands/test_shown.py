"""Text is made safe before it is shown, and before a spreadsheet reads it."""

import csv
import io
import json
import random
from pathlib import Path

import pytest
from rich.console import Console
from support import fakes

from diffmatte_cli.commands.listing import Row as Listed
from diffmatte_cli.commands.listing import _licences, _models
from diffmatte_cli.console import masked, printable
from diffmatte_cli.evaluation.scores import Evaluation, as_csv
from diffmatte_cli.planning.rows import COLUMNS, REPORTS
from diffmatte_cli.review.reports import read_report
from diffmatte_cli.storage.cells import cell, from_cell
from diffmatte_cli.weights.records import WeightsRecord


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:secret@host/a.png", "https://me:***@host/a.png"),
        ("https://ghp_secret@host/a.png", "https://***@host/a.png"),
        ("sftp://me@host/a.png", "sftp://me@host/a.png"),
        ("sftp://me:se@cret@host/a.png", "sftp://me:***@host/a.png"),
        ("s3://KEY:secret@bucket/a.png", "s3://KEY:***@bucket/a.png"),
        ("memory://in/me:x@b.png", "memory://in/me:x@b.png"),
        ("https://host/a.png?X-Amz-Signature=abc&id=7", "https://host/a.png?X-Amz-Signature=***&id=7"),
        ("https://host/a.png?sv=1&SIG=a%2Fb", "https://host/a.png?sv=1&SIG=***"),
        ("https://host/a.png?code=0123456789abcdef", "https://host/a.png?code=***"),
        ("https://host/a#access_token=abc", "https://host/a#access_token=***"),
        ("cannot read https://h/a?token=x: no", "cannot read https://h/a?token=***: no"),
        ("HTTPS://me:secret@host, url='https://h/?key=k'", "HTTPS://me:***@host, url='https://h/?key=***'"),
        ("a?key=1 and me:x@host", "a?key=1 and me:x@host"),
    ],
)
def test_secrets_of_urls_are_masked(text: str, shown: str) -> None:
    assert masked(text) == printable(text) == shown


def test_secrets_reach_neither_messages_nor_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, matter: fakes.FakeMatter
) -> None:
    monkeypatch.chdir(tmp_path)
    fakes.make_photos("a")
    Path("m.jsonl").write_text(
        json.dumps({"image": "photos/a.png", "trimap": "trimaps/a.png", "output": "x"})
        + '\n{"image": "sftp://me:secret@host/a.png", "trimap": "https://h/a.png?token=secret"}\n'
    )
    for arguments in (
        ("matte", "--manifest", "m.jsonl", "-o", "out", "--verbose"),
        ("matte", "zip://me:secret@host/?token=secret::x", "--trimap", "x", "--verbose"),
        ("review", "sftp://me:secret@host/x"),
    ):
        result = fakes.run(*arguments)
        assert result.exit_code == 2
        assert "secret" not in result.output
        assert "***" in result.stderr


def test_names_cannot_steer_the_terminal() -> None:
    name = "a\x1b[2J\u202egnp.\u2066\x9b\n\udcff"
    shown = "a\\x1b[2J\\u202egnp.\\u2066\\x9b\\n\\udcff"
    assert printable(name) == shown
    record = WeightsRecord(name, "tiny", licence=name, trained_on=name)
    file = io.StringIO()
    for table in (_models, _licences):
        Console(file=file, width=300).print(table([Listed(record, name, ())]))
    assert file.getvalue().count(shown) == 5
    assert name not in file.getvalue()


def test_a_traceback_cannot_either(capsys: pytest.CaptureFixture[str]) -> None:
    from diffmatte_cli.console import trace

    trace(ValueError("a\x1b[2J https://me:secret@host"))
    said = capsys.readouterr().err
    assert said.splitlines() == ["ValueError: a\\x1b[2J https://me:***@host"]


FORMULAS = ["=1+1.png", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "'=1", "''@x", "\uff1d1"]


@pytest.mark.parametrize("text", [*FORMULAS, "a=1", "'a'", "", "1", "'"])
def test_a_cell_is_no_formula_and_is_read_as_it_was(text: str) -> None:
    written = cell(text)
    assert from_cell(written) == text
    assert (written == text) == (text not in FORMULAS)
    assert not written.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d"))
    assert (cell(-1.5), cell(None)) == (-1.5, None)


def test_a_cell_is_read_as_it_was_whatever_it_was() -> None:
    chance = random.Random(0)
    for _ in range(2000):
        text = "".join(chance.choices("'=+-@\t\ra", k=chance.randrange(6)))
        assert from_cell(cell(text)) == text


@pytest.mark.parametrize("name", FORMULAS)
def test_reports_and_scores_hold_no_formulas(name: str, tmp_path: Path) -> None:
    write, head = REPORTS[".csv"]
    row = dict.fromkeys(COLUMNS) | {"image": name, "trimap": name, "output": name, "status": "failed", "error": name}
    with (tmp_path / "r.csv").open("w", newline="") as file:
        file.write(head)
        write(row, file)
    with (tmp_path / "r.csv").open(newline="") as file:
        (written,) = csv.DictReader(file)
    assert {written[key] for key in ("image", "trimap", "output", "error")} == {f"'{name}"}
    (read,) = read_report(tmp_path / "r.csv")
    assert (read.image, read.trimap, read.output, read.error) == (name, name, name, name)
    scores = as_csv({None: Evaluation({name: {"sad": 1.0}})})
    assert next(iter(csv.DictReader(io.StringIO(scores, newline=""))))["name"] == f"'{name}".replace("\r", "\\r")
