"""Selects the default ensemble: ``python -m fer ensemble``.

Every set of networks with FER-2013's labels is evaluated on the predictions of PublicTest that ``evaluate`` stored. The
set with the highest accuracy without duplicates is selected, the smaller one of equals. Where that is a single network
there is no ensemble. PrivateTest is not used for the choice: its metrics are only stored. ``weights/ensemble.json``
holds the selection, whose name is ``ensemble``.
"""

import json
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import torch

from fer.data.labels import EMOTIONS
from fer.evaluation import calibration, metrics, predictions
from fer.evaluation.metrics import stored_metrics
from fer.models import checkpoint
from fer.models.ensemble import Ensemble
from fer.utils import artifacts
from fer.utils.io import write_text
from fer.utils.model_files import SELECTED


def rank_ensembles(folder: Path) -> list[dict]:
    """All sets of a folder's networks with FER-2013's seven labels, best first, with their PublicTest metrics.

    A network that was evaluated on other faces than the first one is left out.

    Raises:
        ValueError: fewer than two such networks, or one that was not evaluated yet.
    """
    networks = [checkpoint.load_network(name, folder) for name in checkpoint.list_checkpoints(folder)]
    networks = [network for network in networks if network.labels == EMOTIONS]
    networks = [network for network in networks if _same_faces(network, networks[0], folder)]
    if len(networks) < 2:
        raise ValueError(f"{folder} holds {len(networks)} networks of seven labels: an ensemble needs two or more")
    sets = [some for size in range(1, len(networks) + 1) for some in combinations(networks, size)]
    rows = [{"members": [n.name for n in some]} | ensemble_metrics(some, "PublicTest", folder) for some in sets]
    return sorted(rows, key=lambda row: (-row["accuracy_deduplicated"], len(row["members"])))


def _same_faces(network: checkpoint.FERModel, other: checkpoint.FERModel, folder: Path) -> bool:
    """Whether both were evaluated on the same PublicTest: one that was trained on an own data set was not."""
    labels, others = (predictions.load_logits(folder / each.name, "PublicTest")[1] for each in (network, other))
    return torch.equal(labels, others)


def ensemble_metrics(
    members: Sequence[checkpoint.FERModel], split: str, folder: Path, temperature: float = 1.0
) -> dict:
    """The metrics of an ensemble on a split, from its members' stored logits."""
    logits, labels, is_duplicate = predictions.load_ensemble_logits(members, split, folder)
    return stored_metrics(metrics.classification_metrics(logits, labels, is_duplicate, temperature))


def select_ensemble(rows: list[dict], folder: Path) -> Ensemble | None:
    """Makes the first of ``rows`` the folder's default ensemble; None, and none there, if that is a single network."""
    if len(rows[0]["members"]) > 1:
        return write_ensemble(rows[0]["members"], folder)
    (folder / f"{SELECTED}.json").unlink(missing_ok=True)
    return None


def write_ensemble(members: Sequence[str], folder: Path) -> Ensemble:
    """Makes the ensemble of ``members`` the folder's default one, calibrated on PublicTest without duplicates."""
    networks = [checkpoint.load_network(name, folder) for name in members]
    logits, labels, is_duplicate = predictions.load_ensemble_logits(networks, "PublicTest", folder)
    temperature = calibration.fit_temperature(logits[~is_duplicate], labels[~is_duplicate])
    confidence_threshold = calibration.fit_rejection_threshold(
        (logits[~is_duplicate] / temperature).softmax(1), labels[~is_duplicate]
    )
    splits = {"public_test": "PublicTest", "private_test": "PrivateTest"}
    stored = {key: ensemble_metrics(networks, split, folder, temperature) for key, split in splits.items()}
    selected: dict[str, Any] = {
        "members": list(members),
        "temperature": temperature,
        "confidence_threshold": confidence_threshold,
        "metrics": stored,
    }
    probabilities = (logits[~is_duplicate] / temperature).softmax(1)
    selected["prediction_set"] = calibration.fit_prediction_sets(probabilities, labels[~is_duplicate])
    selected["weights"] = {name: artifacts.digest_or_none(folder / name) for name in members}
    write_text(folder / f"{SELECTED}.json", json.dumps(selected, indent=2) + "\n")
    return checkpoint.load_ensemble(folder / f"{SELECTED}.json")
