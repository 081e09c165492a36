"""The table of features: what it holds, what it refuses, and that it is made once."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fer.attribution import feature_table
from fer.attribution.last_layer import features_of
from fer.data.dataset import FaceDataset, to_unit
from fer.models import checkpoint
from fer.models.checkpoint import FERModel
from fer.utils.artifacts import ArtifactError, StaleError


@pytest.fixture
def model(tmp_path: Path) -> FERModel:
    torch.manual_seed(0)
    checkpoint.save_model(FERModel("dnn"), tmp_path)
    return checkpoint.load_model(tmp_path)


def faces(count: int = 20, votes: bool = True) -> FaceDataset:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 48, 48), generator=generator, dtype=torch.uint8)
    given = torch.randint(0, 9, (count, 10), generator=generator, dtype=torch.uint8) if votes else None
    return FaceDataset(pixels, torch.arange(count) % 7, given, torch.arange(count) < 2)


def never() -> FaceDataset:
    raise AssertionError("the table was there")


def test_the_table_holds_what_goes_into_the_last_layer(model: FERModel, tmp_path: Path):
    """To float16's rounding, with labels and votes, and no picture; a second call reads it and asks for no faces."""
    made = feature_table.find_or_make(model, tmp_path, faces)
    expected: Tensor = features_of(model, to_unit(faces().pixels))
    assert torch.allclose(made.features, expected, atol=2e-3)
    read = feature_table.find_or_make(model, tmp_path, never)
    for name in ("features", "labels", "votes", "is_duplicate"):
        assert torch.equal(getattr(made, name), getattr(read, name))
    with np.load(tmp_path / feature_table.FILE, allow_pickle=False) as file:
        assert set(file) == {"weights", "features", "labels", "votes", "is_duplicate"}
        assert max(file[name].nbytes for name in file) < faces().pixels.numel()


def test_faces_without_votes_have_none(model: FERModel, tmp_path: Path):
    feature_table.find_or_make(model, tmp_path, lambda: faces(votes=False))
    assert feature_table.ARTIFACT.load(tmp_path).votes is None


def test_a_table_of_other_weights_is_made_anew(model: FERModel, tmp_path: Path):
    feature_table.find_or_make(model, tmp_path, faces)
    torch.manual_seed(1)
    checkpoint.save_model(FERModel("dnn"), tmp_path)
    with pytest.raises(StaleError, match="influence --benchmark"):
        feature_table.ARTIFACT.load(tmp_path)
    other = feature_table.find_or_make(checkpoint.load_model(tmp_path), tmp_path, lambda: faces(12))
    assert len(other) == 12


CHANGES = [
    {"features": np.zeros((19, 4), np.float16)},
    {"features": np.full((20, 4), np.nan, np.float16)},
    {"labels": np.zeros(20)},
    {"votes": np.zeros((3, 3))},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_a_broken_table_is_refused(model: FERModel, tmp_path: Path, change: dict):
    content = {
        "features": np.zeros((20, 4), np.float16),
        "labels": np.zeros(20, np.uint8),
        "votes": np.zeros((0, 0), np.uint8),
        "is_duplicate": np.zeros(20, bool),
    }
    feature_table.ARTIFACT.save(tmp_path, content)
    assert len(feature_table.ARTIFACT.load(tmp_path)) == 20
    feature_table.ARTIFACT.save(tmp_path, content | change)
    with pytest.raises(ArtifactError, match="is broken"):
        feature_table.ARTIFACT.load(tmp_path)


def test_it_is_made_without_a_folder(model: FERModel):
    assert len(feature_table.find_or_make(model, None, faces)) == 20
