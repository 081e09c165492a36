"""Calibration of a model, fitted on PublicTest and on PublicTest-C, both without duplicates.

- logit adjustment (Menon et al. 2021): a share of the logarithm of Training's label frequencies is subtracted from the
  logits, so that rare labels are predicted more often;
- temperature (Guo et al. 2017), and the confidence threshold below which a prediction is one of low confidence;
- prediction sets: the labels whose probability reaches a threshold, which contain the true one for 90 % of faces
  (split conformal prediction; Sadinle et al. 2019).

PublicTest and all 33 corruptions of it together have half the weight each; prediction sets are fitted on uncorrupted
faces, for which their coverage is stated.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from fer.data.dataset import FaceDataset
from fer.evaluation.corruptions import corrupted_logits
from fer.evaluation.predictions import predict_split
from fer.models.checkpoint import FERModel, logit_offsets

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
COVERAGE = 0.90
_MAX_ACCURACY_LOSS = 0.002  # of an adjustment, on PublicTest


@dataclass(frozen=True)
class Calibration:
    """The result of ``fit``; the fields are those of config.json."""

    logit_adjustment: dict
    temperature: float
    confidence_threshold: float
    prediction_set: float


def fit(clean: Tensor, corrupted: Tensor, labels: Tensor, prior: list[float]) -> Calibration:
    """Fits all four, one after the other, to labels int64 (N,).

    clean: logits (N, K) without adjustment. corrupted: those of the same faces under C corruptions, (C, N, K). prior:
    the frequency of each label among the training faces, as `label_frequencies` gives it.
    """
    adjustment = {"share": choose_share(clean, corrupted, labels, prior), "prior": prior}
    offsets = logit_offsets(adjustment)
    clean, corrupted = clean + offsets, corrupted + offsets
    logits, expected = torch.cat([clean, corrupted.flatten(0, 1)]), labels.repeat(1 + len(corrupted))
    weights = torch.ones(len(expected))
    weights[len(labels) :] = 1 / len(corrupted)
    temperature = fit_temperature(logits, expected, weights)
    return Calibration(
        logit_adjustment=adjustment,
        temperature=temperature,
        confidence_threshold=fit_rejection_threshold((logits / temperature).softmax(1), expected, weights=weights),
        prediction_set=fit_prediction_sets((clean / temperature).softmax(1), labels),
    )


def calibrate_network(network: FERModel, faces: FaceDataset, prior: list[float]) -> None:
    """Fits and sets all four of ``network`` on those of ``faces``, PublicTest, that are no duplicates."""
    alone, before = faces[~faces.is_duplicate], network.offsets()
    clean, corrupted = predict_split(network, alone.pixels), corrupted_logits(network, alone.pixels)
    found = fit(clean - before, corrupted - before, alone.labels, prior)
    network.adjust(found.logit_adjustment)
    network.temperature, network.confidence_threshold = found.temperature, found.confidence_threshold
    network.prediction_set = found.prediction_set


def label_frequencies(labels: Tensor, classes: int) -> list[float]:
    """The frequency of each label in int64 labels (N,), sum 1; one that never occurs counts as once."""
    counts = labels.bincount(minlength=classes).clamp_min(1).double()
    return [round(part, 5) for part in (counts / counts.sum()).tolist()]


def choose_share(clean: Tensor, corrupted: Tensor, labels: Tensor, prior: list[float]) -> float:
    """The largest of SHARES that costs less than .002 of accuracy on clean and on corrupted faces."""

    def accuracies(share: float) -> Tensor:
        offsets = logit_offsets({"share": share, "prior": prior})
        hits = [((logits + offsets).argmax(-1) == labels).double().mean() for logits in (clean, corrupted)]
        return torch.stack(hits)

    least = accuracies(0.0) - _MAX_ACCURACY_LOSS - 1e-9
    return max(share for share in SHARES if (accuracies(share) >= least).all())


def fit_prediction_sets(probabilities: Tensor, labels: Tensor, coverage: float = COVERAGE) -> float:
    """The conformal quantile of N faces: ``coverage`` of the true labels have at least this probability."""
    true = probabilities.gather(1, labels[:, None])[:, 0].sort().values  # (N,)
    missed = math.floor(round((1 - coverage) * (len(true) + 1), 9))
    return math.floor(1e4 * true[missed - 1].item()) / 1e4 if missed else 0.0


def fit_temperature(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> float:
    """The temperature in 0.25..8 with the least cross-entropy of softmax(logits / temperature) (Guo et al. 2017).

    logits: (N, K). labels: int64 (N,). weights: of each face, (N,).
    """
    low, high = -2.0, 3.0  # powers of two; the loss is unimodal, so golden-section search finds its minimum
    golden = (5**0.5 - 1) / 2
    logits = logits.double()
    weights = torch.ones(len(labels)).double() if weights is None else weights.double()

    def loss(power: float) -> float:
        return (functional.cross_entropy(logits / 2**power, labels, reduction="none") @ weights).item()

    for _ in range(40):
        left, right = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return round(2 ** ((low + high) / 2), 4)


def fit_rejection_threshold(
    probabilities: Tensor, labels: Tensor, wrong: float = 0.10, weights: Tensor | None = None
) -> float:
    """The lowest confidence above which the error rate is at most ``wrong``; 0 if that holds for all predictions.

    1 if no threshold reaches it. probabilities: (N, K). labels: int64 (N,). weights: of each face, (N,).
    """
    confidence, answer = probabilities.max(1)
    confidence, order = confidence.sort(descending=True)
    weights = torch.ones(len(labels)) if weights is None else weights
    weights = weights[order].double()
    errors = ((answer != labels)[order] * weights).cumsum(0) / weights.cumsum(
        0
    )  # (N,), of the k most confident predictions
    kept = (errors <= wrong).nonzero().flatten()
    if len(kept) == 0:
        return 1.0
    return 0.0 if kept[-1] == len(labels) - 1 else round(confidence[kept[-1]].item(), 4)
