"""Why does a network take one label for another? (network, faces taken for it, faces read right) -> what differs.

The mean map of "answer minus truth" says where on the face it happens; the filters that answer most differently say
by what; and without those filters the gap between the two logits should fall further than without as many others.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from fer.attribution import face_regions
from fer.attribution.explain import explain
from fer.attribution.target_layer import default_layer
from fer.data.dataset import to_unit

MAX_FACES = 48  # faces of either kind that the filters answer
_MAX_EXPLAINED = 12  # of them that are explained, which takes longest
_NUM_FILTERS = 6  # that are named
_RANDOM_DRAWS = 20  # of as many filters at random


@dataclass(frozen=True)
class FilterContrast:
    """A filter's mean answer to the mistaken faces and to the right ones, and their distance in deviations."""

    number: int
    mistaken: float
    right: float
    distance: float


@dataclass(frozen=True)
class ConfusionPair:
    """What differs between faces that are mistaken and faces of the same label that are read right.

    faces: how many mistaken ones. mapped: how many of them are behind the map: the first. face: their mean, uint8
    (48, 48). map: the mean signed map of "answer minus truth", float (48, 48).
    shares: how much of the maps lies in each part of the face. filters: of ``layer``, the most different first; none
    where there is no right face, or no chain of layers. gap: the mean of the answer's logit less the truth's on the
    mistaken faces: as it is, without the named filters that answer them more, and without as many others at random.
    """

    faces: int
    mapped: int
    face: np.ndarray
    map: np.ndarray
    shares: dict[str, float]
    layer: str | None
    filters: tuple[FilterContrast, ...]
    gap: tuple[float, float, float] | None


def explain_pair(network: nn.Module, mistaken: Tensor, right: Tensor, answer: int, truth: int) -> ConfusionPair:
    """Looks at up to MOST uint8 faces (N, 48, 48) of label ``truth`` read as ``answer``, and (M, 48, 48) read right."""
    if not len(mistaken):
        raise ValueError("no face is mistaken: expected at least one")
    faces, others = to_unit(mistaken[:MAX_FACES]), to_unit(right[:MAX_FACES])  # (N, 1, 48, 48)
    maps = explain(network, faces[:_MAX_EXPLAINED], "integrated-gradients", answer, truth)  # (N, 1, 48, 48)
    shares = dict(zip(face_regions.FACE_REGIONS, face_regions.region_shares(maps).mean(0).tolist(), strict=True))
    layer = compared_layer(network)
    filters = contrast_filters(network, layer, faces, others) if layer and len(others) > 1 and len(faces) > 1 else ()
    return ConfusionPair(
        faces=len(faces),
        mapped=len(maps),
        face=(255 * faces[:_MAX_EXPLAINED].mean((0, 1))).round().byte().numpy(),
        map=maps.mean((0, 1)).numpy(),
        shares=shares,
        layer=layer,
        filters=tuple(filters[:_NUM_FILTERS]),
        gap=logit_gaps(network, layer, faces, [row.number for row in most_active_on_mistakes(filters)], answer, truth)
        if filters
        else None,
    )


def compared_layer(network: nn.Module) -> str | None:
    """The layer whose filters are compared: a late convolution's activation, or the last one; None for no chain."""
    if not isinstance(network, nn.Sequential):
        return None
    last = [name for name, _ in network.named_children() if name.startswith("activation")]
    return default_layer(network) or (last[-1] if last else None)


@torch.no_grad()
def contrast_filters(network: nn.Sequential, layer: str, faces: Tensor, others: Tensor) -> list[FilterContrast]:
    """The layer's filters by how far their answers to two kinds of faces (B, 1, 48, 48) are apart (Cohen's d)."""
    first, second = (_channel_means(network[:layer](part)) for part in (faces, others))  # (B, C)
    spread = ((first.var(0) + second.var(0)) / 2).sqrt().clamp_min(1e-6)  # (C,)
    distance = (first.mean(0) - second.mean(0)) / spread
    rows = zip(first.mean(0).tolist(), second.mean(0).tolist(), distance.tolist(), strict=True)
    return sorted((FilterContrast(number, *row) for number, row in enumerate(rows)), key=lambda row: -abs(row.distance))


def most_active_on_mistakes(filters: list[FilterContrast]) -> list[FilterContrast]:
    """Those among the most different ones that answer the mistaken faces more."""
    return [row for row in filters if row.distance > 0][:_NUM_FILTERS]


@torch.no_grad()
def logit_gaps(
    network: nn.Sequential, layer: str, faces: Tensor, numbers: list[int], answer: int, truth: int
) -> tuple[float, float, float]:
    """The mean gap of two logits: as it is, without these filters of the layer, and without as many at random."""
    values = network[:layer](faces)  # (B, C, H, W) or (B, C)
    rest = network[list(network._modules).index(layer) + 1 :]

    def gap(silent: Tensor | list[int]) -> float:
        left = values.clone()
        left[:, silent] = 0
        logits = rest(left)
        return (logits[:, answer] - logits[:, truth]).mean().item()

    generator = torch.Generator().manual_seed(0)
    draws = [torch.randperm(values.shape[1], generator=generator)[: len(numbers)] for _ in range(_RANDOM_DRAWS)]
    return gap([]), gap(numbers), sum(map(gap, draws)) / _RANDOM_DRAWS


def _channel_means(values: Tensor) -> Tensor:
    """The mean over places: (B, C, H, W) or (B, C) -> (B, C)."""
    return values.flatten(2).mean(2) if values.ndim == 4 else values
