"""A network's concepts with what they are worth: ``python -m fer concepts NETWORK`` writes ``concepts.npz``.

Concepts are factorised from a few thousand training faces and measured on other ones: how much of the maps and of the
logits they leave over, how far the answer falls without the strongest, how alike they are over two seeds; each beside
the same for a dictionary drawn at random and for a network with randomised weights. A concept is shown as the average
of its best faces, which is nobody's face.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from fer.attribution import concepts
from fer.attribution.explain import blur
from fer.attribution.face_regions import FACE_REGIONS
from fer.attribution.faithfulness import randomize_parameters
from fer.attribution.training_examples_benchmark import interval
from fer.data.dataset import to_unit
from fer.models.clone import fuse_for_inference
from fer.utils.artifacts import Artifact

FILE = "concepts.npz"
BEST = 64  # faces that a concept's picture is the average of
_BLOCK = 64  # faces at once


@dataclass(frozen=True, eq=False)
class ConceptSet:
    """R concepts of a network with K labels.

    basis: float (R, C). mean_faces: uint8 (R, 48, 48), each the average of BEST faces, stretched to full contrast.
    regions: (R, P), where on the face it lies (see ``concepts.region_shares``). labels: int (R, K), how many of its
    best faces carry each label. weights: (R, K), the mean share of each logit that it has. figures: what was measured.
    """

    basis: Tensor
    mean_faces: np.ndarray
    regions: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    figures: dict

    def rows(self, names: tuple[str, ...]) -> list[dict]:
        """A row a concept: the region where it lies most for its size, its best faces' label, and its mean shares."""
        return [
            {
                "concept": number,
                "regions": dict(zip(FACE_REGIONS, self.regions[number].astype(float).round(3).tolist(), strict=True)),
                "best_faces": dict(zip(names, self.labels[number].tolist(), strict=True)),
                "mean_share": dict(zip(names, self.weights[number].astype(float).round(3).tolist(), strict=True)),
            }
            for number in range(len(self.basis))
        ]


def measure(
    network: nn.Module, training: Tensor, labels: Tensor, others: Tensor, rank: int = concepts.RANK, quiet: bool = True
) -> ConceptSet:
    """Concepts of uint8 ``training`` faces (N, 48, 48) with ``labels`` (N,), measured on ``others`` (M, 48, 48).

    Raises:
        ValueError: the network's last maps go below 0, or it does not end in linear layers.
    """
    fast = fuse_for_inference(network)
    body, tail = concepts.split_at_linear_tail(fast)
    values = _maps(body, training, quiet)  # (N, P, C)
    basis, codes = _factorized(values, rank, 0)
    strengths = codes.mean(1)  # (N, R)
    best = strengths.topk(min(BEST, len(training)), dim=0).indices.T  # (R, BEST)
    shares = concepts.concept_shares(body, tail, basis, to_unit(others))
    figures = _figures(fast, values, basis, shares, training, labels, best, to_unit(others), quiet)
    regions = [_regions(body, basis, training[rows], number) for number, rows in enumerate(best)]
    return ConceptSet(
        basis=basis,
        mean_faces=np.stack([_mean_face(training[rows]) for rows in best]),
        regions=torch.stack(regions).numpy(),
        labels=_label_counts(labels, best, shares.logits.shape[1]).numpy(),
        weights=shares.contributions.mean(0).numpy(),
        figures=figures,
    )


def _maps(body: nn.Module, pixels: Tensor, quiet: bool) -> Tensor:
    blocks = tqdm(pixels.split(_BLOCK), desc="maps", disable=quiet)
    return torch.cat([concepts.places(body, to_unit(block)) for block in blocks])


def _factorized(values: Tensor, rank: int, seed: int) -> tuple[Tensor, Tensor]:
    """The basis (R, C), rounded to float16 as it is stored, and the codes (N, P, R) of maps (N, P, C)."""
    found = concepts.factorize(values.flatten(0, 1), rank, seed)
    return found.basis.half().float(), found.codes.view(*values.shape[:2], rank)


def _regions(body: nn.Module, basis: Tensor, pixels: Tensor, concept: int) -> Tensor:
    faces = to_unit(pixels)
    return concepts.region_shares(body, basis, faces, blur(faces), concept)


def _mean_face(pixels: Tensor) -> np.ndarray:
    """The average of faces (N, 48, 48), from black to white: uint8 (48, 48)."""
    mean = pixels.float().mean(0)
    return (255 * (mean - mean.min()) / (mean.max() - mean.min()).clamp_min(1)).round().byte().numpy()


def _label_counts(labels: Tensor, best: Tensor, classes: int) -> Tensor:
    return torch.stack([torch.bincount(labels[rows], minlength=classes)[:classes] for rows in best])


# ------------------------------------------------------------------------------------------------ what it is worth


def _figures(
    network: nn.Sequential, values: Tensor, basis: Tensor, shares: concepts.ConceptShares, training: Tensor,
    labels: Tensor, best: Tensor, others: Tensor, quiet: bool,
) -> dict:  # fmt: skip
    rank = len(basis)
    body, tail = concepts.split_at_linear_tail(network)
    again, _ = _factorized(values, rank, 1)
    drawn = _drawn_rows(values, rank)
    drawn_shares = concepts.concept_shares(body, tail, drawn, others)
    control = _randomised_figures(network, training, labels, rank, quiet)
    total = shares.contributions.sum(1) + shares.residual + shares.constant
    return {
        "n": len(others),
        "n_factorized": len(training),
        "largest_error": (total - shares.logits).abs().max().item(),
        "unexplained": _mean(shares.unexplained),
        "unexplained_random_rows": _mean(drawn_shares.unexplained),
        "residual_share": _mean(_residual_share(shares)),
        "residual_share_random_rows": _mean(_residual_share(drawn_shares)),
        "matched_cosine": _mean(concepts.matched_cosine(basis, again)),
        "matched_cosine_random_rows": _mean(concepts.matched_cosine(drawn, _drawn_rows(values, rank, 1))),
        "same_label": _mean(_same_label(labels, best)),
        **control,
        **deletion(shares),
    }


