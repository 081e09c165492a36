"""calibration: temperature, thresholds, logit adjustment and prediction sets, on numbers checked by hand."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fer.cli.main import main
from fer.data import dataset, fer2013, ferplus
from fer.data import labels as data_labels
from fer.evaluation import calibration, metrics
from fer.models import checkpoint
from fer.models.checkpoint import FERModel, logit_offsets
from fer.utils import artifacts

PRIOR = [0.5, 0.25, 0.25]


def random_logits(count: int, sharpness: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (N, 3) times ``sharpness``, and labels drawn from the probabilities that they had before."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, 3, generator=generator) * 2
    labels = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    return logits * sharpness, labels


def test_logit_adjustment_subtracts_a_share_of_the_prior():
    """Half of log .5, .25, .25: added are .3466, .6931 and .6931."""
    offsets = logit_offsets({"share": 0.5, "prior": PRIOR})
    assert offsets.tolist() == pytest.approx([0.3466, 0.6931, 0.6931], abs=1e-4)


def test_the_share_is_the_largest_that_costs_no_accuracy():
    """Sure and right answers bear all of the prior; where half of it turns a right answer of many wrong, a quarter."""
    labels = torch.zeros(100).long()
    sure = torch.tensor([[9.0, 0, 0]]).repeat(100, 1)
    assert calibration.choose_share(sure, sure[None], labels, PRIOR) == 1.0
    close = torch.tensor([[0.3, 0, 0]]).repeat(100, 1)  # .3 ahead: a quarter takes .17 of that, half .35
    assert calibration.choose_share(close, close[None], labels, PRIOR) == 0.25
    assert calibration.choose_share(sure, close[None], labels, PRIOR) == 0.25


def test_temperature_is_between_that_of_clean_and_that_of_corrupted_faces():
    """Logits that are twice too sharp want 2; with as much weight on honest ones the fit lies between 1 and 2."""
    sharp, labels = random_logits(4000, 2.0)
    honest = sharp / 2
    assert calibration.fit_temperature(sharp, labels) == pytest.approx(2, abs=0.1)
    found = calibration.fit(honest, sharp.expand(5, -1, -1), labels, [1 / 3] * 3)
    both = calibration.fit_temperature(torch.cat([honest, sharp]), labels.repeat(2))
    assert 1.1 < found.temperature < 1.9 and found.temperature == pytest.approx(both, abs=1e-3)


def test_weights_count_as_repeated_faces_do():
    """A face of weight 3 is three faces, for the temperature and for the threshold."""
    logits, labels = random_logits(50, 2.0)
    weights = torch.ones(50)
    weights[:10] = 3
    repeated = torch.cat([torch.arange(50), torch.arange(10), torch.arange(10)])
    assert calibration.fit_temperature(logits, labels, weights) == calibration.fit_temperature(
        logits[repeated], labels[repeated]
    )
    shares = logits.softmax(1)
    weighted = calibration.fit_rejection_threshold(shares, labels, 0.3, weights)
    assert weighted == calibration.fit_rejection_threshold(shares[repeated], labels[repeated], 0.3)


def test_prediction_sets_hold_the_true_label_for_nine_faces_in_ten():
    """Of 19 faces whose true label has probability .05, .10 ... .95, the threshold .10 leaves one below: 2 of 20."""
    true = torch.arange(1, 20) / 20
    probabilities = torch.stack([true, 1 - true, torch.zeros(19)], 1)
    assert calibration.fit_prediction_sets(probabilities, torch.zeros(19).long()) == pytest.approx(0.10)
    fresh, labels = random_logits(4000, 1.0, seed=1)
    threshold = calibration.fit_prediction_sets(fresh.softmax(1), labels)
    others, answers = random_logits(4000, 1.0, seed=2)
    assert 0.885 < metrics.prediction_set_metrics(others.softmax(1), answers, threshold)["set_coverage"] < 0.915


def test_a_set_is_never_empty_and_holds_what_reaches_the_threshold():
    """At .4: happy alone, both, and the best of three that reach nothing: sizes 1, 2, 1; two of three hold label 0."""
    probabilities = torch.tensor([[0.9, 0.05, 0.05], [0.42, 0.55, 0.03], [0.33, 0.35, 0.32]])
    sets = metrics.prediction_sets(probabilities, 0.4)
    assert sets.tolist() == [[True, False, False], [True, True, False], [False, True, False]]
    found = metrics.prediction_set_metrics(probabilities, torch.zeros(3).long(), 0.4)
    assert found == pytest.approx({"set_coverage": 2 / 3, "set_size": 4 / 3, "set_single": 2 / 3})


def test_an_adjusted_network_is_the_same_after_saving_and_loading(tmp_path: Path):
    """Its logits are moved by the offsets, its file is not: the weights' digest stays, twice over."""
    network, faces = FERModel("dnn").eval(), torch.rand(2, 1, 48, 48)
    checkpoint.save_model(network, tmp_path)
    network = checkpoint.load_model(tmp_path)
    plain, before = network(faces), artifacts.weights_digest(tmp_path)
    adjustment = {"share": 0.5, "prior": [0.4, *[0.1] * 6]}
    for _ in range(2):
        network.adjust(adjustment)
        torch.testing.assert_close(network(faces), plain + logit_offsets(adjustment))
        checkpoint.save_model(network, tmp_path)
        network = checkpoint.load_model(tmp_path)
    torch.testing.assert_close(network(faces), plain + logit_offsets(adjustment))
    assert artifacts.weights_digest(tmp_path) == before
    network.adjust(None)
    torch.testing.assert_close(network(faces), plain)


