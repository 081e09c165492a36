"""Labels that are probably wrong: against cleanlab, and on planted errors."""

import numpy as np
import pytest
import torch
from cleanlab.count import compute_confident_joint
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from torch import Tensor

from fer.attribution import label_quality


def drawn(count: int = 400, classes: int = 5, wrong: float = 0.15) -> tuple[Tensor, Tensor]:
    """Probabilities of a fair classifier, and labels of which some are wrong."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.arange(count) % classes
    logits = torch.randn(count, classes, generator=generator)
    logits[torch.arange(count), truth] += 2
    labels = torch.where(torch.rand(count, generator=generator) < wrong, (truth + 1) % classes, truth)
    return logits.softmax(1), labels


def test_scores_are_cleanlabs():
    """Self-confidence and normalised margin to 1e-6."""
    probabilities, labels = drawn()
    for method, own in (
        ("self_confidence", label_quality.self_confidence),
        ("normalized_margin", label_quality.normalized_margin),
    ):
        expected = get_label_quality_scores(labels.numpy(), probabilities.numpy(), method=method)
        assert np.allclose(own(probabilities, labels), expected, atol=1e-6)


def test_confident_errors_are_cleanlabs():
    """The same confident joint and the same faces off its diagonal."""
    probabilities, labels = drawn()
    joint = compute_confident_joint(labels.numpy(), probabilities.numpy(), calibrate=False)
    found = label_quality.confident_joint(probabilities, labels).numpy()
    off = ~np.eye(5, dtype=bool)
    assert (found[off] == joint[off]).all()
    expected = find_label_issues(labels.numpy(), probabilities.numpy(), filter_by="confident_learning")
    assert (label_quality.confident_errors(probabilities, labels).numpy() == expected).all()


def test_a_label_without_faces_has_a_threshold_that_nothing_reaches():
    probabilities, labels = torch.tensor([[0.2, 0.8], [0.1, 0.9]]), torch.tensor([1, 1])
    assert label_quality.class_thresholds(probabilities, labels).tolist() == pytest.approx([1, 0.85])
    assert label_quality.confident_labels(probabilities, labels).tolist() == [-1, 1]


def test_suspicion_is_the_mean_of_two_ranks():
    """1 for a face that both put first, .5 in the middle; equal values share their rank."""
    influence, margin = torch.tensor([3.0, 1, 2]), torch.tensor([0.1, 0.9, 0.5])
    assert label_quality.suspicion(influence, -margin).tolist() == [1, 0, 0.5]
    assert label_quality.suspicion(torch.zeros(3), -margin).tolist() == pytest.approx([0.75, 0.25, 0.5])


def test_planted_errors_come_first():
    """Of 50 labels that were exchanged, four in five are among the 80 most suspect of 400."""
    probabilities, labels = drawn()
    doubt = 1 - label_quality.self_confidence(probabilities, labels)
    score = label_quality.suspicion(doubt, -label_quality.normalized_margin(probabilities, labels))
    wrong = labels != torch.arange(400) % 5
    assert wrong.sum() == 50 and wrong[score.topk(80).indices].sum() >= 40


def test_an_audit_finds_labels_that_the_features_contradict():
    """Two groups of 60 faces, 6 labels exchanged: they are the 6 most suspect, with the right label suggested."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.arange(120) % 2
    features = torch.randn(120, 4, generator=generator)
    features[:, 0] += 6 * truth - 3
    labels = truth.clone()
    labels[:6] = 1 - truth[:6]
    found = label_quality.audit(features, labels, torch.arange(120) // 2 % 4, 2)
    assert set(found.suspicion.topk(6).indices.tolist()) == set(range(6))
    assert (found.suggested[:6] == truth[:6]).all() and found.confident_error[:6].all()
    assert (found.margin[:6] < 0.5).all() and (found.margin[6:] > 0.5).float().mean() > 0.95
    assert set(found.self_influence.topk(6).indices.tolist()) == set(range(6))


def test_out_of_fold_probabilities_have_half_the_say():
    """A face that only the other networks doubt comes before one that nobody doubts."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(40) % 2
    features = torch.randn(40, 3, generator=generator) + 4 * torch.nn.functional.one_hot(labels, 3)
    sure = torch.nn.functional.one_hot(labels, 2) * 0.8 + 0.1
    sure[7] = sure[7].flip(0)
    folds = torch.arange(40) // 2 % 4
    alone, both = (label_quality.audit(features, labels, folds, 2, other) for other in (None, sure))
    assert both.suspicion[7] > alone.suspicion[7] / 2 + 0.45


def test_every_order_has_a_value_for_each_face():
    probabilities, labels = drawn(40, 2)
    found = label_quality.audit(probabilities, labels, torch.arange(40) % 4, 2)
    rows = label_quality.orders(found)
    assert list(rows) == ["suspicion", "confident_learning", "loss", "self_influence", "random"]
    assert all(row.shape == (40,) for row in rows.values())
