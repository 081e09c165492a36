"""What a network takes over from an earlier one before its first step.

From one of the same layers, all its weights. From a shallower or narrower one those of the layers that both have: a
convolution that is new begins as the identity, and a channel that is new with no share in the channels taken over, so
that the larger network's convolutions begin by reading as the smaller's did (Chen et al. 2016, Net2Net). SELU in
place of ReLU begins as ReLU, nearly: far from 0 it is a line to the right and a constant to the left.
"""

from collections.abc import Iterator
from itertools import zip_longest

import torch
from torch import Tensor, nn

from fer.checkpoint import Network
from fer.networks import Normalize

STRETCH = 8.0
_SLOPE = 1.0507009873554805  # of SELU, right of 0


def inherit(network: Network, earlier: Network) -> None:
    """Gives ``network`` the weights of ``earlier``; the last layer's only if both have its labels and its inputs.

    Layers are paired in their order between one pooling and the next. Of those without a partner a convolution becomes
    the identity, with its normalisation; any other keeps its fresh weights. Pixels that ``earlier`` normalises before
    its first convolution are normalised within that of ``network``, if it is without such a layer. Where ``earlier``
    has ReLU and ``network`` SELU, what enters an activation is STRETCH times as large.

    Raises:
        ValueError: ``earlier`` has a layer for which ``network`` has no place.
    """
    mine, theirs = _weighted(network), _weighted(earlier)
    if network.labels != earlier.labels or not _fits(mine[-1][-1], theirs[-1][-1]):
        for blocks in (mine, theirs):
            blocks[-1].pop()
    partners = dict(pair for blocks in zip_longest(mine, theirs, fillvalue=()) for pair in _paired(*blocks))
    taken = {layer: other for layer, other in partners.items() if other is not None}
    if len(taken) < sum(map(len, theirs)):
        raise ValueError(f"start is a {earlier.architecture}: its layers are not those of {network.architecture}")
    for layer, other in taken.items():
        _take(layer, other)
    if isinstance(earlier[0], Normalize) and not isinstance(network[0], Normalize):
        _normalise_within(network[0], earlier[0])
    rectified = nn.ReLU() if _has(earlier, nn.ReLU) else nn.SELU()
    _begin_as_identities(network, partners.keys() - taken.keys(), rectified)
    if _has(earlier, nn.ReLU) and _has(network, nn.SELU):
        _stretch(network)


def _has(network: nn.Sequential, kind: type[nn.Module]) -> bool:
    return any(isinstance(layer, kind) for layer in network)


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
        yield layer, waiting.pop(0) if waiting and _fits(layer, waiting[0]) else None


def _fits(layer: nn.Module, other: nn.Module) -> bool:
    """Whether ``layer`` can take over the numbers of ``other``: dense in its own shape, others in a larger too."""
    shapes, others = ({key: value.shape for key, value in each.state_dict().items()} for each in (layer, other))
    if type(layer) is not type(other) or not others.keys() <= shapes.keys():
        return False
    if isinstance(layer, nn.Linear):
        return shapes == others
    return all(all(a >= b for a, b in zip(shapes[key], others[key], strict=True)) for key in others)


def _take(layer: nn.Module, other: nn.Module) -> None:
    """The first channels of ``layer`` become those of ``other`` and see no other; channels that are new stay fresh."""
    state = layer.state_dict()
    for key, value in other.state_dict().items():
        if isinstance(layer, nn.Conv2d):
            state[key][: len(value)] = 0
        state[key][tuple(slice(length) for length in value.shape)] = value


def _normalise_within(layer: nn.Conv2d, pixels: Normalize) -> None:
    """The convolution of normalised pixels as one of plain pixels."""
    with torch.no_grad():
        layer.weight /= pixels.deviation
        layer.bias -= pixels.mean * layer.weight.sum((1, 2, 3))


def _begin_as_identities(network: nn.Sequential, fresh: set[nn.Module], activation: nn.Module) -> None:
    """Every new convolution, and the normalisation behind it, hands on what it gets: the output of the layers above.

    Those are a normalisation and ``activation``, so each channel's mean and deviation follow from the normalisation's
    own shift and scale.
    """
    chain = list(network)
    for start in range(len(chain) - 3):
        above, _, layer, norm = chain[start : start + 4]
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


def _stretch(network: nn.Sequential, stretch: float = STRETCH) -> None:
    """Makes each SELU of weights that were learnt with ReLU near to ReLU: SELU(s x) / s -> slope * ReLU(x).

    What enters the activations grows by s = ``stretch``, and so do the means and deviations that the next normalisation
    expects, which takes it back; no weight of a convolution changes.
    """
    scale, chain = 1.0, list(network)
    for layer, below in zip(chain, [*chain[1:], None], strict=True):
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            layer.bias.data *= scale
        elif isinstance(layer, nn.SELU):
            scale *= _SLOPE
        elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.running_mean *= scale
            layer.running_var *= scale**2
            scale = 1.0 if isinstance(below, nn.Linear) else stretch
            layer.weight.data *= scale
            layer.bias.data *= scale
