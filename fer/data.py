"""FER-2013 and FER+ -> tensors: what people have on disk, what the three splits mean, which test faces have a twin.

FER-2013 is found under ``DIR``, else ``$FER2013_ROOT``, else ``data/``, in one of the forms it is handed around in:

- ``DIR/fer2013/fer2013.csv``, ``icml_face_data.csv`` or ``train.csv``: Kaggle's files, checked by their MD5;
- ``DIR/train/<emotion>/*.jpg|png`` with ``test/`` or ``validation/`` beside it: the folder layout, also on Kaggle;
- ``DIR/<emotion>/*.jpg|png``: faces of your own, of which some are held out (see folders.py).

FER+ (``fer2013new.csv`` of github.com/microsoft/FERPlus) is read where it lies beside the Kaggle file.
"""

import csv
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from fer import folders
from fer.folders import DataError
from fer.taggers import FERPLUS, VOTES, majority
from fer.writing import whole

EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
SPLITS = {"Training": 28709, "PublicTest": 3589, "PrivateTest": 3589}
AGREED = 25060  # faces of Training on which FER+'s taggers agree
TWIN_CORRELATION = 0.99

_KAGGLE_FILES = ("fer2013.csv", "icml_face_data.csv", "train.csv")
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


def load(root: str | Path | None = None) -> dict[str, Faces]:
    """The splits found under ``root`` (None: $FER2013_ROOT, else data/), by name.

    The first call parses and compares every face, which takes a minute or two; the result is cached beside the source
    as ``cache.safetensors``, and the next call takes less than a second. A source that changed is read again.

    Raises:
        DataError: nothing readable there, or a file that is not what Kaggle hands out.
    """
    folder = Path(root or os.environ.get("FER2013_ROOT") or "data")
    source = _find(folder)
    cache = (source if source.is_dir() else source.parent) / "cache.safetensors"
    stamp = _stamp(source)
    splits = _read_cache(cache, stamp)
    if splits is None:
        splits = mark_twins(_read_folder(source) if source.is_dir() else _read_kaggle(source))
        _write_cache(cache, stamp, splits)
    return splits


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
    """The Kaggle file below ``folder``, else the folder that holds ``train/`` or the emotions themselves."""
    for name in _KAGGLE_FILES:
        if (folder / "fer2013" / name).is_file():
            return folder / "fer2013" / name
    for candidate in (folder, folder / "fer2013"):
        if folders.has_faces(candidate, EMOTIONS):
            return candidate
    looked = f"{folder / 'fer2013'}/{{{','.join(_KAGGLE_FILES)}}} and {folder / 'train'}/<emotion>/"
    raise DataError(f"FER-2013 not found: looked for {looked}. {_HOW_TO_GET_IT}")


def _read_kaggle(source: Path) -> dict[str, Faces]:
    pixels, labels = [], []
    usage = _usage(source)
    for split in ("train",) if source.name == "train.csv" else ("train", "test"):
        for face, label in _torchvision_samples(source, split):
            pixels.append(face)
            labels.append(label)
    order = np.argsort(usage != "Training", kind="stable")  # torchvision hands out Training first
    usage = usage[order]
    faces = _unmarked(torch.stack(pixels), torch.tensor(labels), _votes(source, usage, order))
    return {name: faces[torch.from_numpy(usage == name)] for name in SPLITS if (usage == name).any()}


def _torchvision_samples(source: Path, split: str) -> list[tuple[Tensor, int]]:
    from torchvision.datasets import FER2013

    try:
        return FER2013(source.parent.parent, split=split)._samples
    except RuntimeError:
        raise DataError(f"{source} is truncated or altered: its MD5 is not Kaggle's. {_HOW_TO_GET_IT}") from None


def _usage(source: Path) -> np.ndarray:
    """The split of every row of a Kaggle file; ``train.csv`` has only Training."""
    with source.open(newline="") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        return np.array([row.get("Usage") or "Training" for row in reader])


def _votes(source: Path, usage: np.ndarray, order: np.ndarray) -> Tensor | None:
    """FER+'s counts, uint8 (N, 10), in ``order``: it has a line for every line of fer2013.csv."""
    path = source.parent / "fer2013new.csv"
    if not path.is_file() or source.name == "train.csv":
        return None
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    counted = all((row.get(name) or "").isdecimal() for row in rows for name in VOTES)
    follow = len(rows) == len(usage) and all(rows[i].get("Usage") == x for i, x in zip(order, usage, strict=True))
    if not counted or not follow:
        raise DataError(f"{path} has {len(rows)} lines that do not follow {source.name}: get it anew from FERPlus")
    return torch.tensor([[int(rows[i][name]) for name in VOTES] for i in order], dtype=torch.uint8)


def _read_folder(folder: Path) -> dict[str, Faces]:
    return {name: _unmarked(*rows, None) for name, rows in folders.read(folder, EMOTIONS, tuple(SPLITS)).items()}


def _unmarked(pixels: Tensor, labels: Tensor, votes: Tensor | None) -> Faces:
    return Faces(pixels, labels, votes, torch.zeros(len(labels), dtype=torch.bool))


# ------------------------------------------------------------------------------------------------ cache


def _stamp(source: Path) -> str:
    """Changes when the source does: name, size and time of the files (of the folders, for the folder layout)."""
    votes = source.parent / "fer2013new.csv"
    watched = sorted(source.glob("*/*")) if source.is_dir() else [path for path in (source, votes) if path.exists()]
    return f"{TWIN_CORRELATION} " + " ".join(
        f"{path.name}:{path.stat().st_size}:{path.stat().st_mtime_ns}" for path in watched
    )


def _read_cache(cache: Path, stamp: str) -> dict[str, Faces] | None:
    try:
        before = _identity(cache)
        with safe_open(cache, "pt") as file:
            if (file.metadata() or {}).get("stamp") != stamp:
                return None
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (safe_open is no dict)
        if _identity(cache) != before:
            return None  # safe_open opens its file twice: the places of one cache, the bytes of another
    except (OSError, SafetensorError):
        return None  # missing, half-written or unreadable: the source is there to read again
    names = [name for name in SPLITS if {f"{name}.pixels", f"{name}.labels", f"{name}.twin"} <= tensors.keys()]
    return {name: Faces(*(tensors.get(f"{name}.{part}") for part in Faces.__annotations__)) for name in names} or None


def _identity(path: Path) -> tuple[int, int, int]:
    """Changes when another file takes this one's place."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _write_cache(cache: Path, stamp: str, splits: dict[str, Faces]) -> None:
    tensors = {
        f"{name}.{part}": getattr(faces, part) for name, faces in splits.items() for part in Faces.__annotations__
    }
    with suppress(OSError), whole(cache) as partial:  # a read-only folder only costs the next read its speed
        save_file({key: value for key, value in tensors.items() if value is not None}, partial, {"stamp": stamp})
