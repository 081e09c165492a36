"""Predictions on labelled faces, stored beside the weights by ``evaluate``, and their metrics.

found = load_predictions(checkpoint.load_meta("compact"), "PrivateTest")    # needs neither weights nor data
found = found.select(without_duplicates=True).above_confidence(0.8)
found.compute_metrics()                                                     # as `python -m fer evaluate` prints
comparison.compare(found, other)                                            # McNemar's test
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fer.data import ferplus
from fer.data.dataset import FaceDataset
from fer.data.ferplus import FERPLUS
from fer.data.image_folder import LabelledFaces
from fer.evaluation import metrics
from fer.evaluation.inference import predict_logits
from fer.evaluation.metrics import classification_metrics
from fer.models import checkpoint
from fer.models.checkpoint import FERModel
from fer.models.ensemble import Ensemble, average_probabilities
from fer.utils import artifacts
from fer.utils.artifacts import Artifact

SPLITS = ("PrivateTest", "PublicTest")


@dataclass(frozen=True)
class Predictions:
    """A network's predictions on N labelled faces.

    logits: (N, K). truth: int64 (N,), indices into labels. is_duplicate: bool (N,). face: int64 (N,), each face's
    index in its split. votes: FER+'s counts (N, 10), or None where they are unknown. faces: the number of faces before
    predictions of low confidence were left out.
    """

    name: str
    labels: tuple[str, ...]
    temperature: float
    logits: Tensor
    truth: Tensor
    is_duplicate: Tensor
    face: Tensor
    votes: Tensor | None
    faces: int

    def __len__(self) -> int:
        return len(self.truth)

    @cached_property
    def probabilities(self) -> Tensor:
        """Calibrated, (N, K)."""
        return (self.logits / self.temperature).softmax(1)

    @cached_property
    def predicted(self) -> Tensor:
        """The label with the highest logit, int64 (N,)."""
        return self.logits.argmax(1)

    @property
    def correct(self) -> Tensor:
        """Whether each prediction is the label, bool (N,)."""
        return self.predicted == self.truth

    def select(self, without_duplicates: bool) -> "Predictions":
        """All of them, or those of faces without a duplicate in Training."""
        kept = self[~self.is_duplicate] if without_duplicates else self
        return replace(kept, faces=len(kept))

    def above_confidence(self, threshold: float) -> "Predictions":
        """Those whose calibrated probability reaches ``threshold``, 0 to below 1."""
        if not isinstance(threshold, int | float) or not 0 <= threshold < 1:
            raise ValueError(f"the threshold is {threshold!r}: expected a probability from 0 to below 1")
        return self[self.probabilities.max(1).values >= threshold]

    def __getitem__(self, keep: Tensor) -> "Predictions":
        rows: dict[str, Any] = {key: getattr(self, key) for key in ("logits", "truth", "is_duplicate", "face", "votes")}
        rows = {key: None if part is None else part[keep] for key, part in rows.items()}
        return replace(self, **rows)

    def confusion(self) -> Tensor:
        """Counts (K, K): a row for each true label, a column for each predicted one."""
        return metrics.confusion_matrix(self.predicted, self.truth, len(self.labels))

    def compute_metrics(self) -> dict:
        """The metrics of ``evaluate``, and the coverage as ``answered``. Raises ValueError without any prediction."""
        if not len(self):
            raise ValueError("no prediction reaches that confidence: lower the threshold")
        figures = metrics.classification_metrics(self.logits, self.truth, self.is_duplicate, self.temperature)
        return {"answered": len(self) / self.faces, **figures}


def load_predictions(network: FERModel | Ensemble, split: str, weights: Path | None = None) -> Predictions:
    """The predictions that ``evaluate`` stored of a network of ``weights/``; an ensemble's follow from its members'.

    network: as ``checkpoint.load_meta`` or ``load_model`` gives it; its weights are not needed.

    Raises:
        ValueError: no such split, or the network was not evaluated on it yet.
    """
    if split not in SPLITS:
        raise ValueError(f"no split {str(split)[:40]!r}: expected one of {', '.join(SPLITS)}")
    folder = weights or checkpoint.WEIGHTS
    if isinstance(network, Ensemble):
        logits, truth, is_duplicate = load_ensemble_logits(network.members, split, folder)
    else:
        logits, truth, is_duplicate = load_logits(folder / network.name, split)
    if logits.shape[1] != len(network.labels):
        command = f"python -m fer evaluate {network.name} --split {split}"
        raise ValueError(f"the stored predictions of {network.name} have other labels: `{command}` makes them anew")
    all_votes = ferplus.load_shipped_votes(split)
    face = torch.arange(len(all_votes))
    if network.labels == FERPLUS:
        face = (ferplus.majority_vote(all_votes) >= 0).nonzero()[:, 0]
    votes = None
    if len(face) == len(truth):
        votes = all_votes[face]
    else:  # a part of the split, as in a test: its votes are unknown
        face = torch.arange(len(truth))
    return Predictions(
        network.name, network.labels, network.temperature, logits, truth, is_duplicate, face, votes, faces=len(truth)
    )


def predict_own_faces(own: LabelledFaces, network: FERModel | Ensemble, logits: Tensor) -> Predictions:
    """Predictions of logits (N, K) on a user's labelled faces, without faces whose label the network does not have.

    Raises:
        ValueError: it has none of their labels.
    """
    truth = torch.tensor([network.labels.index(name) if name in network.labels else -1 for name in own.names])
    known = (truth >= 0).nonzero()[:, 0]
    if not len(known):
        raise ValueError(f"{network.name} has none of the labels {', '.join(sorted(set(own.names)))}")
    rows = (logits[known], truth[known], torch.zeros(len(known), dtype=torch.bool), known)
    return Predictions(network.name, network.labels, network.temperature, *rows, votes=None, faces=len(known))


PREDICTIONS = "predictions.npz"
_ROUNDING = 0.05  # between the logits of two machines


class NotMeasuredError(ValueError):
    """A network that was not evaluated on a split yet. One line, with the command that does it."""


def evaluate(
    network: FERModel, split: str, faces: FaceDataset, tta: bool = False, folder: Path | None = None, keep: bool = False
) -> dict:
    """The metrics of ``network`` on a split's faces; with ``folder``, stores logits without TTA in predictions.npz.

    keep: store them even if nothing but rounding has changed, see ``save_predictions``.
    """
    digest = artifacts.digest_or_none(folder) if folder else None  # before the minutes in which others may train
    logits = predict_split(network, faces.pixels, tta)
    if folder is not None and not tta:
        save_predictions(folder / PREDICTIONS, split, logits, faces, digest, keep)
    return {"model": network.name, "split": split, "tta": tta} | classification_metrics(
        logits, faces.labels, faces.is_duplicate, network.temperature, network.prediction_set
    )


def predict_split(network: nn.Module, pixels: Tensor, tta: bool = False) -> Tensor:
    """Logits (N, K) of uint8 faces (N, 48, 48), rounded to float16 as predictions.npz stores them."""
    if isinstance(network, Ensemble):
        parts = [predict_split(member, pixels, tta) for member in network.members]
        return average_probabilities(parts, [member.temperature for member in network.members])
    return predict_logits(network, pixels, tta=tta).half().float()


def save_predictions(
    path: Path, split: str, logits: Tensor, faces: FaceDataset, digest: str | None = None, always: bool = False
) -> None:
    """Stores a split's logits (float16), labels and duplicates in ``path``, with the digest of the weights beside it.

    Predictions of other weights are dropped. Unless ``always``, nothing is written where weights, labels and duplicates
    are unchanged and no logit differs by more than _ROUNDING.
    """
    old = _ARTIFACT.load_or_none(path.parent) or {}
    rows = {
        "logits": logits.half().numpy(),
        "labels": faces.labels.byte().numpy(),
        "is_duplicate": faces.is_duplicate.numpy(),
    }
    new = {f"{split}_{key}": value for key, value in rows.items()}
    if always or not all(key in old and _equal_but_for_rounding(old[key], value) for key, value in new.items()):
        _ARTIFACT.save(path.parent, old | new, digest)


def _equal_but_for_rounding(old: np.ndarray, new: np.ndarray) -> bool:
    if old.shape != new.shape or old.dtype.kind != new.dtype.kind:
        return False
    if new.dtype.kind != "f":
        return np.array_equal(old, new)
    return bool((np.abs(old.astype(np.float32) - new.astype(np.float32)) <= _ROUNDING).all())  # NaN neither


def load_logits(folder: Path, split: str) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (N, K), labels (N,) and is_duplicate (N,) that ``evaluate`` stored in a checkpoint's folder.

    Raises:
        NotMeasuredError: the network was not evaluated on this split yet.
        ArtifactError: the file is broken, or of other weights. One line, with the command that makes it anew.
    """
    artifact = Artifact(PREDICTIONS, f"evaluate {{}} --split {split}", lambda stored: _of_split(stored, split))
    with suppress(FileNotFoundError):
        if (found := artifact.load(folder)) is not None:
            return found
    command = f"python -m fer evaluate {folder.name} --split {split}"
    raise NotMeasuredError(f"{folder.name} has not been measured on {split} yet: `{command}` does that")


