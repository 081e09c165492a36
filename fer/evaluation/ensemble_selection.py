"""Which networks make the default ensemble: ``python -m fer ensemble``.

Every set of networks of the same labels is tried on the answers to PublicTest that ``evaluate`` kept; the one that
reads most faces without a duplicate right is elected, the smaller of two that tie. Where that is a single network, no
ensemble is worth its while, and none is. PrivateTest has no vote: its figures are only written beside.
``weights/ensemble.json`` keeps them, and ``ensemble`` is the elected one's name.
"""

import json
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import torch

from fer.data.labels import EMOTIONS
from fer.evaluation import calibration, metrics, predictions
from fer.evaluation.metrics import stored_metrics
from fer.models import checkpoint
from fer.models.ensemble import PREFIX, SELECTED, Ensemble
from fer.utils import artifacts
from fer.utils.io import write_text


def rank_ensembles(folder: Path) -> list[dict]:
    """All sets of a folder's networks for FER-2013's seven labels, best first, with their PublicTest figures.

    A network that was measured on other faces than the first one has no part in them.

    Raises:
        ValueError: fewer than two such networks, or one that was not measured yet.
    """
    networks = [checkpoint.load_model(name, folder) for name in checkpoint.list_checkpoints(folder)]
    networks = [network for network in networks if network.labels == EMOTIONS]
    networks = [network for network in networks if _same_faces(network, networks[0], folder)]
    if len(networks) < 2:
        raise ValueError(f"{folder} holds {len(networks)} networks of seven labels: an ensemble needs two or more")
    sets = [some for size in range(1, len(networks) + 1) for some in combinations(networks, size)]
    rows = [{"members": [n.name for n in some]} | measured(some, "PublicTest", folder) for some in sets]
    return sorted(rows, key=lambda row: (-row["accuracy_deduplicated"], len(row["members"])))


def _same_faces(network: checkpoint.FERModel, other: checkpoint.FERModel, folder: Path) -> bool:
    """Whether both were measured on the same PublicTest: one that was trained on faces of one's own was not."""
    labels, others = (predictions.load_logits(folder / each.name, "PublicTest")[1] for each in (network, other))
    return torch.equal(labels, others)


def measured(members: Sequence[checkpoint.FERModel], split: str, folder: Path, temperature: float = 1.0) -> dict:
    """The figures of an ensemble on a split, from its members' kept logits."""
    logits, labels, is_duplicate = predictions.load_ensemble_logits(members, split, folder)
    return stored_metrics(metrics.classification_metrics(logits, labels, is_duplicate, temperature))


def select_ensemble(rows: list[dict], folder: Path) -> Ensemble | None:
    """Makes the first of ``rows`` the folder's default ensemble; None, and none there, if that is a single network."""
    if len(rows[0]["members"]) > 1:
        return write(rows[0]["members"], folder)
    (folder / f"{SELECTED}.json").unlink(missing_ok=True)
    return None


def write(members: Sequence[str], folder: Path) -> Ensemble:
    """Makes the ensemble of ``members`` the folder's default one, calibrated on PublicTest without duplicates."""
    ensemble = checkpoint.load_model(PREFIX + "+".join(members), folder)
    logits, labels, is_duplicate = predictions.load_ensemble_logits(ensemble.members, "PublicTest", folder)
    temperature = calibration.fit_temperature(logits[~is_duplicate], labels[~is_duplicate])
    confidence_threshold = calibration.fit_rejection_threshold(
        (logits[~is_duplicate] / temperature).softmax(1), labels[~is_duplicate]
    )
    splits = {"public_test": "PublicTest", "private_test": "PrivateTest"}
    figures = {key: measured(ensemble.members, split, folder, temperature) for key, split in splits.items()}
    elected = {
        "members": list(members),
        "temperature": temperature,
        "confidence_threshold": confidence_threshold,
        "metrics": figures,
    }
    probabilities = (logits[~is_duplicate] / temperature).softmax(1)
    elected["prediction_set"] = calibration.fit_prediction_sets(probabilities, labels[~is_duplicate])
    elected["weights"] = {name: artifacts.digest_or_none(folder / name) for name in members}
    write_text(folder / f"{SELECTED}.json", json.dumps(elected, indent=2) + "\n")
    return checkpoint.load_model(SELECTED, folder)
