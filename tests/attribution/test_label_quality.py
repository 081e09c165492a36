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
    assert label_quality.suspicion(influence, margin).tolist() == [1, 0, 0.5]
    assert label_quality.suspicion(torch.zeros(3), margin).tolist() == pytest.approx([0.75, 0.25, 0.5])


def test_planted_errors_come_first():
    """Of 50 labels that were exchanged, four in five are among the 80 most suspect of 400."""
    probabilities, labels = drawn()
    doubt = 1 - label_quality.self_confidence(probabilities, labels)
    score = label_quality.suspicion(doubt, label_quality.normalized_margin(probabilities, labels))
    wrong = labels != torch.arange(400) % 5
    assert wrong.sum() == 50 and wrong[score.topk(80).indices].sum() >= 40
