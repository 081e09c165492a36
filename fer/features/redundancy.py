"""Redundant filters of a network, over many faces: ``python -m fer redundancy NETWORK``.

Report 1 looks at the 64 outputs of the first convolution for one face and sees that many are nearly alike. Here that
is counted, layer by layer, over faces of PublicTest; and `pruning.py` removes filters to see what is lost. Both are
kept in ``filter_redundancy.npz`` beside the weights, stamped with the digest of the weights they were measured of.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from fer.features import activations, similarity
from fer.models import checkpoint
from fer.models.layers import NamedSequential, Normalize
from fer.utils.artifacts import Artifact

FILE = "filter_redundancy.npz"
NUM_SIMILAR = 3  # of each filter are kept
_CHANGELESS = 1e-3  # a span of answers below which a filter or unit tells nothing; SELU's floor is -1.758


@dataclass(frozen=True)
class LayerRedundancy:
    """What was measured of a layer of C filters, over all faces and all positions of its maps.

    most_similar: for each filter the NUM_SIMILAR others whose maps correlate highest with its own, int (C, T).
    similarity: those correlations, float (C, T). representative: the filter that can stand for each, its own number
    where there is none (see `similarity.representatives`), int (C,). representative_corr: the correlation with it,
    (C,). order: all filters, each followed by the most similar one left, int (C,). dead: whether a filter's output is
    constant over all faces, bool (C,). always_active: whether it is above 0 everywhere, bool (C,). positive_share:
    share of its outputs above 0, (C,). mean, spread: mean and standard deviation of its outputs, (C,). effective_rank:
    of the layer's correlation matrix, 1..C (Roy and Vetterli 2007): the number of uncorrelated filters that would vary
    as much.
    """

    name: str
    most_similar: np.ndarray
    similarity: np.ndarray
    representative: np.ndarray
    representative_corr: np.ndarray
    order: np.ndarray
    dead: np.ndarray
    always_active: np.ndarray
    positive_share: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    effective_rank: float

    def redundant(self) -> np.ndarray:
        """The numbers of the filters that another one represents; dead ones are left out."""
        return np.flatnonzero((self.representative != np.arange(len(self.mean))) & ~self.dead)

    def row(self) -> dict:
        """The layer in numbers, for a table."""
        return {
            "layer": self.name,
            "filters": len(self.mean),
            "redundant": len(self.redundant()),
            "dead": int(self.dead.sum()),
            "always_active": int(self.always_active.sum()),
            "effective_rank": round(self.effective_rank, 1),
        }


@dataclass(frozen=True)
class Redundancy:
    """What was measured of a model: the number of faces, its layers by name, and its pruning curves.

    pruned: see `pruning_curve.measure_pruning`.
    """

    faces: int
    layers: dict[str, LayerRedundancy]
    pruned: list[dict] = field(default_factory=list)

    def rows(self) -> list[dict]:
        return [layer.row() for layer in self.layers.values()]


# ------------------------------------------------------------------------------------------------ measuring


@torch.inference_mode()
def measure_redundancy(network: NamedSequential, pixels: Tensor, quiet: bool = False) -> dict[str, LayerRedundancy]:
    """Goes through all layers of ``network`` with uint8 faces (N, 48, 48).

    Raises:
        ValueError: fewer than two faces, over which everything would correlate, or a network in training mode.
    """
    if len(pixels) < 2:
        raise ValueError(f"faces is {len(pixels)}: expected at least 2")
    if network.training:
        raise ValueError("the network is in training mode: expected it after eval()")
    sums = {
        name: _RunningMoments()
        for name in activations.active_layers(network)
        if not isinstance(network[name], Normalize)
    }
    outputs = activations.iter_layer_outputs(network, pixels)
    batches = -(-len(pixels) // 64) * len(network)
    for name, values in tqdm(outputs, total=batches, disable=quiet):
        if name in sums:
            sums[name].add(values.transpose(0, 1).flatten(1))
    bounded = {name for name in sums if isinstance(network[name], nn.Sigmoid)}
    return {name: _summarize_layer(name, sums.pop(name), name in bounded) for name in list(sums)}


class _RunningMoments:
    """What has been seen of a layer: the filters' products, sums and ranges, about the mean of the first block."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, answers: Tensor) -> None:
        """More answers, (C, M)."""
        if not self.count:
            self.shift = answers.mean(1, keepdim=True)
            self.products = torch.zeros(len(answers), len(answers))
            self.sums, self.above = torch.zeros(2, len(answers), dtype=torch.double)
            self.low, self.high = answers.amin(1), answers.amax(1)
        self.count += answers.shape[1]
        self.above += (answers > 0).sum(1)
        self.low, self.high = torch.minimum(self.low, answers.amin(1)), torch.maximum(self.high, answers.amax(1))
        centred = answers - self.shift
        self.products += centred @ centred.T
        self.sums += centred.double().sum(1)

    def covariance(self) -> Tensor:
        drift = (self.sums / self.count).float()
        return self.products / self.count - drift[:, None] * drift

    def mean(self) -> Tensor:
        return self.shift[:, 0] + (self.sums / self.count).float()


def _summarize_layer(name: str, sums: _RunningMoments, bounded: bool) -> LayerRedundancy:
    """bounded: answers are above 0 by nature, as a sigmoid's are, so that it means nothing."""
    covariance = sums.covariance()
    alike = similarity.covariance_to_correlation(covariance)
    dead = sums.high - sums.low <= _CHANGELESS
    others = alike.clone().fill_diagonal_(-2)
    best = others.topk(min(NUM_SIMILAR, len(alike) - 1))
    spread = covariance.diagonal().clamp(min=0).sqrt()
    representative = similarity.representatives(alike)
    found = {
        "most_similar": best.indices.short(),
        "similarity": best.values.half(),
        "representative": representative.short(),
        "representative_corr": alike[torch.arange(len(alike)), representative].half(),
        "order": torch.tensor(similarity.seriate(others, int(spread.argmax()))).short(),
        "dead": dead,
        "always_active": (sums.low > 0) & ~dead & (not bounded),
        "positive_share": (sums.above / sums.count).half(),
        "mean": sums.mean(),
        "spread": spread,
    }
    return LayerRedundancy(
        name, **{key: value.numpy() for key, value in found.items()}, effective_rank=effective_rank(alike)
    )


