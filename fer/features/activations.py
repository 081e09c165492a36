"""What each filter of a layer answers to a face: the network, cut off after the layer, without hooks.

    values = maps(network, "conv2d_1", faces)           # (B, 64, 46, 46), raw, signed where the layer is

Hooks on a network that several visitors share would give one of them the other's maps; a slice of a chain cannot.
`redundancy.py` finds redundant filters over many faces, `pruning.py` removes them.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from fer.data.dataset import to_unit
from fer.features.receptive_field import PASS_THROUGH
from fer.models.layers import SIDE, NamedSequential


def active_layers(network: NamedSequential) -> list[str]:
    """The layers that make something new, in order: all but dropout and flattening."""
    return [name for name, layer in network.named_children() if not isinstance(layer, PASS_THROUGH)]


@torch.no_grad()
def activation_maps(network: NamedSequential, layer: str, faces: Tensor) -> Tensor:
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


@torch.inference_mode()
def iter_layer_outputs(network: nn.Sequential, pixels: Tensor, batch_size: int = 64) -> Iterator[tuple[str, Tensor]]:
    """Runs uint8 faces (N, 48, 48) through a network batch by batch, on its device.

    Yields the name and the output, (B, C, H, W) or (B, C), of every layer in order, and of the first one again for the
    next batch.
    """
    device = next(network.parameters()).device
    for batch in pixels.split(batch_size):
        values = to_unit(batch.to(device))  # (B, 1, 48, 48)
        for name, layer in network.named_children():
            values = layer(values)
            yield name, values


# ------------------------------------------------------------------------------------------------ among filters


def mean_activation(values: Tensor) -> Tensor:
    """How much each filter answers: the mean size of its values, (C, H, W) or (C,) -> (C,)."""
    return values.flatten(1).abs().mean(1) if values.ndim > 1 else values.abs()
