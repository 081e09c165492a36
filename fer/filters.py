"""What is known of a filter without growing anything, and how pictures that grew are judged.

receptive_field(network, layer)     how much of the face it sees
alike(network, layer, number)       the filters whose weights are most like its own
spectral_share(images)              how much of a picture is fine grain: noise, or something to look at?
agreement(first, second)            whether two seeds ended in the same picture
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fer.networks import SIDE, Chain
from fer.presets import SHIFT, frequencies


def last_layer(network: Chain) -> str:
    """The name of the layer that gives the logits."""
    return list(dict(network.named_children()))[-1]


def names_up_to(network: Chain, layer: str) -> list[str]:
    """All layers' names down to this one. Raises ValueError where the network is no chain or has no such layer."""
    if not isinstance(network, Chain):
        raise ValueError(f"{type(network).__name__} is no chain of layers, so it cannot be cut off after {layer!r}")
    names = list(dict(network.named_children()))
    if layer not in names:
        raise ValueError(f"no layer {layer!r}: expected one of {', '.join(names)}")
    return names[: names.index(layer) + 1]


def width(network: Chain, layer: str) -> int:
    """How many filters, neurons or classes a layer has: as many as the last layer down to it that has weights."""
    names = names_up_to(network, layer)
    counts = [len(network[name].weight) for name in names if isinstance(network[name], nn.Conv2d | nn.Linear)]
    return counts[-1] if counts else 1


def sees_all(network: Chain, layer: str) -> bool:
    """Whether the layer has no map left, as dense layers have none: each of its numbers is of the whole face."""
    return any(isinstance(network[name], nn.Flatten | nn.Linear) for name in names_up_to(network, layer))


@dataclass(frozen=True)
class ReceptiveField:
    """Where the places of a layer's maps look, in pixels along one side of the face.

    size: pixels that one place sees. stride: pixels from one place to the next. start: the first pixel that place 0
    sees, below 0 where the layers pad.
    """

    size: int
    stride: int
    start: int


def receptive_field(network: Chain, layer: str) -> ReceptiveField:
    """The receptive field of a layer; dense layers and pooled averages see the whole face."""
    size, stride, start = 1, 1, 0
    for module in (network[name] for name in names_up_to(network, layer)):
        if isinstance(module, nn.Flatten | nn.Linear | nn.AdaptiveAvgPool2d):
            return ReceptiveField(SIDE, SIDE, 0)
        if isinstance(module, nn.Conv2d | nn.MaxPool2d):
            parts = (module.kernel_size, module.stride, module.dilation, module.padding)
            kernel, step, dilation, padding = map(_first, parts)
            start -= padding * stride
            size += (kernel - 1) * dilation * stride
            stride *= step
    return ReceptiveField(size, stride, start)


def canvas(network: Chain, layer: str) -> int:
    """Side of the smallest picture in which the middle neuron sees no edge while the picture moves; 48 at most."""
    field = receptive_field(network, layer)
    return min(SIDE, field.size + field.stride + 2 * int(SHIFT))


def window(network: Chain, layer: str, row: int, column: int) -> tuple[int, int, int, int]:
    """The pixels that the place (row, column) of a layer's maps can see: top, left, bottom, right, the last two beyond.

    Without the part that sticks out of the face where the layers pad. A dense layer sees the whole face.
    """
    field = receptive_field(network, layer)
    if field.stride == SIDE:
        return 0, 0, SIDE, SIDE
    top, left = field.start + field.stride * row, field.start + field.stride * column
    return tuple(min(max(edge, 0), SIDE) for edge in (top, left, top + field.size, left + field.size))


def on_face(network: Chain, layer: str, values: Tensor) -> Tensor:
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


def spectral_share(images: Tensor) -> Tensor:
    """Share of each picture's energy in waves of more than a quarter cycle a pixel: (B, 1, S, S) -> (B,) in 0..1.

    White noise has .81 of it there, a face about .06; an even picture has none and gets 0.
    """
    energy = torch.fft.fft2(_centred(images)).abs().square()
    fine = energy[..., frequencies(images.shape[-1]) > 0.25].sum(-1)
    return (fine / energy.sum((-2, -1)).clamp(min=1e-12)).flatten()


def agreement(first: Tensor, second: Tensor) -> Tensor:
    """Correlation of pictures at the shift, around the edges, where it is highest: twice (B, 1, S, S) -> (B,)."""
    first, second = _centred(first), _centred(second)
    side = first.shape[-1]
    products = torch.fft.irfft2(torch.fft.rfft2(first) * torch.fft.rfft2(second).conj(), s=(side, side))
    sizes = first.flatten(1).norm(dim=1) * second.flatten(1).norm(dim=1)
    return products.flatten(1).amax(1) / sizes.clamp(min=1e-12)


def alike(network: Chain, layer: str, number: int, most: int = 4) -> list[tuple[int, float]]:
    """The filters of a layer whose weights correlate highest with this one's, the highest first: (filter, -1..1)."""
    kernels = network[layer].weight.detach().float().flatten(1)
    kernels = torch.nn.functional.normalize(kernels - kernels.mean(1, keepdim=True), dim=1)
    likeness = kernels @ kernels[number]
    likeness[number] = -torch.inf
    best = likeness.topk(min(most, len(likeness) - 1))
    return list(zip(best.indices.tolist(), best.values.tolist(), strict=True))


def _centred(images: Tensor) -> Tensor:
    return images - images.mean((-2, -1), keepdim=True)
