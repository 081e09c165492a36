"""Logits -> accuracy with its interval, per-class metrics, confusion, calibration: ``python -m fer evaluate NETWORK``.

Accuracy is computed on all faces, comparable with publications, and on those without a duplicate in Training.
"""

import numpy as np
import torch
from torch import Tensor

_STORED = ["accuracy", "n", "ci95", "accuracy_deduplicated", "n_deduplicated", "ci95_deduplicated"]
_STORED += ["macro_f1", "balanced_accuracy", "ece", "set_coverage", "set_size", "set_single"]


def stored_metrics(figures: dict) -> dict:
    """Those of `classification_metrics` that config.json stores, rounded."""
    return {name: round_metrics(figures[name]) for name in _STORED if name in figures}


def round_metrics(value: object) -> object:
    """Floats to five digits, however deep they lie in lists and dicts."""
    if isinstance(value, dict):
        return {key: round_metrics(part) for key, part in value.items()}
    if isinstance(value, list):
        return [round_metrics(part) for part in value]
    return round(value, 5) if isinstance(value, float) else value


def classification_metrics(
    logits: Tensor, labels: Tensor, is_duplicate: Tensor, temperature: float = 1.0, prediction_set: float = 0.0
) -> dict:
    """The metrics of one split; logits (N, K), labels int64 (N,), is_duplicate bool (N,).

    ``ci95`` are Wilson intervals; ``ece`` is the calibration error of softmax(logits / temperature); the confusion
    matrix has a row for every true label. All faces count, except for keys with ``_deduplicated``. prediction_set: the
    probability threshold of prediction sets; with 0 there are no metrics of sets.
    """
    matrix = confusion_matrix(logits.argmax(1), labels, logits.shape[1])
    probabilities = (logits / temperature).softmax(1)
    correct = logits.argmax(1) == labels
    deduplicated = correct[~is_duplicate]
    per_class = per_class_metrics(matrix)
    return {
        "accuracy": correct.float().mean().item(),
        "n": len(correct),
        "ci95": wilson_interval(int(correct.sum()), len(correct)),
        "accuracy_deduplicated": deduplicated.float().mean().item(),
        "n_deduplicated": len(deduplicated),
        "ci95_deduplicated": wilson_interval(int(deduplicated.sum()), len(deduplicated)),
        "macro_f1": float(np.mean([row["f1"] for row in per_class])),
        "balanced_accuracy": float(np.mean([row["recall"] for row in per_class if row["support"]])),
        "ece": calibration_error(probabilities, labels),
        **(prediction_set_metrics(probabilities, labels, prediction_set) if prediction_set else {}),
        "per_class": per_class,
        "confusion": matrix.tolist(),
    }


def confusion_matrix(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Counts, int64 (K, K): faces of the row's label that are predicted as the column's."""
    return torch.bincount(labels * classes + predicted, minlength=classes**2).view(classes, classes)


def per_class_metrics(matrix: Tensor) -> list[dict]:
    """Precision, recall, F1 and support of every label of a confusion matrix (K, K)."""
    rows = []
    for right, support, answered in zip(matrix.diagonal(), matrix.sum(1), matrix.sum(0), strict=True):
        precision, recall = (right / answered.clamp_min(1)).item(), (right / support.clamp_min(1)).item()
        f1 = (2 * right / (support + answered).clamp_min(1)).item()
        rows.append({"precision": precision, "recall": recall, "f1": f1, "support": int(support)})
    return rows


def wilson_interval(right: int, total: int, z: float = 1.959964) -> list[float]:
    """The 95 % interval of a proportion (Wilson 1927), within 0..1 for small counts too."""
    if total == 0:
        return [0.0, 1.0]
    share = right / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * (share * (1 - share) / total + z * z / (4 * total * total)) ** 0.5 / (1 + z * z / total)
    return [centre - half, centre + half]


def reliability(probabilities: Tensor, labels: Tensor, bins: int = 15) -> list[dict]:
    """The reliability diagram: for each of 15 equal bins of confidence with faces, n, mean confidence and accuracy."""
    confidence, answer = probabilities.max(1)
    right = (answer == labels).float()
    which = (confidence * bins).long().clamp(max=bins - 1)  # (N,)
    return [
        {
            "n": int(inside.sum()),
            "confidence": confidence[inside].mean().item(),
            "accuracy": right[inside].mean().item(),
        }
        for inside in (which == number for number in range(bins))
        if inside.any()
    ]


def calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Expected calibration error (Guo et al. 2017): the mean gap, over 15 equal bins, of confidence and accuracy."""
    rows = reliability(probabilities, labels, bins)
    return sum(row["n"] * abs(row["confidence"] - row["accuracy"]) for row in rows) / len(labels)


def prediction_sets(probabilities: Tensor, threshold: float) -> Tensor:
    """The labels in each face's set, bool (N, K): those that reach the threshold, and always the most probable."""
    best = probabilities == probabilities.amax(1, keepdim=True)
    return (probabilities >= threshold) | best


def prediction_set_metrics(probabilities: Tensor, labels: Tensor, threshold: float) -> dict:
    """Coverage of the sets, their mean size, and the share of sets with a single label."""
    sets = prediction_sets(probabilities, threshold)
    sizes = sets.sum(1).double()
    covered = sets.gather(1, labels[:, None]).double().mean().item()
    single = (sizes == 1).double().mean().item()
    return {"set_coverage": covered, "set_size": sizes.mean().item(), "set_single": single}


def top_confusion(matrix: Tensor) -> list[tuple[int, int] | None]:
    """For every label the label it is most often confused with, and how often; None if never."""
    wrong = matrix.clone().fill_diagonal_(0)
    most, answer = wrong.max(1)
    return [(int(a), int(n)) if n else None for a, n in zip(answer, most, strict=True)]
