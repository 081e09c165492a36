"""What a batch of faces is taught as: augmented pixels, and the shares of labels and of votes they shall be read as."""

from torch import Generator, Tensor
from torch.nn import functional

from fer.augmentation import augment, mixup
from fer.data import FERPLUS, Faces, to_unit
from fer.networks import labels_of
from fer.recipes import TrainConfig


def lesson(config: TrainConfig, batch: Faces, size: int, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Augmented faces (B, 1, S, S), and what they shall be read as: shares of labels (B, K) and of votes (B, 10)."""
    faces = augment(to_unit(batch.pixels), config.augmentation, generator, size)  # (B, 1, S, S)
    shares = targets(config, batch)
    votes = shares if batch.votes is None else _shares(batch.votes)
    if config.augmentation.mixup:
        return mixup(faces, (shares, votes), config.augmentation.mixup, generator)
    return faces, shares, votes


def targets(config: TrainConfig, batch: Faces) -> Tensor:
    """What each face is, as shares (B, K): its label, smoothed; for a network of FER+'s labels, the taggers' votes."""
    labels = labels_of(config.network)
    if labels == FERPLUS:
        return _shares(batch.votes[:, : len(FERPLUS)])
    certain = functional.one_hot(batch.labels, len(labels)).float()  # (B, K)
    return certain * (1 - config.label_smoothing) + config.label_smoothing / len(labels)


def _shares(votes: Tensor) -> Tensor:
    """FER+ counts (B, 10) as shares; a face without votes keeps zeros and so has no say."""
    return votes / votes.sum(1, keepdim=True).clamp_min(1)
