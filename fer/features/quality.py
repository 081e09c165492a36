import torch
from torch import Tensor

from fer.features.parametrization import frequencies
from fer.models.layers import NamedSequential


def high_frequency_share(images: Tensor) -> Tensor:
    """Share of each picture's energy in waves of more than a quarter cycle a pixel: (B, 1, S, S) -> (B,) in 0..1.

    White noise has .81 of it there, a face about .06; an even picture has none and gets 0.
    """
    energy = torch.fft.fft2(_centred(images)).abs().square()
    fine = energy[..., frequencies(images.shape[-1]) > 0.25].sum(-1)
    return (fine / energy.sum((-2, -1)).clamp(min=1e-12)).flatten()


def seed_agreement(first: Tensor, second: Tensor) -> Tensor:
    """Correlation of pictures at the shift, around the edges, where it is highest: twice (B, 1, S, S) -> (B,)."""
    first, second = _centred(first), _centred(second)
    side = first.shape[-1]
    products = torch.fft.irfft2(torch.fft.rfft2(first) * torch.fft.rfft2(second).conj(), s=(side, side))
    sizes = first.flatten(1).norm(dim=1) * second.flatten(1).norm(dim=1)
    return products.flatten(1).amax(1) / sizes.clamp(min=1e-12)


def nearest_filters(network: NamedSequential, layer: str, number: int, most: int = 4) -> list[tuple[int, float]]:
    """The filters of a layer whose weights correlate highest with this one's, the highest first: (filter, -1..1)."""
    kernels = network[layer].weight.detach().float().flatten(1)
    kernels = torch.nn.functional.normalize(kernels - kernels.mean(1, keepdim=True), dim=1)
    likeness = kernels @ kernels[number]
    likeness[number] = -torch.inf
    best = likeness.topk(min(most, len(likeness) - 1))
    return list(zip(best.indices.tolist(), best.values.tolist(), strict=True))


def _centred(images: Tensor) -> Tensor:
    return images - images.mean((-2, -1), keepdim=True)
