"""Initialisation with the weights of another network (Chen et al. 2016, Net2Net).

With the same layers, all weights are copied. From a shallower or narrower network those of the common layers are: new
channels have no weight in the copied ones, and new layers begin as the identity, so that the larger network begins as
the same function. SELU in place of ReLU begins nearly as ReLU: far from 0 it is linear to the right and constant to the
left.
"""

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fer.models.checkpoint import FERModel
from fer.models.layers import Normalize

STRETCH = 8.0
_SLOPE = 1.0507009873554805  # of SELU, right of 0
_Norm = nn.BatchNorm1d | nn.BatchNorm2d


def transfer_weights(network: FERModel, earlier: FERModel, faces: Tensor) -> None:
    """Gives ``network`` the weights of ``earlier``; the last layer's only if both have the same labels.

    Layers are paired in their order between one pooling and the next, and the last with the last. Those without a
    partner become identities, a normalisation by what it sees of ``faces`` (B, 1, S, S); where ``earlier`` takes a mean
    over the face and ``network`` a maximum, the convolution before does. Pixels that ``earlier`` normalises before its
    first convolution are normalised within that of ``network``, if it is without such a layer. Where ``earlier`` has
    ReLU and ``network`` SELU, what enters an activation is STRETCH times as large.

    Raises:
        ValueError: ``earlier`` has a layer that ``network`` has no counterpart of.
    """
    partners = _partners(network, earlier)
    taken = {layer: other for layer, other in partners.items() if other is not None}
    fresh = partners.keys() - taken.keys()
    for layer, other in taken.items():
        _copy_overlap(layer, other)
    if isinstance(earlier[0], Normalize) and not isinstance(network[0], Normalize):
        _normalise_within(network[0], earlier[0])
    averaged = _has(earlier, nn.AdaptiveAvgPool2d) and not _has(network, nn.AdaptiveAvgPool2d)
    _begin_as_identities(network, taken, fresh, averaged)
    if _has(earlier, nn.ReLU) and _has(network, nn.SELU):
        _relu_to_selu(network, fresh)
    _calibrate_batchnorm(network, fresh, faces)


def _has(network: nn.Sequential, kind: type[nn.Module]) -> bool:
    return any(isinstance(layer, kind) for layer in network)


# ------------------------------------------------------------------------------------------------ which from which


def _partners(network: FERModel, earlier: FERModel) -> dict[Any, Any]:
    """For each layer of ``network`` that holds numbers that of ``earlier``, None if it is new.

    The last layers are left out where the labels differ, and where what goes into them does too.
    """
    mine, theirs = _weighted(network), _weighted(earlier)
    last, other = mine[-1].pop(), theirs[-1].pop()
    blocks = zip_longest(mine, theirs, fillvalue=list[Any]())
    partners: dict[Any, Any] = dict(pair for block in blocks for pair in _paired(*block))
    if sum(value is not None for value in partners.values()) < sum(map(len, theirs)):
        raise ValueError(f"init_from is a {earlier.architecture}: its layers are not those of {network.architecture}")
    if network.labels == earlier.labels and last.in_features >= other.in_features:
        partners[last] = other
    return partners


def _weighted(network: nn.Sequential) -> list[list[Any]]:
    """The layers that hold numbers, a list for each stretch between two poolings."""
    blocks: list[list[Any]] = [[]]
    for layer in network:
        if isinstance(layer, nn.MaxPool2d | nn.AdaptiveAvgPool2d | nn.Flatten):
            blocks.append([])
        elif layer.state_dict():
            blocks[-1].append(layer)
    return blocks


def _paired(mine: list[Any], theirs: list[Any]) -> Iterator[tuple[Any, Any]]:
    waiting = list(theirs)
    for layer in mine:
        yield layer, waiting.pop(0) if waiting and _fits(layer, waiting[0]) else None


