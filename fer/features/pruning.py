"""Structured pruning: remove filters and fold their output into the remaining ones.

    for step in prune_sequence(network, "conv2d_1", moments(network, "conv2d_1", pixels), "reconstruct"):
        smaller = step.network()        # a network with 63, 62, 61 ... filters in conv2d_1

STRATEGIES differ in what replaces a removed filter in the next layer: its mean alone (`mean`), the filter that predicts
it best (`nearest`), or all remaining ones together (`reconstruct`). Each step removes the filter whose removal changes
the next layer's input least. `reconstruct` is the optimal brain surgeon (Hassibi and Stork 1993) on whole filters.
"""

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fer.data.dataset import to_unit
from fer.models.layers import NamedSequential

_BLOCK = 64  # faces at once


def removable(network: NamedSequential) -> list[str]:
    """The layers from which filters can be taken: convolutions and dense layers that another one reads."""
    return [name for name, layer in network.named_children() if isinstance(layer, nn.Conv2d | nn.Linear)][:-1]


def next_layer(network: NamedSequential, layer: str) -> str:
    """The convolution or dense layer that reads what ``layer`` puts out, through whatever lies between them.

    Raises:
        ValueError: there is none, or no such layer.
    """
    names = [name for name, module in network.named_children() if isinstance(module, nn.Conv2d | nn.Linear)]
    if layer not in names[:-1]:
        raise ValueError(f"no filters can be taken from {layer!r}: expected one of {', '.join(names[:-1])}")
    return names[names.index(layer) + 1]


@torch.inference_mode()
def second_moments(network: NamedSequential, layer: str, pixels: Tensor) -> Tensor:
    """Mean products of what the layer's filters hand to the next one, and of a 1: (C + 1, C + 1), float64.

    Over uint8 faces (N, 48, 48) and all places of the maps, behind activation and pooling.
    """
    filters, total, count = _num_filters(network[layer]), 0.0, 0
    names = [name for name, _ in network.named_children()]
    before = network[: names[names.index(next_layer(network, layer)) - 1]]
    for block in pixels.split(_BLOCK):
        answers = before(to_unit(block)).reshape(len(block), filters, -1)  # (B, C, P)
        answers = answers.transpose(0, 1).flatten(1)  # (C, B * P)
        whole = torch.cat([answers, torch.ones(1, answers.shape[1])])
        total, count = total + (whole @ whole.T).double(), count + answers.shape[1]
    return total / count


def _num_filters(module: nn.Module) -> int:
    return module.weight.shape[0]


# ------------------------------------------------------------------------------------------------ which to remove


@dataclass
class _RemainingFilters:
    """What is left while filters go: the moments (S, S) of those that stay, the 1 last, and their inverse."""

    moments: Tensor
    inverse: Tensor

    @classmethod
    def of(cls, moments: Tensor) -> "_RemainingFilters":
        ridge = 1e-7 * moments.diagonal().mean() * torch.eye(len(moments), dtype=moments.dtype)
        return cls(moments, torch.linalg.inv(moments + ridge))

    def without(self, number: int) -> "_RemainingFilters":
        stay = torch.arange(len(self.moments)) != number
        column = self.inverse[:, number]
        inverse = self.inverse - torch.outer(column, column) / column[number]
        return _RemainingFilters(self.moments[stay][:, stay], inverse[stay][:, stay])

    def covariance(self) -> Tensor:
        mean = self.moments[:-1, -1]
        return self.moments[:-1, :-1] - torch.outer(mean, mean)


# Each way: what is left -> how far each of the S - 1 filters is from what would take its place (the mean square of the
# difference), and how much of the others, and of the 1, that is, for one of them: (S - 1,), number -> (S,).
Strategy = Callable[[_RemainingFilters], tuple[Tensor, Callable[[int], Tensor]]]


def _mean(left: _RemainingFilters) -> tuple[Tensor, Callable[[int], Tensor]]:
    def mean(number: int) -> Tensor:
        shares = torch.zeros(len(left.moments), dtype=left.moments.dtype)
        shares[-1] = left.moments[number, -1]
        return shares

    return left.covariance().diagonal(), mean


def _nearest(left: _RemainingFilters) -> tuple[Tensor, Callable[[int], Tensor]]:
    covariance = left.covariance()
    variance = covariance.diagonal().clamp(min=1e-12)
    explained = (covariance.square() / variance).fill_diagonal_(0)  # (filter, other)
    best, other = explained.max(1)

    def fitted(number: int) -> Tensor:
        nearest, means = other[number], left.moments[:-1, -1]
        shares = torch.zeros(len(left.moments), dtype=left.moments.dtype)
        shares[nearest] = covariance[number, nearest] / variance[nearest]
        shares[-1] = means[number] - shares[nearest] * means[nearest]
        return shares

    return variance - best, fitted


