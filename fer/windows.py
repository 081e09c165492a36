"""The convolution of small maps as a product of matrices, for training in bfloat16 on a CPU.

oneDNN's own 3x3 convolution is slow where a map has few places and many channels, as at the end of a VGG, and its
gradient for the weights slower still: 512 channels of 2x2 take seven times as long as the windows gathered into one
matrix and multiplied (`python -m tests.benchmarks.windows`).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

_FEW, _SOME = 16, 64  # places of a map up to which all three products pay, and that of the weights' gradient
_WIDE = 256  # channels from which on


def convolve(layer: nn.Module, maps: Tensor) -> Tensor:
    """``layer(maps)``, by windows where that is faster: maps (B, C, H, W) -> (B, K, H, W)."""
    if not pays(layer, maps):
        return layer(maps)
    out = _Windows.apply(maps.bfloat16(), layer.weight.bfloat16())
    return out if layer.bias is None else out + layer.bias.bfloat16()[:, None, None]


def pays(layer: nn.Module, maps: Tensor) -> bool:
    """Whether ``layer`` is a 3x3 convolution of small, wide maps that trains in bfloat16 on a CPU."""
    if not (maps.device.type == "cpu" and torch.is_autocast_enabled("cpu") and torch.is_grad_enabled()):
        return False
    return (
        isinstance(layer, nn.Conv2d)
        and (layer.kernel_size, layer.padding, layer.stride, layer.dilation) == ((3, 3), (1, 1), (1, 1), (1, 1))
        and layer.groups == 1
        and layer.in_channels >= _WIDE
        and maps.shape[-2] * maps.shape[-1] <= _SOME
    )


class _Windows(torch.autograd.Function):
    """Maps (B, C, H, W) and weights (K, C, 3, 3) -> (B, K, H, W), and the gradients of both."""

    @staticmethod
    def forward(ctx: object, maps: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(maps, weight)
        if _places(maps) > _FEW:
            return functional.conv2d(maps, weight, padding=1)
        return _product(maps, weight)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> tuple[Tensor, Tensor]:
        maps, weight = ctx.saved_tensors
        turned = weight.transpose(0, 1).flip(2, 3)  # (C, K, 3, 3)
        if _places(maps) > _FEW:
            turned = turned.contiguous(memory_format=torch.channels_last)
            below = functional.conv2d(gradient, turned, padding=1)
        else:
            below = _product(gradient, turned)
        rows = _rows(gradient)  # (B*H*W, K)
        weights = _gathered(maps).t() @ rows  # (9*C, K)
        return below, weights.unflatten(0, (3, 3, -1)).permute(3, 2, 0, 1)


def _product(maps: Tensor, weight: Tensor) -> Tensor:
    matrix = weight.permute(2, 3, 1, 0).flatten(0, 2)  # (9*C, K)
    rows = _gathered(maps) @ matrix  # (B*H*W, K)
    return rows.unflatten(0, (len(maps), *maps.shape[2:])).permute(0, 3, 1, 2)


def _gathered(maps: Tensor) -> Tensor:
    """Every place's window of 3x3, a row each: (B, C, H, W) -> (B*H*W, 9*C)."""
    height, width = maps.shape[2:]
    framed = functional.pad(maps.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))  # (B, H+2, W+2, C)
    windows = [framed[:, top : top + height, left : left + width] for top in range(3) for left in range(3)]
    return torch.cat(windows, 3).flatten(0, 2)


def _rows(maps: Tensor) -> Tensor:
    return maps.permute(0, 2, 3, 1).flatten(0, 2)


def _places(maps: Tensor) -> int:
    return maps.shape[-2] * maps.shape[-1]
