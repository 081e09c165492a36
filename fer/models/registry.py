"""Every network, registered by name, as a plain chain of named layers.

A chain runs from pixels, floats (B, 1, 48, 48) in 0..1, to logits (B, K). Layers carry the names that Keras gives
them in the reports' tables (``conv2d_1``, ``batch_normalization_1``, ``activation_1`` ...), so that any of them is
picked by name, and a truncated forward is a slice: ``network[: "conv2d_2"](faces)`` ends with that layer's output.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable

from torch import nn

from fer.data.ferplus import FERPLUS
from fer.data.labels import EMOTIONS
from fer.models.cnn import cnn
from fer.models.compact import compact, compact_small
from fer.models.dnn import dnn
from fer.models.layers import _numbered
from fer.models.vgg import vgg16_relu, vgg16_selu, vgg19_selu

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


def label_set(architecture: str) -> tuple[str, ...]:
    """The labels that a registered network is trained to tell apart."""
    return FERPLUS if architecture.endswith("ferplus") else EMOTIONS


def build_layers(architecture: str, classes: int) -> OrderedDict[str, nn.Module]:
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
