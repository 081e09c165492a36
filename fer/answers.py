"""What a network answered on labelled faces, and what follows from it: ``python -m fer confusion NETWORK``.

found = kept(checkpoint.outline("compact"), "PrivateTest")     # neither weights nor data are needed
found = found.asked(without_twins=True).surer_than(0.8)
found.figures()                     # the figures of `python -m fer evaluate`, of these faces
compare(found, other)               # McNemar's test
judged(found)                       # by FER+'s ten taggers in place of the label
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import sqrt
from pathlib import Path

import torch
from torch import Tensor

from fer import checkpoint, data, evaluation, taggers
from fer.checkpoint import Network
from fer.committee import Committee
from fer.image_folder import LabelledFaces
from fer.taggers import FERPLUS

SPLITS = ("PrivateTest", "PublicTest")


@dataclass(frozen=True)
class Answers:
    """A network's answers, a row a face.

    logits: (N, K). truth: int64 (N,), indices into labels. twin: bool (N,). face: int64 (N,), each face's number in
    its split. votes: FER+'s counts (N, 10), or None where they are not known. faces: how many were asked about before
    unsure answers were left out.
    """

    name: str
    labels: tuple[str, ...]
    temperature: float
    logits: Tensor
    truth: Tensor
    twin: Tensor
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
    def read(self) -> Tensor:
        """What each face is read as, (N,)."""
        return self.logits.argmax(1)

    @property
    def right(self) -> Tensor:
        return self.read == self.truth

    def asked(self, without_twins: bool) -> "Answers":
        """All of them, or those on faces without a twin in Training."""
        kept = self[~self.twin] if without_twins else self
        return replace(kept, faces=len(kept))

    def surer_than(self, threshold: float) -> "Answers":
        """Those whose calibrated probability reaches ``threshold``, 0 to below 1."""
        if not isinstance(threshold, int | float) or not 0 <= threshold < 1:
            raise ValueError(f"the threshold is {threshold!r}: expected a probability from 0 to below 1")
        return self[self.probabilities.max(1).values >= threshold]

    def __getitem__(self, keep: Tensor) -> "Answers":
        rows = {key: getattr(self, key) for key in ("logits", "truth", "twin", "face", "votes")}
        return replace(self, **{key: None if part is None else part[keep] for key, part in rows.items()})

    def confusion(self) -> Tensor:
        """Counts (K, K): a row a label, a column what it is read as."""
        return evaluation.confusion(self.read, self.truth, len(self.labels))

    def figures(self) -> dict:
        """The figures of ``evaluate``, and the share of the faces that got an answer. At least one must have."""
        if not len(self):
            raise ValueError("no answer is as sure as that: lower the threshold")
        figures = evaluation.figures(self.logits, self.truth, self.twin, self.temperature)
        return {"answered": len(self) / self.faces, **figures}


def kept(network: Network | Committee, split: str, weights: Path | None = None) -> Answers:
    """What ``evaluate`` left of a network of ``weights/``; of a committee, what its members' answers come to.

    network: as ``checkpoint.outline`` or ``load`` gives it; its weights are not needed.

    Raises:
        ValueError: no such split, or the network was not measured on it yet.
    """
    if split not in SPLITS:
        raise ValueError(f"no split {str(split)[:40]!r}: expected one of {', '.join(SPLITS)}")
    folder = weights or checkpoint.WEIGHTS
    if isinstance(network, Committee):
        logits, truth, twin = evaluation.kept_together(network.members, split, folder)
    else:
        logits, truth, twin = evaluation.kept(folder / network.name, split)
    if logits.shape[1] != len(network.labels):
        command = f"python -m fer evaluate {network.name} --split {split}"
        raise ValueError(f"the kept answers of {network.name} are of other labels: `{command}` makes them anew")
    votes = taggers.shipped(split)
    face = torch.arange(len(votes)) if network.labels != FERPLUS else (taggers.majority(votes) >= 0).nonzero()[:, 0]
    if len(face) != len(truth):  # a part of the split, as in a test: who voted on which is not known
        face, votes = torch.arange(len(truth)), None
    votes = None if votes is None else votes[face]
    return Answers(
        network.name, network.labels, network.temperature, logits, truth, twin, face, votes, faces=len(truth)
    )


def of_own(own: LabelledFaces, network: Network | Committee, logits: Tensor) -> Answers:
    """A network's logits (N, K) on somebody's own faces, without those whose label it does not tell.

    Raises:
        ValueError: it tells none of their labels.
    """
    truth = torch.tensor([network.labels.index(name) if name in network.labels else -1 for name in own.names])
    known = (truth >= 0).nonzero()[:, 0]
    if not len(known):
        raise ValueError(f"{network.name} tells none of {', '.join(sorted(set(own.names)))} apart")
    rows = (logits[known], truth[known], torch.zeros(len(known), dtype=torch.bool), known)
    return Answers(network.name, network.labels, network.temperature, *rows, votes=None, faces=len(known))


def report(found: Answers, other: Answers | None = None) -> dict:
    """All that the Confusion tab says in numbers, for JSON; ``other`` is the network that it is compared with."""
    read_as = [None if mistake is None else found.labels[mistake[0]] for mistake in mistakes(found)]
    facts = {"network": found.name, "labels": list(found.labels), **found.figures()}
    facts |= {"ece_before": evaluation.calibration_error(found.logits.softmax(1), found.truth)}
    facts |= {"mistaken_for": dict(zip(found.labels, read_as, strict=True)), "taggers": judged(found)}
    return facts if other is None else facts | {"compared": compare(found, other)}


# ------------------------------------------------------------------------------------------------ against others


def compare(first: Answers, second: Answers) -> dict:
    """Two networks on the faces that both answer: who is right where, the gain of the first, McNemar's exact test.

    ``p`` is the chance of so uneven a split of the faces that only one reads right if both were equally good
    (McNemar 1947, two-sided, exact); ``ci95`` is the interval of the gain in accuracy.

    Raises:
        ValueError: other labels, or no face in common.
    """
    first, second = paired(first, second)
    a, b, n = first.right, second.right, len(first)
    counts = {"both": a & b, "only_first": a & ~b, "only_second": b & ~a, "neither": ~a & ~b}
    counts = {key: int(part.sum()) for key, part in counts.items()}
    won, lost = counts["only_first"], counts["only_second"]
    gain = (won - lost) / n
    spread = 1.959964 * sqrt(max(won + lost - (won - lost) ** 2 / n, 0)) / n
    return {"first": first.name, "second": second.name, "n": n, **counts, "gain": gain} | {
        "ci95": [gain - spread, gain + spread],
        "p": mcnemar(won, lost),
    }


def paired(first: Answers, second: Answers) -> tuple[Answers, Answers]:
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


def judged(found: Answers) -> dict | None:
    """A network of FER-2013's labels judged by FER+'s taggers, on the faces on which most of them agree.

    n: those faces. label: the share that carries what the taggers see. accuracy: the share that the network reads as
    the taggers do, with ci95. mistakes: how many of them the network reads other than labelled; as_taggers: how many of
    those it reads as the taggers do. None where nothing is known, or where the labels are the taggers' own.
    """
    if found.votes is None or found.labels != data.EMOTIONS:
        return None
    seen = majority_label(found)
    found, seen = found[seen != -1], seen[seen != -1]
    hits, wrong = found.read == seen, ~found.right
    n = len(found)
    return {
        "n": n,
        "label": (found.truth == seen).float().mean().item() if n else 0.0,
        "accuracy": hits.float().mean().item() if n else 0.0,
        "ci95": evaluation.wilson(int(hits.sum()), n),
        "mistakes": int(wrong.sum()),
        "as_taggers": int((wrong & hits).sum()),
    }


def majority_label(found: Answers) -> Tensor:
    """What most taggers see, as a number of the network's labels (N,); -1: they disagree, -2: it has no such label."""
    names = [found.labels.index(name) if name in found.labels else -2 for name in FERPLUS]
    return torch.tensor([*names, -1])[taggers.majority(found.votes)]


def coverage(found: Answers) -> tuple[Tensor, Tensor, Tensor]:
    """How much is right if only the surest are answered: threshold, share answered, share right of them, (N,) each."""
    sure, order = found.probabilities.max(1).values.sort(descending=True)
    answered = torch.arange(1, len(found) + 1)
    return sure, answered / len(found), found.right[order].cumsum(0) / answered


def mistakes(found: Answers) -> Sequence[tuple[int, int] | None]:
    """For every label the one it is most often read as by mistake, and how often."""
    return evaluation.mistaken_for(found.confusion())
