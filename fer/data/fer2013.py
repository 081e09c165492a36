"""FER-2013 and FER+ -> tensors: what people have on disk, what the three splits mean, which test faces have a
duplicate.

FER-2013 is found under ``DIR``, else ``$FER2013_ROOT``, else ``data/``, in one of the forms it is handed around in:

- ``fer2013.csv``, ``icml_face_data.csv`` or ``train.csv`` in ``DIR``, below it, or as ``DIR`` itself (see fer2013.py);
- ``train/<emotion>/*.jpg`` with ``test/`` or ``validation/`` beside it: the folder layout, also on Kaggle;
- ``<emotion>/*.jpg``: faces of your own, of which some are held out (see image_folder.py).

FER+ (``fer2013new.csv`` of github.com/microsoft/FERPlus) is read where it lies beside the Kaggle file.
"""

import csv
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from fer.data import image_folder, read_report
from fer.data.dataset import SPLITS, DataError, FaceDataset, with_label_set
from fer.data.duplicates import DUPLICATE_CORRELATION, mark_duplicates
from fer.data.ferplus import FERPLUS, VOTES
from fer.data.image_folder import count_labels, hold_out
from fer.data.labels import EMOTIONS, label_named, split_named
from fer.data.read_report import LeftOut, ReadReport, counted
from fer.utils.io import atomic_write

_HOW_TO_GET_IT = (
    "Download fer2013.csv (Kaggle: 'Challenges in Representation Learning: Facial Expression Recognition') "
    "to DIR/fer2013/ and name DIR by --data or $FER2013_ROOT. Faces of your own are read from DIR/<emotion>/."
)


@dataclass(frozen=True)
class Dataset:
    """The splits that were found, by name, and what was left out. source: the file or folder that they come from."""

    splits: dict[str, FaceDataset]
    report: ReadReport
    source: Path


def load_fer2013(root: str | Path | None = None) -> dict[str, FaceDataset]:
    """The splits found under ``root``: see ``read_dataset``."""
    return read_dataset(root).splits


def read_dataset(root: str | Path | None = None) -> Dataset:
    """What is found under ``root`` (None: $FER2013_ROOT, else data/).

    The first call parses and compares every face, which takes a minute or two; the result is cached beside the source
    as ``cache.safetensors``, and the next call takes less than a second. A source that changed is read again.

    Raises:
        DataError: nothing readable there.
    """
    source = find_source(root)
    cache = (source if source.is_dir() else source.parent) / image_folder.CACHE
    stamp = _stamp(source)
    found = _read_cache(cache, stamp)
    if found is None:
        splits, report = _read(source)
        if not splits:
            raise DataError(f"no face in {source}: {report.line()}. {_HOW_TO_GET_IT}")
        splits = mark_duplicates(splits)
        _write_cache(cache, stamp, splits, report)
    else:
        splits, report = found
    return Dataset(splits, report, source)


def find_source(root: str | Path | None = None) -> Path:
    """The table of faces under ``root``, or the folder itself where pictures lie in it. Raises DataError."""
    return _find(_folder(root))


def survey(root: str | Path | None = None) -> ReadReport:
    """What ``load`` would read under ``root`` and what it would leave out. Nothing is compared or written.

    Raises:
        DataError: there is no such file or folder, or a table without a face.
    """
    folder = _folder(root)
    try:
        source = _find(folder)
    except DataError:
        if not folder.is_dir():
            raise
        source = folder
    return _read(source)[1]


def _folder(root: str | Path | None) -> Path:
    return Path(root or os.environ.get("FER2013_ROOT") or "data")


def get_splits(splits: dict[str, FaceDataset], *names: str) -> list[FaceDataset]:
    """The named splits, or a DataError that says which one the data at hand lacks."""
    for name in names:
        if name not in splits:
            raise DataError(f"the data holds {', '.join(splits)} but no labelled {name}. {_HOW_TO_GET_IT}")
    return [splits[name] for name in names]


def labelled_by_most(faces: FaceDataset, labels: Sequence[str]) -> FaceDataset:
    """The same, but for FERPLUS of all faces that a tagger gave one of its labels: each with what most of them saw.

    That is for calibration: on the faces that ``relabelled`` keeps, people agree, so that answers look surer than they
    are on others.
    """
    if tuple(labels) != FERPLUS or faces.votes is None:
        return with_label_set(faces, labels)
    counts = faces.votes[:, : len(FERPLUS)]
    return replace(faces, labels=counts.long().argmax(1))[counts.sum(1) > 0]


# ------------------------------------------------------------------------------------------------ reading


