from weakref import WeakKeyDictionary

import torch
from torch import nn

from fer.attribution.captum_compat import NON_RELU_ACTIVATIONS
from fer.models.clone import _shape_only, clone_shared
from fer.models.layers import SIDE


def target_layers(network: nn.Module) -> list[str]:
    """The layers, from the first convolution on, that put out maps of more than one pixel; [] for no plain chain."""
    return list(_sides_of(network))


def default_layer(network: nn.Sequential) -> str | None:
    """The activation of the last convolution whose maps still have 6x6 pixels, or else more than one.

    A map of 3x3 says of a face little more than that it is in the middle. Without an activation, the convolution.
    """
    sides = _sides_of(network)
    for least in (6, 1):
        for kinds in ((nn.ReLU, nn.Sigmoid, nn.Tanh, *NON_RELU_ACTIVATIONS), (nn.Conv2d,)):
            for name in reversed(sides):
                if sides[name] >= least and isinstance(network.get_submodule(name), kinds):
                    return name
    return None


_map_sides: WeakKeyDictionary[nn.Module, dict[str, int]] = (
    WeakKeyDictionary()
)  # it takes as long as a forward of a face


def _sides_of(network: nn.Module) -> dict[str, int]:
    """The shorter side of the maps of each of `layers_for(network)`, by name; found once for every network."""
    if network not in _map_sides:
        _map_sides[network] = _measure_sides(network) if isinstance(network, nn.Sequential) else {}
    return _map_sides[network]


@torch.no_grad()
def _measure_sides(network: nn.Sequential) -> dict[str, int]:
    """The same, anew; only shapes are computed."""
    values, sides, convolved = torch.empty(1, 1, SIDE, SIDE, device="meta"), {}, False
    for name, layer in clone_shared(network, _shape_only).named_children():
        values, convolved = layer(values), convolved or isinstance(layer, nn.Conv2d)
        if values.ndim != 4 or values.shape[2:].numel() == 1:
            break
        if convolved:
            sides[name] = min(values.shape[2:])
    return sides
