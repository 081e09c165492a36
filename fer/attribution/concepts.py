"""Non-negative concepts: what the last activation maps are made of, and how much of each logit each part is.

    body, tail = split_at_linear_tail(network)          # maps, and the linear layers that follow
    basis = factorize(pixels_of_maps, rank=20).basis    # (R, C): one direction in the channels for each concept
    shares = concept_shares(body, tail, basis, faces)   # shares.contributions (B, R, K): of each logit
    without(shares, kept)                               # the logits once concepts are removed

The maps (C channels at P places) are factorised into non-negative strengths at each place and non-negative directions,
A ~ U V, as CRAFT does (Fel et al. 2023), by multiplicative updates (Lee and Seung 2001). What follows the maps is
linear, so that every logit is exactly the sum of the concepts' shares, of a residual's share (what the factors do not
explain) and of a constant.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fer.attribution import face_regions

RANK = 20
_ITERATIONS = 200
_TINY = 1e-9
_LINEAR = (nn.Linear, nn.AdaptiveAvgPool2d, nn.AvgPool2d, nn.Flatten, nn.Dropout, nn.Identity)
_LINEAR += (nn.BatchNorm1d, nn.BatchNorm2d)  # in eval mode
_BLOCK = 64  # faces at once


@dataclass(frozen=True, eq=False)
class Factors:
    """codes: float (M, R), at least 0. basis: float (R, C), at least 0, rows of length 1."""

    codes: Tensor
    basis: Tensor


@dataclass(frozen=True, eq=False)
class ConceptShares:
    """B faces in R concepts at P places, and each logit as a sum over them.

    codes: (B, P, R). contributions: (B, R, K). residual: (B, K), what the factors leave over. constant: (K,), the
    logits of maps of zeros. logits: (B, K), the network's own; equal to the sum of the other three.
    unexplained: (B,), the norm of what is left over of the maps, over theirs.
    """

    codes: Tensor
    contributions: Tensor
    residual: Tensor
    constant: Tensor
    logits: Tensor
    unexplained: Tensor

    @property
    def strengths(self) -> Tensor:
        """The mean of each concept over the places: (B, R)."""
        return self.codes.mean(1)


def split_at_linear_tail(network: nn.Module) -> tuple[nn.Sequential, nn.Sequential]:
    """The layers up to the last one that is not linear, and the linear ones after it.

    Raises:
        ValueError: no plain chain, training mode, or nothing but linear layers.
    """
    if not isinstance(network, nn.Sequential):
        raise ValueError(f"the network is {type(network).__name__}: expected a chain of layers")
    if network.training:
        raise ValueError("the network is in training mode: expected eval()")
    bent = [place for place, layer in enumerate(network) if not isinstance(layer, _LINEAR)]
    if not bent or bent[-1] == len(network) - 1:
        raise ValueError("the network does not end in linear layers after an activation")
    return network[: bent[-1] + 1], network[bent[-1] + 1 :]


def factorize(values: Tensor, rank: int = RANK, seed: int = 0, iterations: int = _ITERATIONS) -> Factors:
    """Non-negative matrix factorisation of ``values`` (M, C) by multiplicative updates, for the squared error.

    Raises:
        ValueError: a value below 0, as SELU and batch norms put out, or fewer rows than factors.
    """
    if values.min() < 0:
        raise ValueError(f"values go down to {values.min():.3g}: expected none below 0, as after a ReLU or a sigmoid")
    if not 1 <= rank <= len(values):
        raise ValueError(f"rank is {rank}: expected 1 to {len(values)}, the number of rows")
    generator = torch.Generator().manual_seed(seed)
    scale = (values.mean() / rank).sqrt()
    codes = scale * torch.rand(len(values), rank, generator=generator).add(_TINY)
    basis = scale * torch.rand(rank, values.shape[1], generator=generator).add(_TINY)
    for _ in range(iterations):
        codes *= (values @ basis.T) / (codes @ (basis @ basis.T)).clamp_min(_TINY)
        basis *= (codes.T @ values) / ((codes.T @ codes) @ basis).clamp_min(_TINY)
    sizes = basis.norm(dim=1).clamp_min(_TINY)  # (R,)
    return Factors(codes * sizes, basis / sizes[:, None])


def encode(values: Tensor, basis: Tensor, iterations: int = _ITERATIONS) -> Tensor:
    """The non-negative strengths (..., R) that best make ``values`` (..., C) of a fixed basis (R, C)."""
    products, gram = values @ basis.T, basis @ basis.T
    codes = products.clamp_min(_TINY) / gram.sum(1)
    for _ in range(iterations):
        codes = codes * products.clamp_min(0) / (codes @ gram).clamp_min(_TINY)
    return codes


@torch.no_grad()
def places(body: nn.Module, faces: Tensor) -> Tensor:
    """The activation maps with a row a place: faces (B, 1, 48, 48) -> float32 (B, P, C)."""
    maps = body(faces).float()
    return maps.flatten(2).transpose(1, 2) if maps.ndim == 4 else maps[:, None]


def linear_map(tail: nn.Module, shape: torch.Size) -> tuple[Tensor, Tensor]:
    """The linear layers as weights (K, P, C) and a constant (K,), for maps of ``shape``, (C, H, W) or (C,)."""
    zeros = torch.zeros(1, *shape)
    weights = torch.autograd.functional.jacobian(lambda maps: tail(maps)[0], zeros)[:, 0]  # (K, C, H, W) or (K, C)
    with torch.no_grad():
        constant = tail(zeros)[0]
    return (weights.flatten(2).transpose(1, 2) if len(shape) == 3 else weights[:, None]), constant


@torch.no_grad()
def concept_shares(body: nn.Module, tail: nn.Module, basis: Tensor, faces: Tensor) -> ConceptShares:
    """Every face (B, 1, 48, 48) in concepts of ``basis`` (R, C), and its logits as sums over them."""
    maps = body(faces).float()
    with torch.enable_grad():
        weights, constant = linear_map(tail, maps.shape[1:])  # (K, P, C), (K,)
    values = maps.flatten(2).transpose(1, 2) if maps.ndim == 4 else maps[:, None]  # (B, P, C)
    codes = encode(values, basis)  # (B, P, R)
    left = values - codes @ basis  # (B, P, C)
    return ConceptShares(
        codes=codes,
        contributions=torch.einsum("bpr,rc,kpc->brk", codes, basis, weights),
        residual=torch.einsum("bpc,kpc->bk", left, weights),
        constant=constant,
        logits=tail(maps).float(),
        unexplained=left.flatten(1).norm(dim=1) / values.flatten(1).norm(dim=1).clamp_min(_TINY),
    )


def without(shares: ConceptShares, kept: Tensor) -> Tensor:
    """The logits (B, K) once each concept counts only ``kept`` times, (R,) in 0..1: 0 removes it, 1 leaves it."""
    removed = torch.einsum("r,brk->bk", 1 - kept, shares.contributions)
    return shares.logits - removed


def matched_cosine(first: Tensor, second: Tensor) -> Tensor:
    """How alike two bases (R, C) are: the cosine of each concept with its partner, the best pairs first, (R,).

    Partners are found one pair after the other, the most alike first; no concept has two.
    """
    table = nn.functional.normalize(first) @ nn.functional.normalize(second).T
    found = []
    for _ in range(min(table.shape)):
        place = table.argmax()
        row, column = place // table.shape[1], place % table.shape[1]
        found.append(table[row, column].clone())
        table[row], table[:, column] = -torch.inf, -torch.inf
    return torch.stack(found)


def region_shares(body: nn.Module, basis: Tensor, faces: Tensor, replacement: Tensor, concept: int) -> Tensor:
    """Where on the face a concept lies: by how much it weakens as each region is replaced, as shares (P,) of the sum.

    faces, replacement: (B, 1, 48, 48), the second as the blurred faces. Regions that strengthen it count 0.
    """
    masks = face_regions.region_masks()  # (P, 48, 48)
    before = _strength(body, basis, faces, concept)
    falls = [before - _strength(body, basis, torch.where(mask, replacement, faces), concept) for mask in masks]
    falls = torch.stack(falls).clamp_min(0)
    return falls / falls.sum().clamp_min(_TINY)


def _strength(body: nn.Module, basis: Tensor, faces: Tensor, concept: int) -> Tensor:
    """The mean strength of one concept over faces and places."""
    codes = torch.cat([encode(places(body, block), basis)[..., concept] for block in faces.split(_BLOCK)])
    return codes.mean()


def rows_of_maps(body: nn.Module, faces: Tensor) -> Iterator[Tensor]:
    """The places (B, P, C) of block after block of faces (N, 1, 48, 48)."""
    return (places(body, block) for block in faces.split(_BLOCK))
