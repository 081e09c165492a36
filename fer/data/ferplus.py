"""FER+'s taggers: what ten people see in each face of FER-2013 (Barsoum et al. 2016, github.com/microsoft/FERPlus).

Their votes on the two test splits, which are MIT licensed and show no face, are shipped in ``ferplus.npz``, so that
a network can be judged by them where the data set is not at hand.
"""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fer.utils.io import atomic_write

VOTES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")
FERPLUS = ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt")  # the first eight of VOTES
FILE = Path(__file__).parent / "assets" / "ferplus.npz"


def majority_vote(votes: Tensor) -> Tensor:
    """What most taggers see, indices into FERPLUS (N,), of votes (N, 10); -1 where they do not agree.

    FER+'s rule: single votes are dropped, and more than half of the rest must fall on one emotion.
    """
    counted = torch.where(votes > 1, votes, 0).int()  # (N, 10)
    most, answer = counted.max(1)
    return torch.where((2 * most > counted.sum(1)) & (answer < len(FERPLUS)), answer, -1)


def majority_label(votes: Tensor, labels: Sequence[str]) -> Tensor:
    """The same as indices into ``labels`` (N,); -1: the annotators disagree, -2: there is no such label."""
    names = [labels.index(name) if name in labels else -2 for name in FERPLUS]
    return torch.tensor([*names, -1])[majority_vote(votes)]


def contradicted(votes: Tensor, truth: Tensor, labels: Sequence[str]) -> Tensor:
    """Where the annotators agree on another label than ``truth`` (N,), an index into ``labels``: bool (N,)."""
    seen = majority_label(votes, labels)
    return (seen != -1) & (seen != truth)


def given_votes(votes: Tensor | None, row: int) -> dict[str, int] | None:
    """The votes (N, 10) on one face by name, those that were given; None where none are known."""
    if votes is None:
        return None
    return {name: count for name, count in zip(VOTES, votes[row].tolist(), strict=True) if count}


@functools.cache
def load_shipped_votes(split: str) -> Tensor:
    """The votes on a test split, uint8 (N, 10), in the order of fer2013.csv. Share it, do not alter it."""
    with np.load(FILE, allow_pickle=False) as file:
        return torch.from_numpy(file[split])


def write_shipped_votes(votes: Mapping[str, Tensor], path: Path = FILE) -> None:
    """Keeps the votes (N, 10) on each named split in ``path``."""
    with atomic_write(path) as partial:
        arrays: dict[str, Any] = {split: rows.byte().numpy() for split, rows in votes.items()}
        np.savez_compressed(partial, **arrays)
