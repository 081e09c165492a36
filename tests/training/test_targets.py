"""lessons: what a face is taught as."""

from pathlib import Path

import pytest
import torch

from fer.data import dataset, ferplus
from fer.models import checkpoint
from fer.models.checkpoint import FERModel
from fer.training.config import default_config
from fer.training.targets import add_teacher_probs, soft_targets


def test_targets_are_smoothed_labels_or_for_ferplus_the_share_of_votes():
    """.1 spread over seven labels leaves .9 + .1/7 on the own; 7 happy, 2 fear and 1 unknown of ten are 7/9 and 2/9."""
    votes = torch.zeros(1, 10, dtype=torch.uint8)
    votes[0, [1, 6, 8]] = torch.tensor([7, 2, 1], dtype=torch.uint8)
    face = dataset.FaceDataset(torch.zeros(1, 48, 48), torch.tensor([3]), votes, torch.tensor([False]))
    smoothed = soft_targets(default_config("compact", label_smoothing=0.1), face)[0]
    assert smoothed.tolist() == pytest.approx([0.1 / 7] * 3 + [0.9 + 0.1 / 7] + [0.1 / 7] * 3)
    shares = soft_targets(default_config("compact-ferplus"), face)[0]
    assert shares.tolist() == pytest.approx([0, 7 / 9, 0, 0, 0, 0, 2 / 9, 0])


def test_a_teachers_answer_has_its_share_in_the_target():
    """.7 of a teacher that says sad, .3 of the label happy."""
    face = dataset.FaceDataset(
        torch.zeros(1, 48, 48), torch.tensor([3]), None, torch.tensor([False]), torch.eye(7)[[4]]
    )
    found = soft_targets(default_config("cnn", distill_weight=0.7), face)[0]
    assert found.tolist() == pytest.approx([0, 0, 0, 0.3, 0.7, 0, 0])


def test_a_teacher_reads_ten_views_so_a_face_and_its_mirror_image_alike(tmp_path: Path):
    """Rows of 1; a network of other labels is no teacher; without one nothing is read."""
    checkpoint.save_model(FERModel("dnn"), tmp_path / "dnn")
    checkpoint.save_model(FERModel("compact-ferplus", ferplus.FERPLUS), tmp_path / "eight")
    pixels = torch.randint(0, 256, (2, 48, 48), generator=torch.Generator().manual_seed(0)).byte()
    faces = dataset.FaceDataset(
        torch.cat([pixels, pixels.flip(-1)]), torch.zeros(4).long(), None, torch.zeros(4).bool()
    )
    read = add_teacher_probs(default_config("dnn", teacher=str(tmp_path / "dnn")), faces).teacher_probs
    torch.testing.assert_close(read[:2], read[2:], atol=0.01, rtol=0)  # bfloat16 where it is had
    torch.testing.assert_close(read.sum(1), torch.ones(4))
    assert add_teacher_probs(default_config("dnn"), faces).teacher_probs is None
    with pytest.raises(ValueError, match="contempt: expected those of dnn"):
        add_teacher_probs(default_config("dnn", teacher=str(tmp_path / "eight")), faces)