def _fits(layer: Any, other: Any) -> bool:
    """Whether ``layer`` can take over the numbers of ``other``: dense in its own shape, others in a larger too."""
    shapes, others = ({key: value.shape for key, value in each.state_dict().items()} for each in (layer, other))
    if type(layer) is not type(other) or not others.keys() <= shapes.keys():
        return False
    if isinstance(layer, nn.Linear):
        return shapes == others
    return all(all(a >= b for a, b in zip(shapes[key], others[key], strict=True)) for key in others)


# ------------------------------------------------------------------------------------------------ numbers


def _copy_overlap(layer: nn.Module, other: nn.Module) -> None:
    """The first channels of ``layer`` become those of ``other`` and see no other; channels that are new stay fresh."""
    state = layer.state_dict()
    for key, value in other.state_dict().items():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            state[key][: len(value)] = 0
        state[key][tuple(slice(length) for length in value.shape)] = value


def _normalise_within(layer: Any, pixels: Normalize) -> None:
    """The convolution of normalised pixels as one of plain pixels."""
    with torch.no_grad():
        layer.weight /= pixels.deviation
        layer.bias -= pixels.mean * layer.weight.sum((1, 2, 3))


def _begin_as_identities(network: nn.Sequential, taken: dict, fresh: set[nn.Module], averaged: bool) -> None:
    """Every new convolution or dense layer hands on the channels that were taken over.

    With ``averaged`` the last convolution gives the mean of 3x3 places in place of each: of numbers above 0 that in the
    middle of a map of 3x3 is the largest, which is what the pooling behind it finds.
    """
    middle, mean = torch.zeros(3, 3), torch.full((3, 3), 1 / 9)
    middle[1, 1] = 1
    weighted: list[Any] = [layer for layer in network if isinstance(layer, nn.Conv2d | nn.Linear)]
    last, channels = [layer for layer in weighted if isinstance(layer, nn.Conv2d)][-1:], 0
    for layer in weighted:
        if layer in taken:
            channels = len(taken[layer].weight)
        elif layer in fresh:
            same = torch.eye(channels, layer.weight.shape[1])  # (C, I)
            if isinstance(layer, nn.Conv2d):
                same = same[:, :, None, None] * (mean if averaged and layer in last else middle)  # (C, I, 3, 3)
            layer.weight.data[:channels] = same


def _relu_to_selu(network: nn.Sequential, fresh: set[nn.Module], stretch: float = STRETCH) -> None:
    """Makes each SELU of weights that were learnt with ReLU near to ReLU: SELU(s x) / s -> slope * ReLU(x).

    What enters the activations grows by s = ``stretch``, and so do the means and deviations that the next normalisation
    expects, which takes it back; no weight of a convolution changes.
    """
    scale = 1.0
    chain: list[Any] = list(network)
    for layer, below in zip(chain, [*chain[1:], None], strict=True):
        if layer in fresh:
            continue  # the identity, or soon
        if below is None:
            layer.weight.data /= scale
        elif isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            layer.bias.data *= scale
        elif isinstance(layer, nn.SELU):
            scale *= _SLOPE
        elif isinstance(layer, _Norm):
            assert layer.running_mean is not None and layer.running_var is not None
            layer.running_mean *= scale
            layer.running_var *= scale**2
            scale = 1.0 if isinstance(below, nn.Linear) else stretch
            layer.weight.data *= scale
            layer.bias.data *= scale


def _calibrate_batchnorm(network: nn.Sequential, fresh: set[nn.Module], faces: Tensor) -> None:
    """Every new normalisation becomes the identity: it restores the mean and the deviation (C,) that it takes away."""
    values = faces
    with torch.no_grad():
        layer: Any
        for layer in network:
            if layer in fresh and isinstance(layer, _Norm):
                assert layer.running_mean is not None and layer.running_var is not None
                others = [axis for axis in range(values.ndim) if axis != 1]
                layer.running_mean.copy_(values.mean(others))
                layer.running_var.copy_(values.var(others))
                layer.weight.copy_((layer.running_var + layer.eps).sqrt())
                layer.bias.copy_(layer.running_mean)
            elif isinstance(layer, _Norm):
                values = functional.batch_norm(values, None, None, layer.weight, layer.bias, training=True)
            elif not isinstance(layer, nn.Dropout):
                values = layer(values)
