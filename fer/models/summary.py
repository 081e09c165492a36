import math
from dataclasses import dataclass

import torch
from torch import nn

from fer.models.layers import SIDE

# ------------------------------------------------------------------------------------------------ describing


@dataclass(frozen=True)
class LayerSummary:
    """A line of a network's table: the layer's name, its type, the shape it puts out (C, H, W) or (C,), its count."""

    name: str
    type: str
    shape: tuple[int, ...]
    parameters: int


def layer_table(network: nn.Sequential) -> list[LayerSummary]:
    """A line for every layer of ``network``, found by running one blank face through a copy-free eval forward."""
    rows, training = [], network.training
    values = torch.zeros(1, 1, SIDE, SIDE, device=next(network.parameters()).device)
    network.eval()
    with torch.no_grad():
        for name, layer in network.named_children():
            values = layer(values)
            rows.append(LayerSummary(name, type(layer).__name__, tuple(values.shape[1:]), count_parameters(layer)))
    network.train(training)
    return rows


def count_macs(network: nn.Sequential) -> int:
    """How often convolutions and dense layers multiply a weight for one face: the work of a forward."""
    shapes = {row.name: row.shape for row in layer_table(network)}
    layers = ((name, layer) for name, layer in network.named_children() if isinstance(layer, nn.Conv2d | nn.Linear))
    return sum(layer.weight.numel() * math.prod(shapes[name][1:]) for name, layer in layers)


def count_parameters(module: nn.Module) -> int:
    """Parameters as Keras counts them: the running mean and variance of batch normalisation included."""
    statistics = (value for name, value in module.named_buffers() if name.endswith(("running_mean", "running_var")))
    return sum(value.numel() for value in (*module.parameters(), *statistics))
