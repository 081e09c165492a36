"""What each filter of a layer answers to a face: the network, cut off after the layer, without hooks.

    values = maps(network, "conv2d_1", faces)           # (B, 64, 46, 46), raw, signed where the layer is

Hooks on a network that several visitors share would give one of them the other's maps; a slice of a chain cannot.
`redundancy.py` tells over many faces which filters say the same, `pruning.py` removes them.
"""

import torch
from torch import Tensor, nn

from fer.networks import SIDE, Chain

TWIN = 0.95  # a correlation above which two filters' maps say the same
_PASSING = (nn.Dropout, nn.Flatten)  # layers of an eval network that only hand on what they are given


def layers(network: Chain) -> list[str]:
    """The layers that make something new, in order: all but dropout and flattening."""
    return [name for name, layer in network.named_children() if not isinstance(layer, _PASSING)]


@torch.no_grad()
def maps(network: Chain, layer: str, faces: Tensor) -> Tensor:
    """What a layer puts out for faces (B, 1, 48, 48) in 0..1: maps (B, C, H, W), or numbers (B, C) of a dense layer.

    Raises:
        ValueError: no such layer, faces of another shape, or a network in training mode, whose maps would be others.
    """
    names = [name for name, _ in network.named_children()]
    if layer not in names:
        raise ValueError(f"no layer {layer!r}: expected one of {', '.join(names)}")
    if faces.ndim != 4 or faces.shape[1:] != (1, SIDE, SIDE):
        raise ValueError(f"faces are {tuple(faces.shape)}, expected (B, 1, {SIDE}, {SIDE})")
    if network.training:
        raise ValueError("the network is in training mode: expected it after eval()")
    return network[:layer](faces)


def source(network: Chain, layer: str) -> str | None:
    """The layer whose weights made this layer's filters: itself, or the last convolution or dense layer before it."""
    names = [name for name, _ in network.named_children()]
    before = names[: names.index(layer) + 1]
    return next((name for name in reversed(before) if isinstance(network[name], nn.Conv2d | nn.Linear)), None)


# ------------------------------------------------------------------------------------------------ among filters


def strength(values: Tensor) -> Tensor:
    """How much each filter answers: the mean size of its values, (C, H, W) or (C,) -> (C,)."""
    return values.flatten(1).abs().mean(1) if values.ndim > 1 else values.abs()


def likeness(values: Tensor) -> Tensor:
    """Correlations of filters over their places: (C, M) -> (C, C); 0 with a filter whose values are all the same."""
    centred = values.double() - values.double().mean(1, keepdim=True)
    return correlations(centred @ centred.T)


def correlations(covariance: Tensor) -> Tensor:
    """Covariances (C, C), in any unit -> correlations (C, C); 0 for what hardly varies, its own with itself as well."""
    spread = covariance.diagonal().clamp(min=0).sqrt()
    alive = spread > 1e-6 * spread.max()
    unit = torch.where(alive, 1 / torch.where(alive, spread, 1), 0)
    return (covariance * unit[:, None] * unit).clamp(-1, 1)


def by_likeness(alike: Tensor, first: int = 0) -> list[int]:
    """An order in which each filter is followed by the one most like it of those left: (C, C) -> C numbers."""
    order, left = [first], torch.ones(len(alike), dtype=torch.bool)
    for _ in range(len(alike) - 1):
        left[order[-1]] = False
        order.append(int(torch.where(left, alike[order[-1]], -torch.inf).argmax()))
    return order


def stand_ins(alike: Tensor, above: float = TWIN) -> Tensor:
    """Which filter can stand for each: (C, C) correlations -> (C,) numbers; its own where none is like it.

    The filter with the most near-twins stands for all of them, then that with the most of the rest, and so on, so that
    every filter is a near-twin of its own stand-in, not just of some other that is.
    """
    near = (alike > above).fill_diagonal_(True)
    stand_in = torch.full((len(alike),), -1)
    for number in near.sum(1).argsort(descending=True, stable=True).tolist():
        if stand_in[number] < 0:
            stand_in[near[number] & (stand_in < 0)] = number
    return stand_in


def differences(first: Tensor, second: Tensor) -> Tensor:
    """How differently each filter answers two faces: twice (C, H, W) or (C,) -> (C,) in 0..1.

    The root mean square of the difference over that of both together: 0 for the same map, 1 where one is the other's
    negative; 0 for a filter that answers neither.
    """
    first, second = (part.reshape(len(part), -1).double() for part in (first, second))
    sizes = first.norm(dim=1) + second.norm(dim=1)
    return (first - second).norm(dim=1) / sizes.clamp(min=1e-12)
