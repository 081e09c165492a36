import csv
from pathlib import Path

from fer.models.checkpoint import CheckpointError
from fer.utils import tables
from fer.utils.io import atomic_write


def read_history(folder: Path) -> list[dict[str, float]]:
    """The epochs of ``history.csv``, a dict each; none where the file is missing.

    Raises:
        CheckpointError: a file that is no table of numbers.
    """
    path = folder / "history.csv"
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise CheckpointError(f"{path} is broken ({error}): take it out, or get it anew") from error


def write_rows(rows: list[dict], path: Path) -> None:
    """Epochs as csv, as `read_history` reads them: numbers with six digits; a column for every key of any row."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with atomic_write(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        file.write(tables.line(columns))
        for row in rows:
            file.write(tables.line(_rounded(row.get(column, "")) for column in columns))


def _rounded(cell: object) -> object:
    """As it is written: a number with six digits, and text."""
    return cell if isinstance(cell, str) else tables.Number(f"{cell:.6g}")