def _reconstruct(left: _RemainingFilters) -> tuple[Tensor, Callable[[int], Tensor]]:
    own = left.inverse.diagonal()

    def solved(number: int) -> Tensor:
        shares = -left.inverse[number] / own[number]
        shares[number] = 0
        return shares

    return 1 / own[:-1], solved


STRATEGIES: dict[str, Strategy] = {"reconstruct": _reconstruct, "nearest": _nearest, "mean": _mean}


@dataclass(frozen=True)
class PrunedLayer:
    """A layer with some of its filters gone: which stay, and how the next layer reads them.

    kept: numbers in the layer as it was. outgoing: (O, S, P), P weights of each output for each filter that stays.
    bias: (O,).
    """

    chain: NamedSequential
    layer: str
    kept: tuple[int, ...]
    outgoing: Tensor
    bias: Tensor

    def network(self) -> NamedSequential:
        """The smaller network, whose modules are its own."""
        after = next_layer(self.chain, self.layer)
        modules, within, keep = OrderedDict(), False, torch.tensor(self.kept)
        for name, module in self.chain.named_children():
            if name == self.layer:
                module, within = _select_outputs(module, keep), True
            elif name == after:
                module, within = _replace_inputs(module, self.outgoing, self.bias), False
            elif within and isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module = _select_norm_channels(module, keep, len(self.chain[self.layer].weight))
            modules[name] = module
        return NamedSequential(modules).eval()


@torch.no_grad()
def prune_sequence(network: NamedSequential, layer: str, moments: Tensor, way: str) -> Iterator[PrunedLayer]:
    """Takes the filters of a layer away, one after the other, until one is left: first the layer as it is, with all.

    moments: of its filters, see `moments`. Raises ValueError for a layer that nothing reads, or another way.
    """
    if way not in STRATEGIES:
        raise ValueError(f"no way {way!r} to remove filters: expected one of {', '.join(STRATEGIES)}")
    module = network[next_layer(network, layer)]
    count = _num_filters(network[layer])
    outgoing = module.weight.detach().reshape(_num_filters(module), count, -1).double()  # (O, C, P)
    bias = torch.zeros(len(outgoing)).double() if module.bias is None else module.bias.detach().double()
    kept, left = list(range(count)), _RemainingFilters.of(moments)
    while True:
        yield PrunedLayer(network, layer, tuple(kept), outgoing, bias)
        if len(kept) == 1:
            return
        gaps, shares_of = STRATEGIES[way](left)
        number = int((gaps * outgoing.square().sum((0, 2))).argmin())
        shares, going = shares_of(number), outgoing[:, number]  # (S,), (O, P)
        bias = bias + shares[-1] * going.sum(1)
        outgoing = outgoing + shares[:-1, None] * going[:, None]
        stay = [index for index in range(len(kept)) if index != number]
        kept, outgoing, left = [kept[index] for index in stay], outgoing[:, stay], left.without(number)


# ------------------------------------------------------------------------------------------------ smaller modules


def _select_outputs(module: nn.Conv2d | nn.Linear, keep: Tensor) -> nn.Module:
    """Some of a layer's filters."""
    return _with_parameters(module, module.weight[keep], None if module.bias is None else module.bias[keep])


def _replace_inputs(module: nn.Conv2d | nn.Linear, outgoing: Tensor, bias: Tensor) -> nn.Module:
    """A layer with other incoming weights, (O, S, P) as `Thinned` has them."""
    return _with_parameters(module, outgoing.float().reshape(len(outgoing), -1, *module.weight.shape[2:]), bias.float())


def _with_parameters(module: nn.Conv2d | nn.Linear, weight: Tensor, bias: Tensor | None) -> nn.Module:
    other = copy.deepcopy(module)
    other.weight = nn.Parameter(weight.detach().clone())
    other.bias = None if bias is None else nn.Parameter(bias.detach().clone())
    names = ("out_channels", "in_channels") if isinstance(module, nn.Conv2d) else ("out_features", "in_features")
    for name, size in zip(names, weight.shape[:2], strict=True):
        setattr(other, name, size)
    return other


def _select_norm_channels(module: nn.Module, keep: Tensor, filters: int) -> nn.Module:
    """A batch normalisation of some filters; flattened maps have several numbers of each."""
    other = copy.deepcopy(module)
    places = module.num_features // filters
    chosen = (keep[:, None] * places + torch.arange(places)).flatten()
    for name in ("weight", "bias", "running_mean", "running_var"):
        value = getattr(module, name)
        if value is not None:
            part = value.detach()[chosen].clone()
            setattr(other, name, nn.Parameter(part) if isinstance(value, nn.Parameter) else part)
    other.num_features = len(chosen)
    return other
