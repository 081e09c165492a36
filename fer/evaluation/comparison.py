from math import sqrt

import torch
from torch import Tensor

from fer.data import ferplus
from fer.data.labels import EMOTIONS
from fer.evaluation import metrics
from fer.evaluation.predictions import Predictions


def report(found: Predictions, other: Predictions | None = None) -> dict:
    """Metrics, most frequent confusions and annotator agreement, for JSON; with ``other`` also the comparison."""
    confused = metrics.top_confusion(found.confusion())
    read_as = [None if top is None else found.labels[top[0]] for top in confused]
    facts = {"model": found.name, "labels": list(found.labels), **found.compute_metrics()}
    facts |= {"ece_before": metrics.calibration_error(found.logits.softmax(1), found.truth)}
    facts |= {"mistaken_for": dict(zip(found.labels, read_as, strict=True)), "annotators": annotator_agreement(found)}
    return facts if other is None else facts | {"compared": compare(found, other)}


def compare(first: Predictions, second: Predictions) -> dict:
    """Two networks on the faces that both predict: counts of correct ones, gain of the first, McNemar's exact test.

    ``p`` is the two-sided exact p-value of the faces that only one network predicts correctly (McNemar 1947); ``ci95``
    is the interval of the gain in accuracy.

    Raises:
        ValueError: other labels, or no face in common.
    """
    first, second = paired_correctness(first, second)
    a, b, n = first.correct, second.correct, len(first)
    cells = {"both": a & b, "only_first": a & ~b, "only_second": b & ~a, "neither": ~a & ~b}
    counts = {key: int(part.sum()) for key, part in cells.items()}
    won, lost = counts["only_first"], counts["only_second"]
    gain = (won - lost) / n
    spread = 1.959964 * sqrt(max(won + lost - (won - lost) ** 2 / n, 0)) / n
    return {"first": first.name, "second": second.name, "n": n, **counts, "gain": gain} | {
        "ci95": [gain - spread, gain + spread],
        "p": mcnemar(won, lost),
    }


def paired_correctness(first: Predictions, second: Predictions) -> tuple[Predictions, Predictions]:
    """Both networks' predictions on the faces that both have, in the same order. Raises as `compare` does."""
    if first.labels != second.labels:
        raise ValueError(f"{first.name} and {second.name} have different labels, so they cannot be compared")
    mine, theirs = torch.isin(first.face, second.face), torch.isin(second.face, first.face)
    if not mine.any():
        raise ValueError(f"{first.name} and {second.name} answer no face in common: lower the threshold")
    first, second = first[mine], second[theirs]
    if not torch.equal(first.truth, second.truth):
        raise ValueError(
            f"{first.name} and {second.name} were evaluated on different faces, so they cannot be compared"
        )
    return first, second


def mcnemar(won: int, lost: int) -> float:
    """The two-sided exact p-value of ``won`` against ``lost`` under a fair coin; 1 if both are 0."""
    tosses, ways, total = won + lost, 1, 0
    for k in range(min(won, lost) + 1):
        total += ways  # of k heads
        ways = ways * (tosses - k) // (k + 1)
    return min(1.0, 2 * total / 2**tosses)


def annotator_agreement(found: Predictions) -> dict | None:
    """Agreement of a network with FER+'s annotators, on the faces with a majority.

    n: those faces. label: the share whose label is the majority's. accuracy: the share whose prediction is, with ci95.
    mistakes: the number of predictions other than the label; as_annotators: how many of these are the majority's label.
    None where the votes are unknown, or where the labels are FER+'s own.
    """
    if found.votes is None or found.labels != EMOTIONS:
        return None
    seen = majority_label(found)
    found, seen = found[seen != -1], seen[seen != -1]
    hits, wrong = found.predicted == seen, ~found.correct
    n = len(found)
    return {
        "n": n,
        "label": (found.truth == seen).float().mean().item() if n else 0.0,
        "accuracy": hits.float().mean().item() if n else 0.0,
        "ci95": metrics.wilson_interval(int(hits.sum()), n),
        "mistakes": int(wrong.sum()),
        "as_annotators": int((wrong & hits).sum()),
    }


def majority_label(found: Predictions) -> Tensor:
    """FER+'s majority label of each face, an index into the labels (N,); -1: no majority, -2: not among the labels.

    Raises:
        ValueError: the votes are not known.
    """
    if found.votes is None:
        raise ValueError("FER+'s votes on these faces are not known")
    return ferplus.majority_label(found.votes, found.labels)


def risk_coverage(found: Predictions) -> tuple[Tensor, Tensor, Tensor]:
    """The risk-coverage curve: threshold of confidence, coverage, and accuracy above the threshold, (N,) each."""
    sure, order = found.probabilities.max(1).values.sort(descending=True)
    answered = torch.arange(1, len(found) + 1)
    return sure, answered / len(found), found.correct[order].cumsum(0) / answered
