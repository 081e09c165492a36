"""Clones of a network: with shared weights, to hook or change in one thread; or fused, for fast inference."""

import copy
import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def clone_shared(network: nn.Module, tensor: Callable[[Tensor], Tensor] = lambda tensor: tensor) -> nn.Module:
    """A copy of the modules with the same weight tensors, or with `tensor` of each of them."""
    shared = {id(value): tensor(value) for value in (*network.parameters(), *network.buffers())}
    return copy.deepcopy(network, shared)


def fuse_for_inference(network: nn.Module) -> nn.Module:
    """A copy for inference on many faces, equal but for rounding, that takes a third less time on a CPU.

    Batch normalisation is fused into the convolutions before it, and weights are channels-last.
    """
    copied = copy.deepcopy(network)
    for chain in (module for module in list(copied.modules()) if isinstance(module, nn.Sequential)):
        for (before, first), (after, second) in itertools.pairwise(list(chain.named_children())):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                setattr(chain, before, fuse_conv_bn_eval(first, second))
                setattr(chain, after, nn.Identity())
    return copied.eval().to(memory_format=torch.channels_last)


@torch.no_grad()
def num_outputs(network: nn.Module, faces: Tensor) -> int:
    """The number of logits for faces (B, 1, H, W), from shapes alone where that is possible."""
    last = network[-1] if isinstance(network, nn.Sequential) and len(network) else None
    if isinstance(last, nn.Linear):
        return last.out_features
    if not getattr(network, "differentiable", True):  # an ONNX file: it has no shapes without values
        return network(faces[:1]).shape[1]
    return clone_shared(network, _shape_only)(_shape_only(faces)).shape[1]


def _shape_only(value: Tensor) -> Tensor:
    return value.detach().to("meta")
