"""Every network, registered by name, as a plain chain of named layers.

A chain runs from pixels, floats (B, 1, 48, 48) in 0..1, to logits (B, K). Layers carry the names that Keras gives
them in the reports' tables (``conv2d_1``, ``batch_normalization_1``, ``activation_1`` ...), so that any of them is
picked by name, and a truncated forward is a slice: ``network[: "conv2d_2"](faces)`` ends with that layer's output.
"""

import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fer.data import EMOTIONS, FERPLUS

SIDE = 48


class Chain(nn.Sequential):
    """An nn.Sequential whose layers are also picked, and sliced up to and including, by their names."""

    def __getitem__(self, key: int | str | slice) -> nn.Module:
        if isinstance(key, str):
            return self._modules[self._known(key)]
        if isinstance(key, slice):
            start, stop = self._position(key.start), self._position(key.stop, after=True)
            return Chain(OrderedDict(list(self._modules.items())[start : stop : key.step]))
        return super().__getitem__(key)

    def _position(self, key: int | str | None, after: bool = False) -> int | None:
        return list(self._modules).index(self._known(key)) + after if isinstance(key, str) else key

    def _known(self, name: str) -> str:
        if name not in self._modules:
            raise KeyError(f"no layer {name!r}: expected one of {', '.join(self._modules)}")
        return name


class Normalize(nn.Module):
    """Shifts and scales pixels by fixed numbers: (B, 1, 48, 48) in 0..1 -> about zero mean and unit deviation."""

    def __init__(self, mean: float, deviation: float) -> None:
        super().__init__()
        self.mean, self.deviation = mean, deviation

    def forward(self, faces: Tensor) -> Tensor:
        return (faces - self.mean) / self.deviation

    def extra_repr(self) -> str:
        return f"mean={self.mean}, deviation={self.deviation}"


# ------------------------------------------------------------------------------------------------ the networks


def cnn(classes: int) -> Iterable[nn.Module]:
    """Report 1's CNN: three valid 3x3 convolutions of 64, then dense 512 (ReLU) and 256 (sigmoid)."""
    yield from (nn.Conv2d(1, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25))
    yield from (nn.Conv2d(64, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25), nn.Flatten())
    yield from (nn.Linear(6400, 512), nn.ReLU(), nn.Dropout(0.48))
    yield from (nn.Linear(512, 256), nn.Sigmoid(), nn.Dropout(0.48), nn.Linear(256, classes))


def dnn(classes: int) -> Iterable[nn.Module]:
    """Report 1's network without convolutions, of about the CNN's size."""
    yield from (_centred(), nn.Flatten())
    for inputs, outputs in ((SIDE * SIDE, 1024), (1024, 512), (512, 512)):
        yield from (nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(0.25))
    yield nn.Linear(512, classes)


def vgg16_relu(classes: int) -> Iterable[nn.Module]:
    """Report 2's VGG16 with ReLU."""
    return _vgg16(classes, nn.ReLU)


def vgg16_selu(classes: int) -> Iterable[nn.Module]:
    """Report 2's VGG16 with SELU in place of ReLU, against dead units."""
    return _vgg16(classes, nn.SELU)


def vgg19_selu(classes: int) -> Iterable[nn.Module]:
    """Report 2's VGG19 with SELU: its largest network, and its best."""
    yield from _vgg_blocks((64, 2), (128, 2), (256, 4), (512, 4), (512, 4), activation=nn.SELU)
    yield from (nn.Flatten(), nn.BatchNorm1d(512), nn.Dropout(0.5), nn.SELU())
    for inputs in (512, 4096):
        yield from (nn.Linear(inputs, 4096), nn.BatchNorm1d(4096), nn.Dropout(0.5), nn.SELU())
    yield from (nn.Linear(4096, 1000), nn.BatchNorm1d(1000), nn.Linear(1000, classes))


def compact(classes: int) -> Iterable[nn.Module]:
    """Ours: a plain chain of ten 3x3 convolutions with ReLU, then the average over the face and one dense layer.

    It halves the picture early, where a convolution costs most and sees least, and widens as it halves. The average
    over the face makes Grad-CAM and HiResCAM exact for the last convolution.
    """
    return _compact(classes, (32, 1), (64, 2), (128, 3), (256, 3), (512, 1))


def compact_small(classes: int) -> Iterable[nn.Module]:
    """The same with seven convolutions: what compact began as."""
    return _compact(classes, (32, 1), (64, 1), (128, 2), (256, 2), (512, 1))