def effective_rank(alike: Tensor) -> float:
    """How many filters that have nothing in common would be as varied as these: (C, C) correlations -> 0..C.

    The exponential of the entropy of the eigenvalues' shares: Roy and Vetterli, "The effective rank", EUSIPCO 2007.
    0 where no filter varies.
    """
    values = torch.linalg.eigvalsh(alike.double() if len(alike) <= 1024 else alike).clamp(min=0)
    if values.sum() <= 0:
        return 0.0
    shares = values / values.sum()
    return float(torch.special.entr(shares).sum().exp())


# ------------------------------------------------------------------------------------------------ keeping


def save_redundancy(found: Redundancy, folder: Path) -> None:
    """Keeps it beside the weights of ``folder``, stamped with their digest."""
    about = {"faces": found.faces, "pruned": found.pruned}
    about["effective_ranks"] = {name: layer.effective_rank for name, layer in found.layers.items()}
    kept = {
        f"{name}/{key}": value
        for name, layer in found.layers.items()
        for key, value in asdict(layer).items()
        if isinstance(value, np.ndarray)
    }
    ARTIFACT.save(folder, {"about": np.array(json.dumps(about))} | kept)


def load_redundancy(folder: Path) -> Redundancy | None:
    """What was measured of the weights in ``folder``; None where they were not, or the file is broken or of others."""
    return ARTIFACT.load_or_none(folder)


def _parse(kept: dict[str, np.ndarray]) -> Redundancy:
    about = json.loads(str(kept["about"]))
    layers = {name: _parse_layer(name, kept, float(rank)) for name, rank in about["effective_ranks"].items()}
    return Redundancy(int(about["faces"]), layers, [_check_pruning(row, layers) for row in about["pruned"]])


def _parse_layer(name: str, kept: dict[str, np.ndarray], rank: float) -> LayerRedundancy:
    """One layer. Raises ValueError where a filter lacks something, or another one is named that there is not."""
    keys = [field.name for field in fields(LayerRedundancy) if field.name not in ("name", "effective_rank")]
    parts = {key: kept[f"{name}/{key}"] for key in keys}
    count = len(parts["mean"])
    if any(len(part) != count for part in parts.values()):
        raise ValueError(f"{name} has {count} filters, but not of all that is kept of them")
    if any(
        part.min() < 0 or part.max() >= count
        for part in (parts["most_similar"], parts["representative"], parts["order"])
    ):
        raise ValueError(f"{name} names filters that it has not")
    return LayerRedundancy(name, **parts, effective_rank=rank)


def _check_pruning(row: dict, layers: dict[str, LayerRedundancy]) -> dict:
    """What removing a layer's filters cost, as `pruning.py` found it. Raises what `read` catches for anything else."""
    if row["filters"] != len(layers[row["layer"]].mean):
        raise ValueError(f"{row['layer']} has other filters")
    for curve in row["strategies"].values():
        by_kept = {part["kept"]: (part["accuracy"], part["n"], *part["ci95"]) for part in curve["rows"]}
        sum(by_kept[row["filters"] - curve["removable"]] + by_kept[curve["rows"][0]["kept"]])
    return row


def load_all(weights: Path) -> Iterator[tuple[str, Redundancy]]:
    """Name and redundancy of each network of a folder that was measured."""
    for name in checkpoint.list_checkpoints(weights):
        if found := load_redundancy(weights / name):
            yield name, found


ARTIFACT = Artifact(FILE, "redundancy", _parse)


@dataclass(frozen=True)
class Units:
    """How many units an activation layer has, how many are dead, how many changeless (the dead ones included).

    dead: 0 at every place of every face. changeless: the same, to within 0.001, at every place of every face, which
    is the only way in which a unit of SELU can die, as it is 0 nowhere but at 0.
    """

    layer: str
    units: int
    dead: int
    changeless: int


def count_dead(network: nn.Sequential, pixels: Tensor) -> list[Units]:
    """A row for every activation layer of ``network``, on uint8 faces (N, 48, 48). Puts it into eval mode.

    Raises:
        ValueError: no faces, on which every unit would look dead.
    """
    if len(pixels) == 0:
        raise ValueError("no faces to count dead units on: expected at least one")
    network.eval()
    ranges: dict[str, tuple[Tensor, Tensor]] = {}  # the lowest and the highest output of each unit, (C,) both
    for name, values in activations.iter_layer_outputs(network, pixels):
        if name.startswith("activation"):
            outputs = values.float().transpose(0, 1).flatten(1)  # (C, B * H * W)
            low, high = outputs.amin(1).cpu(), outputs.amax(1).cpu()
            known_low, known_high = ranges.get(name, (low, high))
            ranges[name] = torch.minimum(known_low, low), torch.maximum(known_high, high)
    return [
        Units(
            name,
            len(low),
            dead=int(((low == 0) & (high == 0)).sum()),
            changeless=int((high - low <= _CHANGELESS).sum()),
        )
        for name, (low, high) in ranges.items()
    ]


def total(rows: list[Units]) -> dict[str, int]:
    """Units, dead and changeless ones of a whole network."""
    return {key: sum(getattr(row, key) for row in rows) for key in ("units", "dead", "changeless")}
