"""Labels that are probably wrong: out-of-sample probabilities and labels -> how suspect each face is.

    margin = normalized_margin(probabilities, labels)      # low: the label is doubted
    suspect = suspicion(-margin)                           # 1: look at this face first
    doubtful = confident_errors(probabilities, labels)     # confident learning's list

    table = audit(features, labels, folds)                 # all of it, from features (N, D)

Probabilities must come from a network, or a last layer, that was not trained on the face in question: one that was
repeats its label. Confident learning is by Northcutt et al. 2021 (arXiv 1911.00068), self-influence by Pruthi et al.
2020 (arXiv 2002.08484).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fer.attribution.last_layer import cross_validated_probabilities, fit_last_layer
from fer.attribution.training_examples import CheckpointFeatures, self_influence
from fer.utils.artifacts import Artifact


@dataclass(frozen=True, eq=False)
class LabelAudit:
    """N faces, each with how doubtful its label is.

    probabilities: float (N, K), of a last layer that was not trained on the face. suspicion: (N,), 0..1, by which to
    order. suggested: int64 (N,), the most probable other label. margin: (N,), of the label above that one, .5 where
    they are equal. self_influence: (N,). loss: (N,), of a last layer that was trained on the face as well.
    confident_error: bool (N,), confident learning's list.
    """

    probabilities: Tensor
    suspicion: Tensor
    suggested: Tensor
    margin: Tensor
    self_influence: Tensor
    loss: Tensor
    confident_error: Tensor


def audit(
    features: Tensor, labels: Tensor, folds: Tensor, classes: int, out_of_fold: Tensor | None = None
) -> LabelAudit:
    """Doubts the labels (N,) of faces with features (N, D), which are divided into ``folds`` (N,).

    A last layer is trained on the other folds for each fold, so that its probabilities do not repeat the face's own
    label; the order is by their margin. Duplicates should be in the same fold.

    out_of_fold: probabilities (N, K) of whole networks that were not trained on the face, as in out-of-fold
    distillation; the order is then by both.
    """
    probabilities = cross_validated_probabilities(features, labels, folds, classes)
    margin = normalized_margin(probabilities, labels)
    doubts = [-margin] if out_of_fold is None else [-margin, -normalized_margin(out_of_fold, labels)]
    layer = fit_last_layer(features, labels, classes)
    own = layer(features).log_softmax(1).gather(1, labels[:, None])[:, 0]
    return LabelAudit(
        probabilities=probabilities,
        suspicion=suspicion(*doubts),
        suggested=probabilities.scatter(1, labels[:, None], -1.0).argmax(1),
        margin=margin,
        self_influence=self_influence(CheckpointFeatures.of(layer, features, labels)),
        loss=-own,
        confident_error=confident_errors(probabilities, labels),
    )


def orders(found: LabelAudit) -> dict[str, Tensor]:
    """Ways to order faces by how suspect they are, each (N,), high for suspect: ours, and what it is held against."""
    generator = torch.Generator().manual_seed(0)
    return {
        "suspicion": found.suspicion,
        "confident_learning": found.confident_error.float() - found.margin,
        "loss": found.loss,
        "self_influence": found.self_influence,
        "random": torch.rand(len(found.loss), generator=generator),
    }


def self_confidence(probabilities: Tensor, labels: Tensor) -> Tensor:
    """The probability of each given label: (N, K), (N,) -> (N,)."""
    return probabilities.gather(1, labels[:, None])[:, 0]


def normalized_margin(probabilities: Tensor, labels: Tensor) -> Tensor:
    """How far the label's probability is above the best other one's, in 0..1; .5 where the two are equal: (N,)."""
    own = self_confidence(probabilities, labels)
    others = probabilities.scatter(1, labels[:, None], -torch.inf).max(1).values
    return (own - others + 1) / 2


def class_thresholds(probabilities: Tensor, labels: Tensor) -> Tensor:
    """The mean probability of each label among the faces that carry it, (K,); 1 where none does."""
    own, count = self_confidence(probabilities, labels), probabilities.shape[1]
    sums = torch.zeros(count, dtype=own.dtype).index_add(0, labels, own)
    faces = torch.bincount(labels, minlength=count)
    return torch.where(faces > 0, sums / faces.clamp_min(1), 1.0)


def confident_labels(probabilities: Tensor, labels: Tensor) -> Tensor:
    """The label with the highest probability among those that reach their own threshold, (N,); -1 where none does."""
    reached = probabilities >= class_thresholds(probabilities, labels) - 1e-6  # rounding, as cleanlab allows for it
    best = torch.where(reached, probabilities, -1.0).max(1)
    return torch.where(best.values >= 0, best.indices, -1)


def confident_errors(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Confident learning's label errors, bool (N,): off the diagonal of the confident joint, and read as another label.

    The second leaves out faces whose label is the most probable one without reaching its own threshold.
    """
    answer = confident_labels(probabilities, labels)
    return (answer >= 0) & (answer != labels) & (probabilities.argmax(1) != labels)


def confident_joint(probabilities: Tensor, labels: Tensor) -> Tensor:
    """How many faces carry label i and are confidently j, int64 (K, K); not calibrated."""
    answer, count = confident_labels(probabilities, labels), probabilities.shape[1]
    known = answer >= 0
    return torch.bincount(labels[known] * count + answer[known], minlength=count * count).view(count, count)


def suspicion(*doubts: Tensor) -> Tensor:
    """How suspect each label is, in 0..1: the mean of its ranks by each of ``doubts``, (N,), which are high for doubt.

    1 is a face that all of them put first.
    """
    return torch.stack([_ranks(doubt) for doubt in doubts]).mean(0)


def _ranks(values: Tensor) -> Tensor:
    """Each value's place among all of them from 0, the smallest, to 1; equal values share the mean of their places."""
    _, place, count = values.unique(return_inverse=True, return_counts=True)
    last = count.cumsum(0)
    middle = (last - (count + 1) / 2).double()  # from 0
    return middle[place] / max(len(values) - 1, 1)


# ------------------------------------------------------------------------------------------------ its file


KEPT = 100  # the most suspect faces of each split
_TEXTS, _NUMBERS = ("label", "suggested", "annotators"), ("probability_of_label", "probability_of_suggested")


def _parse(kept: dict) -> dict:
    for part in kept["splits"]:
        for row in part["rows"]:
            texts = all(isinstance(row[name], str) for name in _TEXTS)
            if not (texts and isinstance(row["row"], int) and all(0 <= row[name] <= 1 for name in _NUMBERS)):
                raise ValueError("a row that no list of suspect labels has")
        if not (isinstance(part["split"], str) and part["split"].isalnum() and part["n"] > 0 and "annotators" in part):
            raise ValueError("a split that no data set has")
        if part["annotators"]:
            orders_ = part["annotators"]["contradicted"]
            if not {"suspicion", "loss"} <= orders_.keys() or not all(name.isidentifier() for name in orders_):
                raise ValueError("orders that no list of suspect labels has")
    return kept


ARTIFACT = Artifact("suspects.json", "suspects", _parse)
