import torch
from torch import Tensor

REDUNDANT_CORRELATION = 0.95  # between two filters, above which one is redundant


def map_correlation(values: Tensor) -> Tensor:
    """Correlations of filters over their places: (C, M) -> (C, C); 0 with a filter whose values are all the same."""
    centred = values.double() - values.double().mean(1, keepdim=True)
    return covariance_to_correlation(centred @ centred.T)


def covariance_to_correlation(covariance: Tensor) -> Tensor:
    """Covariances (C, C), in any unit -> correlations (C, C); 0 for what hardly varies, its own with itself as well."""
    spread = covariance.diagonal().clamp(min=0).sqrt()
    alive = spread > 1e-6 * spread.max()
    unit = torch.where(alive, 1 / torch.where(alive, spread, 1), 0)
    return (covariance * unit[:, None] * unit).clamp(-1, 1)


def seriate(alike: Tensor, first: int = 0) -> list[int]:
    """An order in which each filter is followed by the one most like it of those left: (C, C) -> C numbers."""
    order, left = [first], torch.ones(len(alike), dtype=torch.bool)
    for _ in range(len(alike) - 1):
        left[order[-1]] = False
        order.append(int(torch.where(left, alike[order[-1]], -torch.inf).argmax()))
    return order


def representatives(alike: Tensor, above: float = REDUNDANT_CORRELATION) -> Tensor:
    """The representative of each filter: (C, C) correlations -> (C,) numbers; its own where none correlates so highly.

    The filter with the most correlations ``above`` represents all of these, then that with the most of the rest, and
    so on: every filter correlates ``above`` with its representative itself, not only with another that does.
    """
    near = (alike > above).fill_diagonal_(True)
    chosen = torch.full((len(alike),), -1)
    for number in near.sum(1).argsort(descending=True, stable=True).tolist():
        if chosen[number] < 0:
            chosen[near[number] & (chosen < 0)] = number
    return chosen


def map_differences(first: Tensor, second: Tensor) -> Tensor:
    """How differently each filter answers two faces: twice (C, H, W) or (C,) -> (C,) in 0..1.

    The root mean square of the difference over that of both together: 0 for the same map, 1 where one is the other's
    negative; 0 for a filter that answers neither.
    """
    first, second = (part.reshape(len(part), -1).double() for part in (first, second))
    sizes = first.norm(dim=1) + second.norm(dim=1)
    return (first - second).norm(dim=1) / sizes.clamp(min=1e-12)
