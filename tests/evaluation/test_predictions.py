"""Kept answers: the same numbers as `evaluate` and as scikit-learn, two networks compared, judged by the taggers."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics

from fer.cli import main as cli_main
from fer.data import dataset, ferplus, labels
from fer.data import fer2013 as data_fer2013
from fer.data.image_folder import LabelledFaces
from fer.data.read_report import ReadReport
from fer.evaluation import comparison, predictions
from fer.evaluation.predictions import Predictions
from fer.models import checkpoint

SHIPPED = checkpoint.list_checkpoints()
SEVEN = [name for name in SHIPPED if checkpoint.load_meta(name).labels == labels.EMOTIONS]


def made(logits: torch.Tensor, truth: torch.Tensor, name: str = "a", **changes) -> Predictions:
    """Answers of seven labels to faces that are no duplicates and on which nobody voted."""
    rows = {"is_duplicate": torch.zeros(len(truth), dtype=torch.bool), "face": torch.arange(len(truth)), "votes": None}
    found = Predictions(name, labels.EMOTIONS, 1.0, logits, truth, faces=len(truth), **rows)
    return replace(found, **changes)


@pytest.mark.parametrize("name", SEVEN)
def test_the_matrix_of_private_test_has_the_counts_of_fer_2013(name):
    """It sums to 3,589, with rows 491 55 528 879 594 416 626."""
    matrix = predictions.load_predictions(checkpoint.load_meta(name), "PrivateTest").confusion()
    assert matrix.sum(1).tolist() == [491, 55, 528, 879, 594, 416, 626] and matrix.sum() == 3589


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("split", predictions.SPLITS)
def test_shipped_answers_have_the_figures_that_evaluate_wrote_into_config_json(name, split):
    """Rounded to five digits, as config.json keeps them."""
    network = checkpoint.load_meta(name)
    figures = predictions.metrics_from_stored(network, split, checkpoint.WEIGHTS / name)
    for key, value in network.metrics[split.replace("Test", "_test").lower()].items():
        assert np.round(figures[key], 5) == pytest.approx(value, abs=1e-9), key


@pytest.mark.parametrize("name", [*SHIPPED[:1], "ensemble:" + "+".join(SEVEN[:2])])
def test_shipped_answers_agree_with_scikit_learn(name):
    """Accuracy, macro-F1, balanced accuracy, precision, recall and confusion, without duplicates and above a
    threshold."""
    found = (
        predictions.load_predictions(checkpoint.load_meta(name), "PrivateTest")
        .select(without_duplicates=True)
        .above_confidence(0.5)
    )
    ours, truth, read = found.compute_metrics(), found.truth, found.predicted
    assert ours["accuracy"] == pytest.approx(metrics.accuracy_score(truth, read))
    assert ours["macro_f1"] == pytest.approx(metrics.f1_score(truth, read, average="macro"))
    assert ours["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(truth, read))
    assert ours["confusion"] == metrics.confusion_matrix(truth, read).tolist()
    precision, recall, f1, support = metrics.precision_recall_fscore_support(truth, read)
    for key, values in (("precision", precision), ("recall", recall), ("f1", f1), ("support", support)):
        assert [row[key] for row in ours["per_class"]] == pytest.approx(values.tolist())
    assert ours["answered"] == pytest.approx(len(found) / int((~predictions.load_predictions(
        checkpoint.load_meta(name), "PrivateTest").is_duplicate).sum()))  # fmt: skip


@pytest.mark.data
@pytest.mark.parametrize("name", ["dnn", "ensemble:dnn+cnn"])
def test_evaluate_and_confusion_print_the_same_numbers(fer2013, monkeypatch, capsys, tmp_path, name):
    """To the digit, on 200 faces of PrivateTest that are read anew: also for an ensemble, from its members' answers."""
    if {"dnn", "cnn"} - set(SHIPPED):
        pytest.skip("dnn and cnn are not shipped")
    faces = fer2013["PrivateTest"][:200]
    for member in ("dnn", "cnn"):
        network = checkpoint.load_model(member)
        checkpoint.save_model(network, tmp_path / member)
        predictions.evaluate(network, "PrivateTest", faces, folder=tmp_path / member)
    monkeypatch.setattr(checkpoint, "WEIGHTS", tmp_path)
    found = data_fer2013.Dataset({"PrivateTest": faces}, ReadReport({"PrivateTest": {}}), tmp_path)
    monkeypatch.setattr(data_fer2013, "read_dataset", lambda root: found)
    printed = {}
    for command in ("evaluate", "confusion"):
        assert cli_main.main([command, name, "--split", "PrivateTest", "--json"]) == 0
        printed[command] = json.loads(capsys.readouterr().out)
    assert printed["evaluate"]["n"] == 200
    shared = printed["evaluate"].keys() & printed["confusion"].keys() - {"model"}
    assert len(shared) >= 11 and all(printed["evaluate"][key] == printed["confusion"][key] for key in shared)


