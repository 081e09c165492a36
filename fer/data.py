"""FER-2013 and FER+ -> tensors: what people have on disk, what the three splits mean, which test faces have a twin.

FER-2013 is found under ``DIR``, else ``$FER2013_ROOT``, else ``data/``, in one of the forms it is handed around in:

- ``fer2013.csv``, ``icml_face_data.csv`` or ``train.csv`` in ``DIR``, below it, or as ``DIR`` itself (see fer2013.py);
- ``train/<emotion>/*.jpg`` with ``test/`` or ``validation/`` beside it: the folder layout, also on Kaggle;
- ``<emotion>/*.jpg``: faces of your own, of which some are held out (see image_folder.py).

FER+ (``fer2013new.csv`` of github.com/microsoft/FERPlus) is read where it lies beside the Kaggle file.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from fer import fer2013, image_folder, read_report
from fer.fer2013 import DataError
from fer.labels import EMOTIONS
from fer.read_report import ReadReport
from fer.taggers import FERPLUS, majority
from fer.writing import whole

SPLITS = {"Training": 28709, "PublicTest": 3589, "PrivateTest": 3589}
AGREED = 25060  # faces of Training on which FER+'s taggers agree
TWIN_CORRELATION = 0.99

_HOW_TO_GET_IT = (
    "Download fer2013.csv (Kaggle: 'Challenges in Representation Learning: Facial Expression Recognition') "
    "to DIR/fer2013/ and name DIR by --data or $FER2013_ROOT. Faces of your own are read from DIR/<emotion>/."
)


@dataclass(frozen=True)
class Faces:
    """The faces of one split.

    pixels: uint8 (N, 48, 48). labels: int64 (N,), indices into EMOTIONS. votes: FER+'s ten counts, uint8 (N, 10),
    or None. twin: bool (N,): in a test split, the face has a twin in Training; in Training, it has one in a test split.
    taught: what a teacher reads them as, float (N, K), or None.
    """

    pixels: Tensor
    labels: Tensor
    votes: Tensor | None
    twin: Tensor
    taught: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, keep: slice | Tensor) -> "Faces":
        return Faces(*(None if part is None else part[keep] for part in vars(self).values()))


@dataclass(frozen=True)
class Dataset:
    """The splits that were found, by name, and what was left out. source: the file or folder that they come from."""

    splits: dict[str, Faces]
    report: ReadReport
    source: Path


def load(root: str | Path | None = None) -> dict[str, Faces]:
    """The splits found under ``root``: see ``read_dataset``."""
    return read_dataset(root).splits


def read_dataset(root: str | Path | None = None) -> Dataset:
    """What is found under ``root`` (None: $FER2013_ROOT, else data/).

    The first call parses and compares every face, which takes a minute or two; the result is cached beside the source
    as ``cache.safetensors``, and the next call takes less than a second. A source that changed is read again.

    Raises:
        DataError: nothing readable there.
    """
    source = _find(_folder(root))
    cache = (source if source.is_dir() else source.parent) / image_folder.CACHE
    stamp = _stamp(source)
    found = _read_cache(cache, stamp)
    if found is None:
        splits, report = _read(source)
        if not splits:
            raise DataError(f"no face in {source}: {report.line()}. {_HOW_TO_GET_IT}")
        splits = mark_twins(splits)
        _write_cache(cache, stamp, splits, report)
    else:
        splits, report = found
    return Dataset(splits, report, source)


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


def require(splits: dict[str, Faces], *names: str) -> list[Faces]:
    """The named splits, or a DataError that says which one the data at hand lacks."""
    for name in names:
        if name not in splits:
            raise DataError(f"the data holds {', '.join(splits)} but no labelled {name}. {_HOW_TO_GET_IT}")
    return [splits[name] for name in names]


def drawn(faces: Faces, count: int) -> Faces:
    """At most ``count`` faces, drawn in the same random order every time."""
    return faces[torch.randperm(len(faces), generator=torch.Generator().manual_seed(0))[:count]]


def to_unit(pixels: Tensor) -> Tensor:
    """Bytes to the network's floats: uint8 (N, 48, 48) -> float32 (N, 1, 48, 48) in 0..1."""
    return pixels.unsqueeze(1).float() / 255  # (N, 1, 48, 48)


