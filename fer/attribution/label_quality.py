"""Labels that are probably wrong: out-of-sample probabilities and labels -> how suspect each face is.

    margin = normalized_margin(probabilities, labels)      # low: the label is doubted
    suspect = suspicion(own_influence, margin)             # high: look at this face first
    doubtful = confident_errors(probabilities, labels)     # confident learning's list

Probabilities must come from a network, or a last layer, that was not trained on the face in question: one that was
repeats its label. Confident learning is by Northcutt et al. 2021 (arXiv 1911.00068), self-influence by Pruthi et al.
2020 (arXiv 2002.08484).
"""

import torch
from torch import Tensor


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


def suspicion(self_influence: Tensor, margin: Tensor) -> Tensor:
    """How suspect each label is, in 0..1: the mean of its ranks by self-influence and by the margin, each (N,).

    1 is a face that both put first.
    """
    return (_ranks(self_influence) + _ranks(-margin)) / 2


def _ranks(values: Tensor) -> Tensor:
    """Each value's place among all of them from 0, the smallest, to 1; equal values share the mean of their places."""
    _, place, count = values.unique(return_inverse=True, return_counts=True)
    last = count.cumsum(0)
    middle = (last - (count + 1) / 2).double()  # from 0
    return middle[place] / max(len(values) - 1, 1)
