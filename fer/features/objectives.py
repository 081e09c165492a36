from collections.abc import Callable

import torch
from torch import Tensor

Objective = Callable[[Tensor, Tensor], Tensor]  # the layer's values, the chosen filters (B,) -> (B,)


# ------------------------------------------------------------------------------------------------ what is to grow


def centre_neuron(values: Tensor, chosen: Tensor) -> Tensor:
    """The neuron in the middle of the filter's map (B, C, H, W); of a dense layer (B, K), the neuron itself."""
    return _centre_values(values)[torch.arange(len(chosen)), chosen]


def channel_sum(values: Tensor, chosen: Tensor) -> Tensor:
    """The sum over the filter's map, report 1's objective."""
    return _channel_values(values, chosen).sum(1)


def channel_mean(values: Tensor, chosen: Tensor) -> Tensor:
    """The mean over the filter's map."""
    return _channel_values(values, chosen).mean(1)


def direction_objective(direction: Tensor) -> Objective:
    """The middle of all the layer's maps along a direction (C,), whichever filter is chosen."""

    def objective(values: Tensor, chosen: Tensor) -> Tensor:
        return _centre_values(values) @ direction.to(values)

    return objective


def mixture_objective(weights: Tensor) -> Objective:
    """The middles of the layer's maps, added up with the weights of row `chosen` of `weights` (R, C)."""

    def objective(values: Tensor, chosen: Tensor) -> Tensor:
        return (_centre_values(values) * weights.to(values)[chosen]).sum(1)

    return objective


def _channel_values(values: Tensor, chosen: Tensor) -> Tensor:
    return values[torch.arange(len(chosen)), chosen].reshape(len(chosen), -1)  # (B, H * W)


def _centre_values(values: Tensor) -> Tensor:
    return values if values.ndim == 2 else values[:, :, values.shape[2] // 2, values.shape[3] // 2]  # (B, C)
