"""What is known of a filter without growing anything, and how pictures that grew are judged.

receptive_field(network, layer)     how much of the face it sees
alike(network, layer, number)       the filters whose weights are most like its own
spectral_share(images)              how much of a picture is fine grain: noise, or something to look at?
agreement(first, second)            whether two seeds ended in the same picture
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fer.features.presets import MAX_SHIFT
from fer.models.layers import SIDE, NamedSequential

PASS_THROUGH = (nn.Dropout, nn.Flatten)  # layers of an eval network that only hand on what they are given


def parent_layer(network: NamedSequential, layer: str) -> str | None:
    """The layer whose weights made this layer's filters: itself, or the last convolution or dense layer before it."""
    names = [name for name, _ in network.named_children()]
    before = names[: names.index(layer) + 1]
    return next((name for name in reversed(before) if isinstance(network[name], nn.Conv2d | nn.Linear)), None)


def last_layer(network: NamedSequential) -> str:
    """The name of the layer that gives the logits."""
    return list(dict(network.named_children()))[-1]


def layer_names_up_to(network: NamedSequential, layer: str) -> list[str]:
    """All layers' names down to this one. Raises ValueError where the network is no chain or has no such layer."""
    if not isinstance(network, NamedSequential):
        raise ValueError(f"{type(network).__name__} is no chain of layers, so it cannot be cut off after {layer!r}")
    names = list(dict(network.named_children()))
    if layer not in names:
        raise ValueError(f"no layer {layer!r}: expected one of {', '.join(names)}")
    return names[: names.index(layer) + 1]


def num_units(network: NamedSequential, layer: str) -> int:
    """How many filters, neurons or classes a layer has: as many as the last layer down to it that has weights."""
    names = layer_names_up_to(network, layer)
    counts = [len(network[name].weight) for name in names if isinstance(network[name], nn.Conv2d | nn.Linear)]
    return counts[-1] if counts else 1


def is_dense(network: NamedSequential, layer: str) -> bool:
    """Whether the layer has no map left, as dense layers have none: each of its numbers is of the whole face."""
    return any(isinstance(network[name], nn.Flatten | nn.Linear) for name in layer_names_up_to(network, layer))


@dataclass(frozen=True)
class ReceptiveField:
    """Where the places of a layer's maps look, in pixels along one side of the face.

    size: pixels that one place sees. stride: pixels from one place to the next. start: the first pixel that place 0
    sees, below 0 where the layers pad.
    """

    size: int
    stride: int
    start: int


def receptive_field(network: NamedSequential, layer: str) -> ReceptiveField:
    """The receptive field of a layer; dense layers and pooled averages see the whole face."""
    size, stride, start = 1, 1, 0
    for module in (network[name] for name in layer_names_up_to(network, layer)):
        if isinstance(module, nn.Flatten | nn.Linear | nn.AdaptiveAvgPool2d):
            return ReceptiveField(SIDE, SIDE, 0)
        if isinstance(module, nn.Conv2d | nn.MaxPool2d):
            parts = (module.kernel_size, module.stride, module.dilation, module.padding)
            kernel, step, dilation, padding = map(_first, parts)
            start -= padding * stride
            size += (kernel - 1) * dilation * stride
            stride *= step
    return ReceptiveField(size, stride, start)


def canvas_size(network: NamedSequential, layer: str) -> int:
    """Side of the smallest picture in which the middle neuron sees no edge while the picture moves; 48 at most."""
    field = receptive_field(network, layer)
    return min(SIDE, field.size + field.stride + 2 * int(MAX_SHIFT))


def receptive_box(network: NamedSequential, layer: str, row: int, column: int) -> tuple[int, int, int, int]:
    """The pixels that the place (row, column) of a layer's maps can see: top, left, bottom, right, the last two beyond.

    Without the part that sticks out of the face where the layers pad. A dense layer sees the whole face.
    """
    field = receptive_field(network, layer)
    if field.stride == SIDE:
        return 0, 0, SIDE, SIDE
    top, left = field.start + field.stride * row, field.start + field.stride * column
    return tuple(min(max(edge, 0), SIDE) for edge in (top, left, top + field.size, left + field.size))


def upsample_to_input(network: NamedSequential, layer: str, values: Tensor) -> Tensor:
    """Maps (..., H, W) laid over the face, (..., 48, 48): each pixel has the value of the place that is nearest.

    0 where no place has its middle near, as at the edges of a face after convolutions without padding.
    """
    field = receptive_field(network, layer)
    middle = field.start + (field.size - 1) / 2  # of place 0, in pixels
    places = torch.floor((torch.arange(SIDE) - middle) / field.stride + 0.5).long()
    rows, columns = ((places >= 0) & (places < side) for side in values.shape[-2:])
    laid = values.new_zeros(*values.shape[:-2], SIDE, SIDE)
    laid[..., rows.nonzero(), columns.nonzero()[:, 0]] = values[..., places[rows][:, None], places[columns]]
    return laid


def _first(value: int | tuple[int, ...]) -> int:
    return value[0] if isinstance(value, tuple) else value
