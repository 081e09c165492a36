"""CSV that is never executed and reads back as it was."""

import base64
import csv
import io
import re
from pathlib import Path

import pytest

from fer.inference.batch import ResumableResults
from fer.training import history
from fer.utils import tables

TEXTS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "'=1", "''=1", "'quoted'", "a,b", 'a"b', "a\nb",
         "a\rb", "a\r\nb", "a\u2028b", "a\x85b", "a\x0bb", "a\x1cb", "\N{FULLWIDTH EQUALS SIGN}1", "", "'", "=", '"',
         "\ufeffx", "a\udcffb"]  # fmt: skip
STARTS = ("=", "+", "-", "@", "\t", "\r")


@pytest.mark.parametrize("text", TEXTS)
def test_text_reads_back_and_is_no_formula(text: str):
    """What a spreadsheet reads begins with none of six characters; what we read is the text itself."""
    record = tables.line([text, -1.5, 3])
    (shown,) = csv.reader(io.StringIO(record, newline=""))
    assert not shown[0].startswith(STARTS) and shown[1:] == ["-1.5", "3"]
    assert list(tables.lines(record + record)) == [record, record]
    assert tables.cells(record) == [text, "-1.5", "3"]


def test_every_cut_of_a_table_leaves_the_records_before_it():
    """A text of 27 records cut after each of its characters: whole records, in order, and no invented one."""
    records = [tables.line([text, "x"]) for text in TEXTS]
    text = "".join(records)
    ends = [len("".join(records[:count])) for count in range(len(records) + 1)]
    for place in range(len(text) + 1):
        kept = list(tables.lines(text[:place]))
        assert kept == records[: sum(end <= place for end in ends) - 1]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_resumed_run_doubles_nothing_and_invents_nothing(tmp_path: Path, kind: str):
    """Names with separators, quotes and formulas: after any cut the file is made whole, and then is as if never cut."""
    file = tmp_path / f"x.{kind}"
    names = [f"{text}.png" for text in TEXTS]
    box = {
        "box": [-1, 2, 3, 4],
        "emotion": "dark",
        "prediction_set": ["dark"],
        "probabilities": {"dark": 0.75, "bright": 0.25},
    }
    rows = [{"path": name, "faces": [box] * (place % 3)} for place, name in enumerate(names)]

    def finish() -> bytes:
        answers = ResumableResults(file, ("dark", "bright"))
        for row in rows:
            if row["path"] not in answers.done:
                answers.add(row)
        assert answers.done == set(names)
        return file.read_bytes()

    whole = finish()
    assert finish() == whole
    for place in range(0, len(whole), 17):
        file.write_bytes(whole[:place])
        assert finish() == whole


def test_a_table_that_passed_through_other_programs_is_gone_on_with(tmp_path: Path):
    """A byte order mark and Windows' line ends: both pictures but the last are known."""
    file = tmp_path / "x.csv"
    answers = ResumableResults(file, ("dark",))
    for name in ("a.png", "b.png"):
        answers.add({"path": name, "faces": []})
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert ResumableResults(file, ("dark",)).done == {"a.png"}


def test_no_table_of_the_page_or_of_a_training_is_executed(tmp_path: Path):
    """Text is inert in both, numbers are numbers, negative ones too."""
    from fer.app import components

    link = components.csv_link(("=head", "b"), [("=cmd", "-0.25"), ("-", "+3.1%"), ("@x", "1,234")], "name")
    text = base64.b64decode(re.search('base64,([^"]*)', link).group(1)).decode()
    assert list(csv.reader(io.StringIO(text))) == [
        ["'=head", "b"], ["'=cmd", "-0.25"], ["", "+3.1%"], ["'@x", "1,234"]
    ]  # fmt: skip
    history.write_rows([{"run": "=cmd", "loss": -0.123456789}], tmp_path / "curves.csv")
    assert (tmp_path / "curves.csv").read_text(encoding="utf-8") == "run,loss\n'=cmd,-0.123457\n"