def _compact(classes: int, *blocks: tuple[int, int]) -> Iterable[nn.Module]:
    yield _centred()
    channels = 1
    for width, depth in blocks:
        if channels > 1:
            yield nn.MaxPool2d(2)
        for _ in range(depth):
            yield from (nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
            channels = width
    yield from (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(channels, classes))


def _centred() -> Normalize:
    """By the mean and deviation of Training's pixels."""
    return Normalize(0.5077, 0.2551)


def _vgg16(classes: int, activation: type[nn.Module]) -> Iterable[nn.Module]:
    yield from _vgg_blocks((64, 2), (128, 2), (256, 3), (512, 3), (512, 3), activation=activation)
    yield from (nn.Flatten(), nn.BatchNorm1d(512), nn.Dropout(0.5), activation())
    yield from (nn.Linear(512, 4096), nn.Dropout(0.5), activation())
    yield from (nn.Linear(4096, 1000), nn.BatchNorm1d(1000), nn.Linear(1000, classes))


def _vgg_blocks(*blocks: tuple[int, int], activation: type[nn.Module]) -> Iterable[nn.Module]:
    channels = 1
    for width, depth in blocks:
        for _ in range(depth):
            yield from (nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), activation())
            channels = width
        yield from (nn.MaxPool2d(2), nn.Dropout(0.25))


ARCHITECTURES: dict[str, Callable[[int], Iterable[nn.Module]]] = {
    "cnn": cnn,
    "dnn": dnn,
    "vgg16-relu": vgg16_relu,
    "vgg16-selu": vgg16_selu,
    "vgg19-selu": vgg19_selu,
    "compact": compact,
    "compact-small": compact_small,
    "compact-ferplus": compact_small,
}


def labels_of(architecture: str) -> tuple[str, ...]:
    """The labels that a registered network is trained to tell apart."""
    return FERPLUS if architecture.endswith("ferplus") else EMOTIONS


# ------------------------------------------------------------------------------------------------ building


_KINDS = {
    nn.Conv2d: "conv2d",
    nn.Linear: "dense",
    nn.BatchNorm1d: "batch_normalization",
    nn.BatchNorm2d: "batch_normalization",
    nn.ReLU: "activation",
    nn.SELU: "activation",
    nn.Sigmoid: "activation",
    nn.MaxPool2d: "max_pooling2d",
    nn.AdaptiveAvgPool2d: "global_average_pooling2d",
    nn.Dropout: "dropout",
    nn.Flatten: "flatten",
    Normalize: "normalization",
}


def layers(architecture: str, classes: int) -> OrderedDict[str, nn.Module]:
    """The named layers of a registered network, freshly initialised.

    Raises:
        ValueError: no such network.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(f"no network {architecture!r}: expected one of {', '.join(ARCHITECTURES)}")
    named = _numbered(ARCHITECTURES[architecture](classes))
    for layer in named.values():
        _initialise(layer, architecture)
    return named


def _numbered(modules: Iterable[nn.Module]) -> OrderedDict[str, nn.Module]:
    """Names each layer by its kind and its number among its kind, as Keras does."""
    counts: Counter[str] = Counter()
    named = OrderedDict()
    for module in modules:
        kind = _KINDS[type(module)]
        counts[kind] += 1
        named[f"{kind}_{counts[kind]}"] = module
    return named


def _initialise(layer: nn.Module, architecture: str) -> None:
    """Keras's Glorot for the reports' networks, LeCun's normal where SELU wants it, He's for ours."""
    if not isinstance(layer, nn.Conv2d | nn.Linear):
        return
    if architecture.endswith("selu"):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
    elif architecture.startswith("compact") and isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    else:
        nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


# ------------------------------------------------------------------------------------------------ describing


@dataclass(frozen=True)
class LayerRow:
    """A line of a network's table: the layer's name, its type, the shape it puts out (C, H, W) or (C,), its count."""

    name: str
    type: str
    shape: tuple[int, ...]
    parameters: int


def table(network: nn.Sequential) -> list[LayerRow]:
    """A line for every layer of ``network``, found by running one blank face through a copy-free eval forward."""
    rows, training = [], network.training
    values = torch.zeros(1, 1, SIDE, SIDE, device=next(network.parameters()).device)
    network.eval()
    with torch.no_grad():
        for name, layer in network.named_children():
            values = layer(values)
            rows.append(LayerRow(name, type(layer).__name__, tuple(values.shape[1:]), count(layer)))
    network.train(training)
    return rows


def multiplications(network: nn.Sequential) -> int:
    """How often convolutions and dense layers multiply a weight for one face: the work of a forward."""
    shapes = {row.name: row.shape for row in table(network)}
    layers = ((name, layer) for name, layer in network.named_children() if isinstance(layer, nn.Conv2d | nn.Linear))
    return sum(layer.weight.numel() * math.prod(shapes[name][1:]) for name, layer in layers)


def count(module: nn.Module) -> int:
    """Parameters as Keras counts them: the running mean and variance of batch normalisation included."""
    statistics = (value for name, value in module.named_buffers() if name.endswith(("running_mean", "running_var")))
    return sum(value.numel() for value in (*module.parameters(), *statistics))
