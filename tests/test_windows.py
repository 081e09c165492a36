"""The convolution of small maps by windows is the convolution, forward and backward."""

import pytest
import torch
from torch import nn

from fer.windows import convolve, pays


def layer(inputs: int = 256, outputs: int = 32) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def in_bfloat16() -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16)


@pytest.mark.parametrize("side", [1, 2, 3, 4, 6, 8])
def test_maps_and_both_gradients_are_those_of_the_layer_within_the_precision_of_bfloat16(side: int) -> None:
    maps, own = torch.randn(5, 256, side, side), layer()
    results = []
    for function in (own, lambda values: convolve(own, values)):
        start = maps.clone().requires_grad_()
        with in_bfloat16():
            out = function(start)
        (out.float() * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
        results.append([out.float(), start.grad, own.weight.grad, own.bias.grad])
        own.zero_grad()
    for plain, mine in zip(*results, strict=True):
        assert (plain - mine).abs().max() < 0.02 * plain.abs().max()


def test_it_is_taken_for_small_wide_maps_that_train_in_bfloat16_only() -> None:
    maps = torch.zeros(1, 256, 4, 4)
    with in_bfloat16():
        assert pays(layer(), maps)
        assert not pays(layer(), torch.zeros(1, 256, 12, 12))
        assert not pays(layer(64), torch.zeros(1, 64, 4, 4))
        assert not pays(nn.Conv2d(256, 32, 3), maps)
        assert not pays(nn.Conv2d(256, 32, 3, padding=1, groups=2), maps)
        assert not pays(nn.ReLU(), maps)
        with torch.no_grad():
            assert not pays(layer(), maps)
    assert not pays(layer(), maps)


def test_a_single_place_sees_the_middle_of_the_kernel_only() -> None:
    own = layer(256, 1)
    nn.init.zeros_(own.bias)
    nn.init.ones_(own.weight)
    own.weight.data[:, :, 1, 1] = 0.5
    with in_bfloat16():
        assert convolve(own, torch.ones(1, 256, 1, 1)).item() == 128
