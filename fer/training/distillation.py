"""Out-of-fold distillation: every training face gets soft targets from a teacher that has never seen it.

Training is split into folds; duplicates stay together. For each fold a teacher is trained on the other folds and
answers for this one over ten views; the student learns from labels and answers together (Hinton et al. 2015, Furlanello
et al. 2018). A teacher that answers for faces it was trained on would only repeat their labels.

A fold's teacher lies in ``<teachers>/<fold>/`` with its answers, ``soft_targets.npz``. What is finished is taken from
there, and what was stopped goes on from its last epoch.
"""

from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from fer.data.dataset import FaceDataset
from fer.data.duplicates import duplicate_groups, fingerprint
from fer.evaluation.inference import predict_logits
from fer.models import checkpoint
from fer.models.checkpoint import FERModel
from fer.models.registry import label_set
from fer.training import trainer
from fer.training.config import TrainConfig, default_config
from fer.training.distributed import DistributedContext, distributed_context
from fer.utils import outputs
from fer.utils.artifacts import Artifact
from fer.utils.precision import autocast

SOFT_TARGETS = "soft_targets.npz"
_ARTIFACT: Artifact[dict] = Artifact(SOFT_TARGETS, "train")


def fit(
    config: TrainConfig,
    faces: FaceDataset,
    validation: FaceDataset,
    folder: Path,
    quiet: bool = False,
    teachers: Path | None = None,
    fold: int | None = None,
) -> FERModel | None:
    """Trains a network by its whole recipe, the teachers included, or resumes.

    teachers: the folder of the folds' teachers, by default in ``folder``. Runs with different seeds can share them.
    fold: trains this fold's teacher alone, so that several processes can share the work.

    Returns:
        As ``trainer.fit``; None for a single fold.

    Raises:
        ValueError: as ``trainer.fit``; or there is no such fold, or a teacher is of other settings or faces.
    """
    if fold is not None and not 0 <= fold < config.folds:
        raise ValueError(f"fold is {fold}: expected 0 to below {config.folds}, the folds of this recipe")
    if not config.folds:
        return trainer.fit(config, faces, validation, folder, quiet)
    teachers = teachers or folder / "teachers"
    parts = split_folds(faces.pixels, config.folds)
    with distributed_context() as context:
        soft = torch.empty(len(faces), len(label_set(config.network)))
        for part in range(config.folds) if fold is None else [fold]:
            soft[parts == part] = _fold_targets(config, part, parts, faces, validation, teachers, quiet, context)
        if fold is not None:
            return None
        return trainer.fit(config, replace(faces, teacher_probs=soft), validation, folder, quiet)


def split_folds(pixels: Tensor, folds: int, seed: int = 0) -> Tensor:
    """The fold of every face, int64 (N,), of uint8 (N, 48, 48); duplicates are in the same one."""
    groups = duplicate_groups(pixels)  # (N,)
    order = torch.randperm(int(groups.max()) + 1, generator=Generator().manual_seed(seed))
    return order[groups] % folds


def load_out_of_fold(teachers: Path, faces: FaceDataset) -> Tensor:
    """What the teachers in ``teachers`` answer for the faces that each has not seen: float (N, K).

    Raises:
        ValueError: there is no teacher, one has no answers, or they are of other faces.
    """
    folds = sorted(int(path.name) for path in teachers.glob("*") if path.name.isdecimal())
    if folds != list(range(len(folds))) or len(folds) < 2:
        raise ValueError(f"{teachers} holds the folds {folds}: expected teachers 0, 1, ... of `train`")
    parts, rows = split_folds(faces.pixels, len(folds)), {}
    for fold in folds:
        kept, own = _ARTIFACT.load(teachers / str(fold)), faces[parts == fold]
        if str(kept["faces"]) != fingerprint(own) or len(kept["probabilities"]) != len(own):
            raise ValueError(f"{teachers / str(fold)} has answers for other faces: expected {fingerprint(own)}")
        rows[fold] = torch.from_numpy(kept["probabilities"]).float()
    found = torch.empty(len(faces), rows[0].shape[1])
    for fold, answers in rows.items():
        found[parts == fold] = answers
    return found


def teacher_config(config: TrainConfig, fold: int) -> TrainConfig:
    """The recipe of a fold's teacher: without degradation, since it predicts undegraded faces."""
    return default_config(config.fold_teacher, degrade_prob=0.0, folds=0, seed=fold)


def _fold_targets(
    config: TrainConfig,
    fold: int,
    parts: Tensor,
    faces: FaceDataset,
    validation: FaceDataset,
    teachers: Path,
    quiet: bool,
    context: DistributedContext,
) -> Tensor:
    """Soft targets of the fold's faces, float (n, K), by the teacher trained on the other folds."""
    folder, settings = teachers / str(fold), teacher_config(config, fold)
    others, own = faces[parts != fold], faces[parts == fold]
    trainer.check_same_data(folder, {"training": fingerprint(others), "validation": fingerprint(validation)})
    if not trainer.is_finished(folder):
        with outputs.one_writer(folder) if context.is_main else nullcontext():
            trainer.fit(settings, others, validation, folder, quiet)
    if context.is_main:
        _write_soft_targets(settings, own, folder)
    context.barrier()
    return torch.from_numpy(_ARTIFACT.load(folder)["probabilities"]).float()


def _write_soft_targets(settings: TrainConfig, faces: FaceDataset, folder: Path) -> None:
    """Writes soft_targets.npz of a finished teacher, with the digests of its weights and data, unless it is current."""
    teacher = checkpoint.load_network(str(folder))
    if changed := [key for key, value in asdict(settings).items() if teacher.train_config.get(key) != value]:
        raise ValueError(f"{folder} holds a teacher with another {', '.join(changed)}: delete it")
    known = _ARTIFACT.load_or_none(folder)
    if known and str(known.get("faces")) == fingerprint(faces):
        return
    probabilities = (teacher_logits(teacher, faces.pixels) / teacher.temperature).softmax(1)  # (n, K)
    content = {"probabilities": probabilities.half().numpy(), "faces": np.array(fingerprint(faces))}
    _ARTIFACT.save(folder, content)


def teacher_logits(teacher: FERModel, pixels: Tensor) -> Tensor:
    """The teacher's logits (N, K) by ten-crop TTA, on a GPU if there is one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with autocast(device):
        teacher = teacher.to(device).to(memory_format=torch.channels_last)
        return predict_logits(teacher, pixels, tta=True)
