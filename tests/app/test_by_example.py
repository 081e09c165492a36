"""Training faces, concepts and suspect labels on the page: what they show, and what they may not."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import torch

from fer.app.confusion import suspects
from fer.app.saliency import concepts, training_examples
from fer.attribution import concept_benchmark, feature_table, label_quality
from fer.data.dataset import DataError, FaceDataset
from fer.models import checkpoint
from fer.models.checkpoint import FERModel


def made_up(count: int = 70) -> FaceDataset:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 48, 48), generator=generator, dtype=torch.uint8)
    votes = torch.zeros(count, 10, dtype=torch.uint8)
    votes[:, 1] = 10
    return FaceDataset(pixels, torch.arange(count) % 7, votes, torch.zeros(count, dtype=torch.bool))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """`dnn`, drawn at random, with its table of 70 made-up training faces and two concepts."""
    torch.manual_seed(0)
    checkpoint.save_model(FERModel("dnn"), tmp_path / "dnn")
    network = checkpoint.load_model(tmp_path / "dnn")
    feature_table.find_or_make(network, tmp_path / "dnn", made_up)
    found = concept_benchmark.measure(network, made_up().pixels, made_up().labels, made_up(20).pixels, rank=2)
    concept_benchmark.write(found, tmp_path / "dnn")
    return tmp_path


@pytest.fixture(autouse=True)
def no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without FER-2013."""

    def missing(*_: object) -> dict:
        raise DataError("not here")

    monkeypatch.setattr(training_examples.fer2013, "load_fer2013", missing)
    training_examples._pictures.cache_clear()


def face(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (48, 48), dtype=np.uint8)


def test_without_the_data_set_no_picture_leaves_the_machine(weights: Path):
    """24 faces by row, label and votes, and not one image."""
    drawn = training_examples.render(face(), "dnn", weights=weights)
    assert "<img" not in drawn and drawn.count("<figure>") == 24
    assert "annotators: happiness 10" in drawn and "FER-2013 is not on this machine" in drawn
    assert "was not measured" in drawn


def test_with_the_data_set_its_faces_are_shown(weights: Path, monkeypatch: pytest.MonkeyPatch):
    """Only if it is the one that the table was made of: 70 faces, not 60."""
    for count, pictures in ((70, 24), (60, 0)):
        monkeypatch.setattr(training_examples.fer2013, "load_fer2013", lambda n=count: {"Training": made_up(n)})
        training_examples._pictures.cache_clear()
        assert training_examples.render(face(), "dnn", weights=weights).count("<img") == pictures
    training_examples._pictures.cache_clear()


def test_what_is_missing_is_said_with_its_command(weights: Path):
    for name in (feature_table.FILE, concept_benchmark.FILE):
        (weights / "dnn" / name).unlink()
    training_examples._table.cache_clear()
    assert "fer influence --benchmark --model dnn" in training_examples.render(face(), "dnn", weights=weights)
    assert "fer concepts dnn" in concepts.render(face(), "dnn", [], 0, weights=weights)
    assert "fer suspects NETWORK" in suspects.render(weights, "dnn")
    assert "Choose a face" in concepts.render(None, "dnn", [], 0, weights=weights)


def test_a_model_that_is_not_there_is_refused(weights: Path):
    for render in (training_examples.render, lambda *args, **rest: concepts.render(*args, [], 0, **rest)):
        with pytest.raises(gr.Error, match="There is no"):
            render(face(), "../dnn", weights=weights)


def test_a_weakened_concept_changes_the_prediction(weights: Path):
    """All at 100 % are as none; both at 0 % leave another prediction; two averages of faces are shown."""
    plain = concepts.render(face(), "dnn", [], 0, weights=weights)
    whole = concepts.render(face(), "dnn", [0, 1], 100, weights=weights)
    gone = concepts.render(face(), "dnn", [0, 1], 0, weights=weights)
    assert plain == whole != gone and plain.count("<img") == 2
    assert "Residual" in plain and "weakened (tick: before)" in gone
    with pytest.raises(gr.Error, match="no such concept"):
        concepts.render(face(), "dnn", [2], 0, weights=weights)


def test_visitors_at_once_get_their_own_answers(weights: Path):
    """40 calls for two faces in four threads are those of one thread: nothing is shared but the table."""
    alone = [training_examples.render(face(seed), "dnn", weights=weights) for seed in range(2)]
    shares = [concepts.render(face(seed), "dnn", [], 0, weights=weights) for seed in range(2)]
    assert alone[0] != alone[1] and shares[0] != shares[1]
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda n: training_examples.render(face(n % 2), "dnn", weights=weights), range(40))
        assert all(drawn == alone[number % 2] for number, drawn in enumerate(found))
        found = pool.map(lambda n: concepts.render(face(n % 2), "dnn", [], 0, weights=weights), range(40))
        assert all(drawn == shares[number % 2] for number, drawn in enumerate(found))


def row(number: int, label: str) -> dict:
    return {"row": number, "label": label, "suggested": "sad", "probability_of_label": 0.1,
            "probability_of_suggested": 0.8, "annotators": "sadness 9, <b>1"}  # fmt: skip


def kept(label: str = "happy", ours: float = 0.9, loss: float = 0.5) -> dict:
    contradicted = {name: {"share": share, "ci95": [share - 0.1, share + 0.1]}
                    for name, share in (("suspicion", ours), ("loss", loss), ("random", 0.3))}  # fmt: skip
    judged = {"most_suspect": 10, "all_faces": 0.28, "contradicted": contradicted}
    return {"splits": [{"split": "Training", "n": 70, "annotators": judged, "rows": [row(4, label)]}]}


def test_suspect_labels_are_listed_beside_the_controls(weights: Path):
    """By row, label and votes, without a picture and without markup from the file; no better than the loss is said."""
    label_quality.ARTIFACT.save(weights / "dnn", kept())
    drawn = suspects.render(weights, "dnn")
    assert "<td" in drawn and "happy" in drawn and "&lt;b&gt;1" in drawn and "<img" not in drawn
    assert "90% (80% to 100%)" in drawn and "50% by loss" in drawn and "no better" not in drawn
    label_quality.ARTIFACT.save(weights / "dnn", kept(ours=0.52))
    assert "no better than the loss alone" in suspects.render(weights, "dnn")


def test_a_broken_list_is_not_shown(weights: Path):
    label_quality.ARTIFACT.save(weights / "dnn", kept() | {"splits": [{"split": "<b>", "n": 1, "rows": []}]})
    assert "Not measured" in suspects.render(weights, "dnn")
