from math import sqrt

import torch
from torch import Tensor

from fer.data import ferplus
from fer.data.labels import EMOTIONS
from fer.evaluation import metrics
from fer.evaluation.predictions import Predictions, mistakes


def report(found: Predictions, other: Predictions | None = None) -> dict:
    """All that the Confusion tab says in numbers, for JSON; ``other`` is the network that it is compared with."""
    read_as = [None if mistake is None else found.labels[mistake[0]] for mistake in mistakes(found)]
    facts = {"network": found.name, "labels": list(found.labels), **found.figures()}
    facts |= {"ece_before": metrics.calibration_error(found.logits.softmax(1), found.truth)}
    facts |= {"mistaken_for": dict(zip(found.labels, read_as, strict=True)), "taggers": annotator_agreement(found)}
    return facts if other is None else facts | {"compared": compare(found, other)}


# ------------------------------------------------------------------------------------------------ against others


def compare(first: Predictions, second: Predictions) -> dict:
    """Two networks on the faces that both answer: who is right where, the gain of the first, McNemar's exact test.

    ``p`` is the chance of so uneven a split of the faces that only one reads right if both were equally good
    (McNemar 1947, two-sided, exact); ``ci95`` is the interval of the gain in accuracy.

    Raises:
        ValueError: other labels, or no face in common.
    """
    first, second = paired_correctness(first, second)
    a, b, n = first.right, second.right, len(first)
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
    """Both networks' answers on the faces that both answer, in the same order. ValueError as of ``compare``."""
    if first.labels != second.labels:
        raise ValueError(f"{first.name} and {second.name} tell other labels apart, so they cannot be compared")
    mine, theirs = torch.isin(first.face, second.face), torch.isin(second.face, first.face)
    if not mine.any():
        raise ValueError(f"{first.name} and {second.name} answer no face in common: lower the threshold")
    first, second = first[mine], second[theirs]
    if not torch.equal(first.truth, second.truth):
        raise ValueError(f"{first.name} and {second.name} were measured on other faces, so they cannot be compared")
    return first, second


def mcnemar(won: int, lost: int) -> float:
    """The two-sided chance of a split at least as uneven as this one in fair coin tosses; 1 without any."""
    tosses, ways, total = won + lost, 1, 0
    for k in range(min(won, lost) + 1):
        total += ways  # of k heads
        ways = ways * (tosses - k) // (k + 1)
    return min(1.0, 2 * total / 2**tosses)


def annotator_agreement(found: Predictions) -> dict | None:
    """A network of FER-2013's labels judged by FER+'s taggers, on the faces on which most of them agree.

    n: those faces. label: the share that carries what the taggers see. accuracy: the share that the network reads as
    the taggers do, with ci95. mistakes: how many of them the network reads other than labelled; as_taggers: how many of
    those it reads as the taggers do. None where nothing is known, or where the labels are the taggers' own.
    """
    if found.votes is None or found.labels != EMOTIONS:
        return None
    seen = majority_label(found)
    found, seen = found[seen != -1], seen[seen != -1]
    hits, wrong = found.read == seen, ~found.right
    n = len(found)
    return {
        "n": n,
        "label": (found.truth == seen).float().mean().item() if n else 0.0,
        "accuracy": hits.float().mean().item() if n else 0.0,
        "ci95": metrics.wilson_interval(int(hits.sum()), n),
        "mistakes": int(wrong.sum()),
        "as_taggers": int((wrong & hits).sum()),
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
    """How much is right if only the surest are answered: threshold, share answered, share right of them, (N,) each."""
    sure, order = found.probabilities.max(1).values.sort(descending=True)
    answered = torch.arange(1, len(found) + 1)
    return sure, answered / len(found), found.right[order].cumsum(0) / answered