def relabelled(faces: Faces, labels: Sequence[str]) -> Faces:
    """The faces that carry one of ``labels``: all for EMOTIONS; for FERPLUS those on which its taggers agree.

    Those are 25,060, 3,199 and 3,153 faces of the three splits.

    Raises:
        DataError: other labels, or FER+'s and there is no fer2013new.csv.
    """
    if tuple(labels) == EMOTIONS:
        return faces
    if tuple(labels) != FERPLUS:
        raise DataError(f"no faces carry the labels {', '.join(labels)}: FER-2013 has {', '.join(EMOTIONS)}")
    if faces.votes is None:
        raise DataError("FER+'s labels need fer2013new.csv (github.com/microsoft/FERPlus) beside the Kaggle file")
    answer = majority(faces.votes)
    return replace(faces, labels=answer)[answer >= 0]


def labelled_by_most(faces: Faces, labels: Sequence[str]) -> Faces:
    """The same, but for FERPLUS of all faces that a tagger gave one of its labels: each with what most of them saw.

    That is for calibration: on the faces that ``relabelled`` keeps, people agree, so that answers look surer than they
    are on others.
    """
    if tuple(labels) != FERPLUS or faces.votes is None:
        return relabelled(faces, labels)
    counts = faces.votes[:, : len(FERPLUS)]
    return replace(faces, labels=counts.long().argmax(1))[counts.sum(1) > 0]


# ------------------------------------------------------------------------------------------------ twins


def mark_twins(splits: dict[str, Faces], threshold: float = TWIN_CORRELATION) -> dict[str, Faces]:
    """Marks the test faces that have a twin in Training, and the Training faces that have one in a test split.

    Two pictures are twins if the correlation of their pixels, as they are or mirrored, is above ``threshold``.
    """
    if "Training" not in splits:
        return splits
    training = splits["Training"]
    gallery = standardised(training.pixels)  # (T, 2304)
    seen = torch.zeros(len(training), dtype=torch.bool)
    marked = {}
    for name, faces in splits.items():
        if name != "Training":
            twin = torch.zeros(len(faces), dtype=torch.bool)
            for pixels in (faces.pixels, faces.pixels.flip(-1)):
                for start, block in _blocks(standardised(pixels), 512):
                    close = block @ gallery.T > threshold  # (512, T)
                    twin[start : start + len(block)] |= close.any(1)
                    seen |= close.any(0)
            marked[name] = replace(faces, twin=twin)
    return {"Training": replace(training, twin=seen), **marked}


def duplicate_groups(pixels: Tensor, threshold: float = TWIN_CORRELATION) -> Tensor:
    """Which of uint8 faces (N, 48, 48) are duplicates of each other, mirrored ones included: a group's number each.

    Returns:
        int64 (N,), 0 to the number of groups less one. Groups are closed: what is a duplicate of a duplicate is in.
    """
    rows, group = standardised(pixels), torch.arange(len(pixels))
    small = standardised(functional.avg_pool2d(pixels[:, None].float(), 4))  # (N, 144): a quick first look
    for view in (pixels, pixels.flip(-1)):
        others, small_others = standardised(view), standardised(functional.avg_pool2d(view[:, None].float(), 4))
        for start, block in _blocks(small, 1024):
            first, second = (block @ small_others[start:].T > threshold - 0.03).nonzero().T + start  # each pair once
            close = (rows[first] * others[second]).sum(1) > threshold
            for pair in torch.stack([first[close], second[close]], 1):
                one, two = group[pair].sort().values
                group[group == two] = one
    return group.unique(return_inverse=True)[1]


