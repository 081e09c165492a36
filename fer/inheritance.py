"""What a network takes over from an earlier one before its first step.

From one of the same layers, all its weights. From a shallower one those of the layers that both have, and a
convolution that is new begins as the identity, so that the deeper network starts by reading almost as the shallower
did (Chen et al. 2016, Net2Net).
"""

from collections.abc import Iterator
from itertools import zip_longest

import torch
from torch import Tensor, nn

from fer.checkpoint import Network


def inherit(network: Network, earlier: Network) -> None:
    """Gives ``network`` the weights of ``earlier``; the last layer's only if both have the same labels.

    Layers are paired in their order between one pooling and the next. Of those without a partner a convolution becomes
    the identity, with its normalisation; any other keeps its fresh weights.

    Raises:
        ValueError: ``earlier`` has a layer for which ``network`` has no place.
    """
    mine, theirs = _weighted(network), _weighted(earlier)
    if network.labels != earlier.labels:
        for blocks in (mine, theirs):
            blocks[-1].pop()
    partners = dict(pair for blocks in zip_longest(mine, theirs, fillvalue=()) for pair in _paired(*blocks))
    taken = {layer: other for layer, other in partners.items() if other is not None}
    if len(taken) < sum(map(len, theirs)):
        raise ValueError(f"start is a {earlier.architecture}: its layers are not those of {network.architecture}")
    for layer, other in taken.items():
        layer.load_state_dict(other.state_dict())
    _begin_as_identities(network, partners.keys() - taken.keys())


def _weighted(network: nn.Sequential) -> list[list[nn.Module]]:
    """The layers that hold numbers, a list for each stretch between two poolings."""
    blocks = [[]]
    for layer in network:
        if isinstance(layer, nn.MaxPool2d | nn.AdaptiveAvgPool2d | nn.Flatten):
            blocks.append([])
        elif layer.state_dict():
            blocks[-1].append(layer)
    return blocks


def _paired(mine: list[nn.Module], theirs: list[nn.Module]) -> Iterator[tuple[nn.Module, nn.Module | None]]:
    waiting = list(theirs)
    for layer in mine:
        yield layer, waiting.pop(0) if waiting and _alike(layer, waiting[0]) else None


def _alike(layer: nn.Module, other: nn.Module) -> bool:
    shapes = [{key: value.shape for key, value in each.state_dict().items()} for each in (layer, other)]
    return type(layer) is type(other) and shapes[0] == shapes[1]


def _begin_as_identities(network: nn.Sequential, fresh: set[nn.Module]) -> None:
    """Every new convolution, and the normalisation behind it, hands on what it gets: the output of the layers above.

    Those are a normalisation and an activation, so each channel's mean and deviation follow from the normalisation's
    own shift and scale.
    """
    chain = list(network)
    for start in range(len(chain) - 3):
        above, activation, layer, norm = chain[start : start + 4]
        normed = isinstance(above, nn.BatchNorm2d) and isinstance(norm, nn.BatchNorm2d)
        if layer in fresh and isinstance(layer, nn.Conv2d) and layer.in_channels == layer.out_channels and normed:
            nn.init.dirac_(layer.weight)
            _take_moments(norm, *_moments(above, activation))


def _moments(norm: nn.BatchNorm2d, activation: nn.Module) -> tuple[Tensor, Tensor]:
    """Mean and variance (C,) of each channel behind ``activation``, as if what enters it were normally distributed."""
    points = torch.special.ndtri((torch.arange(512) + 0.5) / 512)  # of the standard normal, equally likely
    values = activation(points[:, None] * norm.weight.detach() + norm.bias.detach())  # (512, C)
    return values.mean(0), values.var(0, correction=0)


def _take_moments(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
    norm.weight.data.copy_((variance + norm.eps).sqrt())
    norm.bias.data.copy_(mean)