def test_an_ensemble_answers_with_its_members_mean_probability():
    """The kept answers of two networks, each at its own temperature, averaged by hand for one face."""
    if len(SEVEN) < 2:
        pytest.skip("needs two shipped networks")
    members = [predictions.load_predictions(checkpoint.load_meta(name), "PrivateTest") for name in SEVEN[:2]]
    both = predictions.load_predictions(checkpoint.load_meta("ensemble:" + "+".join(SEVEN[:2])), "PrivateTest")
    mean = (members[0].probabilities[7] + members[1].probabilities[7]) / 2
    assert both.probabilities[7].tolist() == pytest.approx(mean.tolist(), abs=1e-6)


def test_a_threshold_leaves_out_what_is_less_sure():
    """Two labels at .9, .6 and .55: at .6 two of three faces are answered."""
    logits = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.45, 0.55]]).log()
    found = replace(made(logits, torch.tensor([0, 1, 1])), labels=("a", "b"))
    kept = found.above_confidence(0.599)
    assert kept.compute_metrics()["answered"] == pytest.approx(2 / 3) and kept.compute_metrics()["accuracy"] == 0.5
    for wrong in (1.0, -0.1, float("nan"), "high"):
        with pytest.raises(ValueError, match="threshold is"):
            found.above_confidence(wrong)
    with pytest.raises(ValueError, match="lower the threshold"):
        found.above_confidence(0.95).compute_metrics()


@pytest.mark.parametrize("won, lost", [(0, 0), (5, 5), (1, 9), (490, 225), (0, 30), (0, 1)])
def test_mcnemar_s_test_is_scipy_s_exact_one(won, lost):
    """The two-sided binomial test at one half."""
    expected = stats.binomtest(won, won + lost).pvalue if won + lost else 1.0
    assert comparison.mcnemar(won, lost) == pytest.approx(expected, rel=1e-9)


def test_two_networks_are_compared_on_the_faces_that_both_answer():
    """Of six faces the second answers five: both right on 2, only the first on 2, neither on 1; the gain is 2 of 5."""
    truth = torch.tensor([3, 3, 3, 4, 4, 4])
    first = made(torch.eye(7)[[3, 3, 3, 4, 0, 4]], truth)
    second = made(torch.eye(7)[[3, 3, 0, 0, 0, 4]], truth, "b")[torch.tensor([1, 1, 1, 1, 1, 0], dtype=torch.bool)]
    facts = comparison.compare(first, second)
    counts = {key: facts[key] for key in ("n", "both", "only_first", "only_second", "neither")}
    assert counts == {"n": 5, "both": 2, "only_first": 2, "only_second": 0, "neither": 1}
    assert facts["gain"] == pytest.approx(0.4) and facts["p"] == 0.5
    low, high = facts["ci95"]
    assert (low + high) / 2 == pytest.approx(0.4) and high - low == pytest.approx(2 * 1.959964 * 1.2**0.5 / 5)
    with pytest.raises(ValueError, match="different labels"):
        comparison.compare(first, replace(second, labels=ferplus.FERPLUS))
    with pytest.raises(ValueError, match="no face in common"):
        comparison.compare(first, replace(second, face=second.face + 10))


