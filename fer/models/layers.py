from collections import Counter, OrderedDict
from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

SIDE = 48


class NamedSequential(nn.Sequential):
    """An nn.Sequential whose layers are also picked, and sliced up to and including, by their names."""

    def __getitem__(self, key: int | str | slice) -> Any:  # type: ignore[override]
        if isinstance(key, str):
            return self._modules[self._known(key)]
        if isinstance(key, slice):
            start, stop = self._position(key.start), self._position(key.stop, after=True)
            return NamedSequential(OrderedDict(list(self._modules.items())[start : stop : key.step]))
        return super().__getitem__(key)

    def _position(self, key: int | str | None, after: bool = False) -> int | None:
        return list(self._modules).index(self._known(key)) + after if isinstance(key, str) else key

    def _known(self, name: str) -> str:
        if name not in self._modules:
            raise KeyError(f"no layer {name!r}: expected one of {', '.join(self._modules)}")
        return name


class Normalize(nn.Module):
    """Subtracts a fixed mean from pixels (B, 1, 48, 48) in 0..1, and divides by a fixed standard deviation."""

    def __init__(self, mean: float, deviation: float) -> None:
        super().__init__()
        self.mean, self.deviation = mean, deviation

    def forward(self, faces: Tensor) -> Tensor:
        return (faces - self.mean) / self.deviation

    def extra_repr(self) -> str:
        return f"mean={self.mean}, deviation={self.deviation}"


def fer2013_normalization() -> Normalize:
    """Normalisation by the mean and standard deviation of Training's pixels."""
    return Normalize(0.5077, 0.2551)


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


def number_layers(modules: Iterable[nn.Module]) -> OrderedDict[str, nn.Module]:
    """Names each layer by its kind and its number among its kind, as Keras does."""
    counts: Counter[str] = Counter()
    named: OrderedDict[str, nn.Module] = OrderedDict()
    for module in modules:
        kind = _KINDS.get(type(module), type(module).__name__.lower())
        counts[kind] += 1
        named[f"{kind}_{counts[kind]}"] = module
    return named
