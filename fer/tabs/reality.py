"""What real faces get out of a network at most: the measure of how far a picture that grew lies beyond them.

best(weights, chain, layer, numbers)     for each filter, out of the atlas, or for each class; None where not known
"""

from collections.abc import Sequence
from pathlib import Path

from fer import atlas, evaluation, filters
from fer.checkpoint import Network


def best(weights: Path, network: str, chain: Network, layer: str, numbers: Sequence[int]) -> tuple[float | None, ...]:
    """The highest answers to any real face: a class's on both test splits, a filter's on PublicTest."""
    if layer == filters.last_layer(chain):
        return tuple(best_logit(weights / network, number) for number in numbers)
    kept = atlas.read(weights / network, layer)
    if kept is None or kept.answers.shape[1] == 0:
        return (None,) * len(numbers)
    return tuple(kept.answers[list(numbers), 0].tolist())


def best_logit(folder: Path, number: int) -> float | None:
    """The highest logit of a class among all real faces whose answers are kept; None where there are none."""
    found = []
    for split in ("PublicTest", "PrivateTest"):
        try:
            found.append(evaluation.kept(folder, split)[0][:, number].max().item())
        except ValueError:  # not measured
            continue
    return max(found, default=None)