def _drawn_rows(values: Tensor, rank: int, seed: int = 0) -> Tensor:
    """A dictionary of places drawn at random, without empty ones: (R, C)."""
    rows = values.flatten(0, 1)
    rows = rows[rows.norm(dim=1) > 0]
    return nn.functional.normalize(rows[torch.randperm(len(rows), generator=_generator(seed))[:rank]])


def _randomised_figures(network: nn.Module, training: Tensor, labels: Tensor, rank: int, quiet: bool) -> dict:
    """The same of the network with randomised weights: are its concepts as stable, and as much of one label?"""
    body, _ = concepts.split_at_linear_tail(randomize_parameters(network, "all"))
    values = _maps(body, training, quiet)
    first, codes = _factorized(values, rank, 0)
    second, _ = _factorized(values, rank, 1)
    best = codes.mean(1).topk(min(BEST, len(training)), dim=0).indices.T
    chance = torch.stack([torch.randperm(len(labels), generator=_generator(n))[: best.shape[1]] for n in range(rank)])
    return {
        "matched_cosine_randomised_weights": _mean(concepts.matched_cosine(first, second)),
        "same_label_randomised_weights": _mean(_same_label(labels, best)),
        "same_label_random": _mean(_same_label(labels, chance)),
    }


def _same_label(labels: Tensor, best: Tensor) -> Tensor:
    """Of each concept, the share of its best faces that carry their commonest label: (R,)."""
    return torch.stack([torch.bincount(labels[rows]).max() / len(rows) for rows in best])


def _residual_share(shares: concepts.ConceptShares) -> Tensor:
    """How much of what raises each answer's logit above the constant is left over by the concepts: (B,)."""
    answer = shares.logits.argmax(1, keepdim=True)
    above = (shares.logits - shares.constant).gather(1, answer)[:, 0]
    return shares.residual.gather(1, answer)[:, 0] / above.clamp_min(1e-6)


def deletion(shares: concepts.ConceptShares, seed: int = 0) -> dict:
    """How far the answer's probability falls without one concept, and how often another label is then the answer.

    top: the concept with the largest share of the answer's logit. random: any of them. strongest: the one that is most
    active whatever its weights, which the first should surpass.
    """
    rows = torch.arange(len(shares.logits))
    answer = shares.logits.argmax(1)  # (B,)
    rank = shares.contributions.shape[1]
    chosen = {
        "top": shares.contributions[rows, :, answer].argmax(1),
        "random": torch.randint(rank, (len(rows),), generator=_generator(seed)),
        "strongest": shares.strengths.argmax(1),
    }
    found = {}
    for name, concept in chosen.items():
        logits = shares.logits - shares.contributions[rows, concept]  # (B, K)
        fall = (shares.logits.softmax(1) - logits.softmax(1))[rows, answer]
        found[f"fall_{name}"] = _mean(fall)
        found[f"other_answer_{name}"] = _mean((logits.argmax(1) != answer).float())
    return found


def _mean(values: Tensor) -> list[float]:
    """The mean and its 95 % interval by bootstrap."""
    return [round(value, 4) for value in interval(values.double().numpy())]


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ------------------------------------------------------------------------------------------------ its file


def write(found: ConceptSet, folder: Path) -> None:
    """Keeps it beside the weights, stamped with their digest."""
    content = {
        "basis": found.basis.half().numpy(),
        "mean_faces": found.mean_faces,
        "regions": found.regions.astype(np.float32),
        "labels": found.labels.astype(np.int32),
        "weights_of_concepts": found.weights.astype(np.float32),
        "figures": np.array(json.dumps(found.figures)),
    }
    ARTIFACT.save(folder, content)


def read(folder: Path) -> ConceptSet | None:
    """What was found in the network in ``folder``; None where it was not, or of other weights, or is broken."""
    return ARTIFACT.load_or_none(folder)


def _parse(kept: dict[str, np.ndarray]) -> ConceptSet:
    parts = [kept[name] for name in ("mean_faces", "regions", "labels", "weights_of_concepts")]
    basis, figures = torch.from_numpy(kept["basis"]).float(), json.loads(str(kept["figures"]))
    found = ConceptSet(basis, *parts, figures)
    rank, classes = len(basis), found.labels.shape[-1]
    right = [(rank, 48, 48), (rank, len(FACE_REGIONS)), (rank, classes), (rank, classes)]
    numbers = np.isfinite(found.regions).all() and np.isfinite(found.weights).all() and basis.isfinite().all()
    if basis.ndim != 2 or [part.shape for part in parts] != right or not (numbers and basis.min() >= 0):
        raise ValueError("shapes or numbers that no concepts have")
    if not isinstance(figures, dict):
        raise ValueError("its figures are no object")
    return found


ARTIFACT = Artifact(FILE, "concepts", _parse)
