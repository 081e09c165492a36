"""FER-2013 as a table: ``fer2013.csv``, ``icml_face_data.csv``, ``train.csv`` and what people make of them.

A row is a face: its emotion (0 to 6 or a word), 2,304 pixels with spaces between them, and in most files its split. The
columns are found by their names, else by what is in them; a byte-order mark, other line ends, more columns and fewer
rows do no harm. A row that is not right is left out and counted.
"""

import csv
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fer.image_folder import count_labels, hold_out
from fer.labels import EMOTIONS, label_named, split_named
from fer.read_report import LeftOut, ReadReport, counted
from fer.taggers import VOTES

FILES = {  # Kaggle's, with their MD5 as torchvision.datasets.FER2013 has them
    "fer2013.csv": "f8428a1edbd21e88f42c73edd2a14f95",
    "icml_face_data.csv": "b114b9e04e6949e5fe8b6a98b3892b1d",
    "train.csv": "3f0dfb3d3fd99c811a1299cb947e3131",
}
VOTES_FILE = "fer2013new.csv"
PIXELS = 48 * 48
_COLUMNS = {
    "emotion": {"emotion", "emotions", "label", "labels", "expression", "class", "target"},
    "pixels": {"pixels", "pixel", "image", "pixel_values"},
    "usage": {"usage", "split", "set", "subset"},
}


class DataError(ValueError):
    """Faces are missing or cannot be used. One line: what was looked for, where, and how to get it."""


@dataclass(frozen=True)
class Table:
    """The rows that were read: pixels uint8 (N, 48, 48), labels int64 (N,), the split of each, FER+'s votes (N, 10)."""

    pixels: Tensor
    labels: Tensor
    splits: np.ndarray
    votes: Tensor | None
    report: ReadReport


@dataclass(frozen=True)
class _Columns:
    emotion: int
    pixels: int
    usage: int | None
    named: bool  # by a first row, which then is no face


def is_table(path: Path) -> bool:
    """Whether a file's first row names the columns of faces, or is a face."""
    try:
        with _opened(path) as file:
            return _columns(next(_reader(file), [])) is not None
    except (OSError, csv.Error):
        return False


def read_table(path: Path) -> Table:
    """All faces of a file.

    Without a column of splits, or with no face to make choices on, a tenth of each emotion of Training is held out as
    PublicTest, the same in every run.

    Raises:
        DataError: no columns of emotions and pixels, or no row that can be read.
    """
    with _opened(path) as file:
        rows = _reader(file)
        first = next(rows, [])
        columns = _columns(first)
        if columns is None:
            raise DataError(f"{path} has no columns named emotion and pixels, but {', '.join(first)[:80]!r}")
        if not columns.named:
            file.seek(0)
            rows = _reader(file)
        parsed = [_parsed(row, columns) for row in rows if row != []]
    good = [place for place, row in enumerate(parsed) if not isinstance(row, tuple)]
    left_out = counted(row for row in parsed if isinstance(row, tuple))
    if not good:
        raise DataError(f"{path} has no row that can be read: {ReadReport({}, left_out).line()}")
    faces = [parsed[place] for place in good]
    return _table(path, faces, good, len(parsed), columns, left_out)


@dataclass(frozen=True)
class _Row:
    pixels: np.ndarray
    label: int
    split: str | None


def _table(
    path: Path, faces: list[_Row], good: list[int], count: int, columns: _Columns, left_out: Sequence[LeftOut]
) -> Table:
    named = np.array([face.split or "Training" for face in faces])
    votes, remarks = _votes(path, named, good, count, columns)
    splits, more = _with_held_out(named, [face.label for face in faces], columns)
    pixels = torch.from_numpy(np.stack([face.pixels for face in faces]))
    labels = torch.tensor([face.label for face in faces])
    counts = {
        name: count_labels(
            [EMOTIONS[face.label] for face, own in zip(faces, splits, strict=True) if own == name], EMOTIONS
        )
        for name in ("Training", "PublicTest", "PrivateTest")
        if (splits == name).any()
    }
    report = ReadReport(counts, tuple(left_out), (*_unusual(path, count), *more, *remarks))
    return Table(pixels, labels, splits, votes, report)


def _with_held_out(splits: np.ndarray, labels: list[int], columns: _Columns) -> tuple[np.ndarray, list[str]]:
    missing = ["no column of splits"] if columns.usage is None else []
    training = np.flatnonzero(splits == "Training")
    if (splits == "PublicTest").any() or not len(training):
        return splits, missing
    _, held = hold_out([labels[place] for place in training])
    if not held:
        return splits, [*missing, "too few faces to hold some out"]
    splits = splits.astype("<U11")
    splits[training[held]] = "PublicTest"
    return splits, [*missing, f"{len(held):,} faces of Training are held out to choose on"]


