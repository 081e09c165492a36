"""A network of one's own to hook, aim or rebuild: modules that no other thread has, over the very same weights.

own(network)              a copy that costs next to nothing, since weights are shared
quick(network)            a copy that is faster for many faces, at the price of the weights' memory
outputs(network, faces)   how many logits it puts out, without running it
layers_for(network)       the layers whose maps have more than one pixel
contrasting(network)      puts out the difference of every two logits
exactly_ruled(chain)      the same function in layers for which Captum's DeepLIFT is right
"""

import copy
import itertools
from collections import OrderedDict
from collections.abc import Callable
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from fer.networks import SIDE, Chain

# Activations other than ReLU that have its bend; methods that rewrite ReLU's gradient pass them over in silence.
BENT = (nn.SELU, nn.ELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.LeakyReLU, nn.PReLU, nn.Softplus, nn.Hardswish)


def own(network: nn.Module, tensor: Callable[[Tensor], Tensor] = lambda tensor: tensor) -> nn.Module:
    """Modules of one's own over the very same weights, or over what `tensor` makes of each of them."""
    shared = {id(value): tensor(value) for value in (*network.parameters(), *network.buffers())}
    return copy.deepcopy(network, shared)


def quick(network: nn.Module) -> nn.Module:
    """A copy for thousands of faces, equal but for rounding, that takes a third less time on a CPU.

    Its weights lie as CPUs convolve them best, and batch norms are part of the convolutions before them.
    """
    copied = copy.deepcopy(network)
    for chain in (module for module in list(copied.modules()) if isinstance(module, nn.Sequential)):
        for (before, first), (after, second) in itertools.pairwise(list(chain.named_children())):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                setattr(chain, before, fuse_conv_bn_eval(first, second))
                setattr(chain, after, nn.Identity())
    return copied.eval().to(memory_format=torch.channels_last)


@torch.no_grad()
def outputs(network: nn.Module, faces: Tensor) -> int:
    """How many logits the network puts out for faces (B, 1, H, W); only shapes are computed, where it takes that."""
    last = network[-1] if isinstance(network, nn.Sequential) and len(network) else None
    if isinstance(last, nn.Linear):
        return last.out_features
    if not getattr(network, "differentiable", True):  # an ONNX file: it has no shapes without values
        return network(faces[:1]).shape[1]
    return own(network, _shape_only)(_shape_only(faces)).shape[1]


def layers_for(network: nn.Module) -> list[str]:
    """The layers, from the first convolution on, that put out maps of more than one pixel; [] for no plain chain."""
    return list(_sides(network))


def default_layer(network: nn.Sequential) -> str | None:
    """The activation of the last convolution whose maps still have 6x6 pixels, or else more than one.

    A map of 3x3 says of a face little more than that it is in the middle. Without an activation, the convolution.
    """
    sides = _sides(network)
    for least in (6, 1):
        for kinds in ((nn.ReLU, nn.Sigmoid, nn.Tanh, *BENT), (nn.Conv2d,)):
            for name in reversed(sides):
                if sides[name] >= least and isinstance(network.get_submodule(name), kinds):
                    return name
    return None


_known: WeakKeyDictionary[nn.Module, dict[str, int]] = WeakKeyDictionary()  # it takes as long as a forward of a face


def _sides(network: nn.Module) -> dict[str, int]:
    """The shorter side of the maps of each of `layers_for(network)`, by name; found once for every network."""
    if network not in _known:
        _known[network] = _measured(network) if isinstance(network, nn.Sequential) else {}
    return _known[network]


@torch.no_grad()
def _measured(network: nn.Sequential) -> dict[str, int]:
    """The same, anew; only shapes are computed."""
    values, sides, convolved = torch.empty(1, 1, SIDE, SIDE, device="meta"), {}, False
    for name, layer in own(network, _shape_only).named_children():
        values, convolved = layer(values), convolved or isinstance(layer, nn.Conv2d)
        if values.ndim != 4 or values.shape[2:].numel() == 1:
            break
        if convolved:
            sides[name] = min(values.shape[2:])
    return sides


def _shape_only(value: Tensor) -> Tensor:
    return value.detach().to("meta")


# ------------------------------------------------------------------------------------------------ rebuilding


class _Differences(nn.Module):
    """Logits (B, K) -> every difference of two of them (B, K * K): a's less b's is number a * K + b."""

    def forward(self, logits: Tensor) -> Tensor:
        return (logits[:, :, None] - logits[:, None]).flatten(1)


def contrasting(network: nn.Module) -> nn.Sequential:
    """The network (B, K) followed by the differences (B, K * K) of its logits: a's less b's is number a * K + b."""
    layers = network._modules if isinstance(network, nn.Sequential) else {"network": network}
    return Chain(OrderedDict([*layers.items(), ("differences", _Differences())])).eval()


class _Apart(nn.Module):
    """A tensor of its own: Captum 0.9 mixes up an activation and a pooling that share one (its issue 1104)."""

    def forward(self, values: Tensor) -> Tensor:
        return values.clone()


class _Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, values: Tensor) -> Tensor:
        return values * self.factor


def exactly_ruled(chain: nn.Sequential) -> nn.Sequential:
    """The same function of layers for which Captum has rules that are right: pools set apart, SELU as a scaled ELU."""

    def rebuilt(layer: nn.Module) -> nn.Module:
        if isinstance(layer, nn.MaxPool2d):
            return nn.Sequential(_Apart(), layer, _Apart())
        if isinstance(layer, nn.SELU):
            return nn.Sequential(nn.ELU(alpha=1.6732632423543772), _Times(1.0507009873554805))
        return layer

    return nn.Sequential(*(rebuilt(layer) for layer in chain)).eval()
