"""CSV that a spreadsheet shows and never executes, and that reads back as it was written.

Spreadsheets take a cell that begins with =, +, - or @ for a formula. Such text gets an apostrophe in front, as OWASP
advises ("CSV injection"), and so does text that begins as if it had got one, so that `original` undoes `inert`.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator

_FORMULA = re.compile("'*[-=+@\t\r\n\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}"
                      "\N{FULLWIDTH COMMERCIAL AT}]")  # fmt: skip


class Number(str):
    """A number as it is to be written, of so many digits."""

    __slots__ = ()


def inert(cell: object) -> object:
    """Text that no spreadsheet takes for a formula; a number stays as it is."""
    is_text = isinstance(cell, str) and not isinstance(cell, Number)
    return f"'{cell}" if is_text and _FORMULA.match(str(cell)) else cell


def original(cell: str) -> str:
    """The text that `inert` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def line(cells: Iterable[object]) -> str:
    """One record with its line feed; numbers are int, float or Number, and text is made inert."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\r\n").writerow([inert(cell) for cell in cells])  # so that \r is quoted as well
    return stream.getvalue()[:-2] + "\n"


def lines(text: str) -> Iterator[str]:
    """The complete records of a CSV text, each with its line feed; what follows the last one is left out."""
    record = ""
    quoted = False
    for part in text.split("\n")[:-1]:
        record += part + "\n"
        quoted ^= part.count('"') % 2 == 1
        if not quoted:
            yield record
            record = ""


def cells(record: str) -> list[str]:
    """The cells of one record of `lines`, as they were before `inert`. Raises csv.Error."""
    return [original(cell) for cell in next(csv.reader(io.StringIO(record, newline=""), strict=True), [])]


def markdown(rows: list[dict]) -> str:
    """Rows as a Markdown table; its columns are all their keys, in the order of their first appearance."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [[column.replace("_", " ") for column in columns], ["---"] * len(columns)]
    lines += [[cell(row.get(column)) for column in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(value: object) -> str:
    """A value as a table shows it."""
    if value is None:
        return "-"
    if isinstance(value, list):
        return " to ".join(f"{part:.3f}" for part in value)
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) <= 1 else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