@pytest.mark.parametrize(
    "adjustment",
    [
        {"share": 0.5},
        {"share": -1, "prior": [0.1] * 7},
        {"share": 1, "prior": [0.0] * 7},
        {"share": 1, "prior": [0.5]},
    ],
)
def test_impossible_adjustments_are_refused(adjustment: dict):
    """Keys, range and number of labels."""
    with pytest.raises(ValueError, match="a share, and a frequency|a prior of 1 labels: expected 7"):
        FERModel("dnn", logit_adjustment=adjustment)


def test_faces_of_ferplus_are_labelled_by_most_votes_for_calibration():
    """3 of 10 for fear against 2, 2, 1, 1 and 1 is fear, on which they do not agree; a face without votes is out."""
    votes = torch.zeros(3, 10, dtype=torch.uint8)
    votes[0, 3], votes[1, :7] = 10, torch.tensor([2, 2, 1, 1, 1, 0, 3], dtype=torch.uint8)
    votes[2, 9] = 10
    faces = dataset.FaceDataset(torch.zeros(3, 48, 48).byte(), torch.zeros(3).long(), votes, torch.zeros(3).bool())
    assert fer2013.labelled_by_most(faces, ferplus.FERPLUS).labels.tolist() == [3, 6]
    assert len(dataset.with_label_set(faces, ferplus.FERPLUS)) == 1
    assert fer2013.labelled_by_most(replace(faces, votes=None), data_labels.EMOTIONS).labels.tolist() == [0, 0, 0]


def test_label_frequencies_are_never_zero():
    """Of labels 0, 0, 1 and none of 2: .5, .25 and, as if it occurred once, .25."""
    assert calibration.label_frequencies(torch.tensor([0, 0, 1]), 3) == [0.5, 0.25, 0.25]


def test_evaluate_calibrates_and_tells_of_prediction_sets(
    tmp_path: Path, folder_data: Path, capsys: pytest.CaptureFixture
):
    """config.json has all four, the JSON the sets' coverage, size and share of single labels, kept as well."""
    checkpoint.save_model(FERModel("dnn"), tmp_path / "dnn")
    assert main(["evaluate", str(tmp_path / "dnn"), "--data", str(folder_data), "--calibrate", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    config = json.loads((tmp_path / "dnn" / "config.json").read_text(encoding="utf-8"))
    assert math.fsum(config["logit_adjustment"]["prior"]) == pytest.approx(1, abs=1e-3)
    assert config["logit_adjustment"]["share"] in calibration.SHARES and config["prediction_set"] > 0
    assert found["set_coverage"] >= 0.85 and 1 <= found["set_size"] <= 7
    assert config["metrics"]["public_test"]["set_size"] == pytest.approx(found["set_size"], abs=1e-4)


def test_a_new_adjustment_takes_out_what_was_measured_before_it(
    tmp_path: Path, folder_data: Path, monkeypatch: pytest.MonkeyPatch
):
    """Figures and answers of the other split would be of other logits: they go."""
    checkpoint.save_model(FERModel("dnn"), tmp_path / "dnn")
    command = ["evaluate", str(tmp_path / "dnn"), "--data", str(folder_data), "--json"]
    assert main(command) == 0
    config = json.loads((tmp_path / "dnn" / "config.json").read_text(encoding="utf-8"))
    config["metrics"]["private_test"] = config["metrics"]["public_test"]
    (tmp_path / "dnn" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    monkeypatch.setattr(calibration, "choose_share", lambda *_: 1.0)
    monkeypatch.setattr(calibration, "label_frequencies", lambda *_: [0.4, *[0.1] * 6])
    assert main([*command, "--calibrate"]) == 0
    config = json.loads((tmp_path / "dnn" / "config.json").read_text(encoding="utf-8"))
    assert set(config["metrics"]) == {"public_test"} and config["logit_adjustment"]["share"] == 1.0
