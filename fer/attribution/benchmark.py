"""Benchmark of the saliency methods on a model: ``python -m fer benchmark-saliency MODEL``.

The maps of each method, for the network's own predictions on faces of PublicTest, are scored by the faithfulness
correlation and the infidelity score (see `faithfulness.py`). A parameter randomisation test (Adebayo et al. 2018)
compares the maps of some faces with those of the network with a re-initialised last layer. The results are kept in
``attribution_benchmark.json`` beside the weights, stamped with their digest; the page orders the methods by them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from fer.attribution import faithfulness
from fer.attribution.explain import explain, list_methods, to_contributions
from fer.attribution.faithfulness import OutputChanges
from fer.data import dataset
from fer.data.dataset import FaceDataset
from fer.models.clone import fuse_for_inference
from fer.utils.artifacts import Artifact

FILE = "attribution_benchmark.json"
NUM_RANDOMIZED = 32  # faces for the forgetful network: ranks differ little from face to face
_BLOCK = 16  # faces that are explained at once


def sample_faces(validation: FaceDataset, count: int) -> Tensor:
    """``count`` faces without a duplicate in Training, always the same ones: floats (count, 1, 48, 48) in 0..1.

    Raises:
        ValueError: fewer than two, or more than there are.
    """
    alone = validation[~validation.is_duplicate]
    if not 2 <= count <= len(alone):
        raise ValueError(f"faces is {count}: expected 2 to {len(alone)}")
    return dataset.to_unit(dataset.random_subset(alone, count).pixels)


@dataclass(frozen=True)
class _FaceBatch:
    """Some faces (B, 1, 48, 48), what the network answers (B,), and what becomes of that when they are changed."""

    faces: Tensor
    answers: Tensor
    changes: OutputChanges


def run_benchmark(network: nn.Module, faces: Tensor, quiet: bool = False) -> list[dict]:
    """A row for each method that holds for the network, and for each control, the most faithful first.

    faithfulness_correlation, infidelity_score: mean scores over faces (B, 1, 48, 48). ci95_half_width: of the first.
    randomization_rank_corr: the mean rank correlation with the maps of a network whose last layer was drawn anew, over
    the first 32 of the faces; None for a control.
    """
    network = fuse_for_inference(network)
    forgetful = faithfulness.randomize_parameters(network, "last")
    blocks = list(_face_batches(network, faces))
    rows = []
    for method in tqdm(list_methods(network), disable=quiet):
        maps = [explain(network, block.faces, method, block.answers) for block in blocks]
        few = blocks[: -(-NUM_RANDOMIZED // _BLOCK)]
        others = [explain(forgetful, block.faces, method, block.answers) for block in few]
        ranks = [faithfulness.rank_correlation(*pair) for pair in zip(maps[: len(others)], others, strict=True)]
        scores = [
            faithfulness.faithfulness_scores(part, to_contributions(part, block.faces, method), block.changes)
            for part, block in zip(maps, blocks, strict=True)
        ]
        rows.append(_row(method, scores, torch.cat(ranks)[:NUM_RANDOMIZED].mean().item()))
    controls = [faithfulness.control_scores(block.faces, block.changes) for block in blocks]
    rows += [_row(name, [scores[name] for scores in controls], None) for name in controls[0]]
    return sorted(rows, key=lambda row: -row["faithfulness_correlation"])


def _face_batches(network: nn.Module, faces: Tensor) -> Iterator[_FaceBatch]:
    for part in faces.split(_BLOCK):
        with torch.no_grad():
            answers = network(part).argmax(1)
        yield _FaceBatch(part, answers, faithfulness.output_changes(network, part, answers))


def _row(method: str, scores: Sequence[Tensor], forgotten: float | None) -> dict:
    correlations, fidelities = torch.cat(list(scores), 1)  # (B,), (B,)
    error = 1.96 * correlations.std().item() / len(correlations) ** 0.5
    return {
        "method": method,
        "faithfulness_correlation": round(correlations.mean().item(), 4),
        "ci95_half_width": round(error, 4),
        "infidelity_score": round(fidelities.mean().item(), 4),
        "randomization_rank_corr": None if forgotten is None else round(forgotten, 4),
        "n": len(correlations),
    }


def save_benchmark(rows: list[dict], folder: Path) -> None:
    """Keeps what was measured beside the weights, stamped with their digest."""
    ARTIFACT.save(folder, {"rows": rows})


def load_benchmark(folder: Path) -> list[dict]:
    """What was measured of the network in ``folder``; nothing where it was not, or of other weights, or is broken."""
    return ARTIFACT.load_or_none(folder) or []


def _parse(kept: dict) -> list[dict]:
    if not all(map(_is_valid, kept["rows"])):
        raise ValueError("a row lacks its method or a number")
    return kept["rows"]


def _is_valid(row: dict) -> bool:
    """Whether it names a method or a control, and its numbers are numbers."""
    numbers = [row[key] for key in ("faithfulness_correlation", "ci95_half_width", "infidelity_score", "n")]
    forgotten = row.get("randomization_rank_corr")
    numbers += [] if forgotten is None else [forgotten]
    return isinstance(row["method"], str) and all(isfinite(number) for number in numbers)


ARTIFACT = Artifact(FILE, "benchmark-saliency", _parse)
