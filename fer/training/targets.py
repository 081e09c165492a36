"""A training batch: augmented faces, and soft targets of labels and of FER+'s votes."""

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
    """Augmented faces (B, 1, S, S), soft targets of labels (B, K) and of votes (B, 10), each row with sum 1 or 0."""
    size, crop = config.input_size(epoch), config.crop_fraction(epoch)
    faces = augment(to_unit(batch.pixels), config.augmentation, generator, size, crop)  # (B, 1, S, S)
    targets = soft_targets(config, batch)
    votes = targets if batch.votes is None else _normalized(batch.votes)
    if config.augmentation.mixup_alpha:
        return mixup(faces, (targets, votes), config.augmentation.mixup_alpha, generator)
    return faces, targets, votes


def soft_targets(config: TrainConfig, batch: FaceDataset) -> Tensor:
    """Target probabilities (B, K): smoothed labels, or FER+'s votes where the network has FER+'s labels; interpolated
    with the teacher's probabilities by ``distill_weight`` where there is a teacher.
    """
    labels = label_set(config.network)
    if labels == FERPLUS and batch.votes is not None:
        targets = _normalized(batch.votes[:, : len(FERPLUS)])
    else:
        one_hot = functional.one_hot(batch.labels, len(labels)).float()  # (B, K)
        targets = one_hot * (1 - config.label_smoothing) + config.label_smoothing / len(labels)
    return targets if batch.teacher_probs is None else torch.lerp(targets, batch.teacher_probs, config.distill_weight)


def add_teacher_probs(config: TrainConfig, faces: FaceDataset) -> FaceDataset:
    """The faces with the teacher's calibrated probabilities (N, K), by ten-crop TTA.

    Raises:
        ValueError: the teacher has other labels.
    """
    if not config.teacher:
        return faces
    teacher = checkpoint.load_model(config.teacher)
    if tuple(teacher.labels) != tuple(label_set(config.network)):
        raise ValueError(
            f"teacher {config.teacher} has the labels {', '.join(teacher.labels)}: expected those of {config.network}"
        )
    with autocast(faces.pixels.device):
        logits = predict_logits(teacher.to(memory_format=torch.channels_last), faces.pixels, tta=True)  # (N, K)
    return replace(faces, teacher_probs=(logits / teacher.temperature).softmax(1))


def _normalized(votes: Tensor) -> Tensor:
    """FER+ counts (B, 10) as probabilities; a face without votes keeps zeros and so has no loss."""
    return votes / votes.sum(1, keepdim=True).clamp_min(1)
