"""The last layer by itself: gradients against autograd, training against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional

from fer.attribution.last_layer import (
    cross_validated_probabilities,
    features_of,
    fit_last_layer,
    last_layer,
    loss_gradients,
)


def rows(count: int = 90, size: int = 5, classes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows that tell the classes apart, but not all of them."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % classes
    return torch.randn(count, size, generator=generator) + functional.one_hot(labels, size), labels


def test_the_gradient_at_the_logits_is_autograds():
    layer, (features, labels) = nn.Linear(5, 3), rows(7)
    logits = layer(features).detach().requires_grad_()
    functional.cross_entropy(logits, labels, reduction="sum").backward()
    assert torch.allclose(loss_gradients(layer, features, labels), logits.grad, atol=1e-6)


def test_the_fit_is_scikit_learns_wherever_it_starts():
    """The same probabilities to 1e-3 as LogisticRegression with C = 1 / (N decay), from zeros and from noise."""
    features, labels = rows()
    decay = 0.05
    oracle = LogisticRegression(C=1 / (len(labels) * decay), tol=1e-8, max_iter=1000).fit(features, labels)
    expected = torch.from_numpy(oracle.predict_proba(features.numpy()))
    for start in (None, nn.Linear(5, 3)):
        layer = fit_last_layer(features, labels, 3, decay, start)
        assert torch.allclose(layer(features).softmax(1).double(), expected, atol=1e-3)
        assert not layer.weight.requires_grad


def test_cross_validated_probabilities_know_nothing_of_the_row():
    """A row whose label is exchanged changes the other folds' probabilities, its own fold's not at all."""
    features, labels = rows()
    folds = torch.arange(len(labels)) // 3 % 3
    before = cross_validated_probabilities(features, labels, folds, 3)
    exchanged = labels.clone()
    exchanged[0] = 2
    after = cross_validated_probabilities(features, exchanged, folds, 3)
    assert torch.equal(before[folds == 0], after[folds == 0])
    assert not torch.allclose(before[folds == 1], after[folds == 1], atol=1e-4)
    assert np.isclose(after.sum(1), 1, atol=1e-5).all()


def test_one_fold_is_refused():
    features, labels = rows()
    with pytest.raises(ValueError, match="1 fold"):
        cross_validated_probabilities(features, labels, torch.zeros(len(labels)), 3)


def test_a_network_without_a_last_dense_layer_is_refused():
    """So is one in training mode, whose dropout would give a face other features every time."""
    with pytest.raises(ValueError, match="ends in a dense layer"):
        last_layer(nn.Sequential(nn.Flatten(), nn.Linear(2, 2), nn.ReLU()))
    with pytest.raises(ValueError, match="training mode"):
        features_of(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), torch.zeros(1, 1, 2, 2))


def test_features_are_what_goes_into_the_last_layer():
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Dropout(), nn.Linear(3, 2)).eval()
    faces = torch.rand(5, 1, 2, 2)
    assert torch.allclose(network[-1](features_of(network, faces)), network(faces))
