"""ensemble: the mean of what its members find likely."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from fer.app.model_cache import load_any
from fer.data import dataset
from fer.evaluation import ensemble_selection, inference, predictions
from fer.models import checkpoint
from fer.models.checkpoint import CheckpointError, FERModel
from fer.models.ensemble import Ensemble


class Says(nn.Module):
    """Always the same logits."""

    def __init__(self, *logits: float, temperature: float = 1.0, labels: tuple = ("no", "yes")) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))
        self.name, self.labels, self.temperature = "says", labels, temperature

    def forward(self, faces: Tensor) -> Tensor:
        return self.logits.expand(len(faces), -1)


def test_an_ensemble_is_the_mean_of_calibrated_probabilities():
    """sigmoid(0) = .5 and, at temperature 2, sigmoid(4 / 2) = .8808 make .6904."""
    ensemble = Ensemble([Says(0.0, 0.0), Says(0.0, 4.0, temperature=2.0)])
    assert ensemble(torch.zeros(3, 1, 48, 48)).softmax(1)[:, 1].tolist() == pytest.approx([0.69040] * 3, abs=1e-4)


def test_certainty_does_not_become_infinite():
    """A probability of 0 from every member still has a finite logit."""
    assert Ensemble([Says(0.0, 200.0), Says(0.0, 200.0)])(torch.zeros(1, 1, 48, 48)).isfinite().all()


@pytest.mark.parametrize("members", [[Says(0.0, 1.0)], [Says(0.0, 1.0), Says(0.0, 1.0, labels=("yes", "no"))]])
def test_members_must_be_two_and_of_the_same_labels(members: list):
    """One is no ensemble, and an order of labels is part of the labels."""
    with pytest.raises(ValueError, match="expected at least two|has the labels yes, no"):
        Ensemble(members)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    for seed, name in enumerate(("dnn", "compact")):
        torch.manual_seed(seed)
        checkpoint.save_model(FERModel(name), tmp_path / name)
    return tmp_path


def test_an_ensemble_is_loaded_by_its_members_names_and_measured_like_a_network(weights: Path):
    """ensemble:dnn+compact answers with the mean of both, in eval mode."""
    ensemble = checkpoint.load_model("ensemble:dnn+compact", weights)
    pixels = torch.randint(0, 256, (4, 48, 48), dtype=torch.uint8)
    alone = [inference.predict_logits(checkpoint.load_model(name, weights), pixels) for name in ("dnn", "compact")]
    together = inference.predict_logits(ensemble, pixels)
    expected = torch.stack([logits.softmax(1) for logits in alone]).mean(0)
    assert torch.allclose(together.softmax(1), expected, atol=1e-5)
    assert ensemble.name == "ensemble:dnn+compact" and not ensemble.training


def test_a_missing_member_is_named(weights: Path):
    """With the networks that there are."""
    with pytest.raises(CheckpointError, match="no network 'cnn'"):
        checkpoint.load_model("ensemble:dnn+cnn", weights)
    with pytest.raises(CheckpointError, match="an ensemble of 1"):
        checkpoint.load_model("ensemble:dnn", weights)


def test_the_ensemble_that_reads_most_of_publictest_is_elected(tmp_path: Path):
    """Of three, the two that are right about different halves, each sure of its own; PrivateTest is mute.

    As it is always right and finds that half as likely, its temperature is the least that there is.
    """
    answers = {"cnn": [9.0, 0.0, 0.0, 9.0], "dnn": [0.0, 9.0, 9.0, 0.0], "compact": [0.0, 0.0, 0.0, 0.0]}
    labels = torch.tensor([3, 3, 4, 4])
    for name, sure in answers.items():
        network = FERModel(name)
        checkpoint.save_model(network, tmp_path / name)
        logits = torch.zeros(4, 7).index_put((torch.arange(4), labels), torch.tensor(sure))
        logits[:, 0] = 1.0
        faces = dataset.FaceDataset(torch.zeros(4, 48, 48), labels, None, torch.zeros(4).bool())
        for split, shown in (("PublicTest", logits), ("PrivateTest", -logits)):
            predictions.save_predictions(tmp_path / name / predictions.PREDICTIONS, split, shown, faces)
    rows = ensemble_selection.rank_ensembles(tmp_path)
    assert rows[0]["members"] == ["cnn", "dnn"] and rows[0]["accuracy"] == 1.0 and len(rows) == 7
    elected = ensemble_selection.select_ensemble(rows, tmp_path)
    assert elected.name == "ensemble:cnn+dnn" and elected.metrics["private_test"]["accuracy"] == 0.0
    assert elected.temperature == 0.25 and elected.metrics["public_test"]["ece"] == pytest.approx(0, abs=0.01)
    assert checkpoint.list_models(tmp_path)[-1] == "ensemble"
    assert load_any(tmp_path, "ensemble").temperature == 0.25 and load_any(tmp_path, elected.name).temperature == 1


def test_a_network_that_was_measured_on_faces_of_ones_own_has_no_part_in_it(tmp_path: Path):
    """Of three, one has answers to two other faces: it is left out of the election, and an ensemble with it refused."""
    for name, labels in (("compact", [3, 3, 4]), ("cnn", [3, 3, 4]), ("mine", [0, 1])):
        checkpoint.save_model(FERModel("dnn", name=name), tmp_path / name)
        count = len(labels)
        faces = dataset.FaceDataset(torch.zeros(count, 48, 48), torch.tensor(labels), None, torch.zeros(count).bool())
        path = tmp_path / name / predictions.PREDICTIONS
        predictions.save_predictions(path, "PublicTest", torch.eye(7)[:count], faces)
    rows = ensemble_selection.rank_ensembles(tmp_path)
    assert len(rows) == 3 and not any("mine" in row["members"] for row in rows)
    members = checkpoint.load_model("ensemble:compact+mine", tmp_path).members
    with pytest.raises(ValueError, match="compact and mine were evaluated on different faces"):
        predictions.load_ensemble_logits(members, "PublicTest", tmp_path)


def test_a_network_that_reads_more_alone_is_no_ensemble(weights: Path):
    """None is elected, and what was elected before is none any more."""
    (weights / "ensemble.json").write_text("{}", encoding="utf-8")
    rows = [{"members": ["dnn"]}, {"members": ["dnn", "compact"]}]
    assert ensemble_selection.select_ensemble(rows, weights) is None and checkpoint.list_models(weights) == [
        "compact",
        "dnn",
    ]


def test_no_ensemble_was_elected_yet(weights: Path):
    """The command that elects one is named."""
    with pytest.raises(CheckpointError, match="`python -m fer ensemble` makes it"):
        checkpoint.load_model("ensemble", weights)