def _unusual(path: Path, rows: int) -> list[str]:
    """What tells a file from Kaggle's."""
    expected = FILES.get(path.name.lower())
    if expected is None:
        return []
    with path.open("rb") as file:
        same = hashlib.file_digest(file, "md5").hexdigest() == expected
    return [] if same else [f"its {rows:,} rows are not Kaggle's {path.name}, by their MD5"]


# ------------------------------------------------------------------------------------------------ rows


def _opened(path: Path):
    with path.open("rb") as file:
        start = file.read(2)
    encoding = "utf-16" if start in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    return path.open(newline="", encoding=encoding, errors="replace")


def _reader(file) -> Iterator[list[str] | None]:
    """The rows of a table; None for one that the csv module cannot read."""
    line = file.readline(100_000)
    file.seek(0)
    delimiter = max(",;\t|", key=line.count)
    reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True)
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield None


def _columns(first: list[str] | None) -> _Columns | None:
    """Which columns hold what: by the names in the first row, else by the face in it."""
    cells = [cell.strip().casefold() for cell in first or ()]
    by_name = {
        what: next((place for place, cell in enumerate(cells) if cell in words), None)
        for what, words in _COLUMNS.items()
    }
    if by_name["emotion"] is not None and by_name["pixels"] is not None:
        return _Columns(**by_name, named=True)
    pixels = next((place for place, cell in enumerate(cells) if _pixels(cell) is not None), None)
    emotion = next((place for place, cell in enumerate(cells) if place != pixels and _label(cell)), None)
    usage = next((place for place, cell in enumerate(cells) if split_named(cell)), None)
    return None if pixels is None or emotion is None else _Columns(emotion, pixels, usage, named=False)


def _parsed(row: list[str] | None, columns: _Columns) -> _Row | tuple[str, str]:
    """A face, or what is left out and why."""
    if row is None or len(row) <= max(columns.emotion, columns.pixels, columns.usage or 0):
        return "rows", "cut short"
    label = _label(row[columns.emotion])
    if label not in EMOTIONS:
        return "rows", f"{label} is not among FER-2013's labels" if label else "no emotion of 0 to 6"
    pixels = _pixels(row[columns.pixels])
    if pixels is None:
        return "rows", f"not {PIXELS:,} pixels of 0 to 255"
    split = None if columns.usage is None else split_named(row[columns.usage])
    if split is None and columns.usage is not None:
        return "rows", "no split"
    return _Row(pixels, EMOTIONS.index(label), split)


def _label(cell: str) -> str | None:
    cell = cell.strip().removesuffix(".0")
    if cell.isascii() and cell.isdigit():
        return EMOTIONS[int(cell)] if len(cell) < 3 and int(cell) < len(EMOTIONS) else None
    return label_named(cell)


def _pixels(cell: str) -> np.ndarray | None:
    """uint8 (48, 48), or None for anything but 2,304 numbers of 0 to 255."""
    cell = cell.strip().strip("[]")
    digits = cell.replace(" ", "")
    if not (digits.isascii() and digits.isdigit()):
        return None
    values = np.fromstring(cell, dtype=np.int64, sep=" ")
    return values.astype(np.uint8).reshape(48, 48) if len(values) == PIXELS and values.max() <= 255 else None


# ------------------------------------------------------------------------------------------------ FER+


def _votes(
    path: Path, splits: np.ndarray, good: list[int], count: int, columns: _Columns
) -> tuple[Tensor | None, list[str]]:
    """FER+'s counts, uint8 (N, 10), where ``fer2013new.csv`` has a line for every row; else None and why."""
    beside = path.parent / VOTES_FILE
    if not beside.is_file() or columns.usage is None:
        return None, []
    with beside.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        rows = list(csv.DictReader(file))
    follow = len(rows) == count and all(
        split_named(rows[place].get("Usage") or "") == own for place, own in zip(good, splits, strict=True)
    )
    if not follow or not all((rows[place].get(name) or "").isdecimal() for place in good for name in VOTES):
        return None, [f"FER+'s votes are not used: {VOTES_FILE}'s {len(rows):,} lines do not follow {path.name}"]
    return torch.tensor([[int(rows[place][name]) for name in VOTES] for place in good], dtype=torch.uint8), []
