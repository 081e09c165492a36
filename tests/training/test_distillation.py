"""distillation: every face is answered for by a teacher that has not seen it, and a stopped run goes on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fer.data import dataset, duplicates, fer2013
from fer.models import checkpoint
from fer.models.registry import ARCHITECTURES
from fer.training import distillation, trainer
from fer.training.config import TrainConfig, default_config

QUICK = {"epochs": 1, "low_res_epochs": 0, "batch_size": 32, "aux_votes_weight": 0.0, "ema_decay": 0.0}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> TrainConfig:
    """A dnn distilled from three dnns, each of one epoch."""
    monkeypatch.setitem(ARCHITECTURES, "dnn", replace(ARCHITECTURES["dnn"], recipe=QUICK | {"augmentation": {}}))
    return default_config("dnn", folds=3, fold_teacher="dnn", distill_weight=0.5)


@pytest.fixture
def splits(folder_data: Path) -> tuple[dataset.FaceDataset, dataset.FaceDataset]:
    training_faces, validation = fer2013.get_splits(fer2013.load_fer2013(folder_data), "Training", "PublicTest")
    return training_faces, replace(validation, is_duplicate=torch.zeros_like(validation.is_duplicate))


def test_folds_are_equal_in_size_and_duplicates_stay_together():
    """90 faces, and mirror images of the first 9, in three folds: 33 each within 6; each pair in one fold."""
    pixels = torch.randint(0, 256, (90, 48, 48), generator=torch.Generator().manual_seed(0)).byte()
    parts = distillation.split_folds(torch.cat([pixels, pixels[:9].flip(-1)]), 3)
    assert torch.equal(parts[:9], parts[90:])
    assert all(27 <= count <= 39 for count in parts.bincount().tolist())


def test_duplicates_of_duplicates_are_one_group():
    """Faces 0, 2 and 3 are one picture, brighter, darker and mirrored; 1 is another: groups 0, 1, 0, 0."""
    face, other = torch.randint(40, 200, (2, 48, 48), generator=torch.Generator().manual_seed(1))
    pixels = torch.stack([face, other, face + 20, (face - 20).flip(-1)]).byte()
    assert duplicates.duplicate_groups(pixels).tolist() == [0, 1, 0, 0]


def test_every_face_is_answered_for_by_the_teacher_that_did_not_see_it(
    quick: TrainConfig, splits: tuple, tmp_path: Path
):
    """Each fold's soft targets are its teacher's answers to its own faces over ten views, half a percent aside."""
    faces, validation = splits
    assert distillation.fit(quick, faces, validation, tmp_path, quiet=True).train_config["folds"] == 3
    parts = distillation.split_folds(faces.pixels, 3)
    for fold in range(3):
        folder = tmp_path / "teachers" / str(fold)
        teacher, kept = checkpoint.load_model(str(folder)), np.load(folder / distillation.SOFT_TARGETS)["probabilities"]
        assert teacher.train_config["num_train_images"] == int((parts != fold).sum())
        expected = (distillation.teacher_logits(teacher, faces.pixels[parts == fold]) / teacher.temperature).softmax(1)
        assert np.abs(kept - expected.numpy()).max() < 0.005
    found = distillation.load_out_of_fold(tmp_path / "teachers", faces)
    assert torch.allclose(found[parts == 2], expected.float(), atol=0.005)
    with pytest.raises(ValueError, match="answers for other faces"):
        distillation.load_out_of_fold(tmp_path / "teachers", faces[:-1])
    with pytest.raises(ValueError, match=r"holds the folds \[\]"):
        distillation.load_out_of_fold(tmp_path, faces)


def test_finished_teachers_are_taken_as_they_are(quick: TrainConfig, splits: tuple, tmp_path: Path, monkeypatch):
    """The second run, of another seed, trains one network where the first trained four; one fold alone trains none."""
    trained, fit = [], trainer.fit
    monkeypatch.setattr(trainer, "fit", lambda config, *rest: trained.append(config.seed) or fit(config, *rest))
    distillation.fit(quick, *splits, tmp_path / "one", quiet=True)
    distillation.fit(quick, *splits, tmp_path / "one", quiet=True, fold=1)
    teachers = tmp_path / "one" / "teachers"
    distillation.fit(replace(quick, seed=5), *splits, tmp_path / "two", quiet=True, teachers=teachers)
    assert trained == [0, 1, 2, 0, 5]


def test_teachers_of_other_faces_or_settings_are_refused(
    quick: TrainConfig, splits: tuple, tmp_path: Path, monkeypatch
):
    """The message names the folder, or the setting that changed."""
    faces, validation = splits
    distillation.fit(quick, faces, validation, tmp_path, quiet=True, fold=0)
    with pytest.raises(ValueError, match="0 holds a run on"):
        distillation.fit(quick, faces[:100], validation, tmp_path, quiet=True, fold=0)
    recipe = ARCHITECTURES["dnn"].recipe | {"learning_rate": 0.01}
    monkeypatch.setitem(ARCHITECTURES, "dnn", replace(ARCHITECTURES["dnn"], recipe=recipe))
    with pytest.raises(ValueError, match="another learning_rate"):
        distillation.fit(quick, faces, validation, tmp_path, quiet=True, fold=0)


def test_a_fold_that_is_none_is_refused(quick: TrainConfig, splits: tuple, tmp_path: Path):
    """Three folds are 0, 1 and 2."""
    with pytest.raises(ValueError, match="fold is 3: expected 0 to below 3"):
        distillation.fit(quick, *splits, tmp_path, fold=3)


def test_fit_without_soft_targets_is_refused(quick: TrainConfig, splits: tuple, tmp_path: Path):
    """A recipe with folds is not trained without its teachers by mistake."""
    with pytest.raises(ValueError, match="no soft targets: distillation.fit"):
        trainer.fit(quick, *splits, tmp_path)


def test_the_shipped_recipe_is_distilled_from_three_folds_of_teachers_that_see_clean_faces():
    """compact's student sees degraded faces, its teachers do not; its last epochs are of whole faces."""
    config = default_config("compact")
    assert (config.folds, config.augmentation.degrade_prob > 0, config.full_size_epochs > 0) == (3, True, True)
    assert distillation.teacher_config(config, 2).augmentation.degrade_prob == 0
    assert distillation.teacher_config(config, 2).seed == 2
    assert [config.crop_fraction(epoch) for epoch in (0, config.epochs - 1)] == [42 / 48, 1.0]
