from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from fer.data.ferplus import FERPLUS, majority_vote
from fer.data.labels import EMOTIONS

SPLITS = {"Training": 28709, "PublicTest": 3589, "PrivateTest": 3589}
NUM_FERPLUS_MAJORITY = 25060  # faces of Training on which FER+'s taggers agree


@dataclass(frozen=True)
class FaceDataset:
    """The faces of one split.

    pixels: uint8 (N, 48, 48). labels: int64 (N,), indices into EMOTIONS. votes: FER+'s ten counts, uint8 (N, 10),
    or None. is_duplicate: bool (N,): in a test split, the face has a duplicate in Training; in Training, it has one in
    a test split. teacher_probs: soft targets of a teacher, float (N, K), or None.
    """

    pixels: Tensor
    labels: Tensor
    votes: Tensor | None
    is_duplicate: Tensor
    teacher_probs: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, keep: slice | Tensor) -> "FaceDataset":
        return self.map(lambda part: part[keep])

    def map(self, function: Callable[[Tensor], Tensor]) -> "FaceDataset":
        """``function`` of every tensor that is there."""
        parts: dict[str, Any] = {name: part if part is None else function(part) for name, part in vars(self).items()}
        return FaceDataset(**parts)


def random_subset(faces: FaceDataset, count: int) -> FaceDataset:
    """At most ``count`` faces, drawn with a fixed seed."""
    return faces[torch.randperm(len(faces), generator=torch.Generator().manual_seed(0))[:count]]


def with_mirror_images(faces: FaceDataset) -> FaceDataset:
    """All faces, then their mirror images: 2 N."""
    twice = faces.map(lambda part: torch.cat([part, part]))
    return replace(twice, pixels=torch.cat([faces.pixels, faces.pixels.flip(-1)]))


def to_unit(pixels: Tensor) -> Tensor:
    """A network's input: uint8 (N, 48, 48) -> float32 (N, 1, 48, 48) in 0..1."""
    return pixels.unsqueeze(1).float() / 255  # (N, 1, 48, 48)


def with_label_set(faces: FaceDataset, labels: Sequence[str]) -> FaceDataset:
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
    answer = majority_vote(faces.votes)
    return replace(faces, labels=answer)[answer >= 0]


class DataError(ValueError):
    """Faces are missing or cannot be used. One line: what was looked for, where, and how to get it."""
