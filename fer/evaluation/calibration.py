"""What makes a model's answers honest: fitted on PublicTest and on PublicTest-C, both without duplicates.

- logit adjustment (Menon et al. 2021): a share of the logarithm of Training's label frequencies is taken from the
  logits, so that rare labels are answered more often;
- temperature (Guo et al. 2017), and the probability below which an answer is called unsure;
- prediction sets: the labels whose probability is at least a threshold, which hold the true one for 90 % of faces
  (split conformal prediction; Sadinle et al. 2019).

FER-2013's faces and those of FER-2013-C, all 33 kinds together, count half each; prediction sets are fitted on faces as
they are, for which their coverage is stated.
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
_COST = 0.002  # of PublicTest's accuracy, that an adjustment may cost


@dataclass(frozen=True)
class Calibration:
    """What ``fit`` found; the fields are those of config.json."""

    logit_adjustment: dict
    temperature: float
    confidence_threshold: float
    prediction_set: float


def fit(clean: Tensor, corrupted: Tensor, labels: Tensor, prior: list[float]) -> Calibration:
    """Fits all four, one after the other, on faces of the labels (N,).

    clean: logits (N, K) without any adjustment. corrupted: those of the same faces under C corruptions, (C, N, K).
    prior: how frequent each label is among the faces that were learnt from, as ``label_frequencies`` gives it.
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
    """Fits and sets all four of ``network`` on the faces of PublicTest without duplicates, and corrupts them for it."""
    alone, before = faces[~faces.is_duplicate], network.offsets()
    clean, corrupted = predict_split(network, alone.pixels), corrupted_logits(network, alone.pixels)
    found = fit(clean - before, corrupted - before, alone.labels, prior)
    network.adjust(found.logit_adjustment)
    network.temperature, network.confidence_threshold = found.temperature, found.confidence_threshold
    network.prediction_set = found.prediction_set


def label_frequencies(labels: Tensor, classes: int) -> list[float]:
    """The share of each label among int64 labels (N,); one that never occurs counts as if it did once."""
    counts = labels.bincount(minlength=classes).clamp_min(1).double()
    return [round(part, 5) for part in (counts / counts.sum()).tolist()]


def choose_share(clean: Tensor, corrupted: Tensor, labels: Tensor, prior: list[float]) -> float:
    """The largest share of SHARES that costs neither the clean nor the corrupted faces .2 point of accuracy."""

    def accuracies(share: float) -> Tensor:
        offsets = logit_offsets({"share": share, "prior": prior})
        hits = [((logits + offsets).argmax(-1) == labels).double().mean() for logits in (clean, corrupted)]
        return torch.stack(hits)

    least = accuracies(0.0) - _COST - 1e-9
    return max(share for share in SHARES if (accuracies(share) >= least).all())


def fit_prediction_sets(probabilities: Tensor, labels: Tensor, coverage: float = COVERAGE) -> float:
    """The probability that all but 1 - ``coverage`` of the true labels reach: the conformal quantile of N faces."""
    true = probabilities.gather(1, labels[:, None])[:, 0].sort().values  # (N,)
    missed = math.floor(round((1 - coverage) * (len(true) + 1), 9))
    return math.floor(1e4 * true[missed - 1].item()) / 1e4 if missed else 0.0


def fit_temperature(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> float:
    """The temperature in 0.25..8 under which softmax(logits / temperature) has the least loss on ``labels``.

    weights: how much each face counts, (N,).
    """
    low, high = -2.0, 3.0  # powers of two; the loss has one valley, so the interval can be cut by the golden section
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
    """The lowest top probability above which at most the share ``wrong`` of answers is wrong; 0 if none has to go.

    1 if no threshold reaches it: then every answer is unsure. weights: how much each face counts, (N,).
    """
    confidence, answer = probabilities.max(1)
    confidence, order = confidence.sort(descending=True)
    weights = torch.ones(len(labels)) if weights is None else weights
    weights = weights[order].double()
    errors = ((answer != labels)[order] * weights).cumsum(0) / weights.cumsum(0)  # (N,), of the surest k answers
    kept = (errors <= wrong).nonzero().flatten()
    if len(kept) == 0:
        return 1.0
    return 0.0 if kept[-1] == len(labels) - 1 else round(confidence[kept[-1]].item(), 4)
