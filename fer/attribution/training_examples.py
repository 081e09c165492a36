"""Which training faces made an answer: TracIn of the last layer, nearest faces, and prototypes.

    checkpoint = CheckpointFeatures.of(layer, features, labels)     # features (N, D) of the training faces
    values = influence([checkpoint], [own], target)                 # (B, N): how much each training face helped

TracIn (Pruthi et al. 2020) adds up, over checkpoints of a training, the learning rate times the dot product of two
gradients of the loss: that of a training face and that of the face in question. A step on a training face with a
positive value (a *proponent*) lowers the loss of the answer, one with a negative value (an *opponent*) raises it. For
the last layer alone the dot product is (h.h' + 1)(g.g'), with features h and gradients g at the logits; the 1 is the
bias's. That is exact for this layer, and says nothing of those before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fer.attribution.last_layer import loss_gradients


@dataclass(frozen=True, eq=False)
class CheckpointFeatures:
    """The training faces as one checkpoint sees them.

    features: float32 (N, D), what goes into the last layer. gradients: float32 (N, K), of the loss at the logits.
    norms: float32 (N,), the lengths of the features. learning_rate: the weight of this checkpoint in the sum.
    """

    layer: nn.Linear
    features: Tensor
    gradients: Tensor
    norms: Tensor
    learning_rate: float = 1.0

    @classmethod
    def of(cls, layer: nn.Linear, features: Tensor, labels: Tensor, learning_rate: float = 1.0) -> "CheckpointFeatures":
        """From the last layer and the features (N, D) and labels (N,) of the training faces."""
        return cls(layer, features, loss_gradients(layer, features, labels), features.norm(dim=1), learning_rate)

    def cosine(self, features: Tensor) -> Tensor:
        """The cosine of each of B faces' features (B, D) with those of each training face: (B, N)."""
        lengths = features.norm(dim=1, keepdim=True) * self.norms
        return (features @ self.features.T) / lengths.clamp_min(1e-12)


@dataclass(frozen=True)
class Neighbours:
    """Training faces by their row, strongest or nearest first, each with its value."""

    rows: list[int]
    values: list[float]


@dataclass(frozen=True)
class Evidence:
    """What the training faces say of one answer.

    target: the index of the label that is explained. proponents, opponents: by influence. total: the sum of the
    influences' sizes over all training faces, to take shares of. nearest, unlike: by cosine of the features, the second
    among faces of other labels than ``target``.
    """

    target: int
    proponents: Neighbours
    opponents: Neighbours
    total: float
    nearest: Neighbours
    unlike: Neighbours


def influence(checkpoints: Sequence[CheckpointFeatures], features: Sequence[Tensor], targets: Tensor) -> Tensor:
    """How much a step on each training face lowers the loss of ``targets`` (B,) for B faces: float (B, N).

    features: of the B faces, (B, D), for each checkpoint.

    Raises:
        ValueError: no checkpoint, or not as many features as checkpoints.
    """
    if not checkpoints or len(checkpoints) != len(features):
        raise ValueError(f"{len(checkpoints)} checkpoints and {len(features)} features: expected as many, 1 or more")
    return torch.stack(
        [_influence(checkpoint, own, targets) for checkpoint, own in zip(checkpoints, features, strict=True)]
    ).sum(0)


def _influence(checkpoint: CheckpointFeatures, features: Tensor, targets: Tensor) -> Tensor:
    own = loss_gradients(checkpoint.layer, features, targets)  # (B, K)
    bias = 0.0 if checkpoint.layer.bias is None else 1.0
    inputs = features @ checkpoint.features.T + bias  # (B, N)
    return checkpoint.learning_rate * inputs * (own @ checkpoint.gradients.T)


def self_influence(checkpoint: CheckpointFeatures) -> Tensor:
    """How much a step on each training face lowers its own loss, (N,): large where the others speak against it."""
    bias = 0.0 if checkpoint.layer.bias is None else 1.0
    inputs = checkpoint.norms.square() + bias
    return checkpoint.learning_rate * inputs * checkpoint.gradients.square().sum(1)


def strongest(values: Tensor, count: int) -> Neighbours:
    """The rows with the largest of ``values`` (N,), at most ``count``; never one of minus infinity."""
    found = values.topk(min(count, len(values)))
    kept = found.values > -torch.inf
    return Neighbours(found.indices[kept].tolist(), found.values[kept].tolist())


def evidence(
    checkpoints: Sequence[CheckpointFeatures], features: Sequence[Tensor], labels: Tensor, target: int, count: int = 10
) -> Evidence:
    """What the training faces of ``labels`` (N,) say of one face, whose features (1, D) are given by checkpoint.

    Neighbours are those of the last checkpoint, the network as it is used.
    """
    values = influence(checkpoints, features, torch.tensor([target]))[0]  # (N,)
    likeness = checkpoints[-1].cosine(features[-1])[0]  # (N,)
    opponents = strongest(-values, count)
    return Evidence(
        target=target,
        proponents=strongest(values, count),
        opponents=Neighbours(opponents.rows, [-value for value in opponents.values]),
        total=values.abs().sum().item(),
        nearest=strongest(likeness, count),
        unlike=strongest(likeness.masked_fill(labels == target, -torch.inf), count),
    )


def prototypes(checkpoint: CheckpointFeatures, labels: Tensor, count: int = 1) -> list[Neighbours]:
    """Of each label, the training faces that are nearest to the mean of its features, by cosine; none without faces."""
    classes = checkpoint.layer.out_features
    faces = torch.bincount(labels, minlength=classes).clamp_min(1)[:, None]
    sums = torch.zeros(classes, checkpoint.features.shape[1]).index_add(0, labels, checkpoint.features)
    likeness = checkpoint.cosine(sums / faces)  # (K, N)
    others = labels[None] != torch.arange(classes)[:, None]
    return [strongest(row, count) for row in likeness.masked_fill(others, -torch.inf)]