def fingerprint(faces: Faces) -> str:
    """A word that changes when a pixel, a label or a vote does."""
    digest = hashlib.blake2b(digest_size=8)
    for part in (faces.pixels, faces.labels, faces.votes):
        if part is not None:
            digest.update(part.contiguous().numpy())
    return f"{len(faces)} faces {digest.hexdigest()}"


def standardised(pixels: Tensor) -> Tensor:
    """Rows whose dot product is the correlation of two pictures; a blank picture correlates with nothing."""
    rows = pixels.flatten(1).float()  # (N, 2304)
    rows = rows - rows.mean(1, keepdim=True)
    return rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-6)


def _blocks(rows: Tensor, size: int) -> Iterator[tuple[int, Tensor]]:
    return ((start, rows[start : start + size]) for start in range(0, len(rows), size))


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
    names = ",".join(fer2013.FILES)
    looked = f"{folder / 'fer2013'}/{{{names}}} and {folder / 'train'}/<emotion>/"
    raise DataError(f"FER-2013 not found: looked for {looked}. {_HOW_TO_GET_IT}")


def _tables(folder: Path) -> list[Path]:
    """The tables of faces in ``folder`` and up to two folders below: Kaggle's names first, then the nearest."""
    found = [path for depth in ("", "*/", "*/*/") for path in sorted(folder.glob(f"{depth}*.[cC][sS][vV]"))]
    order = list(fer2013.FILES)

    def place(path: Path) -> tuple[int, int]:
        name = path.name.lower()
        return order.index(name) if name in order else len(order), len(path.parts)

    return [path for path in sorted(found, key=place) if fer2013.is_table(path)]


def _read(source: Path) -> tuple[dict[str, Faces], ReadReport]:
    if source.is_dir():
        found, report = image_folder.read_splits(source, EMOTIONS)
        return {name: _unmarked(pixels, _indices(names), None) for name, (pixels, names) in found.items()}, report
    table = fer2013.read_table(source)
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


def _unmarked(pixels: Tensor, labels: Tensor, votes: Tensor | None) -> Faces:
    return Faces(pixels, labels, votes, torch.zeros(len(labels), dtype=torch.bool))


# ------------------------------------------------------------------------------------------------ cache


def _stamp(source: Path) -> str:
    """Changes when the source does: name, size and time of all its files."""
    if source.is_dir():
        files, left_out = image_folder.find_pictures(source)
        facts = [(str(path.relative_to(source)), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
        text = repr((facts, sorted(left_out))).encode(errors="surrogateescape")
        return f"{TWIN_CORRELATION} folder {hashlib.sha256(text).hexdigest()}"
    watched = [path for path in (source, source.parent / fer2013.VOTES_FILE) if path.exists()]
    return f"{TWIN_CORRELATION} " + " ".join(
        f"{path.name}:{path.stat().st_size}:{path.stat().st_mtime_ns}" for path in watched
    )


def _read_cache(cache: Path, stamp: str) -> tuple[dict[str, Faces], ReadReport] | None:
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
    names = [name for name in SPLITS if {f"{name}.pixels", f"{name}.labels", f"{name}.twin"} <= tensors.keys()]
    splits = {name: Faces(*(tensors.get(f"{name}.{part}") for part in Faces.__annotations__)) for name in names}
    return (splits, report) if splits else None


def _identity(path: Path) -> tuple[int, int, int]:
    """Changes when another file takes this one's place."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _write_cache(cache: Path, stamp: str, splits: dict[str, Faces], report: ReadReport) -> None:
    tensors = {
        f"{name}.{part}": getattr(faces, part) for name, faces in splits.items() for part in Faces.__annotations__
    }
    with suppress(OSError), whole(cache) as partial:  # a read-only folder only costs the next read its speed
        about = {"stamp": stamp, "report": report.dumped()}
        save_file({key: value for key, value in tensors.items() if value is not None}, partial, about)
