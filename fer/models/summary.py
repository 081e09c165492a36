import math
from dataclasses import dataclass

import torch
from torch import nn

from fer.models.layers import SIDE


@dataclass(frozen=True)
class LayerSummary:
    """A layer's name, type, output shape (C, H, W) or (C,), and number of parameters."""

    name: str
    type: str
    shape: tuple[int, ...]
    parameters: int


def layer_table(network: nn.Sequential) -> list[LayerSummary]:
    """A row for every layer of ``network``, by a forward pass of one blank face in eval mode."""
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
    """Multiply-accumulate operations of convolutions and dense layers in the forward pass of one face."""
    shapes = {row.name: row.shape for row in layer_table(network)}
    layers = ((name, layer) for name, layer in network.named_children() if isinstance(layer, nn.Conv2d | nn.Linear))
    return sum(layer.weight.numel() * math.prod(shapes[name][1:]) for name, layer in layers)


def count_parameters(module: nn.Module) -> int:
    """Parameters as Keras counts them: the running mean and variance of batch normalisation included."""
    statistics = (value for name, value in module.named_buffers() if name.endswith(("running_mean", "running_var")))
    return sum(value.numel() for value in (*module.parameters(), *statistics))
