from collections import OrderedDict

from torch import Tensor, nn

from fer.models.layers import NamedSequential

# Activations other than ReLU that have its bend; methods that rewrite ReLU's gradient pass them over in silence.
NON_RELU_ACTIVATIONS = (
    nn.SELU,
    nn.ELU,
    nn.CELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.LeakyReLU,
    nn.PReLU,
    nn.Softplus,
    nn.Hardswish,
)


# ------------------------------------------------------------------------------------------------ rebuilding


class _LogitDifferences(nn.Module):
    """Logits (B, K) -> every difference of two of them (B, K * K): a's less b's is number a * K + b."""

    def forward(self, logits: Tensor) -> Tensor:
        return (logits[:, :, None] - logits[:, None]).flatten(1)


def with_logit_differences(network: nn.Module) -> nn.Sequential:
    """The network (B, K) followed by the differences (B, K * K) of its logits: a's less b's is number a * K + b."""
    layers = network._modules if isinstance(network, nn.Sequential) else {"network": network}
    return NamedSequential(OrderedDict([*layers.items(), ("differences", _LogitDifferences())])).eval()


class _Clone(nn.Module):
    """A tensor of its own: Captum 0.9 mixes up an activation and a pooling that share one (its issue 1104)."""

    def forward(self, values: Tensor) -> Tensor:
        return values.clone()


class _Scale(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, values: Tensor) -> Tensor:
        return values * self.factor


def deeplift_compatible(chain: nn.Sequential) -> nn.Sequential:
    """The same function of layers for which Captum has rules that are right: pools set apart, SELU as a scaled ELU."""

    def rebuilt(layer: nn.Module) -> nn.Module:
        if isinstance(layer, nn.MaxPool2d):
            return nn.Sequential(_Clone(), layer, _Clone())
        if isinstance(layer, nn.SELU):
            return nn.Sequential(nn.ELU(alpha=1.6732632423543772), _Scale(1.0507009873554805))
        return layer

    return nn.Sequential(*(rebuilt(layer) for layer in chain)).eval()
