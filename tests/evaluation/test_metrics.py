"""evaluation: figures against scikit-learn and against numbers done by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import metrics
from torch import nn

from fer.data.dataset import FaceDataset
from fer.evaluation import calibration, inference, predictions
from fer.evaluation import metrics as evaluation_metrics


@pytest.fixture
def guesses() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits, labels and duplicates of 500 faces of seven emotions, read right about half the time."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 7, (500,), generator=generator)
    logits = torch.randn(500, 7, generator=generator) + 2 * torch.eye(7)[labels]
    return logits, labels, torch.arange(500) % 10 == 0


def test_figures_agree_with_scikit_learn(guesses: tuple):
    """Accuracy, macro-F1, balanced accuracy, confusion, precision and recall."""
    logits, labels, is_duplicate = guesses
    ours, predicted = evaluation_metrics.classification_metrics(logits, labels, is_duplicate), logits.argmax(1)
    assert ours["accuracy"] == pytest.approx(metrics.accuracy_score(labels, predicted))
    assert ours["macro_f1"] == pytest.approx(metrics.f1_score(labels, predicted, average="macro"))
    assert ours["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(labels, predicted))
    assert ours["confusion"] == metrics.confusion_matrix(labels, predicted).tolist()
    theirs = metrics.precision_recall_fscore_support(labels, predicted)
    for key, values in zip(("precision", "recall", "f1", "support"), theirs, strict=True):
        assert [row[key] for row in ours["per_class"]] == pytest.approx(values.tolist())


def test_faces_without_a_duplicate_are_counted_apart(guesses: tuple):
    """Every tenth face is a duplicate: 450 of 500 are left, and their accuracy is their own."""
    logits, labels, is_duplicate = guesses
    ours = evaluation_metrics.classification_metrics(logits, labels, is_duplicate)
    right = (logits.argmax(1) == labels)[~is_duplicate]
    assert (ours["n"], ours["n_deduplicated"]) == (500, 450)
    assert ours["accuracy_deduplicated"] == pytest.approx(right.float().mean().item())


def test_wilson_interval_by_hand():
    """2,500 of 3,589 right is .6966, and .6813 to .7114; 0 of 10 still has an interval."""
    assert evaluation_metrics.wilson_interval(2500, 3589) == pytest.approx([0.68134, 0.71141], abs=1e-4)
    assert evaluation_metrics.wilson_interval(0, 10) == pytest.approx([0.0, 0.2775], abs=1e-4)
    assert evaluation_metrics.wilson_interval(0, 0) == [0.0, 1.0]


def test_calibration_error_by_hand():
    """Two faces at .9, one right: gap .4. Two at .6, both right: gap .4. Together .4."""
    probabilities = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]])
    assert evaluation_metrics.calibration_error(probabilities, torch.tensor([0, 1, 0, 1])) == pytest.approx(0.4)


def test_a_planted_temperature_is_found():
    """Labels drawn from softmax(logits / 2.5) are best explained by 2.5."""
    generator = torch.Generator().manual_seed(0)
    logits = 5 * torch.randn(20000, 7, generator=generator)
    labels = torch.multinomial((logits / 2.5).softmax(1), 1, generator=generator).flatten()
    assert calibration.fit_temperature(logits, labels) == pytest.approx(2.5, abs=0.1)


def test_the_threshold_keeps_as_many_answers_as_it_may():
    """The four surest answers hold one mistake in four, the five surest one in five: at .2 five may stay."""
    confidence = torch.tensor([0.95, 0.9, 0.85, 0.8, 0.7, 0.6])
    probabilities = torch.stack([confidence, 1 - confidence], 1)
    labels = torch.tensor([0, 0, 1, 0, 0, 1])
    assert calibration.fit_rejection_threshold(probabilities, labels, wrong=0.2) == pytest.approx(0.7)
    assert calibration.fit_rejection_threshold(probabilities, labels, wrong=0.5) == 0.0
    assert calibration.fit_rejection_threshold(probabilities, 1 - labels, wrong=0.1) == 1.0


def test_ten_views_are_the_face_four_shifts_and_their_mirrors():
    """The first is the face itself, the second its mirror image; all ten of a textured face differ."""
    face = torch.rand(1, 1, 48, 48)
    views = list(inference.ten_crop(face))
    assert len(views) == 10 and all(view.shape == face.shape for view in views)
    assert torch.equal(views[0], face) and torch.equal(views[1], face.flip(-1))
    assert torch.equal(views[2][:, :, 3:, 3:], face[:, :, :-3, :-3])
    assert len({view.sum().item() for view in views[::2]}) == 5


class Brightness(nn.Module):
    """Reads a bright left half as 0 and a bright right half as 1."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        return torch.stack([faces[..., :24].mean((1, 2, 3)), faces[..., 24:].mean((1, 2, 3))], 1) * self.scale


def test_ten_views_average_out_what_is_not_symmetric():
    """A net that tells left from right is left with nothing to tell once mirrored views are averaged."""
    pixels = torch.zeros(1, 48, 48, dtype=torch.uint8)
    pixels[..., :24] = 255
    assert inference.predict_logits(Brightness(), pixels).tolist() == [[1.0, 0.0]]
    left, right = inference.predict_logits(Brightness(), pixels, tta=True)[0]
    assert left == pytest.approx(right)


def test_predictions_of_two_splits_share_a_file_that_is_written_only_on_change(tmp_path: Path):
    """PrivateTest joins PublicTest; the same logits once more leave the file's time as it is."""
    path = tmp_path / "predictions.npz"
    faces = FaceDataset(torch.zeros(2, 48, 48), torch.tensor([1, 0]), None, torch.tensor([True, False]))
    logits = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    predictions.save_predictions(path, "PublicTest", logits, faces)
    predictions.save_predictions(path, "PrivateTest", logits + 1, faces)
    stored = predictions.read_predictions(path)
    assert stored["PublicTest_logits"].tolist() == [[1, 2], [3, 4]] and stored["PublicTest_is_duplicate"].tolist() == [
        True,
        False,
    ]
    assert stored["PrivateTest_logits"].dtype == np.float16 and stored["PrivateTest_labels"].tolist() == [1, 0]
    before = path.stat().st_mtime_ns
    predictions.save_predictions(path, "PrivateTest", logits + 1, faces)
    assert path.stat().st_mtime_ns == before