def test_the_taggers_judge_by_their_majority():
    """Of four faces they agree on three: they read the network's mistake as it does once, and contempt it cannot."""
    votes = torch.zeros(4, 10, dtype=torch.uint8)
    votes[0, 1] = votes[1, 3] = votes[2, 7] = 10  # happy, sad, contempt
    votes[3, :2] = 5
    truth, read = torch.tensor([3, 6, 3, 3]), torch.tensor([3, 4, 0, 3])  # happy neutral happy happy; happy sad angry
    facts = comparison.annotator_agreement(made(torch.eye(7)[read], truth, votes=votes))
    assert (facts["n"], facts["mistakes"], facts["as_annotators"]) == (3, 2, 1)
    assert facts["accuracy"] == pytest.approx(2 / 3) and facts["label"] == pytest.approx(1 / 3)
    assert comparison.annotator_agreement(made(torch.eye(7)[read], truth)) is None


def test_coverage_starts_with_the_surest():
    """At .9 right, at .6 wrong: a half answered is all right, all answered is half right."""
    found = replace(made(torch.tensor([[0.4, 0.6], [0.9, 0.1]]).log(), torch.tensor([0, 0])), labels=("a", "b"))
    sure, answered, right = comparison.risk_coverage(found)
    assert (answered.tolist(), right.tolist()) == ([0.5, 1.0], [1.0, 0.5])
    assert sure.tolist() == pytest.approx([0.9, 0.6])


def test_own_faces_whose_label_a_network_does_not_tell_are_left_out():
    """Contempt is none of seven labels; three faces stay, in their places."""
    own = LabelledFaces("x", torch.zeros(4, 48, 48), ("happy", "contempt", "sad", "happy"))
    network = checkpoint.FERModel("dnn")
    found = predictions.predict_own_faces(own, network, torch.eye(7)[[3, 3, 3, 4]])
    assert (found.truth.tolist(), found.predicted.tolist(), found.face.tolist()) == ([3, 4, 3], [3, 3, 4], [0, 2, 3])
    with pytest.raises(ValueError, match="has none of the labels contempt"):
        predictions.predict_own_faces(
            replace(own, pixels=own.pixels[:1], names=("contempt",)), network, torch.eye(7)[:1]
        )


def test_networks_of_ferplus_s_labels_know_their_faces_by_the_votes(tmp_path: Path):
    """Of 3,589 faces the taggers agree on 3,153: the answers to these have the numbers of theirs."""
    agreed = ferplus.majority_vote(ferplus.load_shipped_votes("PrivateTest")) >= 0
    count = int(agreed.sum())
    network = checkpoint.FERModel("compact-ferplus", ferplus.FERPLUS)
    checkpoint.save_model(network, tmp_path / "compact-ferplus")
    faces = dataset.FaceDataset(torch.zeros(count, 48, 48), torch.zeros(count).long(), None, torch.zeros(count).bool())
    path = tmp_path / "compact-ferplus" / predictions.PREDICTIONS
    predictions.save_predictions(path, "PrivateTest", torch.zeros(count, 8), faces)
    found = predictions.load_predictions(network, "PrivateTest", tmp_path)
    assert count == 3153 and torch.equal(found.face, agreed.nonzero()[:, 0]) and len(found.votes) == count


def test_networks_that_were_measured_on_other_faces_are_not_compared():
    """Three faces each, of other labels, as of a network that was trained on faces of one's own."""
    logits = torch.eye(7)[:3]
    first, second = made(logits, torch.tensor([0, 1, 2])), made(logits, torch.tensor([0, 1, 3]), "mine")
    with pytest.raises(ValueError, match="a and mine were evaluated on different faces"):
        comparison.compare(first, second)
