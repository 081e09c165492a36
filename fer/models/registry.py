"""The registry of architectures.

An architecture is a function from the number of classes to layers, in order, with ``@register_model``. Its network is a
plain chain of named layers from pixels, floats (B, 1, 48, 48) in 0..1, to logits (B, K). Layers carry the names that
Keras gives them (``conv2d_1``, ``batch_normalization_1``, ``activation_1`` ...), so that a truncated forward is a
slice: ``network[: "conv2d_2"](faces)`` ends with that layer's output.
"""

import inspect
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from fer.data.labels import EMOTIONS
from fer.models.layers import number_layers

BuildLayers = Callable[[int], Iterable[nn.Module]]


def glorot_uniform(layer: nn.Conv2d | nn.Linear) -> None:
    """Keras's default (Glorot and Bengio 2010)."""
    nn.init.xavier_uniform_(layer.weight)


def lecun_normal(layer: nn.Conv2d | nn.Linear) -> None:
    """What SELU needs to keep mean and variance (Klambauer et al. 2017)."""
    nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")


def he_normal(layer: nn.Conv2d | nn.Linear) -> None:
    """For convolutions with ReLU (He et al. 2015), by the number of outputs; dense layers as `glorot_uniform`."""
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    else:
        nn.init.xavier_uniform_(layer.weight)


@dataclass(frozen=True)
class Architecture:
    """What is registered under a name.

    build: from the number of classes to layers. labels: what it is trained to tell apart. init: draws the weights of
    one layer; biases begin at 0. recipe: fields of TrainConfig and Augmentation that differ from their defaults.
    """

    build: BuildLayers
    labels: tuple[str, ...] = EMOTIONS
    init: Callable[[nn.Conv2d | nn.Linear], None] = glorot_uniform
    recipe: Mapping[str, Any] = field(default_factory=dict)

    @property
    def description(self) -> str:
        """The first paragraph of the function's docstring, as model cards print it."""
        return " ".join((inspect.getdoc(self.build) or "").partition("\n\n")[0].split())


ARCHITECTURES: dict[str, Architecture] = {}


def register_model(
    name: str,
    labels: tuple[str, ...] = EMOTIONS,
    init: Callable[[nn.Conv2d | nn.Linear], None] = glorot_uniform,
    **recipe: Any,
) -> Callable[[BuildLayers], BuildLayers]:
    """Registers a function from the number of classes to layers as the architecture ``name``.

    recipe: its default training, fields of TrainConfig and Augmentation; `fer.training.config` checks them.

    Raises:
        ValueError: there is one of that name.
    """

    def register(build: BuildLayers) -> BuildLayers:
        if name in ARCHITECTURES:
            raise ValueError(f"network {name!r} is registered twice")
        ARCHITECTURES[name] = Architecture(build, labels, init, recipe)
        return build

    return register


def get_architecture(name: str) -> Architecture:
    """The architecture registered as ``name``. Raises ValueError with the names there are."""
    if name not in ARCHITECTURES:
        raise ValueError(f"no network {name!r}: expected one of {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


def label_set(name: str) -> tuple[str, ...]:
    """The labels that a registered architecture is trained to tell apart."""
    return get_architecture(name).labels


def build_layers(name: str, classes: int) -> OrderedDict[str, nn.Module]:
    """The named layers of a registered architecture, freshly initialised. Raises ValueError: no such architecture."""
    architecture = get_architecture(name)
    layers = number_layers(architecture.build(classes))
    for layer in layers.values():
        init_layer(layer, architecture)
    return layers


def init_layer(layer: nn.Module, architecture: Architecture) -> None:
    """Draws the weights of a convolution or dense layer as the architecture does; biases become 0."""
    if isinstance(layer, nn.Conv2d | nn.Linear):
        architecture.init(layer)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