def metrics_from_stored(network: FERModel, split: str, folder: Path) -> dict:
    """Metrics of the stored predictions: the same on every machine."""
    found = classification_metrics(*load_logits(folder, split), network.temperature, network.prediction_set)
    return {"model": network.name, "split": split, "tta": False} | found


def _of_split(stored: dict[str, np.ndarray], split: str) -> tuple[Tensor, Tensor, Tensor] | None:
    if f"{split}_logits" not in stored:
        return None
    return _to_tensors(*(stored[f"{split}_{key}"] for key in ("logits", "labels", "is_duplicate")))


def _to_tensors(logits: np.ndarray, labels: np.ndarray, is_duplicate: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """The arrays as tensors. Raises ValueError for shapes, types or values that cannot be predictions."""
    count, classes = logits.shape if logits.ndim == 2 else (0, 0)
    kinds = (logits.dtype.kind, labels.dtype.kind, is_duplicate.dtype.kind)
    if (
        kinds not in (("f", "u", "b"), ("f", "i", "b"))
        or not count
        or not labels.shape == is_duplicate.shape == (count,)
    ):
        raise ValueError(
            f"{logits.shape}, {labels.shape}, {is_duplicate.shape}: expected logits (N, K) and two of (N,)"
        )
    if not np.isfinite(logits).all() or labels.min() < 0 or labels.max() >= classes:
        raise ValueError("logits or labels out of range")
    return torch.from_numpy(logits).float(), torch.from_numpy(labels).long(), torch.from_numpy(is_duplicate)


def load_ensemble_logits(members: Sequence[FERModel], split: str, weights: Path) -> tuple[Tensor, Tensor, Tensor]:
    """The ensemble's logits from the stored ones of its members; returns and raises as `load_logits`."""
    parts = [load_logits(weights / member.name, split) for member in members]
    for member, (_, labels, _) in zip(members, parts, strict=True):
        if not torch.equal(labels, parts[0][1]):
            raise ValueError(
                f"{members[0].name} and {member.name} were evaluated on different faces: they cannot be an ensemble"
            )
    logits = average_probabilities([logits for logits, _, _ in parts], [member.temperature for member in members])
    return logits, *parts[0][1:]


def read_predictions(path: Path) -> dict[str, np.ndarray]:
    """The arrays ``<split>_logits`` (N, K), ``<split>_labels`` (N,) and ``<split>_is_duplicate`` (N,) of a
    predictions.npz."""
    return _ARTIFACT.load(path.parent)


_ARTIFACT: Artifact[dict] = Artifact(PREDICTIONS, "evaluate")
