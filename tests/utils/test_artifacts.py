"""Files beside weights: each says with which weights it was made, and a stale one is never used."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fer.app import integrity
from fer.data.dataset import FaceDataset
from fer.evaluation import ensemble_selection, predictions
from fer.models import checkpoint
from fer.utils import artifacts
from fer.utils.artifacts import Artifact, ArtifactError, StaleError

FACES = FaceDataset(torch.zeros(4, 48, 48).byte(), torch.arange(4), None, torch.zeros(4).bool())
LOGITS = 4 * torch.eye(7)[:4]
KINDS = [Artifact("figures.npz", "regions"), Artifact("figures.json", "trust")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """weights/dnn with weights and predictions of both splits."""
    train_anew(tmp_path / "dnn", 0)
    for split in predictions.SPLITS:
        predictions.save_predictions(tmp_path / "dnn" / "predictions.npz", split, LOGITS, FACES)
    return tmp_path / "dnn"


def train_anew(folder: Path, seed: int) -> None:
    torch.manual_seed(seed)
    checkpoint.save_model(checkpoint.FERModel("dnn", name=folder.name), folder)


@pytest.mark.parametrize("artifact", KINDS, ids=lambda artifact: artifact.name)
def test_a_file_is_used_with_the_weights_that_it_was_made_with_alone(artifact: Artifact, tmp_path: Path):
    """Of other weights, of none that it names, broken or missing: four errors, each with the remedy."""
    (tmp_path / artifacts.WEIGHTS_FILE).write_bytes(b"weights")
    with pytest.raises(FileNotFoundError):
        artifact.load(tmp_path)
    assert artifact.problem(tmp_path) == "" and artifact.load_or_none(tmp_path) is None
    artifact.save(tmp_path, {"value": 5})
    assert int(artifact.load(tmp_path)["value"]) == 5
    (tmp_path / artifacts.WEIGHTS_FILE).write_bytes(b"others!")
    with pytest.raises(StaleError, match="was made with other weights"):
        artifact.load(tmp_path)
    if artifact.name.endswith(".json"):
        (tmp_path / artifact.name).write_text('{"value": 5}', encoding="utf-8")
    else:
        np.savez(tmp_path / artifact.name, value=5)
    with pytest.raises(StaleError, match="does not say with which weights"):
        artifact.load(tmp_path)
    (tmp_path / artifact.name).write_bytes(b"[1")
    with pytest.raises(ArtifactError, match="is broken"):
        artifact.load(tmp_path)
    words = f"`python -m fer {artifact.command} {tmp_path.name}` makes it anew"
    assert words in artifact.problem(tmp_path) and artifact.load_or_none(tmp_path) is None


def test_predictions_of_earlier_weights_are_named_and_never_used(folder: Path):
    """By the Confusion tab's and the command's reader, by the election and by the page's notice alike."""
    assert (
        len(predictions.load_predictions(checkpoint.load_meta("dnn", folder.parent), "PrivateTest", folder.parent)) == 4
    )
    train_anew(folder, 1)
    words = "predictions.npz was made with other weights: `python -m fer evaluate dnn --split PrivateTest`"
    with pytest.raises(ValueError, match=words):
        predictions.load_predictions(checkpoint.load_meta("dnn", folder.parent), "PrivateTest", folder.parent)
    assert any(words in trouble.words for trouble in integrity.look(folder.parent))
    predictions.save_predictions(folder / "predictions.npz", "PublicTest", LOGITS, FACES)
    assert len(predictions.load_logits(folder, "PublicTest")[1]) == 4
    with pytest.raises(predictions.NotMeasuredError):  # the old weights' answers are not taken over
        predictions.load_logits(folder, "PrivateTest")


def test_predictions_without_a_stamp_are_not_used(folder: Path):
    """As any that were copied from elsewhere."""
    stored = predictions.read_predictions(folder / "predictions.npz")
    np.savez(folder / "predictions.npz", **stored)
    with pytest.raises(ValueError, match="does not say with which weights"):
        predictions.load_logits(folder, "PublicTest")


def test_an_ensemble_of_earlier_weights_is_left_out(folder: Path):
    """Its temperature and figures are of the members' old answers; to elect anew mends it."""
    weights, other = folder.parent, folder.parent / "cnn"
    train_anew(other, 2)
    for split in predictions.SPLITS:
        predictions.save_predictions(other / "predictions.npz", split, LOGITS, FACES)
    ensemble_selection.write_ensemble(["dnn", "cnn"], weights)
    assert not any(trouble.network == "ensemble" for trouble in integrity.look(weights))
    train_anew(other, 3)
    for load in (checkpoint.load_model, checkpoint.load_meta):
        with pytest.raises(checkpoint.CheckpointError, match="other weights of cnn: `python -m fer ensemble`"):
            load("ensemble", weights)
    with pytest.raises(ValueError, match="other weights"):
        ensemble_selection.write_ensemble(["dnn", "cnn"], weights)
    for split in predictions.SPLITS:
        predictions.save_predictions(other / "predictions.npz", split, LOGITS, FACES)
    assert ensemble_selection.write_ensemble(["dnn", "cnn"], weights).name == "ensemble:dnn+cnn"
    path = weights / "ensemble.json"
    path.write_text(
        json.dumps(
            {key: value for key, value in json.loads(path.read_text(encoding="utf-8")).items() if key != "weights"}
        ),
        encoding="utf-8",
    )
    with pytest.raises(checkpoint.CheckpointError, match="other weights of dnn, cnn"):
        checkpoint.load_model("ensemble", weights)


@pytest.mark.parametrize(
    "change, written",
    [
        ({}, False),
        ({"logits": LOGITS + 0.01}, False),
        ({"logits": LOGITS + 0.2}, True),
        ({"logits": torch.full_like(LOGITS, torch.nan)}, True),
        ({"faces": FaceDataset(FACES.pixels, FACES.labels.flip(0), None, FACES.is_duplicate)}, True),
        ({"faces": FaceDataset(FACES.pixels, FACES.labels, None, ~FACES.is_duplicate)}, True),
        ({"always": True}, True),
    ],
)
def test_predictions_are_written_only_where_something_that_matters_changed(folder: Path, change: dict, written: bool):
    """Another machine's rounding does not, other logits, labels, duplicates and a wish do."""
    path = folder / "predictions.npz"
    before = path.stat().st_mtime_ns
    told = {"logits": LOGITS, "faces": FACES} | change
    predictions.save_predictions(path, "PublicTest", **told)
    assert (path.stat().st_mtime_ns != before) == written
