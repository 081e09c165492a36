"""What a batch of faces is taught as: augmented pixels, and the shares of labels and of votes they shall be read as."""

from dataclasses import replace

import torch
from torch import Generator, Tensor
from torch.nn import functional

from fer.data.dataset import FaceDataset, to_unit
from fer.data.ferplus import FERPLUS
from fer.data.transforms import augment, mixup
from fer.evaluation.inference import predict_logits
from fer.models import checkpoint
from fer.models.registry import label_set
from fer.training.config import TrainConfig
from fer.utils.precision import autocast


def make_batch(
    config: TrainConfig, batch: FaceDataset, epoch: int, generator: Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Augmented faces (B, 1, S, S), and what they shall be read as: shares of labels (B, K) and of votes (B, 10)."""
    size, crop = config.size(epoch), config.kept(epoch)
    faces = augment(to_unit(batch.pixels), config.augmentation, generator, size, crop)  # (B, 1, S, S)
    shares = soft_targets(config, batch)
    votes = shares if batch.votes is None else _shares(batch.votes)
    if config.augmentation.mixup_alpha:
        return mixup(faces, (shares, votes), config.augmentation.mixup_alpha, generator)
    return faces, shares, votes


def soft_targets(config: TrainConfig, batch: FaceDataset) -> Tensor:
    """What each face is, as shares (B, K): its label, smoothed; for a network of FER+'s labels, the taggers' votes.

    Where there is a teacher, its answer has its share in that.
    """
    labels = label_set(config.network)
    if labels == FERPLUS:
        shares = _shares(batch.votes[:, : len(FERPLUS)])
    else:
        certain = functional.one_hot(batch.labels, len(labels)).float()  # (B, K)
        shares = certain * (1 - config.label_smoothing) + config.label_smoothing / len(labels)
    return shares if batch.teacher_probs is None else torch.lerp(shares, batch.teacher_probs, config.distill_weight)


def add_teacher_probs(config: TrainConfig, faces: FaceDataset) -> FaceDataset:
    """The faces with what the teacher reads them as: its calibrated shares, over ten views of each.

    Raises:
        ValueError: a teacher of other labels.
    """
    if not config.teacher:
        return faces
    teacher = checkpoint.load_model(config.teacher)
    if tuple(teacher.labels) != tuple(label_set(config.network)):
        raise ValueError(
            f"teacher {config.teacher} reads {', '.join(teacher.labels)}: not what {config.network} learns"
        )
    with autocast(faces.pixels.device):
        logits = predict_logits(teacher.to(memory_format=torch.channels_last), faces.pixels, tta=True)  # (N, K)
    return replace(faces, teacher_probs=(logits / teacher.temperature).softmax(1))


def _shares(votes: Tensor) -> Tensor:
    """FER+ counts (B, 10) as shares; a face without votes keeps zeros and so has no say."""
    return votes / votes.sum(1, keepdim=True).clamp_min(1)