def _find(folder: Path) -> Path:
    """The table that ``folder`` is or holds, else the folder itself if a face lies in it."""
    if folder.is_file() and folder.suffix.lower() in (".csv", ".tsv", ".txt"):
        return folder
    tables = _tables(folder)
    if tables:
        return tables[0]
    if folder.is_dir() and image_folder.has_faces(folder):
        return folder
    names = ",".join(FILES)
    looked = f"{folder / 'fer2013'}/{{{names}}} and {folder / 'train'}/<emotion>/"
    raise DataError(f"FER-2013 not found: looked for {looked}. {_HOW_TO_GET_IT}")


def _tables(folder: Path) -> list[Path]:
    """The tables of faces in ``folder`` and up to two folders below: Kaggle's names first, then the nearest."""
    found = [path for depth in ("", "*/", "*/*/") for path in sorted(folder.glob(f"{depth}*.[cC][sS][vV]"))]
    order = list(FILES)

    def place(path: Path) -> tuple[int, int]:
        name = path.name.lower()
        return order.index(name) if name in order else len(order), len(path.parts)

    return [path for path in sorted(found, key=place) if is_table(path)]


def _read(source: Path) -> tuple[dict[str, FaceDataset], ReadReport]:
    if source.is_dir():
        found, report = image_folder.read_splits(source, EMOTIONS)
        return {name: _unmarked(pixels, _indices(names), None) for name, (pixels, names) in found.items()}, report
    table = read_table(source)
    faces = _unmarked(table.pixels, table.labels, table.votes)
    splits = {name: faces[torch.from_numpy(table.splits == name)] for name in SPLITS if (table.splits == name).any()}
    return splits, replace(table.report, remarks=(*table.report.remarks, *_beside(source)))


def _indices(names: Sequence[str]) -> Tensor:
    return torch.tensor([EMOTIONS.index(name) for name in names])


def _beside(source: Path) -> list[str]:
    """What else lies beside a table that could have been meant."""
    tables = [path.name for path in _tables(source.parent) if path != source]
    with suppress(OSError):
        folders = [path.name + "/" for path in sorted(source.parent.iterdir()) if path.is_dir()]
        tables += [name for name in folders if image_folder.has_faces(source.parent / name)]
    return [f"{', '.join(map(read_report.shown, tables))} beside {source.name} was not read"] if tables else []


def _unmarked(pixels: Tensor, labels: Tensor, votes: Tensor | None) -> FaceDataset:
    return FaceDataset(pixels, labels, votes, torch.zeros(len(labels), dtype=torch.bool))


# ------------------------------------------------------------------------------------------------ cache


def _stamp(source: Path) -> str:
    """Changes when the source does: name, size and time of all its files."""
    if source.is_dir():
        files, left_out = image_folder.find_pictures(source)
        facts = [(str(path.relative_to(source)), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
        text = repr((facts, sorted(left_out))).encode(errors="surrogateescape")
        return f"{DUPLICATE_CORRELATION} folder {hashlib.sha256(text).hexdigest()}"
    watched = [path for path in (source, source.parent / VOTES_FILE) if path.exists()]
    return f"{DUPLICATE_CORRELATION} " + " ".join(
        f"{path.name}:{path.stat().st_size}:{path.stat().st_mtime_ns}" for path in watched
    )


def _read_cache(cache: Path, stamp: str) -> tuple[dict[str, FaceDataset], ReadReport] | None:
    try:
        before = _identity(cache)
        with safe_open(cache, "pt") as file:
            about = file.metadata() or {}
            if about.get("stamp") != stamp:
                return None
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (safe_open is no dict)
        if _identity(cache) != before:
            return None  # safe_open opens its file twice: the places of one cache, the bytes of another
        report = read_report.loaded(about["report"])
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None  # missing, half-written or unreadable: the source is there to read again
    names = [name for name in SPLITS if {f"{name}.pixels", f"{name}.labels", f"{name}.is_duplicate"} <= tensors.keys()]
    fields = FaceDataset.__annotations__
    parts: dict[str, dict[str, Any]] = {name: {key: tensors.get(f"{name}.{key}") for key in fields} for name in names}
    splits = {name: FaceDataset(**parts[name]) for name in names}
    return (splits, report) if splits else None


def _identity(path: Path) -> tuple[int, int, int]:
    """Changes when another file takes this one's place."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _write_cache(cache: Path, stamp: str, splits: dict[str, FaceDataset], report: ReadReport) -> None:
    tensors = {
        f"{name}.{part}": getattr(faces, part) for name, faces in splits.items() for part in FaceDataset.__annotations__
    }
    with suppress(OSError), atomic_write(cache) as partial:  # a read-only folder only costs the next read its speed
        about = {"stamp": stamp, "report": report.dumped()}
        save_file({key: value for key, value in tensors.items() if value is not None}, partial, about)


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
        first = next(rows, None) or []
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
    faces = [row for row in parsed if isinstance(row, _Row)]
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
    by_name: dict[str, Any] = {
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
