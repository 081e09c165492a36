"""Labelled pictures in folders -> faces: FER-2013's own layout, and any other set of faces, one's own as well.

- ``DIR/train/<emotion>/*.jpg|png`` with ``validation/`` or ``test/`` beside it: the splits are those folders;
- ``DIR/<emotion>/*.jpg|png``, or a lone ``DIR/train/``: a tenth of each emotion is held out, the same in every run.

Pictures of another size than 48x48 are taken whole: their centred square, grey, made smaller. `python -m fer crop`
cuts faces out of photographs as they are cut for reading.
"""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

SIDE = 48
HELD_OUT = 0.1  # of each emotion, where there is no folder of faces to choose on
_KINDS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
_SYNONYMS = {"anger": "angry", "disgusted": "disgust", "fearful": "fear", "happiness": "happy", "happily": "happy",
             "sadness": "sad", "surprised": "surprise", "natural": "neutral"}  # fmt: skip


class DataError(ValueError):
    """Faces are missing, truncated or altered. One line: what was looked for, where, and how to get it."""


def emotion_named(folder: str) -> str:
    """The emotion that a folder's name means, as we spell it; the name itself if it means none."""
    return _SYNONYMS.get(folder.lower(), folder.lower())


def has_faces(folder: Path, emotions: Sequence[str]) -> bool:
    """Whether ``folder`` looks like one of the layouts above."""
    return (folder / "train").is_dir() or any(emotion_named(sub.name) in emotions for sub in _subfolders(folder))


def read(folder: Path, emotions: Sequence[str], splits: Sequence[str]) -> dict[str, tuple[Tensor, Tensor]]:
    """Each split's pixels, uint8 (N, 48, 48), and labels, indices into ``emotions`` (N,).

    Kaggle's copy of FER-2013 names each file after its split, which counts more than its folder. Of ``splits``, the
    first is trained on, the second is what choices are made on (a lone ``test/`` as well), the third is the test.

    Raises:
        DataError: a folder that names no emotion, a picture that cannot be read, or fewer than two faces of all.
    """
    held_out = [name for name in ("validation", "test") if (folder / name).is_dir()]
    fallback = dict(zip(held_out, splits[1 : 1 + len(held_out)], strict=True))
    parts = ["train", *held_out] if (folder / "train").is_dir() else ["."]
    rows: dict[str, list[tuple[Path, int]]] = {name: [] for name in splits}
    for part in parts:
        for path, label in _labelled(folder / part, emotions):
            own = path.name.split("_")[0]
            rows[own if own in splits else fallback.get(part, splits[0])].append((path, label))
    if not any(rows[name] for name in splits[1:]):
        rows[splits[0]], rows[splits[1]] = _divided(rows[splits[0]], folder)
    return {name: _read(some) for name, some in rows.items() if some}


def _divided(rows: list[tuple[Path, int]], folder: Path) -> tuple[list, list]:
    """The faces to train on, and a tenth of each emotion: drawn by chance, but by the same chance every time."""
    kept, held, chance = [], [], random.Random(0)
    for label in sorted({label for _, label in rows}):
        some = [row for row in rows if row[1] == label]
        chance.shuffle(some)
        count = max(1, round(HELD_OUT * len(some))) if len(some) > 1 else 0
        held, kept = held + some[:count], kept + some[count:]
    if not held:
        raise DataError(f"{folder} has {len(rows)} pictures: two of an emotion are the least that can be divided")
    return kept, held


def _labelled(folder: Path, emotions: Sequence[str]) -> Iterator[tuple[Path, int]]:
    for sub in _subfolders(folder):
        name = emotion_named(sub.name)
        if name not in emotions:
            raise DataError(f"{sub} names no emotion: expected one of {', '.join(emotions)}")
        files = (path for path in sorted(sub.iterdir()) if path.suffix.lower() in _KINDS and path.name[0] != ".")
        yield from ((path, emotions.index(name)) for path in files)


def _subfolders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] not in "._")


def _read(rows: list[tuple[Path, int]]) -> tuple[Tensor, Tensor]:
    return torch.stack([_face(path) for path, _ in rows]), torch.tensor([label for _, label in rows])


def _face(path: Path) -> Tensor:
    """A picture's centred square as a grey face, uint8 (48, 48)."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as opened:
            picture = ImageOps.exif_transpose(opened).convert("L")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise DataError(f"{path} cannot be read as a picture: take it out or get it anew") from None
    if (side := min(picture.size)) < SIDE:
        raise DataError(f"{path} is {picture.width}x{picture.height}: each side of a face needs {SIDE} pixels")
    if picture.size != (SIDE, SIDE):
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        square = picture.crop((left, top, left + side, top + side))
        picture = square.resize((SIDE, SIDE), Image.Resampling.HAMMING)
    return torch.from_numpy(np.array(picture))
