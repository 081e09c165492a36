"""The last layer of a classifier by itself: its input, the gradient of the loss at its output, and its training.

A network that ends in one dense layer puts out logits = W h + b of its features h. What is asked about that layer alone
has an exact answer from a table of features: no backward pass through the network is needed.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

WEIGHT_DECAY = 1e-2  # of `fit_last_layer`: of 1e-2, 3e-3, 1e-3 and 1e-4 the best on PublicTest for `compact`
_MOST_ITERATIONS = 60  # of L-BFGS


def last_layer(network: nn.Module) -> nn.Linear:
    """The dense layer that puts out the logits.

    Raises:
        ValueError: the network is no chain of layers that ends in a dense one, as an ensemble is not.
    """
    if not isinstance(network, nn.Sequential) or not len(network) or not isinstance(network[-1], nn.Linear):
        kind = type(network).__name__
        raise ValueError(f"the network is {kind}: expected a chain of layers that ends in a dense layer")
    return network[-1]


@torch.no_grad()
def features_of(network: nn.Module, faces: Tensor) -> Tensor:
    """What goes into the last layer, float32 (B, D), of faces (B, 1, 48, 48) in 0..1. No hook is used.

    Raises:
        ValueError: as ``last_layer``, or the network is in training mode.
    """
    last_layer(network)
    if network.training:
        raise ValueError("the network is in training mode: expected eval(), so that equal faces have equal features")
    return network[:-1](faces).float()


@torch.no_grad()
def loss_gradients(layer: nn.Linear, features: Tensor, labels: Tensor) -> Tensor:
    """The gradient of the cross-entropy at the logits, softmax(logits) - one_hot(label): (N, D), (N,) -> (N, K)."""
    probabilities = layer(features).softmax(1)  # (N, K)
    return probabilities - functional.one_hot(labels, layer.out_features)


def fit_last_layer(
    features: Tensor, labels: Tensor, classes: int, weight_decay: float = WEIGHT_DECAY, start: nn.Linear | None = None
) -> nn.Linear:
    """Softmax regression to its optimum by L-BFGS: features (N, D), labels (N,) -> the layer, with a bias.

    What is minimised is the mean cross-entropy plus ``weight_decay`` / 2 times the squared norm of the weights. It has
    one optimum, so that the layer depends on the faces alone and not on where it starts.

    start: the layer to begin with, as the optimum for nearly the same faces; zeros by default.
    """
    layer = nn.Linear(features.shape[1], classes)
    with torch.no_grad():
        layer.weight.copy_(start.weight if start else torch.zeros_like(layer.weight))
        layer.bias.copy_(start.bias if start else torch.zeros_like(layer.bias))
    optimizer = torch.optim.LBFGS(
        layer.parameters(),
        max_iter=_MOST_ITERATIONS,
        tolerance_grad=1e-6,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = functional.cross_entropy(layer(features), labels) + weight_decay / 2 * layer.weight.square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    return layer.requires_grad_(False)


def cross_validated_probabilities(features: Tensor, labels: Tensor, folds: Tensor, classes: int) -> Tensor:
    """Each row's probabilities by a last layer that was fitted on the other folds: (N, D), (N,), (N,) -> (N, K).

    Raises:
        ValueError: fewer than two folds.
    """
    if len(folds.unique()) < 2:
        raise ValueError(f"{len(folds.unique())} fold of {len(folds)} faces: expected two or more")
    probabilities = torch.empty(len(features), classes)
    for fold in folds.unique():
        inside = folds == fold
        layer = fit_last_layer(features[~inside], labels[~inside], classes)
        probabilities[inside] = layer(features[inside]).softmax(1)
    return probabilities
