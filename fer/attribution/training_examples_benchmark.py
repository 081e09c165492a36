"""How far the strongest proponents can be trusted: train the last layer without them, and without others for control.

    table = measure(checkpoint, labels, features, targets, control)

Of each face the 100 strongest proponents of its answer are taken away and the last layer is trained anew to its
optimum; the logit of the answer should fall further than without as many faces that were drawn at random, that are
nearest in the space of features, that are nearest and carry the answer's label, or that are the strongest proponents
in a network with randomised weights.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from fer.attribution import feature_table
from fer.attribution.faithfulness import randomize_parameters
from fer.attribution.last_layer import features_of, fit_last_layer, last_layer
from fer.attribution.training_examples import CheckpointFeatures, influence
from fer.utils.artifacts import Artifact

PROPONENTS = "proponents"
RANDOM, NEAREST, SAME_LABEL, RANDOMISED = "random", "nearest", "nearest_same_label", "randomised_weights"
_REMOVED = 100


@dataclass(frozen=True)
class Removal:
    """How far the answer's logit falls without so many training faces, the mean over n faces and its 95 % interval.

    difference, difference_low, difference_high: how much further it falls without the proponents, face by face.
    same_label: the share of the removed faces that carry the answer's label.
    """

    removed: str
    fall: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float
    same_label: float
    n: int

    def row(self) -> dict:
        """For JSON, rounded."""
        return {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(self).items()}


@dataclass(frozen=True, eq=False)
class Control:
    """The training faces as another checkpoint sees them, and the features (n, D) that the n faces have there."""

    checkpoint: CheckpointFeatures
    features: Tensor


def measure(
    checkpoint: CheckpointFeatures,
    labels: Tensor,
    features: Tensor,
    targets: Tensor,
    control: Control,
    count: int = _REMOVED,
    seed: int = 0,
    quiet: bool = True,
) -> list[Removal]:
    """Removes training faces for each of n faces with features (n, D) and answers ``targets`` (n,).

    labels: of the training faces, (N,). control: a network with randomised weights.
    """
    full = fit_last_layer(checkpoint.features, labels, checkpoint.layer.out_features, start=checkpoint.layer)
    generator = torch.Generator().manual_seed(seed)
    likeness = checkpoint.cosine(features)  # (n, N)
    others = labels[None] != targets[:, None]  # (n, N)
    chosen = {
        PROPONENTS: influence([checkpoint], [features], targets).topk(count).indices,
        RANDOM: torch.stack([torch.randperm(len(labels), generator=generator)[:count] for _ in targets]),
        NEAREST: likeness.topk(count).indices,
        SAME_LABEL: likeness.masked_fill(others, -torch.inf).topk(count).indices,
        RANDOMISED: influence([control.checkpoint], [control.features], targets).topk(count).indices,
    }  # each (n, count)
    falls: dict[str, np.ndarray] = {}
    for name, rows in tqdm(chosen.items(), disable=quiet):
        refit = _without(checkpoint.features, labels, rows, features, full)  # (n, K)
        before, after = (_centred(logits).gather(1, targets[:, None])[:, 0] for logits in (full(features), refit))
        falls[name] = (before - after).double().numpy()
    same = {name: (labels[rows] == targets[:, None]).double().mean().item() for name, rows in chosen.items()}
    return [_removal(name, falls[name], falls[PROPONENTS], same[name]) for name in chosen]


def overlap(first: Sequence[int] | Tensor, second: Sequence[int] | Tensor) -> float:
    """The share of the first rows that are among the second as well."""
    first, second = torch.as_tensor(first), torch.as_tensor(second)
    return torch.isin(first, second).double().mean().item()


def _without(features: Tensor, labels: Tensor, removed: Tensor, own: Tensor, full: nn.Linear) -> Tensor:
    """The logits (n, K) of n faces, each once the last layer is trained without its own ``removed`` rows (n, count)."""
    rows = []
    for part, face in zip(removed, own, strict=True):
        kept = torch.ones(len(labels), dtype=torch.bool)
        kept[part] = False
        rows.append(fit_last_layer(features[kept], labels[kept], full.out_features, start=full)(face))
    return torch.stack(rows)


def _centred(logits: Tensor) -> Tensor:
    """The logits less their mean, since adding one number to all of them changes no answer."""
    return logits - logits.mean(1, keepdim=True)


def _removal(name: str, falls: np.ndarray, proponents: np.ndarray, same_label: float) -> Removal:
    fall, difference = interval(falls), interval(proponents - falls)
    return Removal(name, *fall, *difference, same_label, len(falls))


def interval(
    values: np.ndarray, statistic: Callable[..., np.ndarray] = np.mean, draws: int = 2000
) -> tuple[float, float, float]:
    """A statistic of ``values`` and its 95 % interval by bootstrap, the same in every run."""
    rows = np.random.default_rng(0).integers(len(values), size=(draws, len(values)))
    low, high = np.percentile(statistic(values[rows], axis=1), [2.5, 97.5])
    return float(statistic(values, axis=0)), float(low), float(high)


def randomised_control(network: nn.Module, pixels: Tensor, labels: Tensor, own: Tensor, quiet: bool) -> Control:
    """The training faces uint8 (N, 48, 48) and faces (n, 1, 48, 48) in the network with randomised weights."""
    forgetful = randomize_parameters(network, "all")
    features = feature_table.extract(forgetful, pixels, quiet)
    checkpoint = CheckpointFeatures.of(last_layer(forgetful), features, labels)
    return Control(checkpoint, features_of(forgetful, own))


def agreement(
    checkpoint: CheckpointFeatures, features: Tensor, targets: Tensor, other: Control, count: int = _REMOVED
) -> list[float]:
    """The share of the strongest proponents that two checkpoints agree on, and its 95 % interval over the n faces."""
    first = influence([checkpoint], [features], targets).topk(count).indices
    second = influence([other.checkpoint], [other.features], targets).topk(count).indices
    shares = [overlap(*pair) for pair in zip(first, second, strict=True)]
    return [round(value, 4) for value in interval(np.array(shares))]


# ------------------------------------------------------------------------------------------------ its file


def _parse(kept: dict) -> dict:
    removal = [Removal(**row) for row in kept["removal"]]
    if not removal or removal[0].removed != PROPONENTS:
        raise ValueError("no row of proponents")
    return {**kept, "removal": removal}


ARTIFACT = Artifact("influence_benchmark.json", "influence --benchmark --model {}", _parse)
